//! Kernels and their variants as plain data: what the shader files declare, said once on the host.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::tensor::DType;

/// A part of a shader by its path below `shaders/`.
macro_rules! part {
    ($file:literal) => {
        $crate::plan::Part { file: $file, source: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $file)) }
    };
}
pub(crate) use part;

/// How the GPU stores one element.
///
/// Types that WGSL cannot store are widened: `i8`, `i16` → `i32`; `u8`, `u16`, `bool` → `u32`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Elem {
    /// 32-bit float.
    F32,
    /// 16-bit float, where the adapter has `SHADER_F16`.
    F16,
    /// 32-bit signed integer.
    I32,
    /// 32-bit unsigned integer.
    U32,
    /// 64-bit signed integer, where the adapter has `SHADER_INT64`.
    I64,
}

impl Elem {
    /// The storage of `dtype` on the GPU, or `None` where there is none on this device.
    pub fn of(dtype: DType, capabilities: &Capabilities) -> Option<Self> {
        Self::storing(dtype).filter(|elem| match elem {
            Elem::F16 => capabilities.f16,
            Elem::I64 => capabilities.i64,
            _ => true,
        })
    }

    /// The storage of `dtype` on devices that have it; `None` for types that WGSL lacks.
    pub const fn storing(dtype: DType) -> Option<Self> {
        match dtype {
            DType::F32 => Some(Elem::F32),
            DType::F16 => Some(Elem::F16),
            DType::I32 | DType::I16 | DType::I8 => Some(Elem::I32),
            DType::U32 | DType::U16 | DType::U8 | DType::Bool => Some(Elem::U32),
            DType::I64 => Some(Elem::I64),
            DType::F64 | DType::U64 => None,
        }
    }

    /// Bytes of one element in a GPU buffer.
    pub const fn size(self) -> usize {
        match self {
            Elem::F16 => 2,
            Elem::I64 => 8,
            _ => 4,
        }
    }

    /// The WGSL name: `f32`, `f16`, `i32`, `u32`, `i64`.
    pub const fn name(self) -> &'static str {
        match self {
            Elem::F32 => "f32",
            Elem::F16 => "f16",
            Elem::I32 => "i32",
            Elem::U32 => "u32",
            Elem::I64 => "i64",
        }
    }
}

/// What a device offers, as the planner sees it.
#[derive(Clone, PartialEq, Debug)]
pub struct Capabilities {
    /// 16-bit floats in shaders and buffers.
    pub f16: bool,
    /// 64-bit integers in shaders.
    pub i64: bool,
    /// A software device: SIMD lanes of a CPU, no workgroup memory worth the name.
    pub software: bool,
    /// Invocations of every subgroup; 0 where there are no subgroup operations, or subgroups of several sizes.
    pub subgroup: u32,
    /// Subgroup operations, whatever the sizes.
    pub subgroups: bool,
    /// The largest binding in bytes.
    pub max_binding: u64,
    /// The most workgroups along one dimension.
    pub max_workgroups: u32,
    /// Storage buffers that one kernel may bind.
    pub max_storage_buffers: u32,
    /// What the start of a binding inside a buffer is a multiple of, in bytes.
    pub storage_alignment: u64,
}

impl Default for Capabilities {
    /// `wgpu::Limits::default()` and no optional feature: what every kernel must fit in.
    fn default() -> Self {
        Self {
            f16: false,
            i64: false,
            software: false,
            subgroup: 0,
            subgroups: false,
            max_binding: 128 << 20,
            max_workgroups: 65_535,
            max_storage_buffers: 8,
            storage_alignment: 256,
        }
    }
}

/// Mesa's software drivers end every loop, silently, once an invocation has made 65,535 iterations of all its loops together.
const SOFTWARE_ITERATIONS: usize = 65_000;

impl Capabilities {
    /// That the device has such subgroups, or the reason why not.
    pub fn check_subgroups(&self, subgroups: Subgroups) -> Result<(), String> {
        match subgroups {
            Subgroups::Any if !self.subgroups => Err("is for devices with subgroups".into()),
            Subgroups::Exactly(size) if self.subgroup != size => Err(format!("is for subgroups of {size}")),
            _ => Ok(()),
        }
    }

    /// That one invocation may make so many iterations, those of nested loops summed up, or the reason why not.
    pub fn check_iterations(&self, iterations: usize) -> Result<(), String> {
        if self.software && iterations > SOFTWARE_ITERATIONS {
            return Err(format!("the software device ends loops after {SOFTWARE_ITERATIONS} iterations, this needs {iterations}"));
        }
        Ok(())
    }
}

/// The subgroups that a kernel is written for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subgroups {
    /// Whatever there are: it has no subgroup operations.
    None,
    /// Of so many invocations, which its workgroups have too.
    Exactly(u32),
    /// Of any size, which it finds by the built-ins.
    Any,
}

/// How a kernel uses one storage buffer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Access {
    /// `var<storage, read>`
    Read,
    /// `var<storage, read_write>`, written whole.
    Write,
}

/// A part of a shader: a file of WGSL that is concatenated, never edited.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part {
    /// The file's path below `shaders/`.
    pub file: &'static str,
    /// Its text.
    pub source: &'static str,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file)
    }
}

/// A type alias that the host picks: `Element`, `Index`, `Source`, …
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TypeRole {
    /// The alias, which names the header files `shaders/types/<role>_<elem>.wgsl`.
    pub role: &'static str,
    /// The storage types the kernel is written for.
    pub allowed: &'static [Elem],
}

/// The types that kernels on real numbers are written for.
pub(crate) const FLOAT_ELEMENT: TypeRole = TypeRole { role: "Element", allowed: &[Elem::F32, Elem::F16] };

/// Every element type there is, for kernels that only move elements.
pub(crate) const ANY_ELEMENT: TypeRole = TypeRole { role: "Element", allowed: &[Elem::F32, Elem::F16, Elem::I32, Elem::U32, Elem::I64] };

/// Invocations of an elementwise workgroup.
pub(crate) const WORKGROUP_SIZE: u32 = 64;

/// `flat_workgroup`, for work that is folded into two dimensions.
pub(crate) const INDEX: Part = part!("shared/index.wgsl");

/// `opaque`, for loops that end at a uniform's value alone.
pub(crate) const OPAQUE: Part = part!("shared/opaque.wgsl");

/// A pipeline-overridable constant and every value the planner may give it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Override {
    /// The name in the shader.
    pub name: &'static str,
    /// Every value the planner may ask for.
    pub values: &'static [u32],
}

/// A kernel: one file of `shaders/`, entry point `main`.
#[derive(Debug)]
pub struct Kernel {
    /// The file's stem, and so the pipeline's label and the profiler's row.
    pub name: &'static str,
    /// The body.
    pub body: Part,
    /// Shared parts, in order, before the body.
    pub parts: &'static [Part],
    /// The type aliases that the host picks.
    pub types: &'static [TypeRole],
    /// Tile headers to choose from; empty where the kernel has none.
    pub tiles: &'static [Part],
    /// Tile headers that a type is too large for.
    pub too_large: &'static [(Elem, Part)],
    /// The overrides.
    pub overrides: &'static [Override],
    /// Overrides that do not depend on each other nor on the rest, after those of `overrides`: the tests have every value of each, but not
    /// every combination.
    pub independent: &'static [Override],
    /// Layout of `Params`, binding 0.
    pub params: ParamsLayout,
    /// The storage buffers from binding 1 on: inputs in the operator's order, outputs last.
    pub bindings: &'static [Access],
    /// The subgroups that it is written for.
    pub subgroups: Subgroups,
    /// The shared parts of its epilogue, where elements go through `finish` of `shared/epilogue.wgsl` before they are stored: such a
    /// kernel has the overrides [`EPILOGUE`] after its own, binds `held` after its outputs, and its `Params` end with [`EPILOGUE_PARAMS`].
    pub epilogue: &'static [Part],
    /// The storage buffer (a position in [`Kernel::storage`]) that may be the output's: each element is read before it is written by
    /// one invocation. The variant in place has the override `IN_PLACE` 1 and reads it through the output's binding.
    pub in_place: Option<usize>,
}

/// What happens to an element before it is stored, as the override values of `shared/epilogue.wgsl`, in their order.
pub const EPILOGUE: [Override; 4] = [
    Override { name: "BEFORE", values: ACTIVATIONS },
    Override { name: "COMBINE", values: &[0, 1, 2, 3] },
    Override { name: "HOLD", values: &[0, 1, 2] },
    Override { name: "AFTER", values: ACTIVATIONS },
];

/// The numbers of the functions of `shared/activation.wgsl`.
pub(super) const ACTIVATIONS: &[u32] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 32, 36, 37];

/// The last members of `Params` where a kernel has an epilogue: what the two activations are told.
pub const EPILOGUE_PARAMS: [&str; 4] = ["before_alpha", "before_beta", "after_alpha", "after_beta"];

pub(super) const IN_PLACE: &str = "IN_PLACE";

impl Kernel {
    /// What most kernels have in common.
    pub(crate) const BASE: Kernel = Kernel {
        name: "",
        body: Part { file: "", source: "" },
        parts: &[],
        types: &[],
        tiles: &[],
        too_large: &[],
        overrides: &[],
        independent: &[],
        params: ParamsLayout { size: 0, fields: &[] },
        bindings: &[],
        subgroups: Subgroups::None,
        epilogue: &[],
        in_place: None,
    };

    /// Whether it has an epilogue.
    pub fn has_epilogue(&self) -> bool {
        !self.epilogue.is_empty()
    }

    /// The storage buffers from binding 1 on, what an epilogue reads included.
    pub fn storage(&self) -> Vec<Access> {
        self.bindings.iter().copied().chain(self.has_epilogue().then_some(Access::Read)).collect()
    }

    /// The size of `Params` in bytes, what an epilogue is told included.
    pub fn params_size(&self) -> usize {
        self.params.size + if self.has_epilogue() { size_of::<[f32; EPILOGUE_PARAMS.len()]>() } else { 0 }
    }

    /// The names of all overrides, those of epilogue and `IN_PLACE` included.
    pub fn override_names(&self) -> Vec<&'static str> {
        let epilogue = EPILOGUE.iter().filter(|_| self.has_epilogue());
        self.overrides.iter().chain(self.independent).chain(epilogue).map(|o| o.name).chain(self.in_place.map(|_| IN_PLACE)).collect()
    }
}

impl PartialEq for Kernel {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Kernel {}

impl Hash for Kernel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

macro_rules! type_headers {
    ($($role:literal: $($elem:ident $file:literal),*;)*) => {
        /// The header that defines the alias `role` as `elem`.
        pub fn type_header(role: &str, elem: Elem) -> Option<Part> {
            match (role, elem) {
                $($(($role, Elem::$elem) => Some(part!($file)),)*)*
                _ => None,
            }
        }
    };
}

type_headers! {
    "Element": F32 "types/element_f32.wgsl", F16 "types/element_f16.wgsl", I32 "types/element_i32.wgsl",
        U32 "types/element_u32.wgsl", I64 "types/element_i64.wgsl";
    "Index": I32 "types/index_i32.wgsl", I64 "types/index_i64.wgsl";
    "Quantized": I32 "types/quantized_i32.wgsl", U32 "types/quantized_u32.wgsl";
    "Target": F32 "types/target_f32.wgsl", F16 "types/target_f16.wgsl", I32 "types/target_i32.wgsl",
        U32 "types/target_u32.wgsl", I64 "types/target_i64.wgsl";
}

/// One member of a kernel's `Params`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParamsField {
    /// The member's name in both languages.
    pub name: &'static str,
    /// Its offset in bytes.
    pub offset: usize,
    /// Its WGSL type.
    pub wgsl: &'static str,
}

/// The memory layout of a kernel's `Params`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParamsLayout {
    /// Size in bytes on the host.
    pub size: usize,
    /// The members in order.
    pub fields: &'static [ParamsField],
}

/// A Rust type that can be a member of `Params`.
pub trait ParamsMember: bytemuck::Pod {
    /// The same type in WGSL.
    const WGSL: &'static str;
}

macro_rules! members { ($($rust:ty => $wgsl:literal),*) => { $(impl ParamsMember for $rust { const WGSL: &'static str = $wgsl; })* } }
members! {
    [[f32; 4]; 2] => "array<vec4<f32>, 2>", u32 => "u32", i32 => "i32", f32 => "f32", [u32; 4] => "vec4<u32>", [i32; 4] => "vec4<i32>", [f32; 4] => "vec4<f32>",
    [[u32; 4]; 2] => "array<vec4<u32>, 2>"
}

/// Declares a kernel's `Params` once: a plain Rust struct whose layout a test compares with the shader's.
macro_rules! params {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($field:ident: $ty:ty),* $(,)? }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
        $vis struct $name { $($vis $field: $ty),* }

        impl $name {
            $vis const LAYOUT: $crate::plan::ParamsLayout = $crate::plan::ParamsLayout {
                size: size_of::<$name>(),
                fields: &[$($crate::plan::ParamsField {
                    name: stringify!($field),
                    offset: std::mem::offset_of!($name, $field),
                    wgsl: <$ty as $crate::plan::ParamsMember>::WGSL,
                }),*],
            };
        }
    };
}
pub(crate) use params;
