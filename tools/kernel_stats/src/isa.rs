//! What the disassembly of a shader says: its loops, and what the hottest of them is made of.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use serde::Serialize;

/// The instructions of a stretch of code by what they do.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Mix {
    /// Vector instructions that multiply and add: fused or not, packed, dot products, matrix products.
    pub multiply_adds: u32,
    /// Vector instructions on integers: addresses and counters.
    pub integers: u32,
    /// Vector moves.
    pub moves: u32,
    /// Vector conversions between types.
    pub conversions: u32,
    /// All other vector arithmetic: comparisons, selections, additions, transcendentals.
    pub other_vector: u32,
    /// Scalar arithmetic.
    pub scalar: u32,
    /// Branches.
    pub branches: u32,
    /// Waits for memory, barriers, and hints to the scheduler.
    pub waits: u32,
    /// Loads into scalar registers.
    pub scalar_memory: u32,
    /// Loads from buffers and global memory, and what goes to scratch memory.
    pub vector_memory: u32,
    /// Stores to buffers and global memory.
    pub stores: u32,
    /// Workgroup memory.
    pub local_memory: u32,
}

impl Mix {
    /// All vector arithmetic.
    pub fn vector(&self) -> u32 {
        self.multiply_adds + self.integers + self.moves + self.conversions + self.other_vector
    }

    /// The share of multiply-adds in the vector arithmetic, from 0 to 1; nothing where there is none.
    pub fn multiply_add_share(&self) -> Option<f64> {
        (self.vector() > 0).then(|| f64::from(self.multiply_adds) / f64::from(self.vector()))
    }

    fn count(&mut self, mnemonic: &str) {
        let Some(counter) = self.counter(mnemonic) else { return };
        *counter += 1;
    }

    fn counter(&mut self, mnemonic: &str) -> Option<&mut u32> {
        let (unit, name) = mnemonic.split_once('_')?;
        Some(match unit {
            // The halves of a dual instruction are written one after the other, each with its own prefix.
            "v" => self.vector_counter(name.strip_prefix("dual_").unwrap_or(name)),
            "s" if name.starts_with("load") || name.starts_with("buffer_load") => &mut self.scalar_memory,
            "s" if name.starts_with("branch") || name.starts_with("cbranch") => &mut self.branches,
            "s" if ["waitcnt", "barrier", "nop", "clause", "delay", "sleep", "inst_prefetch"].iter().any(|w| name.starts_with(w)) => {
                &mut self.waits
            }
            "s" => &mut self.scalar,
            "buffer" | "tbuffer" | "global" | "flat" if name.starts_with("store") => &mut self.stores,
            "buffer" | "tbuffer" | "global" | "flat" | "scratch" => &mut self.vector_memory,
            "ds" => &mut self.local_memory,
            _ => return None,
        })
    }

    fn vector_counter(&mut self, name: &str) -> &mut u32 {
        let name = ["_e32", "_e64", "_sdwa", "_dpp"].iter().find_map(|encoding| name.strip_suffix(encoding)).unwrap_or(name);
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        let integer = || ["u16", "i16", "b16", "u24", "i24", "u32", "i32", "b32", "u64", "i64", "b64"].iter().any(|ty| name.ends_with(ty));
        match name {
            // Integer multiply-adds compute addresses.
            _ if starts(&["mad", "mac"]) && integer() => &mut self.integers,
            _ if starts(&["fma", "fmac", "mad", "mac", "pk_fma", "pk_mad", "dot", "mfma", "wmma"]) => &mut self.multiply_adds,
            _ if starts(&["mov", "swap", "accvgpr", "readlane", "readfirstlane", "writelane", "permlane"]) => &mut self.moves,
            _ if starts(&["cvt", "pack_", "perm_"]) => &mut self.conversions,
            _ if starts(&["cmp", "cndmask"]) => &mut self.other_vector,
            _ if integer() => &mut self.integers,
            _ => &mut self.other_vector,
        }
    }
}

/// The loop of a shader that does its work.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct HotLoop {
    /// The label that it begins with.
    pub label: String,
    /// What it is made of, loops inside it left out.
    pub mix: Mix,
    /// The lines of the text that it spans, from its label to its last branch back.
    #[serde(skip)]
    pub lines: RangeInclusive<usize>,
}

/// One line of code.
struct Instruction<'a> {
    line: usize,
    /// Two for dual instructions.
    mnemonics: Vec<&'a str>,
    /// The label that it branches to.
    target: Option<&'a str>,
    /// How many times it stands there in a row.
    times: u32,
}

/// The loop with the most multiply-adds of a disassembly as Mesa prints it: labels `BB3:`, then instructions, each with its encoding
/// behind a semicolon. A loop is what lies between a label and the last branch back to it; its instructions are those that no loop
/// inside it has. A loop that stores is one over results, whose activations may well be polynomials, and comes after all that do not.
/// Nothing where no loop multiplies and adds.
pub fn hot_loop(assembly: &str) -> Option<HotLoop> {
    let (instructions, labels) = parse(assembly);
    let mut ends: HashMap<&str, usize> = HashMap::new();
    for instruction in &instructions {
        let back = instruction.target.filter(|target| labels.get(target).is_some_and(|&label| label <= instruction.line));
        if let Some(target) = back {
            ends.entry(target).and_modify(|end| *end = instruction.line.max(*end)).or_insert(instruction.line);
        }
    }
    let mut loops: Vec<HotLoop> =
        ends.into_iter().map(|(label, end)| HotLoop { label: label.to_owned(), mix: Mix::default(), lines: labels[label]..=end }).collect();
    loops.sort_by_key(|l| (l.lines.end() - l.lines.start(), *l.lines.start()));
    for instruction in &instructions {
        // The shortest loop around an instruction is the innermost.
        let Some(innermost) = loops.iter_mut().find(|l| l.lines.contains(&instruction.line)) else { continue };
        for _ in 0..instruction.times {
            instruction.mnemonics.iter().for_each(|mnemonic| innermost.mix.count(mnemonic));
        }
    }
    // Where two have as many, the shorter one is hotter.
    loops.into_iter().filter(|l| l.mix.multiply_adds > 0).rev().max_by_key(|l| (l.mix.stores == 0, l.mix.multiply_adds))
}

/// The instructions, and the line of each label.
fn parse(assembly: &str) -> (Vec<Instruction<'_>>, HashMap<&str, usize>) {
    let (mut instructions, mut labels): (Vec<Instruction>, _) = (vec![], HashMap::new());
    for (number, line) in assembly.lines().enumerate() {
        let code = line.split(';').next().unwrap_or_default().trim();
        if let Some(label) = code.strip_suffix(':') {
            labels.insert(label, number);
        } else if let Some(times) = repetition(code) {
            if let Some(last) = instructions.last_mut() {
                last.times += times;
            }
        } else if code.starts_with("/*") {
            // Constants follow the code.
            break;
        } else if !code.is_empty() {
            let mnemonics: Vec<&str> = code.split("::").filter_map(|half| half.split_whitespace().next()).collect();
            let branches = mnemonics.iter().any(|m| m.starts_with("s_branch") || m.starts_with("s_cbranch"));
            let target = code.split_whitespace().nth(1).filter(|_| branches);
            instructions.push(Instruction { line: number, mnemonics, target, times: 1 });
        }
    }
    (instructions, labels)
}

/// `(then repeated 3 times)`, which Mesa prints for what follows itself.
fn repetition(code: &str) -> Option<u32> {
    code.strip_prefix("(then repeated ")?.strip_suffix(" times)")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NESTED: &str = "\
BB0:
\ts_mov_b32 s0, 0                                              ; be800380
\tv_fma_f32 v0, v1, v2, v3                                     ; 00000000
BB1:
\ts_cmp_ge_u32 s0, s4                                          ; bf090400
\ts_cbranch_scc1 BB5                                           ; bf85000f
\tbuffer_load_dwordx4 v[4:7], v0, s[8:11], 0 offen             ; e0381000 80020400
\ts_barrier                                                    ; bf8a0000
BB2:
\ts_waitcnt lgkmcnt(0)                                         ; bf8cc07f
\tds_read_b128 v[8:11], v1 offset:16                           ; dbfc0010 08000001
\tv_fmac_f32_e32 v12, v8, v4                                   ; 56180908
\tv_fmac_f32_e32 v13, v8, v5                                   ; 56180908
\t(then repeated 2 times)
\tv_add_nc_u32_e32 v1, 64, v1                                  ; 4a0202c0
\ts_add_u32 s0, s0, 1                                          ; 80008100
\ts_cbranch_scc0 BB2                                           ; bf84fff0
BB3:
\tv_mov_b32_e32 v20, v21                                       ; 7e280315
\ts_branch BB1                                                 ; bf82ffe0
BB5:
\tv_fma_f32 v0, v1, v2, v3                                     ; 00000000
\ts_endpgm                                                     ; bf810000

/* constant data */
[000000] 3f800000
";

    #[test]
    fn the_inner_loop_is_found_and_counted() {
        let found = hot_loop(NESTED).expect("a loop multiplies and adds");
        assert_eq!(found.label, "BB2");
        let mix = Mix { multiply_adds: 4, integers: 1, scalar: 1, branches: 1, waits: 1, local_memory: 1, ..Mix::default() };
        assert_eq!(found.mix, mix);
        assert_eq!(found.mix.multiply_add_share(), Some(0.8));
        let lines: Vec<&str> = NESTED.lines().collect();
        assert!(lines[*found.lines.start()].starts_with("BB2") && lines[*found.lines.end()].contains("s_cbranch_scc0 BB2"));
    }

    #[test]
    fn an_outer_loop_counts_without_its_inner_loops() {
        let swapped = NESTED.replace("v_fmac_f32_e32", "v_mul_f32_e32").replace("s_barrier ", "v_fma_f32 v0, v1, v2, v3 ");
        let found = hot_loop(&swapped).expect("the outer loop multiplies and adds");
        assert_eq!((found.label.as_str(), found.mix.multiply_adds, found.mix.moves, found.mix.vector()), ("BB1", 1, 1, 2));
    }

    #[test]
    fn code_without_loops_has_no_hot_loop() {
        assert_eq!(hot_loop("BB0:\n\tv_fma_f32 v0, v1, v2, v3 ; 0\n\ts_cbranch_scc1 BB1 ; 0\nBB1:\n\ts_endpgm ; 0\n"), None);
        assert_eq!(hot_loop("BB0:\n\tv_add_f32 v0, v1, v2 ; 0\n\ts_branch BB0 ; 0\n"), None, "nothing is multiplied and added");
        assert_eq!(hot_loop(""), None);
    }

    #[test]
    fn two_branches_back_are_one_loop() {
        let found = hot_loop(
            "BB1:\n\tv_fmac_f32_e32 v0, v1, v2 ; 0\n\ts_cbranch_vccnz BB1 ; 0\n\tv_mov_b32_e32 v0, v1 ; 0\n\ts_branch BB1 ; 0\n\ts_endpgm ; 0\n",
        )
        .unwrap();
        assert_eq!((found.mix.multiply_adds, found.mix.moves, found.mix.branches), (1, 1, 2));
    }

    #[test]
    fn a_loop_that_stores_comes_last() {
        let main = "BB1:\n\tv_fmac_f32_e32 v0, v1, v2 ; 0\n\ts_cbranch_scc0 BB1 ; 0\n";
        let results = "BB2:\n\tv_fma_f32 v0, v1, v2, v3 ; 0\n\tv_fma_f32 v0, v1, v2, v4 ; 0\n\tSTORE v0, v1 ; 0\n\ts_branch BB2 ; 0\n";
        for store in ["buffer_store_dword", "global_store_b32"] {
            let text = format!("{main}{}", results.replace("STORE", store));
            assert_eq!(hot_loop(&text).map(|l| l.label), Some("BB1".to_owned()));
            assert_eq!(hot_loop(&results.replace("STORE", store)).map(|l| l.label), Some("BB2".to_owned()), "there is no other");
        }
        let text = format!("{main}{}", results.replace("STORE", "scratch_store_dword"));
        assert_eq!(hot_loop(&text).map(|l| l.label), Some("BB2".to_owned()), "a spilled register is no result");
    }

    fn counted(mnemonics: &[&str]) -> Mix {
        let mut mix = Mix::default();
        mnemonics.iter().for_each(|mnemonic| mix.count(mnemonic));
        mix
    }

    #[test]
    fn multiply_adds_go_by_many_names() {
        let names = [
            "v_fma_f32",
            "v_fmac_f32_e32",
            "v_fmaak_f32",
            "v_fmamk_f32",
            "v_mac_f32_e32",
            "v_mad_f32",
            "v_madak_f32",
            "v_pk_fma_f16",
            "v_pk_fma_f32",
            "v_fma_mix_f32",
            "v_mad_mix_f32",
            "v_fma_mixlo_f16",
            "v_dot2_f32_f16",
            "v_dot2c_f32_f16_e32",
            "v_dot4_i32_i8",
            "v_dot4c_i32_i8",
            "v_wmma_f32_16x16x16_f16",
            "v_mfma_f32_4x4x1f32",
            "v_dual_fmac_f32",
        ];
        assert_eq!(counted(&names), Mix { multiply_adds: names.len() as u32, ..Mix::default() });
    }

    #[test]
    fn addresses_are_no_multiply_adds() {
        let names = [
            "v_mad_u32_u24",
            "v_mad_i32_i24",
            "v_mad_u64_u32",
            "v_add_nc_u32_e32",
            "v_lshlrev_b32_e32",
            "v_mul_lo_u32",
            "v_add3_u32",
            "v_lshl_add_u32",
            "v_and_b32_e32",
            "v_add_co_u32",
            "v_min_u32_e32",
            "v_bfe_u32",
            "v_mul_u32_u24_e32",
            "v_lshlrev_b64",
        ];
        assert_eq!(counted(&names), Mix { integers: names.len() as u32, ..Mix::default() });
    }

    #[test]
    fn the_rest_has_classes_too() {
        let mix = counted(&[
            "v_mov_b32_e32",
            "v_cvt_f32_f16_e32",
            "v_cndmask_b32_e32",
            "v_cmp_gt_u32_e32",
            "v_mul_f32_e32",
            "v_exp_f32_e32",
            "s_mul_i32",
            "s_cbranch_scc1",
            "s_waitcnt_vscnt",
            "s_delay_alu",
            "s_buffer_load_dwordx4",
            "s_load_b128",
            "buffer_store_dwordx4",
            "global_load_b128",
            "buffer_load_dwordx4",
            "scratch_store_dword",
            "ds_load_b128",
            "exp",
            "(invalid",
        ]);
        let expected = Mix {
            multiply_adds: 0,
            integers: 0,
            moves: 1,
            conversions: 1,
            other_vector: 4,
            scalar: 1,
            branches: 1,
            waits: 2,
            scalar_memory: 2,
            vector_memory: 3,
            stores: 1,
            local_memory: 1,
        };
        assert_eq!(mix, expected);
    }

    #[test]
    fn both_halves_of_a_dual_instruction_count() {
        let text = "BB1:\n\tv_dual_fmac_f32 v0, v1, v2 :: v_dual_mov_b32 v3, v4 ; 0\n\ts_branch BB1 ; 0\n";
        let mix = hot_loop(text).unwrap().mix;
        assert_eq!((mix.multiply_adds, mix.moves), (1, 1));
    }
}
