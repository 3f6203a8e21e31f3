//! Einstein's summation convention.

use macula::ops::Einsum;
use macula::{DType, Tensor};

use crate::support::{Case, case, random, to_dtype, to_f16};

fn einsum(equation: &str, shapes: &[&[usize]]) -> Case {
    let op = Einsum { equation: equation.into() };
    shapes.iter().enumerate().fold(case(op), |case, (at, shape)| case.runtime(random(at as u64, *shape, -2.0..2.0)))
}

#[test]
fn one_input() {
    for (equation, shape) in [
        ("ij->ji", &[3, 4][..]),
        ("ij", &[3, 4]),
        ("ba", &[3, 4]),
        ("ijk->", &[3, 4, 5]),
        ("ijk->k", &[3, 4, 5]),
        ("...->...", &[3, 4]),
        ("...ij->...ji", &[2, 3, 4, 5]),
        ("i...->...", &[2, 3, 4]),
        ("i...k->k...", &[2, 3, 4, 5]),
        ("ii->i", &[5, 5]),
        ("ii", &[5, 5]),
        ("...ii ->...i", &[3, 5, 5]),
        ("iji->j", &[3, 4, 3]),
        ("iiji->ij", &[3, 3, 4, 3]),
        ("ii->i", &[5, 1]),
    ] {
        einsum(equation, &[shape]).check();
    }
}

#[test]
fn two_inputs() {
    for (equation, a, b) in [
        ("ij,jk", &[3, 4][..], &[4, 5][..]),
        ("bij,bjk->bik", &[2, 3, 4], &[2, 4, 5]),
        ("bhid,bhjd->bhij", &[2, 3, 17, 8], &[2, 3, 9, 8]),
        ("bhij,bhjd->bihd", &[2, 3, 17, 9], &[2, 3, 9, 8]),
        ("ij,kj->ki", &[3, 4], &[5, 4]),
        ("i,i", &[7], &[7]),
        ("i,j->ij", &[3], &[4]),
        ("i,j->ji", &[3], &[4]),
        ("ij,ij->ij", &[3, 4], &[3, 4]),
        ("ij,ij->", &[3, 4], &[3, 4]),
        ("ij,kl->ik", &[3, 4], &[5, 6]),
        ("ij,kl->", &[3, 4], &[5, 6]),
        ("...ij,...jk->...ik", &[2, 1, 3, 4], &[6, 4, 5]),
        ("...ij,...jk", &[3, 4], &[2, 6, 4, 5]),
        ("...,...->...", &[2, 1, 4], &[3, 1]),
        ("ij,jk->ik", &[3, 1], &[4, 5]),
        ("iij,j->i", &[3, 3, 4], &[4]),
        (",ij->ji", &[], &[3, 4]),
    ] {
        einsum(equation, &[a, b]).check();
    }
}

#[test]
fn many_inputs() {
    einsum("ij,jk,kl->il", &[&[3, 4], &[4, 5], &[5, 6]]).check();
    einsum("i,i,i->i", &[&[5], &[1], &[5]]).check();
    einsum("ij,ik,il->jkl", &[&[3, 4], &[3, 5], &[3, 2]]).check();
    einsum("a,b,c,d->dcba", &[&[2], &[3], &[4], &[5]]).check();
}

#[test]
fn other_types() {
    let of = |dtype: DType, seed, shape: [usize; 2]| to_dtype(&random(seed, shape, 0.0..100.0), dtype);
    for dtype in [DType::I8, DType::U8, DType::I16, DType::U16, DType::I32, DType::U32, DType::I64] {
        let op = Einsum { equation: "ij,jk->ik".into() };
        case(op).runtime(of(dtype, 1, [3, 4])).runtime(of(dtype, 2, [4, 5])).check();
        let op = Einsum { equation: "ij,ij->".into() };
        case(op).runtime(of(dtype, 1, [3, 4])).runtime(of(dtype, 2, [3, 4])).check();
    }
    let op = Einsum { equation: "bij,bjk->bki".into() };
    let half = |seed, shape: [usize; 3]| to_f16(&random(seed, shape, -1.0..1.0));
    case(op.clone()).runtime(half(1, [2, 5, 9])).runtime(half(2, [2, 9, 6])).check();
    let double = |seed, shape: [usize; 3]| to_dtype(&random(seed, shape, -1.0..1.0), DType::F64);
    case(op).runtime(double(1, [2, 5, 9])).runtime(double(2, [2, 9, 6])).check_on_cpu();
}

#[test]
fn what_makes_no_sense_is_refused() {
    einsum("ij,jk", &[&[3, 4]]).fails_with("2 terms for 1 inputs");
    einsum("ij,jk", &[&[3, 4], &[5, 6]]).fails_with("extents 4 and 5");
    einsum("ij", &[&[3, 4, 5]]).fails_with("names 2 axes of [3,4,5]");
    einsum("...ijk->i", &[&[3, 4]]).fails_with("names 3 axes of [3,4]");
    einsum("ij->ik", &[&[3, 4]]).fails_with("unknown, or twice");
    einsum("ij->ii", &[&[3, 4]]).fails_with("unknown, or twice");
    einsum("i?->i", &[&[3, 4]]).fails_with("`?` in the equation");
    let (a, b) = (Tensor::full([2], 1f32), Tensor::full([2], 1i32));
    case(Einsum { equation: "i,i".into() }).runtime(a).runtime(b).fails_with("expected f32");
}
