//! Variants: kernels with types, tile and overrides chosen, and which of them there are.

use std::fmt;

use super::kernel::{ACTIVATIONS, EPILOGUE, Elem, Kernel, Override, Part, type_header};

/// One concrete shader: a kernel with its types, tile and overrides chosen. Equal variants are one pipeline.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Variant {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// One storage type for each of the kernel's roles.
    pub types: Vec<Elem>,
    /// The tile header, where the kernel has some.
    pub tile: Option<Part>,
    /// A value for each of the kernel's overrides and then of the independent ones, in their order.
    pub overrides: Vec<u32>,
    /// A value for each override of [`EPILOGUE`]; zeros, which change nothing, where the kernel has none.
    pub epilogue: [u32; EPILOGUE.len()],
    /// Whether the buffer at [`Kernel::in_place`] is the output's.
    pub in_place: bool,
}

impl Variant {
    /// A variant without an epilogue.
    pub fn new(kernel: &'static Kernel, types: Vec<Elem>, tile: Option<Part>, overrides: Vec<u32>) -> Self {
        Self { kernel, types, tile, overrides, epilogue: [0; EPILOGUE.len()], in_place: false }
    }

    /// The WGSL source: `enable`, type headers, tile header, shared parts, body.
    pub fn source(&self) -> String {
        let mut source = String::new();
        if self.types.contains(&Elem::F16) {
            source.push_str("enable f16;\n");
        }
        for (role, elem) in self.kernel.types.iter().zip(&self.types) {
            if let Some(part) = type_header(role.role, *elem) {
                source.push_str(part.source);
            }
        }
        for part in self.tile.iter().chain(self.kernel.parts).chain(self.kernel.epilogue).chain([&self.kernel.body]) {
            source.push_str(part.source);
        }
        source
    }

    /// The overrides by name, as pipelines take them.
    pub fn constants(&self) -> Vec<(&'static str, f64)> {
        let epilogue = self.epilogue.iter().filter(|_| self.kernel.has_epilogue());
        let values = self.overrides.iter().chain(epilogue).copied().chain(self.kernel.in_place.map(|_| u32::from(self.in_place)));
        self.kernel.override_names().into_iter().zip(values.map(f64::from)).collect()
    }

    /// Whether no type is too large for the tile.
    fn tile_fits(&self) -> bool {
        !self.kernel.too_large.iter().any(|(elem, tile)| self.types.contains(elem) && self.tile == Some(*tile))
    }

    /// Whether the kernel declares this combination, so that the shader tests cover it.
    pub fn is_declared(&self) -> bool {
        self.types.len() == self.kernel.types.len()
            && self.types.iter().zip(self.kernel.types).all(|(t, role)| role.allowed.contains(t))
            && self.overrides.len() == self.kernel.overrides.len() + self.kernel.independent.len()
            && self.overrides.iter().zip(self.kernel.overrides.iter().chain(self.kernel.independent)).all(|(v, o)| o.values.contains(v))
            && self.tile.is_none() == self.kernel.tiles.is_empty()
            && self.tile.is_none_or(|t| self.kernel.tiles.contains(&t))
            && self.tile_fits()
            && self.epilogue.iter().zip(&EPILOGUE).all(|(v, o)| if self.kernel.has_epilogue() { o.values.contains(v) } else { *v == 0 })
            && (self.kernel.in_place.is_some() || !self.in_place)
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kernel.name)?;
        for elem in &self.types {
            write!(f, " {}", elem.name())?;
        }
        if let Some(tile) = self.tile {
            let stem = tile.file.rsplit('/').next().unwrap_or(tile.file);
            write!(f, " {}", stem.trim_end_matches(".wgsl"))?;
        }
        for (o, v) in self.kernel.overrides.iter().zip(&self.overrides) {
            write!(f, " {}={v}", o.name)?;
        }
        let independent = self.kernel.independent.iter().zip(self.overrides.iter().skip(self.kernel.overrides.len()));
        for (o, v) in independent.filter(|(_, v)| **v != 0) {
            write!(f, " {}={v}", o.name)?;
        }
        for (o, v) in EPILOGUE.iter().zip(&self.epilogue).filter(|(_, v)| **v != 0) {
            write!(f, " {}={v}", o.name)?;
        }
        f.write_str(if self.in_place { " in place" } else { "" })
    }
}

impl Kernel {
    /// Every variant that the planner may ask for: the product of types, tiles and override values; and each epilogue, and the variant in
    /// place, with some variant of each combination of types, since neither depends on tiles and overrides.
    pub fn variants(&'static self) -> Vec<Variant> {
        let plain = self.products();
        let mut variants = plain.clone();
        let type_sets: Vec<&[Elem]> = plain.iter().map(|v| &v.types[..]).fold(vec![], |mut sets, types| {
            if !sets.contains(&types) {
                sets.push(types);
            }
            sets
        });
        for types in type_sets {
            let mut hosts = plain.iter().filter(|v| v.types == types).cycle();
            let mut add = |epilogue, in_place| variants.extend(hosts.next().map(|host| Variant { epilogue, in_place, ..host.clone() }));
            if self.in_place.is_some() && !self.has_epilogue() {
                add([0; EPILOGUE.len()], true);
            }
            for epilogue in epilogues().into_iter().filter(|_| self.has_epilogue()) {
                add(epilogue, false);
                if self.in_place.is_some() && epilogue[2] == HOLD_DENSE {
                    add(epilogue, true);
                }
            }
        }
        variants
    }

    fn products(&'static self) -> Vec<Variant> {
        let mut variants = vec![Variant::new(self, vec![], None, vec![])];
        for role in self.types {
            variants = product(&variants, role.allowed, |v, &elem| v.types.push(elem));
        }
        if !self.tiles.is_empty() {
            variants = product(&variants, self.tiles, |v, &tile| v.tile = Some(tile));
            variants.retain(Variant::tile_fits);
        }
        for o in self.overrides {
            variants = product(&variants, o.values, |v, &value| v.overrides.push(value));
        }
        // Each value of every independent override once, all of them turning at once.
        let most = self.independent.iter().map(|o| o.values.len()).max().unwrap_or(0).max(variants.len());
        if !self.independent.is_empty() {
            let turned = |(turn, mut variant): (usize, Variant)| {
                let value = |(i, o): (usize, &Override)| o.values[(turn + i) % o.values.len()];
                variant.overrides.extend(self.independent.iter().enumerate().map(value));
                variant
            };
            variants = variants.iter().cycle().take(most).cloned().enumerate().map(turned).collect();
        }
        variants
    }
}

/// `HOLD` of `shared/epilogue.wgsl`: the epilogue reads nothing.
pub(crate) const HOLD_NOTHING: u32 = 0;

/// `HOLD` of `shared/epilogue.wgsl`: an element for each element of the output.
pub(crate) const HOLD_DENSE: u32 = 1;

/// `HOLD` of `shared/epilogue.wgsl`: an element for each channel of the output.
pub(crate) const HOLD_PER_CHANNEL: u32 = 2;

/// Epilogues in which every value of every override is used, each activation with and without an operand between.
fn epilogues() -> Vec<[u32; EPILOGUE.len()]> {
    let combined = |c: &u32| [HOLD_DENSE, HOLD_PER_CHANNEL].map(|hold| [0, *c, hold, 0]);
    let each = |a: &u32| [[*a, 0, HOLD_NOTHING, 0], [*a, 1, HOLD_DENSE, 1], [0, 1, HOLD_DENSE, *a], [0, 0, HOLD_NOTHING, *a]];
    EPILOGUE[1].values.iter().flat_map(combined).chain(ACTIVATIONS.iter().flat_map(each)).collect()
}

fn product<T>(variants: &[Variant], choices: &[T], apply: impl Fn(&mut Variant, &T)) -> Vec<Variant> {
    let mut all = Vec::with_capacity(variants.len() * choices.len());
    for variant in variants {
        for choice in choices {
            let mut next = variant.clone();
            apply(&mut next, choice);
            all.push(next);
        }
    }
    all
}
