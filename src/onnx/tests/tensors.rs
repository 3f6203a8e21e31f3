//! Tensor data: raw, typed, external.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use half::f16;

use super::*;
use crate::onnx::LoadOptions;
use crate::onnx::external::ExternalData;
use crate::onnx::tensor::{TensorProblem, TensorReader};
use crate::tensor::{Element, Tensor};

fn typed(data_type: i32, dims: &[i64], change: impl FnOnce(&mut TensorProto)) -> Result<Tensor, TensorProblem> {
    let mut proto = TensorProto { name: "t".into(), dims: dims.into(), data_type, ..Default::default() };
    change(&mut proto);
    TensorReader::new(ExternalData::Refused, &LoadOptions::new()).read(&proto)
}

fn raw(data_type: i32, dims: &[i64], bytes: &[u8]) -> Result<Tensor, TensorProblem> {
    typed(data_type, dims, |t| t.raw_data = Bytes::copy_from_slice(bytes))
}

/// Raw and typed data of the same elements are the same tensor.
fn both<T: Element>(data_type: i32, values: Vec<T>, fill: impl FnOnce(&mut TensorProto)) {
    let dims = [values.len() as i64];
    let expected = Tensor::vector(values);
    assert_eq!(raw(data_type, &dims, expected.bytes()).unwrap(), expected);
    assert_eq!(typed(data_type, &dims, fill).unwrap(), expected);
}

#[test]
fn raw_and_typed_data_agree_for_every_type() {
    both(1, vec![1.5f32, -0.0, f32::MAX], |t| t.float_data = vec![1.5, -0.0, f32::MAX]);
    both(2, vec![0u8, 255], |t| t.int32_data = vec![0, 255]);
    both(3, vec![-128i8, 127], |t| t.int32_data = vec![-128, 127]);
    both(4, vec![0u16, 65535], |t| t.int32_data = vec![0, 65535]);
    both(5, vec![-32768i16, 7], |t| t.int32_data = vec![-32768, 7]);
    both(6, vec![i32::MIN, 7], |t| t.int32_data = vec![i32::MIN, 7]);
    both(7, vec![i64::MIN, 7], |t| t.int64_data = vec![i64::MIN, 7]);
    both(9, vec![true, false], |t| t.int32_data = vec![1, 0]);
    both(10, vec![f16::from_f32(1.0), f16::from_f32(-2.0)], |t| t.int32_data = vec![0x3C00, 0xC000]);
    both(11, vec![1e300f64], |t| t.double_data = vec![1e300]);
    both(12, vec![u32::MAX], |t| t.uint64_data = vec![u32::MAX.into()]);
    both(13, vec![u64::MAX], |t| t.uint64_data = vec![u64::MAX]);
}

#[test]
fn raw_booleans_other_than_one_are_true() {
    assert_eq!(raw(9, &[3], &[0, 2, 255]).unwrap(), Tensor::vector(vec![false, true, true]));
}

#[test]
fn scalars_and_empty_tensors() {
    assert_eq!(typed(1, &[], |t| t.float_data = vec![2.0]).unwrap(), Tensor::scalar(2f32));
    assert_eq!(typed(7, &[0, 1 << 40], |_| ()).unwrap().shape().dims(), [0, 1 << 40]);
}

#[test]
fn lengths_and_extents_are_checked_before_anything_is_allocated() {
    let message = |problem: Result<Tensor, TensorProblem>| problem.unwrap_err().into_message();
    assert_eq!(message(raw(1, &[2, 3], &[0; 20])), "f32[2,3] takes 24 bytes, raw_data has 20");
    assert_eq!(message(typed(1, &[2], |t| t.float_data = vec![1.0])), "f32[2] has 2 elements, float_data has 1");
    assert_eq!(message(typed(1, &[2], |t| t.int64_data = vec![1, 2])), "f32[2] has 2 elements, float_data has 0");
    assert_eq!(message(typed(1, &[1 << 40], |_| ())), "f32[1099511627776] has 1099511627776 elements, float_data has 0");
    assert!(message(raw(1, &[-3], &[0; 12])).contains("extent -3 of shape [-3] is negative"));
    assert!(message(raw(1, &[1 << 40, 1 << 40], &[0; 12])).contains("too large"));
    assert!(message(raw(1, &[i64::MAX], &[0; 12])).contains("too large"));
    assert!(message(typed(2, &[1], |t| t.int32_data = vec![256])).contains("256 in int32_data does not fit in u8"));
    assert!(message(typed(10, &[1], |t| t.int32_data = vec![-1])).contains("does not fit in f16"));
}

#[test]
fn other_types_are_not_supported_by_name() {
    for (code, name) in [(8, "string"), (16, "bfloat16"), (22, "int4"), (99, "number 99"), (0, "missing")] {
        let Err(TensorProblem::Unsupported(message)) = typed(code, &[1], |_| ()) else { panic!("{code}") };
        assert!(message.contains(name), "{message}");
    }
}

/// A folder `model/` with a file of weights, and a secret beside it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("macula-external-{name}-{}", std::process::id()));
        std::fs::create_dir_all(root.join("model/sub")).unwrap();
        let values: Vec<u8> = (1..=4).flat_map(|v| (v as f32).to_le_bytes()).collect();
        std::fs::write(root.join("secret.bin"), &values).unwrap();
        std::fs::write(root.join("model/weights.bin"), &values).unwrap();
        std::fs::write(root.join("model/sub/weights.bin"), &values).unwrap();
        Self(root)
    }

    fn read(&self, dims: &[i64], entries: &[(&str, &str)]) -> Result<Tensor, String> {
        let external_data = entries.iter().map(|&(k, v)| StringStringEntryProto { key: k.into(), value: v.into() }).collect();
        let proto = TensorProto { dims: dims.into(), data_type: 1, data_location: 1, external_data, ..Default::default() };
        let external = ExternalData::beside(&self.0.join("model/model.onnx"));
        TensorReader::new(external, &LoadOptions::new()).read(&proto).map_err(TensorProblem::into_message)
    }

    #[track_caller]
    fn refuses(&self, location: impl AsRef<Path>, expected: &str) {
        let location = location.as_ref().to_str().unwrap();
        let message = self.read(&[4], &[("location", location)]).unwrap_err();
        assert!(message.contains(expected) && message.contains(location), "`{message}` does not contain `{expected}`");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn external_data_is_read_in_the_folder_of_the_model() {
    let folder = Folder::new("read");
    let all = folder.read(&[2, 2], &[("location", "weights.bin")]).unwrap();
    assert_eq!(all.to_f64(), [1.0, 2.0, 3.0, 4.0]);
    let some = [("location", "./sub/weights.bin"), ("offset", "4"), ("length", "8"), ("checksum", "0")];
    assert_eq!(folder.read(&[2], &some).unwrap().to_f64(), [2.0, 3.0]);
}

#[test]
fn external_data_outside_the_folder_is_refused() {
    let folder = Folder::new("escape");
    folder.refuses("../secret.bin", "only files inside the model's folder");
    folder.refuses("sub/../../secret.bin", "only files inside the model's folder");
    folder.refuses(folder.0.join("secret.bin"), "only files inside the model's folder");
    folder.refuses("", "only files inside the model's folder");
    folder.refuses("absent.bin", "No such file");
    folder.refuses("sub", "is not a file");
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink("../secret.bin", folder.0.join("model/link.bin")).unwrap();
        folder.refuses("link.bin", "a link leads out of the model's folder");
        symlink("..", folder.0.join("model/up")).unwrap();
        folder.refuses("up/secret.bin", "a link leads out of the model's folder");
        symlink("sub/weights.bin", folder.0.join("model/inner.bin")).unwrap();
        assert!(folder.read(&[4], &[("location", "inner.bin")]).is_ok());
    }
}

#[test]
fn external_offsets_and_lengths_are_checked() {
    let folder = Folder::new("lengths");
    let fails = |dims: &[i64], entries: &[(&str, &str)], expected: &str| {
        let message = folder.read(dims, entries).unwrap_err();
        assert!(message.contains(expected), "`{message}` does not contain `{expected}`");
    };
    let location = ("location", "weights.bin");
    fails(&[4], &[], "has no location");
    fails(&[4], &[location, ("offset", "4")], "ends at byte 16, before 4 + 16");
    fails(&[4], &[location, ("offset", "18446744073709551615")], "ends at byte 16");
    fails(&[4], &[location, ("offset", "-4")], "offset `-4` is not a number");
    fails(&[4], &[location, ("length", "12")], "has 12 bytes, the tensor takes 16");
    fails(&[1 << 40], &[location], "ends at byte 16");
}

#[test]
fn external_data_needs_a_folder() {
    let mut proto = model(vec![node("Add", &["x", "w"], &["y"], vec![])]);
    let external_data = vec![StringStringEntryProto { key: "location".into(), value: "weights.bin".into() }];
    let weight = TensorProto { data_location: 1, external_data, float_data: vec![], ..weights("w", &[4], &[]) };
    proto.graph.as_mut().unwrap().initializer = vec![weight];
    fails(&proto, &["initializer `w`: its data is in the file `weights.bin`", "by its path"]);

    let folder = Folder::new("load");
    let path = folder.0.join("model/model.onnx");
    std::fs::write(&path, proto.encode_to_vec()).unwrap();
    let graph = crate::onnx::load(&path).unwrap();
    assert_eq!(graph.parameters(), 4);
}
