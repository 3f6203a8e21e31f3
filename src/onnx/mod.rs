//! ONNX file → [`Graph`].
//!
//! Reads opsets 7 to 28. Everything that macula does not implement is an error at load that lists every such node.

mod attributes;
mod external;
mod functions;
mod import;
mod limits;
mod measure;
mod ops;
mod proto;
mod sort;
mod tensor;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use prost::Message;

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::tensor::Tensor;
use external::ExternalData;
use measure::Decoded;
use proto::{ModelProto, TensorProto};
use tensor::TensorReader;

pub use limits::LoadOptions;

/// Protobuf files cannot be larger.
const MAX_FILE_BYTES: u64 = 1 << 31;

/// Loads a model from an ONNX file. Tensor data in other files is read where they lie in the model's folder.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read, [`Error::Model`] where it is not a valid model, [`Error::Unsupported`] with
/// every node that macula does not implement.
pub fn load(path: impl AsRef<Path>) -> Result<Graph> {
    load_with(path, &LoadOptions::default())
}

/// [`load`] with options.
///
/// # Errors
/// As [`load`].
pub fn load_with(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Graph> {
    let path = path.as_ref();
    model(read(path, options)?, &path.display().to_string(), ExternalData::beside(path), options)
}

/// Loads a model from the bytes of an ONNX file, all tensor data included.
///
/// # Errors
/// [`Error::Model`] where it is not a valid model, or has tensor data in other files; [`Error::Unsupported`] with every node
/// that macula does not implement.
pub fn from_bytes(bytes: &[u8]) -> Result<Graph> {
    from_bytes_with(bytes, &LoadOptions::default())
}

/// [`from_bytes`] with options.
///
/// # Errors
/// As [`from_bytes`].
pub fn from_bytes_with(bytes: &[u8], options: &LoadOptions) -> Result<Graph> {
    model(Bytes::copy_from_slice(bytes), "model", ExternalData::Refused, options)
}

fn model(bytes: Bytes, origin: &str, external: ExternalData, options: &LoadOptions) -> Result<Graph> {
    let mut reader = TensorReader::new(external, options);
    let model: ModelProto = decode(bytes.clone(), origin, "an ONNX model", measure::model(&bytes), &mut reader, options)?;
    let Some(graph) = &model.graph else {
        let message = format!("is not an ONNX model, or is damaged: {}; it holds no graph", looks_like(&bytes));
        return Err(Error::Model { origin: origin.to_owned(), message });
    };
    import::import(&model, graph, origin, &mut reader, options)
}

/// Loads a tensor and its name from a `TensorProto` file, such as `input_0.pb` of the ONNX backend tests.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read, [`Error::Model`] where it is not a valid tensor, [`Error::Unsupported`] for
/// an element type that macula does not have.
pub fn load_tensor(path: impl AsRef<Path>) -> Result<(String, Tensor)> {
    let (path, options) = (path.as_ref(), &LoadOptions::default());
    let origin = path.display().to_string();
    let mut reader = TensorReader::new(ExternalData::beside(path), options);
    let bytes = read(path, options)?;
    let decoded = measure::tensor(&bytes);
    let proto: TensorProto = decode(bytes, &origin, "an ONNX tensor", decoded, &mut reader, options)?;
    match reader.read(&proto) {
        Ok(tensor) => Ok((proto.name, tensor)),
        Err(tensor::TensorProblem::Invalid(message)) => Err(Error::Model { origin, message }),
        Err(tensor::TensorProblem::Unsupported(message)) => {
            Err(Error::Unsupported { origin, items: vec![format!("tensor `{}`: {message}", proto.name)] })
        }
    }
}

fn read(path: &Path, options: &LoadOptions) -> Result<Bytes> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    if size > options.max_memory && size <= MAX_FILE_BYTES {
        let limit = options.max_memory;
        let message = format!("has {size} bytes, more than the limit of {limit}; raise `max_memory` if you trust the file");
        return Err(Error::Model { origin: path.display().to_string(), message });
    }
    let mut bytes = Vec::new();
    if size <= MAX_FILE_BYTES {
        bytes.reserve_exact(size as usize + 1);
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    }
    if size.max(bytes.len() as u64) > MAX_FILE_BYTES {
        let message = format!("is larger than {MAX_FILE_BYTES} bytes, which no ONNX file is; large weights belong in external data");
        return Err(Error::Model { origin: path.display().to_string(), message });
    }
    Ok(bytes.into())
}

/// `decoded` is what decoding will allocate.
fn decode<M: Message + Default>(
    bytes: Bytes,
    origin: &str,
    what: &str,
    decoded: Decoded,
    reader: &mut TensorReader,
    options: &LoadOptions,
) -> Result<M> {
    let invalid = |message| Error::Model { origin: origin.to_owned(), message };
    if bytes.is_empty() {
        return Err(invalid(format!("is not {what}: it is empty")));
    }
    options.check_nodes(decoded.nodes, "has").map_err(invalid)?;
    reader.budget.take(decoded.bytes, "its structure").map_err(invalid)?;
    M::decode(bytes.clone()).map_err(|error| invalid(format!("is not {what}, or is damaged: {}; {error}", looks_like(&bytes))))
}

/// What the first bytes of a file that is not a model look like.
fn looks_like(bytes: &[u8]) -> String {
    const MAGIC: &[(usize, &[u8], &str)] = &[
        (0, b"version https://git-lfs", "it is a Git LFS pointer, fetch the file itself with `git lfs pull`"),
        (0, b"PK\x03\x04", "it is a ZIP archive, as PyTorch checkpoints are"),
        (0, b"\x80\x02", "it is a Python pickle"),
        (0, b"\x1f\x8b", "it is gzip-compressed"),
        (0, b"\x28\xb5\x2f\xfd", "it is zstd-compressed"),
        (0, b"\x89HDF", "it is an HDF5 file, as Keras models are"),
        (0, b"\x93NUMPY", "it is a NumPy array"),
        (0, b"\x89PNG", "it is a PNG picture"),
        (0, b"\xff\xd8\xff", "it is a JPEG picture"),
        (4, b"TFL3", "it is a TensorFlow Lite model"),
        (4, b"ORTM", "it is an ORT-format model, convert it from the ONNX original"),
    ];
    const SHOWN: usize = 40;
    if let Some((.., what)) = MAGIC.iter().find(|(at, magic, _)| bytes.get(*at..).is_some_and(|b| b.starts_with(magic))) {
        return (*what).into();
    }
    let head: String = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * SHOWN)]).chars().take(SHOWN).collect();
    if head.chars().all(|c| !c.is_control() || c.is_ascii_whitespace()) && !head.contains(char::REPLACEMENT_CHARACTER) {
        return format!("it starts with the text {head:?}");
    }
    // A model starts with field 1, the IR version.
    if bytes[0] == 8 { "it starts like one and breaks off or is corrupt".into() } else { "it starts with other data".into() }
}
