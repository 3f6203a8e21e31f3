//! What a protobuf message takes once it is decoded, found by walking its bytes: a repeated message of two bytes becomes hundreds.

use super::proto::*;

/// What decoding allocates.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Decoded {
    /// The sum of all messages, texts and numbers; bytes are shared with the file.
    pub bytes: u64,
    /// Nodes, of the graph and of functions.
    pub nodes: usize,
}

/// A message: its size, and the fields that allocate.
struct Kind {
    bytes: usize,
    is_node: bool,
    fields: &'static [(u64, Field)],
}

enum Field {
    Message(&'static Kind),
    Text,
    /// A slice of the file.
    Shared,
    /// Numbers of variable length in the file, of so many bytes in memory.
    Varints(u64),
    /// Numbers of so many bytes.
    Fixed(u64),
}

use Field::{Fixed, Message, Shared, Text, Varints};

const fn kind<M>(fields: &'static [(u64, Field)]) -> Kind {
    Kind { bytes: size_of::<M>(), is_node: false, fields }
}

static MODEL: Kind = kind::<ModelProto>(&[(7, Message(&GRAPH)), (8, Message(&OPSET)), (25, Message(&FUNCTION))]);
static OPSET: Kind = kind::<OperatorSetIdProto>(&[(1, Text)]);
static GRAPH: Kind = kind::<GraphProto>(&[
    (1, Message(&NODE)),
    (2, Text),
    (5, Message(&TENSOR)),
    (11, Message(&VALUE)),
    (12, Message(&VALUE)),
    (15, Message(&SPARSE)),
]);
static FUNCTION: Kind = kind::<FunctionProto>(&[
    (1, Text),
    (4, Text),
    (5, Text),
    (7, Message(&NODE)),
    (9, Message(&OPSET)),
    (10, Text),
    (11, Message(&ATTRIBUTE)),
    (13, Text),
]);
static NODE: Kind = Kind {
    bytes: size_of::<NodeProto>(),
    is_node: true,
    fields: &[(1, Text), (2, Text), (3, Text), (4, Text), (5, Message(&ATTRIBUTE)), (7, Text), (8, Text)],
};
static ATTRIBUTE: Kind =
    kind::<AttributeProto>(&[(1, Text), (4, Shared), (5, Message(&TENSOR)), (7, Fixed(4)), (8, Varints(8)), (9, Shared), (21, Text)]);
static TENSOR: Kind = kind::<TensorProto>(&[
    (1, Varints(8)),
    (3, Message(&SEGMENT)),
    (4, Fixed(4)),
    (5, Varints(4)),
    (7, Varints(8)),
    (8, Text),
    (9, Shared),
    (10, Fixed(8)),
    (11, Varints(8)),
    (13, Message(&ENTRY)),
]);
static SEGMENT: Kind = kind::<Segment>(&[]);
static SPARSE: Kind = kind::<SparseTensorProto>(&[(1, Message(&TENSOR))]);
static ENTRY: Kind = kind::<StringStringEntryProto>(&[(1, Text), (2, Text)]);
static VALUE: Kind = kind::<ValueInfoProto>(&[(1, Text), (2, Message(&TYPE))]);
static TYPE: Kind = kind::<TypeProto>(&[(1, Message(&TENSOR_TYPE))]);
static TENSOR_TYPE: Kind = kind::<TensorTypeProto>(&[(2, Message(&SHAPE))]);
static SHAPE: Kind = kind::<TensorShapeProto>(&[(1, Message(&DIMENSION))]);
static DIMENSION: Kind = kind::<Dimension>(&[(2, Text)]);

/// What decoding `bytes` as a `ModelProto` allocates before it is done, or fails.
pub(super) fn model(bytes: &[u8]) -> Decoded {
    measure(bytes, &MODEL)
}

/// As [`model`], for a `TensorProto`.
pub(super) fn tensor(bytes: &[u8]) -> Decoded {
    measure(bytes, &TENSOR)
}

fn measure(bytes: &[u8], kind: &Kind) -> Decoded {
    let mut decoded = Decoded::default();
    // Where the walk breaks off, decoding does.
    let _ = walk(bytes, kind, &mut decoded);
    decoded
}

/// Adds what a message and all in it take; `None` where it is malformed. Messages nest as deep as the schema does.
fn walk(mut bytes: &[u8], kind: &Kind, decoded: &mut Decoded) -> Option<()> {
    decoded.bytes += kind.bytes as u64;
    decoded.nodes += usize::from(kind.is_node);
    // Fields in groups, which the schema has none of, are skipped.
    let mut groups = 0usize;
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let field = kind.fields.iter().find(|(tag, _)| groups == 0 && *tag == key >> 3).map(|(_, field)| field);
        let number = match field {
            Some(Varints(size) | Fixed(size)) => *size,
            _ => 0,
        };
        match key & 7 {
            0 => {
                varint(&mut bytes)?;
                decoded.bytes += number;
            }
            1 | 5 => {
                take(&mut bytes, if key & 7 == 1 { 8 } else { 4 })?;
                decoded.bytes += number;
            }
            2 => {
                let length = varint(&mut bytes)?;
                let content = take(&mut bytes, length)?;
                match field {
                    Some(Message(kind)) => walk(content, kind, decoded)?,
                    Some(Text) => decoded.bytes += size_of::<String>() as u64 + length,
                    Some(Shared) => decoded.bytes += size_of::<bytes::Bytes>() as u64,
                    Some(Varints(size)) => decoded.bytes += size * content.iter().filter(|&&byte| byte < 0x80).count() as u64,
                    Some(Fixed(_)) => decoded.bytes += length,
                    None => {}
                }
            }
            3 => groups += 1,
            4 => groups = groups.checked_sub(1)?,
            _ => return None,
        }
    }
    Some(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (head, tail) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    #[test]
    fn every_part_of_a_model_is_counted() {
        let text = |length: usize| "t".repeat(length);
        let weight = TensorProto {
            dims: vec![1, 300],
            float_data: vec![0.5; 300],
            int64_data: vec![-1, 1],
            double_data: vec![1.0],
            raw_data: vec![1; 1000].into(),
            name: text(3),
            ..TensorProto::default()
        };
        let attribute = AttributeProto { name: text(5), t: Some(weight.clone()), ints: vec![7; 9], ..AttributeProto::default() };
        let node = NodeProto { input: vec![text(2), text(4)], attribute: vec![attribute], ..NodeProto::default() };
        let graph = GraphProto { node: vec![node.clone(), NodeProto::default()], initializer: vec![weight], ..GraphProto::default() };
        let function = FunctionProto { node: vec![node], ..FunctionProto::default() };
        let model = ModelProto { graph: Some(graph), functions: vec![function], ..ModelProto::default() };

        let string = |length| size_of::<String>() + length;
        let tensor = size_of::<TensorProto>() + 16 + 1200 + 16 + 8 + size_of::<bytes::Bytes>() + string(3);
        let node = size_of::<NodeProto>() + string(2) + string(4) + size_of::<AttributeProto>() + string(5) + 72 + tensor;
        let rest = size_of::<GraphProto>() + size_of::<NodeProto>() + tensor + size_of::<FunctionProto>() + size_of::<ModelProto>();
        let bytes = model.encode_to_vec();
        assert_eq!(super::model(&bytes), Decoded { bytes: (2 * node + rest) as u64, nodes: 3 });
        // A message that is cut is not decoded at all.
        let cut = Decoded { bytes: size_of::<ModelProto>() as u64, nodes: 0 };
        assert_eq!(super::model(&bytes[..bytes.len() / 2]), cut);
    }

    #[test]
    fn groups_hide_nothing_and_are_not_counted() {
        // Field 1 as a group that holds an empty field 7, then an empty graph with one node.
        let bytes = [0x0B, 0x3A, 0x00, 0x0C, 0x3A, 0x02, 0x0A, 0x00];
        let expected = size_of::<ModelProto>() + size_of::<GraphProto>() + size_of::<NodeProto>();
        assert_eq!(model(&bytes), Decoded { bytes: expected as u64, nodes: 1 });
        assert_eq!(ModelProto::decode(&bytes[..]).unwrap().graph.unwrap().node.len(), 1);
    }
}
