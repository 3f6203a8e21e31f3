//! Inputs of any network: from files, at random, and the extents that it leaves open.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::Args;
use macula::{DType, Dim, Graph, Shape, Tensor, TensorType, Value, onnx};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::failure::Failure;
use crate::npy;

/// Larger inputs are a slip of the keyboard.
const MAX_RANDOM_BYTES: usize = 4 << 30;

/// Extents that the model leaves open.
#[derive(Args, Debug, Default)]
pub struct DimArgs {
    /// Extent of an open axis: its name in the model, as `macula inspect` prints it, or INPUT.AXIS for one without a name
    #[arg(long = "dim", value_name = "NAME=EXTENT", value_parser = parse_dim)]
    pub dims: Vec<(String, usize)>,
    /// Extent of the first axis where the model leaves it open [default: 1]
    #[arg(long, value_name = "N", value_parser = parse_extent)]
    pub batch: Option<usize>,
}

/// An extent as the flags take it.
pub fn parse_extent(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(extent @ 1..=0xffff_ffff) => Ok(extent),
        _ => Err("expected a whole number from 1 on".into()),
    }
}

/// An argument of `--dim`.
pub fn parse_dim(text: &str) -> Result<(String, usize), String> {
    let (name, extent) = text.rsplit_once('=').ok_or("expected NAME=EXTENT, as batch=4")?;
    Ok((name.to_owned(), parse_extent(extent)?))
}

/// The seed of `--random`.
pub fn parse_seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is not a seed (a whole number); write --random=SEED, or put --random last"))
}

/// The values of `graph`'s inputs, in order.
fn declared(graph: &Graph) -> impl Iterator<Item = &Value> {
    graph.inputs().iter().map(|&id| graph.value(id))
}

/// Which file is meant for which input: `name=file`, or `file` alone where there is one input.
pub fn assign(graph: &Graph, arguments: &[String]) -> Result<Vec<(String, PathBuf)>, Failure> {
    let names: Vec<&str> = declared(graph).map(|v| v.name.as_str()).collect();
    assign_to(&names, "--input", arguments)
}

/// Which file is meant for which of `names` by the arguments of `flag`: `name=file`, or `file` alone where there is one name.
pub fn assign_to(names: &[&str], flag: &str, arguments: &[String]) -> Result<Vec<(String, PathBuf)>, Failure> {
    let list = || names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    let mut assigned: Vec<(String, PathBuf)> = vec![];
    for argument in arguments {
        let named = names.iter().find_map(|name| Some((*name, argument.strip_prefix(*name)?.strip_prefix('=')?)));
        let (name, file) = match (named, names) {
            (Some(found), _) => found,
            (None, [only]) if !argument.contains('=') || Path::new(argument).exists() => (*only, argument.as_str()),
            _ => return Err(Failure::usage(format!("{flag} {argument}: write NAME=FILE with a NAME of {}", list()))),
        };
        if assigned.iter().any(|(other, _)| other == name) {
            return Err(Failure::usage(format!("{flag} {argument}: `{name}` is given twice")));
        }
        assigned.push((name.to_owned(), PathBuf::from(file)));
    }
    Ok(assigned)
}

/// The tensor in a `.npy` file, or in a `.pb` file as the ONNX tests have them.
pub fn read(file: &Path) -> Result<Tensor, Failure> {
    match file.extension() {
        Some(ending) if ending == "pb" => Ok(onnx::load_tensor(file)?.1),
        _ => npy::read(file),
    }
}

/// An axis that the model leaves open, by the name that `--dim` knows it by.
fn axis_name(input: &str, axis: usize, symbol: &str) -> String {
    if symbol.is_empty() { format!("{input}.{axis}") } else { symbol.to_owned() }
}

/// The type of every input that `given` leaves out, with open extents from `args` and from `given`.
pub fn missing_types(graph: &Graph, given: &[(String, Tensor)], args: &DimArgs) -> Result<Vec<(String, TensorType)>, Failure> {
    let mut extents: HashMap<String, usize> = HashMap::new();
    for input in declared(graph) {
        let tensor = given.iter().find(|(name, _)| *name == input.name).map(|(_, t)| t);
        for (axis, dim) in input.dims.iter().flatten().enumerate() {
            if let (Some(symbol), Some(&extent)) = (dim.symbol(), tensor.and_then(|t| t.shape().get(axis))) {
                extents.insert(axis_name(&input.name, axis, symbol), extent);
            }
        }
    }
    let open: Vec<String> = declared(graph)
        .flat_map(|input| input.dims.iter().flatten().enumerate().map(move |(axis, dim)| (input, axis, dim)))
        .filter_map(|(input, axis, dim)| dim.symbol().map(|s| axis_name(&input.name, axis, s)))
        .collect();
    for (name, extent) in &args.dims {
        if !open.contains(name) {
            let known = if open.is_empty() { "it leaves none open".into() } else { format!("open are {}", open.join(", ")) };
            return Err(Failure::usage(format!("--dim {name}={extent}: the model has no open extent `{name}`; {known}")));
        }
        if let Some(other) = extents.insert(name.clone(), *extent).filter(|other| other != extent) {
            return Err(Failure::usage(format!("--dim {name}={extent}: a given input has {other} there")));
        }
    }
    let one = |input: &Value| {
        let Some(dims) = &input.dims else {
            return Err(Failure::usage(format!(
                "input `{}` has no declared shape; give it with --input {}=FILE.npy",
                input.name, input.name
            )));
        };
        let extent = |(axis, dim): (usize, &Dim)| match dim {
            Dim::Fixed(n) => Ok(*n),
            Dim::Symbol(_) | Dim::Any => {
                let symbol = dim.symbol().unwrap_or_default();
                let name = axis_name(&input.name, axis, symbol);
                let first = (axis == 0).then(|| args.batch.unwrap_or(1));
                extents
                    .get(&name)
                    .copied()
                    .or(first)
                    .ok_or_else(|| Failure::usage(format!("input `{}` is {}; give --dim {name}=EXTENT", input.name, input.declared())))
            }
        };
        let shape = dims.iter().enumerate().map(extent).collect::<Result<Shape, _>>()?;
        Ok((input.name.clone(), TensorType::new(input.dtype.unwrap_or(DType::F32), shape)))
    };
    declared(graph).filter(|input| !given.iter().any(|(name, _)| *name == input.name)).map(one).collect()
}

/// What `--dim` would say for the open heights and widths of all inputs `[N, C, height, width]` to be `size`; or why they cannot be.
pub fn spatial_dims(graph: &Graph, size: [usize; 2]) -> Result<Vec<(String, usize)>, String> {
    let pictures = declared(graph).filter_map(|input| match input.dims.as_deref() {
        Some([_, _, height, width]) => Some((input, [(2, height, size[0]), (3, width, size[1])])),
        _ => None,
    });
    let (mut extents, mut found) = (HashMap::new(), false);
    for (input, axes) in pictures {
        found = true;
        for (axis, dim, extent) in axes {
            let name = match dim {
                Dim::Fixed(fixed) if *fixed == extent => continue,
                Dim::Fixed(_) => return Err(format!("input `{}` is {}", input.name, input.declared())),
                dim => axis_name(&input.name, axis, dim.symbol().unwrap_or_default()),
            };
            if extents.insert(name.clone(), extent).is_some_and(|other| other != extent) {
                return Err(format!("`{name}` is both its height and its width"));
            }
        }
    }
    if found { Ok(extents.into_iter().collect()) } else { Err("no input has the axes [N,C,H,W]".into()) }
}

/// A tensor of `ty` from a seed and the input's name: floating-point numbers evenly in −1…1, bytes over their whole range, other
/// integers and truth values 0 or 1, which are valid as indices and as masks.
pub fn random(seed: u64, name: &str, ty: &TensorType) -> Result<Tensor, Failure> {
    let fits = ty.shape.checked_elements().and_then(|n| n.checked_mul(8)).is_some_and(|bytes| bytes <= MAX_RANDOM_BYTES);
    if !fits {
        return Err(Failure::usage(format!("input `{name}` would be {ty}, which is too large to fill at random; give smaller extents")));
    }
    // Each input has a stream of its own, so that one more input does not change the others.
    let mut rng = ChaCha8Rng::seed_from_u64(name.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)));
    let values: Vec<f64> = (0..ty.shape.elements())
        .map(|_| match ty.dtype {
            DType::U8 => f64::from(rng.random_range(0..=255)),
            DType::I8 => f64::from(rng.random_range(-128..=127)),
            d if d.is_float() => f64::from(rng.random_range(-1f32..1.0)),
            _ => f64::from(rng.random_range(0..=1)),
        })
        .collect();
    Ok(Tensor::from_f64(ty.dtype, &ty.shape, values)?)
}

/// Inputs for a run: those given, and where `seed` allows it, random ones for the rest.
pub fn complete(graph: &Graph, given: Vec<(String, Tensor)>, args: &DimArgs, seed: Option<u64>) -> Result<Vec<(String, Tensor)>, Failure> {
    if let (None, Some(missing)) = (seed, declared(graph).find(|v| !given.iter().any(|(name, _)| *name == v.name))) {
        let (name, is) = (&missing.name, missing.declared());
        return Err(Failure::usage(format!(
            "input `{name}` ({is}) is missing; give --input {name}=FILE.npy, or --random for random values"
        )));
    }
    let types = missing_types(graph, &given, args)?;
    let mut inputs = given;
    for (name, ty) in types {
        let tensor = random(seed.unwrap_or_default(), &name, &ty)?;
        inputs.push((name, tensor));
    }
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use macula::{GraphBuilder, ops::Binary};

    fn graph() -> Graph {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, [Dim::from("N"), 3.into(), "".into()]);
        let m = b.input("m=1", DType::I64, [Dim::from("N"), "k".into()]);
        let y = b.node("y", Binary::Add, &[x, m]).unwrap();
        b.output("y", y);
        b.finish().unwrap()
    }

    fn dims(text: &[&str]) -> DimArgs {
        DimArgs { dims: text.iter().map(|t| parse_dim(t).unwrap()).collect(), batch: None }
    }

    #[test]
    fn files_find_their_inputs() {
        let got = assign(&graph(), &["m=1=a.npy".into(), "x=b=c.npy".into()]).unwrap();
        assert_eq!(got, [("m=1".into(), PathBuf::from("a.npy")), ("x".into(), PathBuf::from("b=c.npy"))]);
        let error =
            |arguments: &[&str]| assign(&graph(), &arguments.iter().map(|a| a.to_string()).collect::<Vec<_>>()).unwrap_err().to_string();
        assert!(error(&["a.npy"]).contains("NAME of `x`, `m=1`"));
        assert!(error(&["x=a.npy", "x=b.npy"]).contains("given twice"));
    }

    #[test]
    fn open_extents_come_from_flags_and_from_given_inputs() {
        let types = missing_types(&graph(), &[], &dims(&["N=4", "x.2=7", "k=2"])).unwrap();
        assert_eq!(types, [("x".into(), TensorType::new(DType::F32, [4, 3, 7])), ("m=1".into(), TensorType::new(DType::I64, [4, 2]))]);
        let given = vec![("x".to_owned(), Tensor::full([5, 3, 2], 0f32))];
        assert_eq!(missing_types(&graph(), &given, &dims(&["k=2"])).unwrap(), [("m=1".into(), TensorType::new(DType::I64, [5, 2]))]);
        let error = |args: &[&str]| missing_types(&graph(), &given, &dims(args)).unwrap_err().to_string();
        assert!(error(&[]).contains("give --dim k=EXTENT"));
        assert!(error(&["height=3"]).contains("no open extent `height`; open are N, x.2, N, k"), "{}", error(&["height=3"]));
        assert!(error(&["N=4"]).contains("has 5 there"));
        assert!(parse_dim("N=0").is_err() && parse_dim("N").is_err());
    }

    #[test]
    fn sizes_are_the_open_extents_of_pictures() {
        let picture = |height: Dim, width: Dim| {
            let mut b = GraphBuilder::new("g");
            let x = b.input("x", DType::F32, [Dim::from("N"), 3.into(), height, width]);
            let y = b.node("y", Binary::Add, &[x, x]).unwrap();
            b.output("y", y);
            b.finish().unwrap()
        };
        let sorted = |graph: &Graph, size| {
            let mut dims = spatial_dims(graph, size)?;
            dims.sort();
            Ok::<_, String>(dims)
        };
        assert_eq!(sorted(&picture("h".into(), "w".into()), [5, 7]).unwrap(), [("h".into(), 5), ("w".into(), 7)]);
        assert_eq!(sorted(&picture(5.into(), "".into()), [5, 7]).unwrap(), [("x.3".into(), 7)]);
        assert_eq!(sorted(&picture("s".into(), "s".into()), [5, 5]).unwrap(), [("s".into(), 5)]);
        assert!(sorted(&picture("s".into(), "s".into()), [5, 7]).unwrap_err().contains("`s` is both"));
        assert!(sorted(&picture("h".into(), 5.into()), [5, 7]).unwrap_err().contains("f32[N,3,h,5]"));
        assert!(sorted(&graph(), [5, 7]).unwrap_err().contains("no input has the axes"));
    }

    #[test]
    fn random_inputs_follow_the_seed() {
        let ty = TensorType::new(DType::F32, [3, 5]);
        assert_eq!(random(1, "x", &ty).unwrap(), random(1, "x", &ty).unwrap());
        assert_ne!(random(1, "x", &ty).unwrap(), random(2, "x", &ty).unwrap());
        assert_ne!(random(1, "x", &ty).unwrap(), random(1, "y", &ty).unwrap());
        let index = random(1, "x", &TensorType::new(DType::I64, [64])).unwrap();
        assert!(index.data::<i64>().unwrap().iter().all(|v| (0..=1).contains(v)));
        assert!(random(1, "x", &TensorType::new(DType::F32, [1 << 20, 1 << 20])).is_err());
    }

    #[test]
    fn missing_inputs_are_named() {
        let error = complete(&graph(), vec![], &DimArgs::default(), None).unwrap_err().to_string();
        assert!(error.contains("input `x` (f32[N,3,?]) is missing"), "{error}");
    }
}
