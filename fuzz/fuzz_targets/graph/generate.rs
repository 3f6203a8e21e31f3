//! Models from arbitrary bytes: shapes from a few extents, so that operands often fit.

use arbitrary::{Result, Unstructured};

use crate::operators::OPERATORS;
use crate::proto::*;

/// What an attribute holds.
#[derive(Clone, Copy)]
pub enum AttributeForm {
    Float,
    Floats,
    Int,
    Ints,
    Tensor,
    Text,
}

const EXTENTS: &[i64] = &[1, 1, 2, 2, 3, 3, 4, 4, 5, 8, 9, 17];
const ODD_EXTENTS: &[i64] = &[0, 7, 33, 65, 1000, 1 << 20, 1 << 40, i64::MAX];
const NUMBERS: &[i64] = &[1, 1, 2, 2, 0, -1, 3, 4, -2, 5];
const ODD_NUMBERS: &[i64] = &[-3, 7, 100, 1 << 31, 1 << 40, i64::MAX, i64::MIN];
const FLOATS: &[f32] = &[1.0, 0.5, 2.0, 0.0, -1.0, 0.1, 1e-5, 3.0];
const ODD_FLOATS: &[f32] = &[1e9, -1e30, 1e-40, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
const TEXTS: &[&str] = &[
    "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", "constant", "reflect", "edge", "wrap", "nearest", "linear", "cubic", "bilinear",
    "half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel", "tf_crop_and_resize", "half_pixel_symmetric", "floor", "ceil",
    "round_prefer_floor", "round_prefer_ceil", "stretch", "not_larger", "not_smaller", "none", "sum", "mean", "add", "mul", "min", "max",
    "avg", "zeros", "border", "reflection", "DCR", "CRD", "LEFT", "RIGHT", "tanh", "circular", "bicubic", "output_half_pixel",
    "ij,jk->ik", "bij,bjk->bik", "ii->i", "...i->...", "abcd,dc->ba", "ab->", "i,i", "abc->cba",
];
/// Element types, as ONNX numbers them: `f32` most often.
const TYPES: &[i32] = &[1, 1, 1, 1, 1, 1, 7, 7, 10, 6, 2, 3, 9, 11, 4, 5, 12, 13];

/// One of `usual`, seldom one of `odd`.
fn pick<T: Copy>(u: &mut Unstructured<'_>, usual: &[T], odd: &[T]) -> Result<T> {
    Ok(if u.ratio(1u8, 24u8)? { *u.choose(odd)? } else { *u.choose(usual)? })
}

fn numbers(u: &mut Unstructured<'_>, most: usize) -> Result<Vec<i64>> {
    let count = u.int_in_range(0..=most)?;
    (0..count).map(|_| pick(u, NUMBERS, ODD_NUMBERS)).collect()
}

fn extents(u: &mut Unstructured<'_>) -> Result<Vec<i64>> {
    let rank = *u.choose(&[4usize, 4, 4, 3, 2, 1, 0, 5, 6])?;
    (0..rank).map(|_| pick(u, EXTENTS, ODD_EXTENTS)).collect()
}

/// Small numbers of any type and shape, as many as the shape holds where that is few.
fn tensor(u: &mut Unstructured<'_>, name: String) -> Result<TensorProto> {
    let data_type = *u.choose(TYPES)?;
    if data_type == 7 || u.ratio(1u8, 4u8)? {
        let int64_data = numbers(u, 8)?;
        let dims = if int64_data.len() == 1 && u.arbitrary()? { vec![] } else { vec![int64_data.len() as i64] };
        return Ok(TensorProto { name, dims, data_type: 7, int64_data, ..TensorProto::default() });
    }
    let dims = extents(u)?;
    let elements = dims.iter().try_fold(1i64, |n, &d| n.checked_mul(d)).filter(|n| (0..=4096).contains(n)).unwrap_or(1) as usize;
    let mut proto = TensorProto { name, dims, data_type, ..TensorProto::default() };
    let few: Vec<f32> = (0..u.int_in_range(1..=5)?).map(|_| pick(u, FLOATS, ODD_FLOATS)).collect::<Result<_>>()?;
    let number = |i: usize| few[i % few.len()] * (1.0 - (i % 7) as f32 * 0.25);
    match data_type {
        1 => proto.float_data = (0..elements).map(number).collect(),
        11 => proto.double_data = (0..elements).map(|i| number(i).into()).collect(),
        10 => proto.raw_data = (0..elements).flat_map(|i| half::f16::from_f32(number(i)).to_le_bytes()).collect::<Vec<_>>().into(),
        12 | 13 => proto.uint64_data = (0..elements).map(|i| (i as u64 * 7) % 11).collect(),
        _ => proto.int32_data = (0..elements).map(|i| ((i * 7) % 11) as i32).collect(),
    }
    Ok(proto)
}

fn attribute(u: &mut Unstructured<'_>, name: &str, form: AttributeForm) -> Result<AttributeProto> {
    let mut attribute = AttributeProto { name: name.into(), ..AttributeProto::default() };
    let kind = match form {
        AttributeForm::Float => {
            attribute.f = Some(pick(u, FLOATS, ODD_FLOATS)?);
            AttributeKind::Float
        }
        AttributeForm::Floats => {
            attribute.floats = (0..u.int_in_range(0..=4)?).map(|_| pick(u, FLOATS, ODD_FLOATS)).collect::<Result<_>>()?;
            AttributeKind::Floats
        }
        AttributeForm::Int => {
            attribute.i = Some(pick(u, NUMBERS, ODD_NUMBERS)?);
            AttributeKind::Int
        }
        AttributeForm::Ints => {
            attribute.ints = numbers(u, 6)?;
            AttributeKind::Ints
        }
        AttributeForm::Tensor => {
            attribute.t = Some(tensor(u, String::new())?);
            AttributeKind::Tensor
        }
        AttributeForm::Text => {
            attribute.s = Some((*u.choose(TEXTS)?).into());
            AttributeKind::String
        }
    };
    attribute.kind = kind as i32;
    Ok(attribute)
}

fn declared(name: String, elem_type: i32, dims: Option<Vec<Dimension>>) -> ValueInfoProto {
    let tensor_type = TensorTypeProto { elem_type, shape: dims.map(|dim| TensorShapeProto { dim }) };
    ValueInfoProto { name, r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}

/// A network of a few nodes, each of which reads what comes before it.
pub fn model(u: &mut Unstructured<'_>) -> Result<ModelProto> {
    let version = *u.choose(&[18i64, 13, 21, 7, 11, 23, 9, 6, 1])?;
    let mut graph = GraphProto { name: "fuzz".into(), ..GraphProto::default() };
    let mut values: Vec<String> = vec![];
    for at in 0..u.int_in_range(1..=2)? {
        let name = format!("x{at}");
        let elem_type = *u.choose(TYPES)?;
        let open = u.ratio(1u8, 8u8)?;
        let dim = |(axis, extent): (usize, i64)| match axis {
            0 if open => Dimension { dim_value: None, dim_param: Some("N".into()) },
            _ => Dimension { dim_value: Some(extent), dim_param: None },
        };
        let dims = extents(u)?.into_iter().enumerate().map(dim).collect();
        graph.input.push(declared(name.clone(), elem_type, Some(dims)));
        values.push(name);
    }
    for at in 0..u.int_in_range(1..=5)? {
        let &(op_type, fewest, most, outputs, attributes) = u.choose(OPERATORS)?;
        let mut node = NodeProto { op_type: op_type.into(), name: format!("n{at}"), ..NodeProto::default() };
        for index in 0..u.int_in_range(fewest..=most)? {
            let kind = u.int_in_range(0..=11u8)?;
            let name = match kind {
                // The value before, so that chains are long enough to be fused.
                _ if index == 0 && kind > 1 => values[values.len() - 1].clone(),
                0..=4 => u.choose(&values)?.clone(),
                5 if index >= fewest => String::new(),
                _ => {
                    let name = format!("c{at}_{index}");
                    graph.initializer.push(tensor(u, name.clone())?);
                    name
                }
            };
            node.input.push(name);
        }
        for &(name, form) in attributes {
            if u.ratio(2u8, 5u8)? {
                node.attribute.push(attribute(u, name, form)?);
            }
        }
        for index in 0..u.int_in_range(1..=outputs.max(1))? {
            let name = format!("v{at}_{index}");
            node.output.push(name.clone());
            values.push(name);
        }
        graph.node.push(node);
    }
    let (last, others) = (values.len() - 1, u.int_in_range(0..=1usize)?);
    for name in values.into_iter().skip(last - others.min(last)) {
        graph.output.push(declared(name, 1, None));
    }
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version }];
    Ok(ModelProto { graph: Some(graph), opset_import, ..ModelProto::default() })
}
