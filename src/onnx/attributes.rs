//! Attributes, read strictly: what nobody asks for, or has another type, is an error.

use super::proto::{AttributeKind, AttributeProto, TensorProto};

/// The attributes of one node. Each reader takes its attribute; [`Attributes::finish`] finds what is left.
pub(super) struct Attributes<'a> {
    left: Vec<&'a AttributeProto>,
}

impl<'a> Attributes<'a> {
    pub fn new(attributes: &'a [AttributeProto]) -> Self {
        Self { left: attributes.iter().collect() }
    }

    /// The attribute `name`, if it is there and its type is `kind`.
    fn take(&mut self, name: &str, kind: AttributeKind) -> Result<Option<&'a AttributeProto>, String> {
        let Some(at) = self.left.iter().position(|a| a.name == name) else { return Ok(None) };
        let attribute = self.left.swap_remove(at);
        if self.left.iter().any(|a| a.name == name) {
            return Err(format!("attribute `{name}` is given twice"));
        }
        if !attribute.ref_attr_name.is_empty() {
            return Err(format!("attribute `{name}` refers to `{}` of a function", attribute.ref_attr_name));
        }
        match kind_of(attribute) {
            found if found == Some(kind) => Ok(Some(attribute)),
            Some(found) => Err(format!("attribute `{name}` must be {}, got {}", describe(kind), describe(found))),
            None => Err(format!("attribute `{name}` has a type that is not supported")),
        }
    }

    pub fn int(&mut self, name: &str) -> Result<Option<i64>, String> {
        Ok(self.take(name, AttributeKind::Int)?.map(|a| a.i.unwrap_or_default()))
    }

    pub fn float(&mut self, name: &str) -> Result<Option<f32>, String> {
        Ok(self.take(name, AttributeKind::Float)?.map(|a| a.f.unwrap_or_default()))
    }

    pub fn string(&mut self, name: &str) -> Result<Option<&'a str>, String> {
        let Some(attribute) = self.take(name, AttributeKind::String)? else { return Ok(None) };
        let text = std::str::from_utf8(attribute.s.as_deref().unwrap_or_default());
        text.map(Some).map_err(|_| format!("attribute `{name}` is not text"))
    }

    pub fn ints(&mut self, name: &str) -> Result<Option<&'a [i64]>, String> {
        Ok(self.take(name, AttributeKind::Ints)?.map(|a| a.ints.as_slice()))
    }

    pub fn floats(&mut self, name: &str) -> Result<Option<&'a [f32]>, String> {
        Ok(self.take(name, AttributeKind::Floats)?.map(|a| a.floats.as_slice()))
    }

    pub fn tensor(&mut self, name: &str) -> Result<Option<&'a TensorProto>, String> {
        let Some(attribute) = self.take(name, AttributeKind::Tensor)? else { return Ok(None) };
        attribute.t.as_ref().map(Some).ok_or_else(|| format!("attribute `{name}` holds no tensor"))
    }

    /// An integer that stands for a truth value.
    pub fn flag(&mut self, name: &str, default: bool) -> Result<bool, String> {
        match self.int(name)? {
            None => Ok(default),
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(other) => Err(format!("attribute `{name}` must be 0 or 1, got {other}")),
        }
    }

    /// An integer that must be at least 1.
    pub fn count(&mut self, name: &str) -> Result<Option<usize>, String> {
        let Some(value) = self.int(name)? else { return Ok(None) };
        let count = usize::try_from(value).ok().filter(|&n| n > 0);
        count.map(Some).ok_or_else(|| format!("attribute `{name}` must be at least 1, got {value}"))
    }

    /// A list of integers that must not be negative.
    pub fn extents(&mut self, name: &str) -> Result<Option<Vec<usize>>, String> {
        let Some(values) = self.ints(name)? else { return Ok(None) };
        let extents: Result<Vec<_>, _> = values.iter().map(|&v| usize::try_from(v)).collect();
        extents.map(Some).map_err(|_| format!("attribute `{name}` with the negative number in {values:?} is not supported"))
    }

    /// That every attribute was read.
    pub fn finish(self) -> Result<(), String> {
        let names: Vec<_> = self.left.iter().map(|a| format!("`{}`", a.name)).collect();
        match names.len() {
            0 => Ok(()),
            1 => Err(format!("attribute {} is not supported", names[0])),
            _ => Err(format!("attributes {} are not supported", names.join(", "))),
        }
    }
}

/// The type of an attribute; old files do not say it, there it is the field that is set.
fn kind_of(attribute: &AttributeProto) -> Option<AttributeKind> {
    match AttributeKind::try_from(attribute.kind).ok()? {
        AttributeKind::Undefined => {}
        kind => return Some(kind),
    }
    let set = [
        (attribute.f.is_some(), AttributeKind::Float),
        (attribute.i.is_some(), AttributeKind::Int),
        (attribute.s.is_some(), AttributeKind::String),
        (attribute.t.is_some(), AttributeKind::Tensor),
        (!attribute.floats.is_empty(), AttributeKind::Floats),
        (!attribute.ints.is_empty(), AttributeKind::Ints),
        (!attribute.strings.is_empty(), AttributeKind::Strings),
    ];
    let mut kinds = set.into_iter().filter_map(|(set, kind)| set.then_some(kind));
    kinds.next().filter(|_| kinds.next().is_none())
}

fn describe(kind: AttributeKind) -> &'static str {
    match kind {
        AttributeKind::Undefined => "nothing",
        AttributeKind::Float => "a float",
        AttributeKind::Int => "an integer",
        AttributeKind::String => "a string",
        AttributeKind::Tensor => "a tensor",
        AttributeKind::Graph => "a graph",
        AttributeKind::Floats => "a list of floats",
        AttributeKind::Ints => "a list of integers",
        AttributeKind::Strings => "a list of strings",
        AttributeKind::Tensors => "a list of tensors",
        AttributeKind::Graphs => "a list of graphs",
        AttributeKind::SparseTensor => "a sparse tensor",
        AttributeKind::SparseTensors => "a list of sparse tensors",
        AttributeKind::TypeProto => "a type",
        AttributeKind::TypeProtos => "a list of types",
    }
}
