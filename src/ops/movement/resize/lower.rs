//! The kernels of `Resize`: one dispatch for each resized axis, or for two that are neighbours.

use super::{Resize, ResizeAxis, ResizeMode};
use crate::ops::movement::strided_copy::{StridedCopy, Walk};
use crate::ops::movement::{addressable, data};
use crate::plan::{
    ANY_ELEMENT, Access, Arg, Dispatch, Elem, FLOAT_ELEMENT, INDEX, Kernel, LowerContext, Lowered, Lowering, Override, Variant,
    WORKGROUP_SIZE, params, part, workgroups_1d,
};
use crate::reference::resize::{OUTSIDE, Taps, taps};
use crate::shape::Shape;
use crate::tensor::{DType, Tensor};

params! {
    pub(crate) struct ResizeParams {
        elements: u32,
        a_input: u32,
        a_output: u32,
        a_taps: u32,
        b_input: u32,
        b_output: u32,
        b_taps: u32,
        inner: u32,
        outside: f32,
    }
}

pub(crate) static RESIZE: Kernel = Kernel {
    name: "resize",
    body: part!("resize.wgsl"),
    parts: &[INDEX],
    types: &[FLOAT_ELEMENT],
    tiles: &[],
    overrides: &[Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: ResizeParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

pub(crate) static RESIZE_NEAREST: Kernel = Kernel {
    name: "resize_nearest",
    body: part!("resize_nearest.wgsl"),
    parts: &[INDEX],
    types: &[ANY_ELEMENT],
    tiles: &[],
    overrides: &[Override { name: "WORKGROUP_SIZE", values: &[WORKGROUP_SIZE] }],
    params: ResizeParams::LAYOUT,
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
    ..Kernel::BASE
};

/// One axis of a dispatch: its extents, and the table that says what each output element is made of.
struct Axis {
    input: usize,
    output: usize,
    taps: Taps,
}

impl Axis {
    /// An axis that is not there.
    fn unit() -> Self {
        Self { input: 1, output: 1, taps: Taps { count: 1, taps: vec![(0, 1.0)] } }
    }

    fn growth(&self) -> f64 {
        self.output as f64 / self.input as f64
    }

    /// Pairs of an index and the bits of a weight, `taps.count` for each output element.
    fn table(&self) -> Arg {
        let pairs = self.taps.taps.iter().flat_map(|&(index, weight)| [index, (weight as f32).to_bits()]).collect();
        Arg::Table(Tensor::of([self.output, self.taps.count, 2], pairs))
    }
}

pub(super) fn rule(op: &Resize, context: &LowerContext<'_>) -> Result<Lowered, String> {
    let x = data(context)?;
    let axes = op.resized(&context.inputs).map_err(|error| error.to_string())?;
    if axes.iter().all(ResizeAxis::is_kept) {
        return Ok(Lowered::View);
    }
    let nearest = matches!(op.mode, ResizeMode::Nearest(_));
    if !nearest && !matches!(x.dtype, DType::F32 | DType::F16) {
        return Err(format!("the kernel interpolates f32 and f16, not {}", x.dtype));
    }
    let tables: Vec<Option<Taps>> = axes.iter().map(|axis| (!axis.is_kept()).then(|| taps(op, axis))).collect();
    let mut lowerings = vec![];
    if nearest && let Some(factors) = repeats(&axes, &tables) {
        let space: Shape = x.shape.iter().zip(&factors).flat_map(|(&extent, &factor)| [extent, factor]).collect();
        let strides = x.shape.strides().into_iter().flat_map(|stride| [stride as i64, 0]).collect();
        let copy = StridedCopy { dims: space.to_vec(), input: Walk { offset: 0, strides }, output: Walk::dense(&space) };
        // More axes than that kernel walks are no reason against this one.
        if let Ok(Lowered::Kernels(copies)) = copy.lower(context) {
            lowerings.extend(copies);
        }
    }
    lowerings.push(passes(op, context, x.shape, axes, tables)?);
    Ok(Lowered::Kernels(lowerings))
}

/// How often each axis repeats its elements, where every axis does just that.
fn repeats(axes: &[ResizeAxis], tables: &[Option<Taps>]) -> Option<Vec<usize>> {
    let factor = |(axis, table): (&ResizeAxis, &Option<Taps>)| {
        let Some(table) = table else { return Some(1) };
        let factor = axis.output.checked_div(axis.input).filter(|factor| factor * axis.input == axis.output)?;
        table.taps.iter().enumerate().all(|(i, &(index, _))| index as usize == i / factor).then_some(factor)
    };
    axes.iter().zip(tables).map(factor).collect()
}

/// The resized axes one after the other, those first that shrink, neighbours together.
fn passes(
    op: &Resize,
    context: &LowerContext<'_>,
    x: &Shape,
    axes: Vec<ResizeAxis>,
    tables: Vec<Option<Taps>>,
) -> Result<Lowering, String> {
    let output = &context.outputs[0];
    let elem = context.elem(output.dtype)?;
    // What the type cannot hold is rounded or clamped on the host, where narrow types are what they are.
    let outside = Tensor::from_f64(output.dtype, [], vec![op.extrapolation_value.into()]).map_err(|error| error.to_string())?.to_f64()[0];
    let mut pairs: Vec<(usize, Vec<Axis>)> = vec![];
    for (at, (axis, table)) in axes.iter().zip(tables).enumerate() {
        let Some(taps) = table else { continue };
        let axis = Axis { input: axis.input, output: axis.output, taps };
        match pairs.last_mut() {
            Some((first, pair)) if *first + 1 == at && pair.len() == 1 => pair.push(axis),
            _ => pairs.push((at, vec![axis])),
        }
    }
    pairs.sort_by(|(_, a), (_, b)| {
        let growth = |pair: &[Axis]| pair.iter().map(Axis::growth).product::<f64>();
        growth(a).total_cmp(&growth(b))
    });
    let (mut dims, mut lowering, last) = (x.to_vec(), Lowering::default(), pairs.len() - 1);
    for (number, (at, mut pair)) in pairs.into_iter().enumerate() {
        let inner: usize = dims[at + pair.len()..].iter().product();
        dims.iter_mut().skip(at).zip(&pair).for_each(|(extent, axis)| *extent = axis.output);
        if pair.len() == 1 {
            pair.push(Axis::unit());
        }
        let shape = Shape::from(dims.as_slice());
        addressable(&shape)?;
        addressable(x)?;
        let elements = shape.elements();
        let [a, b] = [&pair[0], &pair[1]];
        context.capabilities.check_iterations(a.taps.count.saturating_mul(b.taps.count + 1))?;
        let params = ResizeParams {
            elements: elements as u32,
            a_input: a.input as u32,
            a_output: a.output as u32,
            a_taps: a.taps.count as u32,
            b_input: b.input as u32,
            b_output: b.output as u32,
            b_taps: b.taps.count as u32,
            inner: inner as u32,
            outside: outside as f32,
        };
        let source = if number == 0 { Arg::Input(0) } else { Arg::Scratch(number - 1) };
        let target = if number == last { Arg::Output(0) } else { Arg::Scratch(number) };
        if number != last {
            lowering.scratch.push(elements as u64 * elem.size() as u64);
        }
        lowering.dispatches.push(dispatch(context, op, elem, &params, vec![source, a.table(), b.table(), target])?);
    }
    Ok(lowering)
}

fn dispatch(
    context: &LowerContext<'_>,
    op: &Resize,
    elem: Elem,
    params: &ResizeParams,
    bindings: Vec<Arg>,
) -> Result<Dispatch<Arg>, String> {
    let kernel = if matches!(op.mode, ResizeMode::Nearest(_)) { &RESIZE_NEAREST } else { &RESIZE };
    let workgroups =
        workgroups_1d(params.elements as usize, WORKGROUP_SIZE as usize, context.capabilities.max_workgroups).ok_or("too many elements")?;
    let variant = Variant::new(kernel, vec![elem], None, vec![WORKGROUP_SIZE]);
    debug_assert_eq!(OUTSIDE, u32::MAX, "the kernels know it by this number");
    Ok(Dispatch { variant, params: bytemuck::bytes_of(params).to_vec(), bindings, workgroups })
}
