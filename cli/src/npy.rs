//! NumPy's `.npy` files. Source: NEP 1, "A Simple File Format for NumPy Arrays", versions 1.0 to 3.0.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use half::f16;
use macula::{DType, Element, Tensor};

use crate::failure::Failure;
use crate::files;

const MAGIC: &[u8] = b"\x93NUMPY";

/// No header of an array that a network takes is longer.
const MAX_HEADER: usize = 4096;

/// Larger arrays fit no network.
const MAX_BYTES: usize = 8 << 30;

/// The tensor in a file.
pub fn read(path: &Path) -> Result<Tensor, Failure> {
    let tensor = File::open(path).map_err(|e| e.to_string()).and_then(decode);
    tensor.map_err(|message| Failure::failed(format!("{}: {message}", path.display())))
}

/// Writes a tensor, whole or not at all.
pub fn write(path: &Path, tensor: &Tensor) -> Result<(), Failure> {
    files::write(path, &encode(tensor))
}

fn descr(dtype: DType) -> Result<&'static str, String> {
    Ok(match dtype {
        DType::F16 => "f2",
        DType::F32 => "f4",
        DType::F64 => "f8",
        DType::I8 => "i1",
        DType::I16 => "i2",
        DType::I32 => "i4",
        DType::I64 => "i8",
        DType::U8 => "u1",
        DType::U16 => "u2",
        DType::U32 => "u4",
        DType::U64 => "u8",
        DType::Bool => "b1",
        other => return Err(format!("{other} has no type in .npy files")),
    })
}

fn encode(tensor: &Tensor) -> Vec<u8> {
    let order = match tensor.dtype().size() {
        1 => '|',
        _ if cfg!(target_endian = "big") => '>',
        _ => '<',
    };
    let mut shape: String = tensor.shape().iter().map(|n| format!("{n}, ")).collect();
    if tensor.shape().rank() > 1 {
        shape.truncate(shape.len() - 2);
    }
    // Element types that .npy lacks cannot come out of a network that a file describes.
    let kind = descr(tensor.dtype()).unwrap_or("V0");
    let mut header = format!("{{'descr': '{order}{kind}', 'fortran_order': False, 'shape': ({}), }}", shape.trim_end());
    let unpadded = MAGIC.len() + 4 + header.len() + 1;
    header.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    [MAGIC, &[1, 0], &length, header.as_bytes(), tensor.bytes()].concat()
}

/// Reads no further than the header says, so that neither a pipe nor a device is read for ever.
fn decode(mut file: impl Read) -> Result<Tensor, String> {
    let mut start = vec![];
    file.by_ref().take(MAGIC.len() as u64 + 2).read_to_end(&mut start).map_err(|e| e.to_string())?;
    let [version, _minor] = start.strip_prefix(MAGIC).ok_or("not a .npy file (write one with numpy.save)")? else {
        return Err(CUT.into());
    };
    let wide = match *version {
        1 => false,
        2 | 3 => true,
        other => return Err(format!("version {other} of .npy is not known")),
    };
    let mut length = [0; 4];
    exactly(&mut file, &mut length[..if wide { 4 } else { 2 }])?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_HEADER {
        return Err(format!("its header of {length} bytes is longer than the limit of {MAX_HEADER}"));
    }
    let mut header = vec![0; length];
    exactly(&mut file, &mut header)?;
    let header = Header::parse(std::str::from_utf8(&header).map_err(|_| "its header is not text")?)?;
    let dtype = header.dtype()?;
    let expected = header.shape.iter().try_fold(dtype.size(), |n, &extent| n.checked_mul(extent));
    let expected = expected
        .filter(|bytes| *bytes <= MAX_BYTES)
        .ok_or_else(|| format!("its shape {:?} of {dtype} takes more than the limit of {} GiB", header.shape, MAX_BYTES >> 30))?;
    let mut data = vec![];
    file.take(expected as u64 + 1).read_to_end(&mut data).map_err(|e| e.to_string())?;
    header.tensor(dtype, &data)
}

const CUT: &str = "the file ends within its header";

fn exactly(file: &mut impl Read, bytes: &mut [u8]) -> Result<(), String> {
    file.read_exact(bytes).map_err(|e| if e.kind() == io::ErrorKind::UnexpectedEof { CUT.into() } else { e.to_string() })
}

/// The dictionary at the start of a file.
#[derive(Debug, Default)]
struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }` in any order of keys.
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("its header is not understood: {}", text.trim_end());
        let mut rest = text.trim().strip_prefix('{').and_then(|t| t.strip_suffix('}')).ok_or_else(wrong)?.trim();
        let (mut descr, mut order, mut shape) = (None, None, None);
        while !rest.is_empty() {
            let (key, after) = quoted(rest).ok_or_else(wrong)?;
            let after = after.trim_start().strip_prefix(':').ok_or_else(wrong)?.trim_start();
            let end = match after.as_bytes().first() {
                Some(b'(') => after.find(')').map(|at| at + 1),
                _ => after.find(',').or(Some(after.len())),
            };
            let (value, after) = after.split_at(end.ok_or_else(wrong)?);
            match key {
                "descr" => descr = Some(quoted(value).ok_or_else(|| format!("its type {value} is not a plain number"))?.0.to_owned()),
                "fortran_order" => order = Some(value.trim() == "True"),
                "shape" => shape = Some(extents(value).ok_or_else(wrong)?),
                _ => return Err(wrong()),
            }
            rest = after.trim_start().trim_start_matches(',').trim_start();
        }
        match (descr, order, shape) {
            (Some(descr), Some(fortran_order), Some(shape)) => Ok(Self { descr, fortran_order, shape }),
            _ => Err(wrong()),
        }
    }

    /// The byte order and the kind of the numbers.
    fn kind(&self) -> Result<(&str, &str), String> {
        match self.descr.split_at_checked(1) {
            Some(kind @ ("<" | ">" | "|" | "=", _)) => Ok(kind),
            _ => Err(self.unknown_type()),
        }
    }

    fn dtype(&self) -> Result<DType, String> {
        let (_, kind) = self.kind()?;
        DType::ALL.iter().copied().find(|&d| descr(d) == Ok(kind)).ok_or_else(|| self.unknown_type())
    }

    fn tensor(&self, dtype: DType, data: &[u8]) -> Result<Tensor, String> {
        let (order, _) = self.kind()?;
        let big = order == ">" || (order == "=" && cfg!(target_endian = "big"));
        let expected = self.shape.iter().try_fold(dtype.size(), |n, &extent| n.checked_mul(extent));
        if expected != Some(data.len()) {
            let more = if expected.is_some_and(|bytes| bytes < data.len()) { "more than " } else { "" };
            let count = data.len() - usize::from(!more.is_empty());
            return Err(format!("its shape {:?} of {dtype} does not fit the {more}{count} bytes of data in it", self.shape));
        }
        match dtype {
            DType::F16 => self.values(data, big, f16::from_le_bytes),
            DType::F32 => self.values(data, big, f32::from_le_bytes),
            DType::F64 => self.values(data, big, f64::from_le_bytes),
            DType::I8 => self.values(data, big, i8::from_le_bytes),
            DType::I16 => self.values(data, big, i16::from_le_bytes),
            DType::I32 => self.values(data, big, i32::from_le_bytes),
            DType::I64 => self.values(data, big, i64::from_le_bytes),
            DType::U8 => self.values(data, big, u8::from_le_bytes),
            DType::U16 => self.values(data, big, u16::from_le_bytes),
            DType::U32 => self.values(data, big, u32::from_le_bytes),
            DType::U64 => self.values(data, big, u64::from_le_bytes),
            DType::Bool => self.values(data, big, |[byte]: [u8; 1]| byte != 0),
            _ => Err(self.unknown_type()),
        }
    }

    fn values<T: Element, const N: usize>(&self, data: &[u8], big: bool, from: fn([u8; N]) -> T) -> Result<Tensor, String> {
        let one = |bytes: &[u8]| {
            let mut bytes: [u8; N] = std::array::from_fn(|i| bytes[i]);
            if big {
                bytes.reverse();
            }
            from(bytes)
        };
        let mut values: Vec<T> = data.chunks_exact(N).map(one).collect();
        if self.fortran_order && self.shape.len() > 1 {
            values = rows_first(&values, &self.shape);
        }
        Tensor::new(self.shape.clone(), values).map_err(|e| e.to_string())
    }

    fn unknown_type(&self) -> String {
        format!("its type '{}' is none of f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1", self.descr)
    }
}

/// The text within the quotes at the start, and what follows them.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// The numbers of a Python tuple: `()`, `(3,)`, `(2, 3)`; Python 2 wrote `3L`.
fn extents(tuple: &str) -> Option<Vec<usize>> {
    let inner = tuple.trim().strip_prefix('(')?.strip_suffix(')')?.trim();
    let inner = inner.strip_suffix(',').unwrap_or(inner);
    if inner.is_empty() {
        return Some(vec![]);
    }
    inner.split(',').map(|n| n.trim().trim_end_matches('L').parse().ok()).collect()
}

/// Column-major elements in row-major order.
fn rows_first<T: Element>(values: &[T], shape: &[usize]) -> Vec<T> {
    let mut at = vec![0usize; shape.len()];
    let strides: Vec<usize> = shape.iter().scan(1, |stride, &extent| Some(std::mem::replace(stride, *stride * extent))).collect();
    let mut rows = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        rows.push(values[at.iter().zip(&strides).map(|(i, s)| i * s).sum::<usize>()]);
        for axis in (0..shape.len()).rev() {
            at[axis] += 1;
            if at[axis] < shape[axis] {
                break;
            }
            at[axis] = 0;
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [MAGIC, &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes(), data].concat()
    }

    #[test]
    fn every_type_comes_back() {
        let values: Vec<f64> = (0..6).map(|i| f64::from(i) * 3.0).collect();
        for &dtype in DType::ALL {
            let tensor = Tensor::from_f64(dtype, [2, 3], values.clone()).unwrap();
            assert_eq!(decode(&encode(&tensor)[..]).unwrap(), tensor);
        }
        for shape in [vec![], vec![1], vec![1, 1, 1]] {
            let tensor = Tensor::new(shape, vec![7i64]).unwrap();
            assert_eq!(decode(&encode(&tensor)[..]).unwrap(), tensor);
        }
        let empty = Tensor::new([0, 3], Vec::<f32>::new()).unwrap();
        assert_eq!(decode(&encode(&empty)[..]).unwrap(), empty);
    }

    #[test]
    fn headers_are_as_numpy_writes_them() {
        let bytes = encode(&Tensor::new([2], vec![1u8, 2]).unwrap());
        assert_eq!((bytes.len() - 2) % 64, 0);
        assert!(String::from_utf8_lossy(&bytes[10..]).starts_with("{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }  "));
        let bytes = encode(&Tensor::new([1, 2], vec![1f32, 2.0]).unwrap());
        assert!(String::from_utf8_lossy(&bytes[10..]).starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }"));
    }

    #[test]
    fn columns_first_and_big_endian_are_turned() {
        let header = "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }\n";
        let tensor = decode(&file(header, &[0, 1, 0, 4, 0, 2, 0, 5, 0, 3, 1, 6])[..]).unwrap();
        assert_eq!(tensor.data::<i16>().unwrap(), [1, 2, 3, 4, 5, 262]);
    }

    #[test]
    fn broken_files_say_why() {
        let error = |bytes: &[u8]| decode(bytes).unwrap_err();
        assert!(error(b"PK\x03\x04").contains("not a .npy file"));
        assert!(error(b"\x93NUMPY\x01\x00\xff").contains("ends within"));
        assert!(error(b"\x93NUMPY\x02\x00\xff\xff\xff\xff").contains("limit"));
        assert!(error(&file("{'descr': '<f4', 'shape': (2,)}", &[0; 8])).contains("not understood"));
        assert!(error(&file("{'descr': '<f4', 'fortran_order': False, 'shape': (2", &[0; 8])).contains("not understood"));
        assert!(error(&file("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", &[0; 7])).contains("7 bytes"));
        assert!(error(&file("{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", &[0; 8])).contains("'<c8'"));
        assert!(error(&file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", &[0; 4])).contains("plain number"));
        let huge = "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}";
        assert!(error(&file(huge, &[0; 8])).contains("limit of 8 GiB"));
        assert!(error(b"\x93NUMPY").contains("ends within"));
        assert!(error(b"").contains("not a .npy file"));
    }

    #[test]
    fn what_never_ends_is_read_no_further_than_its_header_says() {
        let header = file("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", &[]);
        let endless = || header.as_slice().chain(io::repeat(7));
        assert!(decode(endless()).unwrap_err().contains("more than 8 bytes"));
        assert_eq!(decode(endless().take(header.len() as u64 + 8)).unwrap().shape().dims(), [2]);
        assert!(decode(io::repeat(0)).unwrap_err().contains("not a .npy file"));
    }
}
