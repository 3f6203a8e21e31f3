//! What a variant must keep to.

use macula::plan::{Elem, Subgroups, Variant};

use crate::isa::HotLoop;
use crate::vulkan::Compiled;

/// Workgroup memory that every device has.
pub const WORKGROUP_MEMORY: u64 = 16 << 10;

/// The least share of multiply-adds in the vector instructions of a main tile's hot loop.
pub const MULTIPLY_ADD_SHARE: f64 = 0.8;

/// Whether a variant is a main tile: a kernel on reals with a register tile, which a tile header sizes.
pub fn is_main_tile(variant: &Variant) -> bool {
    variant.tile.is_some_and(|tile| sizes_a_tile(tile.source)) && variant.types.iter().any(|elem| matches!(elem, Elem::F32 | Elem::F16))
}

/// Whether software devices alone run a variant: workgroups of one SIMD vector, rows that share one copy of their epilogue.
pub fn is_for_software(variant: &Variant) -> bool {
    let software = |constant: &(&str, f64)| [("ROLLED", 1.0), ("WORKGROUP_SIZE", 8.0)].contains(constant);
    matches!(variant.kernel.subgroups, Subgroups::Exactly(_)) || variant.constants().iter().any(software)
}

/// Whether a source has the sizes of a register tile.
pub fn sizes_a_tile(source: &str) -> bool {
    source.contains("const TILE_")
}

/// What a shader breaks, in numbers; empty where it keeps to everything. A bar that cannot be looked at is broken.
pub fn broken(compiled: &Compiled, hot_loop: Option<&HotLoop>, main_tile: bool) -> Vec<String> {
    let mut broken = vec![];
    let of = |name| compiled.statistics.get(name);
    let (vector, scalar, scratch) = (of("Spilled VGPRs"), of("Spilled SGPRs"), of("Scratch size"));
    if vector + scalar > 0 {
        broken.push(format!("{vector} vector and {scalar} scalar registers spilled"));
    } else if scratch > 0 {
        broken.push(format!("arrays of {scratch} B lie in memory, not in registers"));
    }
    let memory = of("LDS size");
    if memory > WORKGROUP_MEMORY {
        broken.push(format!("{memory} B of workgroup memory, at most {WORKGROUP_MEMORY}"));
    }
    if main_tile {
        match hot_loop.and_then(|hot| Some((hot.mix, hot.mix.multiply_add_share()?))) {
            None if compiled.assembly.is_empty() => broken.push("no disassembler: multiply-adds unknown".into()),
            None => broken.push("no loop multiplies and adds".into()),
            Some((mix, share)) if share < MULTIPLY_ADD_SHARE => {
                broken.push(format!("multiply-adds below {:.0} %: {} of {}", 100.0 * MULTIPLY_ADD_SHARE, mix.multiply_adds, mix.vector()))
            }
            Some(_) => {}
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Mix;
    use crate::vulkan::Statistics;

    fn statistics(values: &[(&str, u64)]) -> Compiled {
        let statistics = Statistics(values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect());
        Compiled { statistics, assembly: "\ts_endpgm".into() }
    }

    fn hot_loop(multiply_adds: u32, integers: u32) -> HotLoop {
        HotLoop { label: "BB1".into(), mix: Mix { multiply_adds, integers, ..Mix::default() }, lines: 0..=1 }
    }

    #[test]
    fn what_keeps_to_the_bars_passes() {
        let good = statistics(&[("VGPRs", 128), ("Spilled VGPRs", 0), ("Spilled SGPRs", 0), ("LDS size", 16_384), ("Scratch size", 0)]);
        assert!(broken(&good, Some(&hot_loop(8, 2)), true).is_empty());
        assert!(broken(&good, Some(&hot_loop(1, 99)), false).is_empty(), "the share counts in main tiles only");
    }

    #[test]
    fn each_bar_fails_when_it_must() {
        let hot = hot_loop(8, 2);
        let of = |name, value| broken(&statistics(&[(name, value)]), Some(&hot), true);
        assert_eq!(of("Spilled VGPRs", 3), ["3 vector and 0 scalar registers spilled"]);
        assert_eq!(of("Spilled SGPRs", 1), ["0 vector and 1 scalar registers spilled"]);
        assert_eq!(of("Scratch size", 256), ["arrays of 256 B lie in memory, not in registers"]);
        assert_eq!(of("LDS size", 16_385), ["16385 B of workgroup memory, at most 16384"]);
        let low = broken(&statistics(&[]), Some(&hot_loop(79, 21)), true);
        assert_eq!(low, ["multiply-adds below 80 %: 79 of 100"]);
        assert_eq!(broken(&statistics(&[]), None, true), ["no loop multiplies and adds"]);
        let blind = Compiled { assembly: String::new(), ..statistics(&[]) };
        assert_eq!(broken(&blind, None, true), ["no disassembler: multiply-adds unknown"]);
        let all = broken(&statistics(&[("Spilled VGPRs", 1), ("LDS size", 32_768)]), Some(&hot_loop(1, 1)), true);
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn main_tiles_are_register_tiles_of_reals() {
        let tiles = |name: &str| {
            let kernel = macula::plan::KERNELS.iter().find(|k| k.name == name).unwrap();
            kernel.variants().iter().map(is_main_tile).collect::<Vec<_>>()
        };
        assert!(tiles("conv2d_pointwise").iter().all(|main| *main));
        assert!(tiles("strided_copy").iter().all(|main| !*main), "its tiles are units of memory");
        assert!(tiles("softmax_rows").iter().all(|main| !*main));
    }
}
