//! Functions of one element, and those that a bound or a slope goes with.

mod clip;
mod unary;

pub(crate) use clip::{CLAMP, CLIP};
pub use clip::{Clip, PRelu};
pub(crate) use unary::CODES;
pub use unary::{GeluApproximation, Unary};

use crate::plan::{
    Access, Arg, FLOAT_ELEMENT, INDEX, Kernel, LowerContext, Lowering, Override, Part, Variant, WORKGROUP_SIZE, params, part, workgroups_1d,
};

/// `activate`: the functions that other kernels may end with.
pub(crate) const ACTIVATION: Part = part!("shared/activation.wgsl");

/// `function`: those of [`ACTIVATION`] and all others.
pub(crate) const FUNCTIONS: Part = part!("shared/functions.wgsl");

params! {
    pub(crate) struct UnaryParams {
        vectors: u32,
        alpha: f32,
        beta: f32,
    }
}

pub(crate) static UNARY: Kernel = Kernel {
    name: "unary",
    body: part!("unary.wgsl"),
    parts: &[INDEX, ACTIVATION, FUNCTIONS],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[Override { name: "ACTIVATION", values: CODES }, Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: UnaryParams::LAYOUT,
    bindings: &[Access::Read, Access::Write],
    in_place: Some(0),
    ..Kernel::BASE
};

/// The dispatch of `function` over all elements of input 0.
pub(crate) fn lower_unary(context: &LowerContext<'_>, (code, alpha, beta): (u32, f32, f32)) -> Result<Lowering, String> {
    let output = &context.outputs[0];
    let elem = context.elem(output.dtype)?;
    let vectors = output.shape.elements().div_ceil(4);
    let workgroups = workgroups_1d(vectors, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
    let variant = Variant::new(&UNARY, vec![elem], None, vec![code, WORKGROUP_SIZE]);
    let params = UnaryParams { vectors: vectors as u32, alpha, beta };
    Ok(Lowering::single(variant, &params, vec![Arg::Input(0), Arg::Output(0)], workgroups))
}
