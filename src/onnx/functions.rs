//! Functions that a model defines itself: every call is replaced by the function's nodes.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::import::{MAX_NODES, is_onnx, unique};
use super::proto::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto};

/// No exporter nests functions deeper; a circle of calls is.
const MAX_DEPTH: usize = 64;

/// `graph` without calls of the model's functions. The nodes and values of a call are named `<call>/<name>`.
///
/// Fails where a function calls itself, is written for another opset than the model, or is called with what it does not take.
pub(super) fn inline<'a>(model: &'a ModelProto, graph: &'a GraphProto, opset: i64) -> Result<Cow<'a, GraphProto>, String> {
    if model.functions.is_empty() {
        return Ok(Cow::Borrowed(graph));
    }
    let mut functions = HashMap::new();
    for function in &model.functions {
        let key = (function.domain.as_str(), function.name.as_str(), function.overload.as_str());
        if functions.insert(key, function).is_some() {
            return Err(format!("function `{}` is defined twice", described(function)));
        }
    }
    let mut taken: HashSet<String> = graph.node.iter().flat_map(|n| n.input.iter().chain(&n.output)).cloned().collect();
    taken.extend(graph.input.iter().map(|v| v.name.clone()));
    taken.extend(graph.initializer.iter().map(|t| t.name.clone()));
    let mut inliner = Inliner { functions, opset, taken, calls: vec![], sizes: HashMap::new(), nodes: vec![] };
    let nodes = inliner.size_of(&graph.node)?;
    if nodes > MAX_NODES {
        return Err(format!("its functions expand to {nodes} nodes, more than the limit of {MAX_NODES}"));
    }
    for (at, node) in graph.node.iter().enumerate() {
        inliner.add(node.clone(), at)?;
    }
    Ok(Cow::Owned(GraphProto { node: inliner.nodes, ..graph.clone() }))
}

fn described(function: &FunctionProto) -> String {
    format!("{}.{}", function.domain, function.name)
}

struct Inliner<'a> {
    functions: HashMap<(&'a str, &'a str, &'a str), &'a FunctionProto>,
    opset: i64,
    /// Names of values that exist.
    taken: HashSet<String>,
    /// The functions whose calls are being counted, outermost first.
    calls: Vec<&'a str>,
    /// How many nodes each function comes to.
    sizes: HashMap<(&'a str, &'a str, &'a str), usize>,
    nodes: Vec<NodeProto>,
}

impl<'a> Inliner<'a> {
    /// How many nodes these come to once every call is replaced.
    fn size_of(&mut self, nodes: &'a [NodeProto]) -> Result<usize, String> {
        let mut total = 0usize;
        for node in nodes {
            let key = (node.domain.as_str(), node.op_type.as_str(), node.overload.as_str());
            let size = match (self.functions.get(&key), self.sizes.get(&key)) {
                (None, _) => 1,
                (_, Some(&size)) => size,
                (Some(&function), None) => {
                    let name = function.name.as_str();
                    if self.calls.len() == MAX_DEPTH {
                        let first = self.calls[..3].join("` → `");
                        return Err(format!("its functions call each other more than {MAX_DEPTH} deep, or in a circle: `{first}` → …"));
                    }
                    self.calls.push(name);
                    let size = self.size_of(&function.node)?;
                    self.calls.pop();
                    self.sizes.insert(key, size);
                    size
                }
            };
            total = total.saturating_add(size);
        }
        Ok(total)
    }

    /// Adds a node, or what it calls. `at` is its position, for a name where it has none.
    fn add(&mut self, node: NodeProto, at: usize) -> Result<(), String> {
        let key = (node.domain.as_str(), node.op_type.as_str(), node.overload.as_str());
        let Some(&function) = self.functions.get(&key) else {
            self.nodes.push(node);
            return Ok(());
        };
        let label = if node.name.is_empty() { format!("{}_{at}", node.op_type) } else { node.name.clone() };
        self.check(&node, &label, function)?;
        self.expand(&node, &label, function)
    }

    fn check(&self, node: &NodeProto, label: &str, function: &FunctionProto) -> Result<(), String> {
        let counts = [("inputs", node.input.len(), function.input.len()), ("outputs", node.output.len(), function.output.len())];
        if let Some((what, given, taken)) = counts.into_iter().find(|(_, given, taken)| given > taken) {
            return Err(format!("node `{label}` has {given} {what}, function `{}` has {taken}", described(function)));
        }
        match function.opset_import.iter().find(|o| is_onnx(&o.domain) && o.version != self.opset) {
            None => Ok(()),
            Some(other) => Err(format!(
                "function `{}` is written for opset {}, the model for opset {}: convert the model with onnx.version_converter, or inline \
                 its functions with onnx.inliner",
                described(function),
                other.version,
                self.opset
            )),
        }
    }

    fn expand(&mut self, node: &NodeProto, label: &str, function: &'a FunctionProto) -> Result<(), String> {
        // What the caller gives has the caller's name; what it leaves out stays out.
        let mut names: HashMap<&str, String> = HashMap::new();
        for (at, formal) in function.input.iter().enumerate() {
            names.insert(formal, node.input.get(at).cloned().unwrap_or_default());
        }
        for (formal, actual) in function.output.iter().zip(&node.output).filter(|(_, actual)| !actual.is_empty()) {
            match names.get(formal.as_str()) {
                // An output that is an input: nothing in the function writes it.
                Some(input) => {
                    let (input, output) = (vec![input.clone()], vec![actual.clone()]);
                    let name = format!("{label}/{formal}");
                    self.nodes.push(NodeProto { name, op_type: "Identity".into(), input, output, ..NodeProto::default() });
                }
                None => drop(names.insert(formal, actual.clone())),
            }
        }
        for (at, inner) in function.node.iter().enumerate() {
            let mut rename = |name: &'a String| match names.get(name.as_str()) {
                Some(known) => known.clone(),
                None if name.is_empty() => String::new(),
                None => {
                    let new = unique(format!("{label}/{name}"), |name| self.taken.contains(name));
                    self.taken.insert(new.clone());
                    names.insert(name, new.clone());
                    new
                }
            };
            let input = inner.input.iter().map(&mut rename).collect();
            let output = inner.output.iter().map(&mut rename).collect();
            let own = if inner.name.is_empty() { format!("{}_{at}", inner.op_type) } else { inner.name.clone() };
            let attribute = inner.attribute.iter().filter_map(|a| resolve(a, node, function)).collect();
            let name = format!("{label}/{own}");
            self.add(NodeProto { name, input, output, attribute, ..inner.clone() }, at)?;
        }
        Ok(())
    }
}

/// An attribute of a function's node: its own, the call's or the function's default; `None` where the call leaves it out.
fn resolve(attribute: &AttributeProto, call: &NodeProto, function: &FunctionProto) -> Option<AttributeProto> {
    if attribute.ref_attr_name.is_empty() {
        return Some(attribute.clone());
    }
    let named = |list: &[AttributeProto]| list.iter().find(|a| a.name == attribute.ref_attr_name).cloned();
    let given = named(&call.attribute).or_else(|| named(&function.attribute_proto))?;
    Some(AttributeProto { name: attribute.name.clone(), ..given })
}
