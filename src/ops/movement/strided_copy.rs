//! The kernels behind most of this family: a copy between two strided walks.

use super::blocks::{blocks, tiles, turned};
use super::runs::{moved_by_rows, rows, runs};
use super::{AXES, UNITS, addressable, axes_override, data, strides, unit};
use crate::plan::{
    ANY_ELEMENT, Access, Arg, Capabilities, Dispatch, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Variant, WORKGROUP_SIZE,
    collapse, dims_array, params, part, workgroups_1d,
};
use crate::shape::Shape;

params! {
    pub(crate) struct StridedCopyParams {
        dims: [[u32; 4]; 2],
        input_strides: [[u32; 4]; 2],
        output_strides: [[u32; 4]; 2],
        units: u32,
        input_offset: u32,
        output_offset: u32,
    }
}

pub(crate) static STRIDED_COPY: Kernel = Kernel {
    name: "strided_copy",
    body: part!("strided_copy.wgsl"),
    parts: &[INDEX],
    types: &[ANY_ELEMENT],
    tiles: UNITS,
    overrides: &[AXES, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: StridedCopyParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    ..Kernel::BASE
};

/// What a dispatch of a copying kernel does, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Copied {
    /// How much it copies.
    pub bytes: u64,
    /// Where that is one range of the input and one of the output: where these begin.
    pub range: Option<(u64, u64)>,
}

/// Reads what a dispatch copies from its parameters; `None` for other kernels.
pub(crate) fn copied<B>(dispatch: &Dispatch<B>) -> Option<Copied> {
    let variant = &dispatch.variant;
    let element = variant.types.first()?.size() as u64;
    if let Some(elements) = moved_by_rows(dispatch).or_else(|| turned(dispatch)) {
        return Some(Copied { bytes: elements * element, range: None });
    }
    if variant.kernel != &STRIDED_COPY {
        return None;
    }
    let params: StridedCopyParams = bytemuck::try_pod_read_unaligned(&dispatch.params).ok()?;
    let unit = element * if variant.tile == Some(UNITS[1]) { 4 } else { 1 };
    let innermost = [params.input_strides[1][3], params.output_strides[1][3]];
    let in_order = params.units == 1 || params.units == params.dims[1][3] && innermost == [1, 1];
    let range = in_order.then(|| (u64::from(params.input_offset) * unit, u64::from(params.output_offset) * unit));
    Some(Copied { bytes: u64::from(params.units) * unit, range })
}

/// Elements of one tensor in the order of a copy: `offset + Σ i_k · strides_k`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Walk {
    pub offset: usize,
    pub strides: Vec<i64>,
}

impl Walk {
    /// All elements of a dense tensor in row-major order.
    pub(super) fn dense(shape: &Shape) -> Self {
        Self { offset: 0, strides: strides(shape) }
    }
}

/// `output[o_offset + Σ i_k·o_k] = input[i_offset + Σ i_k·i_k]` for every `i` below `dims`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct StridedCopy {
    pub dims: Vec<usize>,
    pub input: Walk,
    pub output: Walk,
}

impl StridedCopy {
    /// A node that is one copy of input 0 which fills output 0, or a view where it would copy everything in order.
    pub(super) fn lower(self, context: &LowerContext<'_>) -> Result<Lowered, String> {
        if self.keeps_order() && data(context)?.shape.elements() == context.outputs[0].shape.elements() {
            return Ok(Lowered::View);
        }
        let ways = self.dispatches(context, Arg::Input(0), Arg::Output(0))?;
        Ok(Lowered::Kernels(ways.into_iter().map(|dispatch| Lowering { dispatches: vec![dispatch], scratch: vec![] }).collect()))
    }

    /// Whether this copies the first elements of the input, in order, to the first elements of the output.
    fn keeps_order(&self) -> bool {
        let space = collapse(&self.dims, &[self.input.strides.clone(), self.output.strides.clone()]);
        let contiguous = space.dims == [1] || space.dims.len() == 1 && space.strides == [[1], [1]];
        contiguous && self.input.offset == 0 && self.output.offset == 0
    }

    /// The best dispatch of this copy between two of the node's tensors, both of which have output 0's element type.
    pub(crate) fn dispatch(&self, context: &LowerContext<'_>, input: Arg, output: Arg) -> Result<Dispatch<Arg>, String> {
        Ok(self.dispatches(context, input, output)?.swap_remove(0))
    }

    /// Every dispatch that makes this copy, best first.
    fn dispatches(&self, context: &LowerContext<'_>, input: Arg, output: Arg) -> Result<Vec<Dispatch<Arg>>, String> {
        for shape in context.inputs.inputs.iter().flatten().map(|o| o.shape).chain(context.outputs.iter().map(|t| &t.shape)) {
            addressable(shape)?;
        }
        let elem = context.elem(context.outputs[0].dtype)?;
        let mut ways = vec![];
        let mut space = collapse(&self.dims, &[self.input.strides.clone(), self.output.strides.clone()]);
        let innermost = space.dims.len() - 1;
        let four = space.dims[innermost].is_multiple_of(4)
            && self.input.offset.is_multiple_of(4)
            && self.output.offset.is_multiple_of(4)
            && space.strides.iter().all(|s| s[innermost] == 1 && s[..innermost].iter().all(|stride| stride % 4 == 0));
        let Capabilities { software, max_workgroups, .. } = *context.capabilities;
        let offsets = [self.input.offset, self.output.offset];
        let tiles = tiles(&space, offsets, elem).filter(|(_, _, workgroups)| workgroups.iter().all(|&n| n <= max_workgroups));
        if software {
            ways.extend(blocks(&space, offsets, elem, max_workgroups));
        } else {
            ways.extend(tiles.clone());
        }
        if software && !four {
            ways.extend(rows(&space, offsets, elem, max_workgroups));
        }
        let (tile, per_unit) = unit(four);
        if four {
            space.dims[innermost] /= 4;
            space.strides.iter_mut().flat_map(|s| &mut s[..innermost]).for_each(|stride| *stride /= 4);
        }
        let offsets = [self.input.offset / per_unit, self.output.offset / per_unit];
        if four && software {
            ways.extend(runs(&space, offsets, elem, max_workgroups));
        }
        let bound = |(variant, params, workgroups)| Dispatch { variant, params, bindings: vec![input.clone(), output.clone()], workgroups };
        let mut ways: Vec<_> = ways.into_iter().map(bound).collect();
        let axes = axes_override(space.dims.len())?;
        let array = |values: &[i64], fill| dims_array(values.iter().copied(), fill).ok_or("too many axes");
        let dims: Vec<i64> = space.dims.iter().map(|&extent| extent as i64).collect();
        let units = space.dims.iter().product();
        let params = StridedCopyParams {
            dims: array(&dims, 1)?,
            input_strides: array(&space.strides[0], 0)?,
            output_strides: array(&space.strides[1], 0)?,
            units: units as u32,
            input_offset: offsets[0] as u32,
            output_offset: offsets[1] as u32,
        };
        let workgroups = workgroups_1d(units, WORKGROUP_SIZE as usize, max_workgroups).ok_or("too many elements")?;
        let variant = Variant::new(&STRIDED_COPY, vec![elem], tile, vec![axes, WORKGROUP_SIZE]);
        ways.push(bound((variant, bytemuck::bytes_of(&params).to_vec(), workgroups)));
        ways.extend(tiles.filter(|_| software).map(bound));
        Ok(ways)
    }
}

/// A kernel variant, its `Params` and its workgroups: a dispatch without bindings.
pub(super) type Unbound = (Variant, Vec<u8>, [u32; 3]);
