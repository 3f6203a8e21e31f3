//! Functions that a model defines itself: every call is replaced by the function's nodes.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use prost::Message;

use super::import::{is_onnx, labels, unique};
use super::limits::{Budget, LoadOptions};
use super::proto::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto};

/// No exporter nests functions deeper; a circle of calls is.
const MAX_DEPTH: usize = 64;

const IN_PLACE: &str = "its functions in place of their calls";

/// `graph` without calls of the model's functions. The nodes and values of a call are named `<call>/<name>`.
///
/// Fails where a function calls itself, is written for another opset than the model, or is called with what it does not take.
pub(super) fn inline<'a>(
    model: &'a ModelProto,
    graph: &'a GraphProto,
    opset: i64,
    options: &LoadOptions,
    budget: &mut Budget,
) -> Result<Cow<'a, GraphProto>, String> {
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
    let mut inliner =
        Inliner { functions, opset, budget, taken, calls: vec![], sizes: HashMap::new(), labels: HashMap::new(), nodes: vec![] };
    options.check_nodes(inliner.size_of(&graph.node)?, "its functions expand to")?;
    // The copy of the graph that the nodes go into.
    inliner.budget.take(graph.encoded_len() as u64, IN_PLACE)?;
    for (node, label) in graph.node.iter().zip(labels(&graph.node)) {
        inliner.add(node.clone(), &label)?;
    }
    options.check_nodes(inliner.nodes.len(), "its functions expand to")?;
    Ok(Cow::Owned(GraphProto { node: inliner.nodes, ..graph.clone() }))
}

fn described(function: &FunctionProto) -> String {
    format!("{}.{}", function.domain, function.name)
}

/// Domain, name and overload.
type Key<'a> = (&'a str, &'a str, &'a str);

struct Inliner<'a, 'b> {
    functions: HashMap<Key<'a>, &'a FunctionProto>,
    opset: i64,
    budget: &'b mut Budget,
    /// Names of values that exist.
    taken: HashSet<String>,
    /// The functions whose calls are being counted, outermost first.
    calls: Vec<&'a str>,
    /// How many nodes each function comes to.
    sizes: HashMap<Key<'a>, usize>,
    /// Names for the nodes of each function, one each.
    labels: HashMap<Key<'a>, Rc<Vec<String>>>,
    nodes: Vec<NodeProto>,
}

impl<'a> Inliner<'a, '_> {
    /// How many nodes these come to once every call is replaced; a call of nothing counts, since it takes its time.
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
                    let size = self.size_of(&function.node)?.max(1);
                    self.calls.pop();
                    self.sizes.insert(key, size);
                    size
                }
            };
            total = total.saturating_add(size);
        }
        Ok(total)
    }

    /// Adds a node, or what it calls under the name `label`.
    fn add(&mut self, node: NodeProto, label: &str) -> Result<(), String> {
        let key = (node.domain.as_str(), node.op_type.as_str(), node.overload.as_str());
        let Some(&function) = self.functions.get(&key) else {
            self.nodes.push(node);
            return Ok(());
        };
        self.check(&node, label, function)?;
        self.expand(&node, label, function)
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
        let text = |text: &str| (size_of::<String>() + text.len()) as u64;
        let formals = function.input.len() + function.output.len() + node.attribute.len() + function.attribute_proto.len();
        self.budget.take((formals * size_of::<(&str, String)>()) as u64, IN_PLACE)?;
        // What the caller gives has the caller's name; what it leaves out stays out.
        let mut names: HashMap<&str, String> = HashMap::new();
        for (at, formal) in function.input.iter().enumerate() {
            let actual = node.input.get(at).cloned().unwrap_or_default();
            self.budget.take(text(&actual), IN_PLACE)?;
            names.insert(formal, actual);
        }
        for (formal, actual) in function.output.iter().zip(&node.output).filter(|(_, actual)| !actual.is_empty()) {
            self.budget.take(text(actual), IN_PLACE)?;
            match names.get(formal.as_str()) {
                // An output that is an input: nothing in the function writes it.
                Some(input) => {
                    self.budget.take(size_of::<NodeProto>() as u64 + text(label) + text(formal) + text(input), IN_PLACE)?;
                    let (input, output) = (vec![input.clone()], vec![actual.clone()]);
                    let name = format!("{label}/{formal}");
                    self.nodes.push(NodeProto { name, op_type: "Identity".into(), input, output, ..NodeProto::default() });
                }
                None => drop(names.insert(formal, actual.clone())),
            }
        }
        // The call's attributes go before the function's defaults, the first of a name before others.
        let mut given: HashMap<&str, &AttributeProto> = HashMap::new();
        for attribute in node.attribute.iter().chain(&function.attribute_proto) {
            given.entry(&attribute.name).or_insert(attribute);
        }
        let key = (function.domain.as_str(), function.name.as_str(), function.overload.as_str());
        let labels = self.labels.entry(key).or_insert_with(|| Rc::new(labels(&function.node))).clone();
        for (inner, own) in function.node.iter().zip(&*labels) {
            let mut rename = |name: &'a String| -> Result<String, String> {
                let known = names.get(name.as_str());
                self.budget.take(known.map_or(text(name) + text(label), |known| text(known)), IN_PLACE)?;
                Ok(match known {
                    Some(known) => known.clone(),
                    None if name.is_empty() => String::new(),
                    None => {
                        let new = unique(format!("{label}/{name}"), |name| self.taken.contains(name));
                        self.taken.insert(new.clone());
                        names.insert(name, new.clone());
                        new
                    }
                })
            };
            let input = inner.input.iter().map(&mut rename).collect::<Result<_, _>>()?;
            let output = inner.output.iter().map(&mut rename).collect::<Result<_, _>>()?;
            let mut attribute = vec![];
            for found in inner.attribute.iter().filter_map(|a| resolve(a, &given)) {
                self.budget.take((size_of::<AttributeProto>() + found.1.encoded_len()) as u64, IN_PLACE)?;
                attribute.push(AttributeProto { name: found.0.to_owned(), ..found.1.clone() });
            }
            let own_texts = text(label) + text(own) + text(&inner.op_type) + text(&inner.domain) + text(&inner.overload);
            self.budget.take(size_of::<NodeProto>() as u64 + own_texts, IN_PLACE)?;
            let name = format!("{label}/{own}");
            let (op_type, domain, overload) = (inner.op_type.clone(), inner.domain.clone(), inner.overload.clone());
            self.add(NodeProto { name: name.clone(), input, output, attribute, op_type, domain, overload }, &name)?;
        }
        Ok(())
    }
}

/// The name and the value of an attribute of a function's node: its own, or one that is `given`; `None` where it is left out.
fn resolve<'a>(attribute: &'a AttributeProto, given: &HashMap<&str, &'a AttributeProto>) -> Option<(&'a str, &'a AttributeProto)> {
    let value = match attribute.ref_attr_name.as_str() {
        "" => attribute,
        name => given.get(name)?,
    };
    Some((&attribute.name, value))
}
