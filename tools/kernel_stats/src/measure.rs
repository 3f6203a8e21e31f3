//! Shaders, compiled and measured, many at once.

use std::collections::HashMap;

use macula::plan::{Elem, Variant};
use rayon::prelude::*;
use serde::Serialize;

use crate::bars;
use crate::isa::{HotLoop, hot_loop};
use crate::spirv::parse;
use crate::vulkan::{Compiler, Statistics};

/// A shader to measure: a variant, or files that are none yet.
pub struct Shader {
    /// What it is called.
    pub name: String,
    /// Its WGSL.
    pub source: String,
    /// Its overrides.
    pub constants: Vec<(String, f64)>,
    /// Whether it uses 16-bit floats.
    pub f16: bool,
    /// Whether it uses 64-bit integers.
    pub i64: bool,
    /// Whether the bar for multiply-adds is its own.
    pub main_tile: bool,
}

impl From<&Variant> for Shader {
    fn from(variant: &Variant) -> Self {
        Self {
            name: variant.to_string(),
            source: variant.source(),
            constants: variant.constants().into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            f16: variant.types.contains(&Elem::F16),
            i64: variant.types.contains(&Elem::I64),
            main_tile: bars::is_main_tile(variant),
        }
    }
}

/// What became of a shader.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The shader's name.
    pub name: String,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What a compiler made of a shader, or why it did not.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// It was compiled.
    Measured(Box<Measured>),
    /// It was not.
    NotCompiled {
        /// The reason.
        not_compiled: String,
    },
}

/// A shader in numbers.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// What the driver says.
    pub statistics: Statistics,
    /// Whether the bar for multiply-adds is its own.
    pub main_tile: bool,
    /// The loop with the most multiply-adds.
    pub hot_loop: Option<HotLoop>,
    /// The bars that it breaks.
    pub broken: Vec<String>,
    #[serde(skip)]
    pub assembly: String,
}

/// Compiles and measures all of them on all cores; rows come in the order of the shaders.
pub fn measure(compiler: &Compiler, shaders: &[Shader]) -> Vec<Row> {
    let mut by_source: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, shader) in shaders.iter().enumerate() {
        by_source.entry(&shader.source).or_default().push(index);
    }
    let mut rows: Vec<(usize, Row)> = by_source
        .into_par_iter()
        .flat_map(|(source, indices)| {
            let parsed = parse(source);
            let row = |index: usize| {
                let shader = &shaders[index];
                let translated = parsed.as_ref().map_err(Clone::clone).and_then(|p| p.translate(shader.constants.iter().cloned()));
                let outcome = match missing(compiler, shader).map_or(translated, Err) {
                    Ok(spirv) => compiler.compile(&spirv).map_err(|error| error.to_string()),
                    Err(reason) => Err(reason),
                };
                let outcome = match outcome {
                    Err(not_compiled) => Outcome::NotCompiled { not_compiled },
                    Ok(compiled) => {
                        let hot_loop = hot_loop(&compiled.assembly);
                        let broken = bars::broken(&compiled, hot_loop.as_ref(), shader.main_tile);
                        let (statistics, assembly) = (compiled.statistics, compiled.assembly);
                        Outcome::Measured(Box::new(Measured { statistics, main_tile: shader.main_tile, hot_loop, broken, assembly }))
                    }
                };
                (index, Row { name: shader.name.clone(), outcome })
            };
            indices.into_par_iter().map(row).collect::<Vec<_>>()
        })
        .collect();
    rows.sort_by_key(|(index, _)| *index);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// What the device lacks for a shader.
fn missing(compiler: &Compiler, shader: &Shader) -> Option<String> {
    match shader {
        Shader { f16: true, .. } if !compiler.f16 => Some("the device has no 16-bit floats in shaders".into()),
        Shader { i64: true, .. } if !compiler.i64 => Some("the device has no 64-bit integers in shaders".into()),
        _ => None,
    }
}
