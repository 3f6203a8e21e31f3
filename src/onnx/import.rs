//! `ModelProto` → [`Graph`]: inputs, constants, nodes in execution order, outputs.

use std::collections::{HashMap, HashSet};

use super::attributes::Attributes;
use super::functions;
use super::limits::LoadOptions;
use super::ops::{self, Input, NodeReader};
use super::proto::{Dimension, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use super::sort::{Unordered, execution_order};
use super::tensor::{TensorProblem, TensorReader, dtype};
use crate::error::{Error, Result};
use crate::graph::{Dim, Graph, Node, TensorType, Value, ValueId};
use crate::ops::Op;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// The operator sets that [`ops`] is written for.
const OPSETS: std::ops::RangeInclusive<i64> = 1..=28;

/// Imports the graph `proto` of `model`; `origin` is the file for messages.
pub(super) fn import(
    model: &ModelProto,
    proto: &GraphProto,
    origin: &str,
    reader: &mut TensorReader,
    options: &LoadOptions,
) -> Result<Graph> {
    let invalid = |message| Error::Model { origin: origin.to_owned(), message };
    let opset = opset(model).map_err(invalid)?;
    let proto = functions::inline(model, proto, opset, options, &mut reader.budget).map_err(invalid)?;
    let mut importer = Importer {
        proto: &proto,
        opset,
        reader,
        graph: Graph { name: proto.name.clone(), ..Graph::default() },
        ids: HashMap::new(),
        unsupported: vec![],
    };
    importer.run().map_err(invalid)?;
    if importer.unsupported.is_empty() {
        return Ok(importer.graph);
    }
    Err(Error::Unsupported { origin: origin.to_owned(), items: importer.unsupported })
}

/// The version of the ONNX operator set, of which the domain has two spellings.
fn opset(model: &ModelProto) -> Result<i64, String> {
    let mut versions = model.opset_import.iter().filter(|o| is_onnx(&o.domain)).map(|o| o.version);
    let Some(version) = versions.next() else {
        return Err("has no opset_import for the ONNX domain, so what its operators mean is unknown. Export it again, or add the opset \
                    that it was written for: model.opset_import.append(onnx.helper.make_opsetid(\"\", 8))"
            .into());
    };
    if let Some(other) = versions.find(|&v| v != version) {
        return Err(format!("opset_import asks for opset {version} and for opset {other}"));
    }
    if !OPSETS.contains(&version) {
        return Err(format!(
            "opset {version} is not supported, only {} to {}: convert the model with onnx.version_converter",
            OPSETS.start(),
            OPSETS.end()
        ));
    }
    Ok(version)
}

pub(super) fn is_onnx(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

struct Importer<'a, 'e> {
    proto: &'a GraphProto,
    opset: i64,
    reader: &'e mut TensorReader,
    graph: Graph,
    ids: HashMap<String, ValueId>,
    unsupported: Vec<String>,
}

impl<'a> Importer<'a, '_> {
    fn run(&mut self) -> Result<(), String> {
        let proto = self.proto;
        if proto.output.is_empty() {
            return Err("has no outputs".into());
        }
        let mut used: HashSet<&str> = proto.node.iter().flat_map(|n| &n.input).map(String::as_str).collect();
        used.extend(proto.output.iter().map(|o| o.name.as_str()));
        let initializers = self.add_initializers(&used)?;
        self.add_inputs(&initializers)?;
        let labels = labels(&proto.node);
        self.add_constant_nodes(&labels, &used)?;
        self.add_nodes(&labels, &used)?;
        self.add_outputs()
    }

    /// Adds a value under a name that must be new.
    fn define(&mut self, value: Value, by: impl FnOnce() -> String) -> Result<ValueId, String> {
        if self.ids.contains_key(&value.name) {
            return Err(format!("value `{}` is defined twice, the second time by {}", value.name, by()));
        }
        let name = value.name.clone();
        let id = self.graph.add_value(value);
        self.ids.insert(name, id);
        Ok(id)
    }

    fn define_constant(&mut self, name: &str, tensor: Tensor, by: impl FnOnce() -> String) -> Result<ValueId, String> {
        let ty = TensorType::new(tensor.dtype(), tensor.shape());
        let value = Value { name: name.to_owned(), dtype: Some(ty.dtype), ty: Some(ty), constant: Some(tensor), ..Value::default() };
        self.define(value, by)
    }

    /// A tensor as a constant; what macula cannot read is noted, with a value that stands for it.
    fn define_tensor(&mut self, name: &str, proto: &TensorProto, label: &str) -> Result<(), String> {
        match self.reader.read(proto) {
            Ok(tensor) => self.define_constant(name, tensor, || label.to_owned()).map(drop),
            Err(TensorProblem::Invalid(message)) => Err(format!("{label}: {message}")),
            Err(TensorProblem::Unsupported(message)) => {
                self.unsupported.push(format!("{label}: {message}"));
                self.define(Value { name: name.to_owned(), ..Value::default() }, || label.to_owned()).map(drop)
            }
        }
    }

    /// Adds the initializers that something reads, and returns the names of all.
    fn add_initializers(&mut self, used: &HashSet<&str>) -> Result<HashSet<&'a str>, String> {
        let mut names = HashSet::new();
        for sparse in &self.proto.sparse_initializer {
            let name = sparse.values.as_ref().map_or("", |t| t.name.as_str());
            self.unsupported.push(format!("initializer `{name}`: a sparse tensor is not supported"));
            names.insert(name);
            self.define(Value { name: name.to_owned(), ..Value::default() }, || "a sparse initializer".into())?;
        }
        for tensor in &self.proto.initializer {
            let name = tensor.name.as_str();
            if name.is_empty() {
                return Err("an initializer has no name".into());
            }
            if !names.insert(name) {
                return Err(format!("value `{name}` is defined twice, the second time by an initializer"));
            }
            if used.contains(name) {
                self.define_tensor(name, tensor, &format!("initializer `{name}`"))?;
            }
        }
        Ok(names)
    }

    /// Adds the inputs that a run must supply: an input with an initializer is a constant.
    fn add_inputs(&mut self, initializers: &HashSet<&str>) -> Result<(), String> {
        for info in self.proto.input.iter().filter(|i| !initializers.contains(i.name.as_str())) {
            if info.name.is_empty() {
                return Err("an input has no name".into());
            }
            let value = declared(info).unwrap_or_else(|problem| {
                self.unsupported.push(format!("input `{}`: {problem}", info.name));
                Value { name: info.name.clone(), ..Value::default() }
            });
            let id = self.define(value, || "a graph input".into())?;
            self.graph.inputs.push(id);
        }
        Ok(())
    }

    fn add_constant_nodes(&mut self, labels: &[String], used: &HashSet<&str>) -> Result<(), String> {
        for (node, label) in self.proto.node.iter().zip(labels).filter(|(node, _)| is_constant(node)) {
            let [output] = node.output.as_slice() else {
                return Err(format!("node `{label}` (Constant) has {} outputs, not one", node.output.len()));
            };
            if used.contains(output.as_str()) {
                self.add_constant_node(node, label, output)?;
            }
        }
        Ok(())
    }

    fn add_constant_node(&mut self, node: &NodeProto, label: &str, output: &str) -> Result<(), String> {
        let label = format!("`{label}` (Constant)");
        let mut attributes = Attributes::new(&node.attribute);
        let mut read = || -> Result<Option<Tensor>, String> {
            let mut found = vec![];
            found.extend(attributes.float("value_float")?.map(Tensor::scalar));
            found.extend(attributes.floats("value_floats")?.map(|v| Tensor::vector(v.to_vec())));
            found.extend(attributes.int("value_int")?.map(Tensor::scalar));
            found.extend(attributes.ints("value_ints")?.map(|v| Tensor::vector(v.to_vec())));
            if found.len() > 1 { Err("has more than one value".into()) } else { Ok(found.pop()) }
        };
        let problem = match (read(), attributes.tensor("value"), attributes.finish()) {
            (Err(problem), ..) | (_, Err(problem), _) | (.., Err(problem)) => problem,
            (Ok(Some(tensor)), Ok(None), Ok(())) => {
                return self.define_constant(output, tensor, || format!("node {label}")).map(drop);
            }
            (Ok(None), Ok(Some(proto)), Ok(())) => return self.define_tensor(output, proto, &label),
            (Ok(None), Ok(None), Ok(())) => "has no value".into(),
            (Ok(Some(_)), Ok(Some(_)), Ok(())) => "has more than one value".into(),
        };
        self.unsupported.push(format!("{label}: {problem}"));
        self.define(Value { name: output.to_owned(), ..Value::default() }, || format!("node {label}")).map(drop)
    }

    fn add_nodes(&mut self, labels: &[String], used: &HashSet<&str>) -> Result<(), String> {
        let nodes: Vec<_> = self.proto.node.iter().zip(labels).filter(|(node, _)| !is_constant(node)).collect();
        let nodes: Vec<_> = nodes.into_iter().map(|(proto, label)| Unordered { proto, label }).collect();
        let mut producers = HashMap::new();
        for (at, node) in nodes.iter().enumerate() {
            for name in node.proto.output.iter().filter(|name| !name.is_empty()) {
                if producers.insert(name.as_str(), at).is_some() || self.ids.contains_key(name) {
                    return Err(format!(
                        "value `{name}` is defined twice, the second time by node `{}` ({})",
                        node.label, node.proto.op_type
                    ));
                }
            }
        }
        for at in execution_order(&nodes, &producers, |name| self.ids.contains_key(name))? {
            self.add_node(&nodes[at], used)?;
        }
        Ok(())
    }

    fn add_node(&mut self, node: &Unordered<'_>, used: &HashSet<&str>) -> Result<(), String> {
        let Unordered { proto, label } = *node;
        let mut inputs: Vec<Option<ValueId>> = proto.input.iter().map(|name| self.ids.get(name.as_str()).copied()).collect();
        let input = |id: &Option<ValueId>| {
            let value = id.map(|id| self.graph.value(id));
            Input {
                given: id.is_some(),
                dtype: value.and_then(|v| v.dtype),
                rank: value.and_then(|v| v.ty.as_ref().map(|ty| ty.shape.rank()).or(v.dims.as_ref().map(Vec::len))),
                constant: value.and_then(|v| v.constant.clone()),
            }
        };
        let mut reader = NodeReader {
            opset: self.opset,
            attributes: Attributes::new(&proto.attribute),
            inputs: inputs.iter().map(input).collect(),
            outputs: proto.output.iter().map(|name| used.contains(name.as_str())).collect(),
            reader: self.reader,
            added: vec![],
            prepended: vec![],
            kept_inputs: inputs.len(),
            kept_outputs: proto.output.len(),
        };
        let op = match proto.domain.as_str() {
            domain if is_onnx(domain) => ops::read(&proto.op_type, &mut reader),
            ops::microsoft::DOMAIN => ops::microsoft::read(&proto.op_type, &mut reader),
            _ => Err("operator is not supported".into()),
        };
        let NodeReader { added, prepended, kept_inputs, kept_outputs, inputs: read, .. } = reader;
        let op = match op {
            Ok(op) => op,
            Err(problem) => {
                let domain = if is_onnx(&proto.domain) { String::new() } else { format!("{}.", proto.domain) };
                self.unsupported.push(format!("`{label}` ({domain}{}): {problem}", proto.op_type));
                for name in proto.output.iter().filter(|name| !name.is_empty()) {
                    self.define(Value { name: name.clone(), ..Value::default() }, || format!("node `{label}`"))?;
                }
                return Ok(());
            }
        };
        inputs.truncate(kept_inputs);
        for (at, name, tensor) in added {
            let name = unique(format!("{label}.{name}"), |name| self.ids.contains_key(name));
            let id = self.define_constant(&name, tensor, || format!("node `{label}`"))?;
            inputs.resize(inputs.len().max(at + 1), None);
            inputs[at] = Some(id);
        }
        for (at, op, (name, tensor)) in prepended {
            inputs[at] = Some(self.prepend(label, inputs[at], op, name, tensor)?);
        }
        let dtypes: Vec<_> = read.iter().map(|input| input.dtype).collect();
        let mut outputs = vec![];
        for (index, name) in proto.output.iter().enumerate().take(kept_outputs) {
            outputs.push(if name.is_empty() {
                None
            } else {
                let dtype = op.operator().output_dtype(&dtypes, index);
                Some(self.define(Value { name: name.clone(), dtype, ..Value::default() }, || format!("node `{label}`"))?)
            });
        }
        let origins = vec![label.to_owned()];
        self.graph.nodes.push(Node { name: label.to_owned(), op, inputs, outputs, origins });
        Ok(())
    }

    /// Adds a node before the node `label`: `op` of `input` and a constant. Returns its output.
    fn prepend(&mut self, label: &str, input: Option<ValueId>, op: Op, name: &str, tensor: Tensor) -> Result<ValueId, String> {
        let by = || format!("node `{label}`");
        let new = |importer: &Self, name: &str| unique(format!("{label}.{name}"), |name| importer.ids.contains_key(name));
        let constant = self.define_constant(&new(self, name), tensor, by)?;
        let name = new(self, op.name());
        let dtype = input.and_then(|id| self.graph.value(id).dtype);
        let output = self.define(Value { name: name.clone(), dtype, ..Value::default() }, by)?;
        let (inputs, outputs) = (vec![input, Some(constant)], vec![Some(output)]);
        self.graph.nodes.push(Node { name, op, inputs, outputs, origins: vec![label.to_owned()] });
        Ok(output)
    }

    fn add_outputs(&mut self) -> Result<(), String> {
        let mut listed = HashSet::new();
        for info in &self.proto.output {
            let Some(&id) = self.ids.get(&info.name) else {
                return Err(format!("output `{}` is written by no node", info.name));
            };
            if !listed.insert(id) {
                return Err(format!("output `{}` is listed twice", info.name));
            }
            self.graph.outputs.push(id);
        }
        Ok(())
    }
}

fn is_constant(node: &NodeProto) -> bool {
    node.op_type == "Constant" && is_onnx(&node.domain)
}

/// A graph input or output as the file declares it.
fn declared(info: &ValueInfoProto) -> Result<Value, String> {
    let tensor = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).ok_or("a type other than a tensor is not supported")?;
    let dtype = dtype(tensor.elem_type)?;
    let dims: Option<Vec<Dim>> = tensor.shape.as_ref().map(|shape| {
        let extent = |dim: &Dimension| match dim.dim_value.map(usize::try_from) {
            Some(Ok(0)) => Dim::Any,
            Some(Ok(extent)) => Dim::Fixed(extent),
            _ => Dim::Symbol(symbol(dim.dim_param.as_deref().unwrap_or_default()).to_owned()),
        };
        shape.dim.iter().map(extent).collect()
    });
    let fixed = |dims: &Vec<Dim>| dims.iter().map(|d| if let Dim::Fixed(n) = d { Some(*n) } else { None }).collect::<Option<Shape>>();
    let ty = dims.as_ref().and_then(fixed).map(|shape| TensorType::new(dtype, shape));
    Ok(Value { name: info.name.clone(), dtype: Some(dtype), dims, ty, ..Value::default() })
}

/// Exporters write these for an extent they know nothing of, so two of them need not be the same number.
fn symbol(name: &str) -> &str {
    if matches!(name, "None" | "?" | "-1") { "" } else { name }
}

/// Names for nodes, one each: the file's, or the operator and the node's position.
pub(super) fn labels(nodes: &[NodeProto]) -> Vec<String> {
    let given: HashSet<&str> = nodes.iter().map(|n| n.name.as_str()).collect();
    let mut taken: HashSet<String> = HashSet::new();
    let label = |(at, node): (usize, &NodeProto)| {
        let label = if !node.name.is_empty() && !taken.contains(&node.name) {
            node.name.clone()
        } else {
            let base = if node.name.is_empty() { &node.op_type } else { &node.name };
            unique(format!("{base}_{at}"), |name| given.contains(name) || taken.contains(name))
        };
        taken.insert(label.clone());
        label
    };
    nodes.iter().enumerate().map(label).collect()
}

/// `name`, followed by as many underscores as it takes to be new.
pub(super) fn unique(mut name: String, taken: impl Fn(&str) -> bool) -> String {
    while taken(&name) {
        name.push('_');
    }
    name
}
