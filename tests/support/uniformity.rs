//! Whether every barrier of a kernel is in uniform control flow, as browsers and Metal demand and naga does not check.
//!
//! WGSL's uniformity analysis, made simpler and stricter: a local variable is uniform only if every store to it is.

use std::collections::{BTreeSet, HashMap, HashSet};

use naga::{AddressSpace, Arena, Binding, Block, BuiltIn, Expression, Function, Handle, Module, Span, Statement, StorageAccess, TypeInner};

/// That no barrier of entry point `entry` is in non-uniform control flow or may be passed by an early return.
pub fn check(module: &Module, entry: &Function, source: &str) -> Result<(), String> {
    let mut faults = BTreeSet::new();
    if has_barrier(module, &entry.body) {
        early_returns(&entry.body, true, &mut |span| {
            faults.insert(format!("returns early at {}, and there is a barrier", line(span, source)));
        });
    }
    let arguments = entry.arguments.iter().map(|a| is_uniform_argument(module, a)).collect();
    Analysis::run(module, entry, arguments, true, &mut |span| {
        faults.insert(format!("barrier in non-uniform control flow at {}", line(span, source)));
    });
    if faults.is_empty() { Ok(()) } else { Err(faults.into_iter().collect::<Vec<_>>().join("; ")) }
}

fn line(span: Span, source: &str) -> String {
    let text = source.lines().nth(span.location(source).line_number as usize - 1).unwrap_or_default();
    format!("`{}`", text.trim())
}

fn blocks(statement: &Statement) -> Vec<&Block> {
    match statement {
        Statement::Block(block) => vec![block],
        Statement::If { accept, reject, .. } => vec![accept, reject],
        Statement::Switch { cases, .. } => cases.iter().map(|c| &c.body).collect(),
        Statement::Loop { body, continuing, .. } => vec![body, continuing],
        _ => vec![],
    }
}

fn has_barrier(module: &Module, block: &Block) -> bool {
    block.iter().any(|statement| match statement {
        Statement::ControlBarrier(_) | Statement::WorkGroupUniformLoad { .. } => true,
        Statement::Call { function, .. } => has_barrier(module, &module.functions[*function].body),
        other => blocks(other).into_iter().any(|b| has_barrier(module, b)),
    })
}

/// Every return but the one that ends the function's body.
fn early_returns(block: &Block, top: bool, found: &mut impl FnMut(Span)) {
    for (at, (statement, &span)) in block.span_iter().enumerate() {
        // naga ends a function's last branches with returns of its own, which have no place in the source.
        if matches!(statement, Statement::Return { .. }) && span.is_defined() && !(top && at + 1 == block.len()) {
            found(span);
        }
        for inner in blocks(statement) {
            early_returns(inner, false, found);
        }
    }
}

fn is_uniform_argument(module: &Module, argument: &naga::FunctionArgument) -> bool {
    let uniform = |binding: &Option<Binding>| {
        matches!(binding, Some(Binding::BuiltIn(BuiltIn::WorkGroupId | BuiltIn::NumWorkGroups | BuiltIn::WorkGroupSize)))
    };
    match &module.types[argument.ty].inner {
        TypeInner::Struct { members, .. } if argument.binding.is_none() => members.iter().all(|m| uniform(&m.binding)),
        _ => uniform(&argument.binding),
    }
}

/// How invocations of one workgroup part ways inside a statement.
#[derive(Clone, Copy, Default)]
struct Parted {
    by_break: bool,
    by_continue: bool,
    by_return: bool,
}

impl Parted {
    fn any(self) -> bool {
        self.by_break || self.by_continue || self.by_return
    }

    fn or(self, other: Parted) -> Parted {
        Parted {
            by_break: self.by_break || other.by_break,
            by_continue: self.by_continue || other.by_continue,
            by_return: self.by_return || other.by_return,
        }
    }
}

struct Analysis<'a> {
    module: &'a Module,
    expressions: &'a Arena<Expression>,
    arguments: Vec<bool>,
    varying_locals: HashSet<Handle<naga::LocalVariable>>,
    results: HashMap<Handle<Expression>, bool>,
    known: HashMap<Handle<Expression>, bool>,
    returns_uniform: bool,
    faults: Vec<Span>,
}

impl<'a> Analysis<'a> {
    /// Analyses a call of `function`; returns whether its result is uniform.
    fn run(module: &'a Module, function: &'a Function, arguments: Vec<bool>, flow: bool, fault: &mut dyn FnMut(Span)) -> bool {
        let mut analysis = Self {
            module,
            expressions: &function.expressions,
            arguments,
            varying_locals: HashSet::new(),
            results: HashMap::new(),
            known: HashMap::new(),
            returns_uniform: true,
            faults: vec![],
        };
        // Locals start as uniform and only ever lose it, so this ends.
        loop {
            let before = analysis.varying_locals.len();
            analysis.known.clear();
            analysis.faults.clear();
            analysis.block(&function.body, flow);
            if analysis.varying_locals.len() == before {
                break;
            }
        }
        analysis.faults.iter().for_each(|&span| fault(span));
        analysis.returns_uniform
    }

    fn block(&mut self, block: &'a Block, flow: bool) -> Parted {
        let mut parted = Parted::default();
        for (statement, &span) in block.span_iter() {
            parted = parted.or(self.statement(statement, span, flow && !parted.any()));
        }
        parted
    }

    fn statement(&mut self, statement: &'a Statement, span: Span, flow: bool) -> Parted {
        let parted = Parted::default();
        match statement {
            Statement::ControlBarrier(_) | Statement::WorkGroupUniformLoad { .. } => {
                self.faults.extend((!flow).then_some(span));
            }
            Statement::Block(block) => return self.block(block, flow),
            Statement::If { condition, accept, reject } => {
                let inner = flow && self.uniform(*condition);
                return self.block(accept, inner).or(self.block(reject, inner));
            }
            Statement::Switch { selector, cases } => {
                let inner = flow && self.uniform(*selector);
                let all = cases.iter().fold(parted, |all, case| all.or(self.block(&case.body, inner)));
                return Parted { by_break: false, ..all };
            }
            Statement::Loop { body, continuing, break_if } => {
                let mut all = self.block(body, flow).or(self.block(continuing, flow));
                all.by_break |= break_if.is_some_and(|condition| !self.uniform(condition));
                if flow && all.any() {
                    // Some invocations are gone or behind from the first turn on.
                    self.block(body, false);
                    self.block(continuing, false);
                }
                return Parted { by_return: all.by_return, ..parted };
            }
            Statement::Break => return Parted { by_break: !flow, ..parted },
            Statement::Continue => return Parted { by_continue: !flow, ..parted },
            Statement::Return { value } => {
                self.returns_uniform &= flow && value.is_none_or(|v| self.uniform(v));
                return Parted { by_return: !flow, ..parted };
            }
            Statement::Store { pointer, value } => {
                let same = flow && self.uniform(*value) && self.indices_uniform(*pointer);
                if !same {
                    self.vary(*pointer);
                }
            }
            Statement::Call { function, arguments, result } => {
                // What a function does with a pointer is not followed.
                arguments.iter().for_each(|&a| self.vary(a));
                let uniform = arguments.iter().map(|&a| self.uniform(a)).collect();
                let faults = &mut self.faults;
                let of_result = Self::run(self.module, &self.module.functions[*function], uniform, flow, &mut |span| faults.push(span));
                if let Some(result) = result {
                    self.results.insert(*result, of_result);
                }
            }
            _ => {}
        }
        parted
    }

    /// Marks the local variable behind a pointer, if it is one.
    fn vary(&mut self, pointer: Handle<Expression>) {
        match self.expressions[pointer] {
            Expression::LocalVariable(local) => {
                self.varying_locals.insert(local);
            }
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => self.vary(base),
            _ => {}
        }
    }

    fn indices_uniform(&mut self, pointer: Handle<Expression>) -> bool {
        match self.expressions[pointer] {
            Expression::Access { base, index } => self.uniform(index) && self.indices_uniform(base),
            Expression::AccessIndex { base, .. } => self.indices_uniform(base),
            _ => true,
        }
    }

    fn uniform(&mut self, expression: Handle<Expression>) -> bool {
        if let Some(&known) = self.known.get(&expression) {
            return known;
        }
        let uniform = self.derive(expression);
        self.known.insert(expression, uniform);
        uniform
    }

    fn derive(&mut self, expression: Handle<Expression>) -> bool {
        use Expression as E;
        match &self.expressions[expression] {
            E::Literal(_) | E::Constant(_) | E::Override(_) | E::ZeroValue(_) | E::ArrayLength(_) => true,
            E::WorkGroupUniformLoadResult { .. } => true,
            E::Compose { components, .. } => components.iter().all(|&c| self.uniform(c)),
            E::Splat { value: one, .. } | E::Swizzle { vector: one, .. } | E::Unary { expr: one, .. } => self.uniform(*one),
            E::As { expr: one, .. } | E::AccessIndex { base: one, .. } | E::Load { pointer: one } => self.uniform(*one),
            E::Relational { argument, .. } => self.uniform(*argument),
            E::Access { base, index } => self.uniform(*base) && self.uniform(*index),
            E::Binary { left, right, .. } => self.uniform(*left) && self.uniform(*right),
            E::Select { condition, accept, reject } => self.uniform(*condition) && self.uniform(*accept) && self.uniform(*reject),
            E::Math { arg, arg1, arg2, arg3, .. } => [Some(*arg), *arg1, *arg2, *arg3].into_iter().flatten().all(|a| self.uniform(a)),
            E::FunctionArgument(index) => self.arguments[*index as usize],
            E::GlobalVariable(global) => match self.module.global_variables[*global].space {
                AddressSpace::Uniform => true,
                AddressSpace::Storage { access } => !access.contains(StorageAccess::STORE),
                _ => false,
            },
            E::LocalVariable(local) => !self.varying_locals.contains(local),
            E::CallResult(_) => self.results.get(&expression).copied().unwrap_or(false),
            _ => false,
        }
    }
}
