//! What was measured on known devices and comes with macula, so that nobody must tune: one table for a class of devices, of the nodes of
//! well-known networks of which another candidate is faster than the one that a rule would take.
//!
//! A table is what `macula devices --tuned` prints on such a device after networks were compiled with `--tune`. Candidates that are no longer
//! offered are passed over.

use super::{Capabilities, Tuning};

/// A class of devices: what adapters of it are called, the size of their subgroups, and the table.
struct Class {
    name: &'static str,
    subgroup: u32,
    table: &'static str,
}

const CLASSES: &[Class] = &[Class { name: "llvmpipe", subgroup: 8, table: include_str!("llvmpipe.txt") }];

/// The table for an adapter; an empty one where there is none.
pub(crate) fn shipped(adapter: &str, capabilities: &Capabilities) -> Tuning {
    let class = CLASSES.iter().find(|class| adapter.starts_with(class.name) && capabilities.subgroup == class.subgroup);
    class.map_or_else(Tuning::default, |class| Tuning::parse(class.table).expect("a test has read it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{KERNELS, Trial};

    #[test]
    fn tables_are_whole_and_name_kernels_that_there_are() {
        for class in CLASSES {
            let tuning = Tuning::parse(class.table).unwrap_or_else(|error| panic!("{}: {error}", class.name));
            assert_eq!(tuning, tuning.won(), "{}: only what won is worth its bytes", class.name);
            for Trial { candidate, .. } in tuning.nodes().flat_map(|(_, trials)| trials) {
                let kernels = candidate.split(" + ").map(|dispatch| dispatch.split(' ').next().unwrap_or_default());
                for kernel in kernels {
                    assert!(KERNELS.iter().any(|k| k.name == kernel), "{}: `{kernel}`", class.name);
                }
            }
        }
    }

    #[test]
    fn only_devices_of_a_class_get_its_table() {
        let software = Capabilities { subgroup: 8, software: true, ..Capabilities::default() };
        assert_eq!(shipped("llvmpipe (LLVM 15.0.6, 256 bits)", &software), Tuning::parse(CLASSES[0].table).unwrap());
        assert!(shipped("llvmpipe (LLVM 15.0.6, 128 bits)", &Capabilities { subgroup: 4, ..software.clone() }).is_empty());
        assert!(shipped("NVIDIA H200", &software).is_empty());
    }
}
