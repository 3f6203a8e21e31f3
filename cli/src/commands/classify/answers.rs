//! What the network's output means, and how answers are shown.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use macula::{Session, Tensor, TensorType};
use serde::Serialize;

use crate::failure::{Failure, complain};
use crate::model::{ImageInput, Scores, top};
use crate::{labels, terminal};

#[derive(Serialize)]
struct Answer<'a> {
    file: &'a str,
    model: &'a str,
    device: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    top: Option<Vec<Class<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct Class<'a> {
    index: usize,
    label: Option<&'a str>,
    probability: f64,
}

/// What the network's output means.
pub struct Classifier<'a> {
    pub scores: Scores,
    pub labels: Option<Vec<String>>,
    pub label_file: Option<&'a Path>,
    pub model: &'a str,
}

impl Classifier<'_> {
    fn check_labels(&self, classes: usize) -> Result<(), Failure> {
        match (&self.labels, self.label_file) {
            (Some(labels), Some(file)) => labels::check(labels, file, self.model, classes),
            _ => Ok(()),
        }
    }

    /// Prepares the network for batches of pictures, and fails before anything runs where its output is not understood.
    pub fn check_plan(&self, session: &Session, input: &ImageInput, batch: usize, [height, width]: [usize; 2]) -> Result<(), Failure> {
        let ty = TensorType::new(input.dtype, [batch, input.channels, height, width]);
        let plan = match session.plan(&[(&input.name, ty)]) {
            Ok(plan) => plan,
            // Shapes that depend on the pictures' values are known after the run, which checks again.
            Err(macula::Error::NeedsElements(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        match plan.graph.outputs().first() {
            Some(&output) => self.check_output(&plan.tensor_type(output), batch),
            None => Err(Failure::failed(format!("{} has no output", self.model))),
        }
    }

    /// That an output is one score a class and picture, `[batch, classes]` with axes of 1 anywhere after the first.
    fn check_output(&self, ty: &TensorType, batch: usize) -> Result<(), Failure> {
        let spread = ty.shape.iter().skip(1).filter(|&&extent| extent != 1).count();
        let classes: usize = ty.shape.iter().skip(1).product();
        if ty.shape.rank() < 2 || ty.shape[0] != batch || spread > 1 || classes == 0 || !ty.dtype.is_float() {
            return Err(Failure::failed(format!("{}: its output {ty} is not one score a class; use `macula run`", self.model)));
        }
        self.check_labels(classes)
    }

    /// The probabilities of each picture of a batch.
    pub fn probabilities(&self, output: &Tensor, batch: usize) -> Result<Vec<Vec<f64>>, Failure> {
        self.check_output(&TensorType::new(output.dtype(), output.shape()), batch)?;
        let classes = output.len() / batch;
        Ok(output.to_f64().chunks_exact(classes).map(|scores| self.scores.probabilities(scores)).collect())
    }
}

/// How answers are shown.
pub struct Printer<'a> {
    pub json: bool,
    pub model: &'a str,
    pub device: &'a str,
    pub top: usize,
}

impl Printer<'_> {
    /// A class's label, not too long, or its number.
    pub fn class_name(&self, index: usize, labels: Option<&[String]>) -> String {
        labels.and_then(|l| l.get(index)).map_or_else(|| format!("class {index}"), |l| shorten(l, 36))
    }

    pub fn answer(
        &self,
        out: &mut dyn Write,
        file: &str,
        probabilities: &[f64],
        labels: Option<&[String]>,
        time: Duration,
    ) -> Result<(), Failure> {
        let label = |index: usize| labels.and_then(|l| l.get(index)).map(String::as_str);
        let classes: Vec<_> = top(probabilities, self.top);
        if self.json {
            let top = classes.into_iter().map(|(index, probability)| Class { index, label: label(index), probability }).collect();
            let ms = Some(time.as_secs_f64() * 1e3);
            return self.object(out, &Answer { file, model: self.model, device: self.device, top: Some(top), ms, error: None });
        }
        let name = |index: usize| self.class_name(index, labels);
        let width = classes.iter().map(|(index, _)| name(*index).chars().count()).max().unwrap_or(0);
        let (bold, color) = (Style::new().bold(), AnsiColor::Green.on_default());
        writeln!(out, "\n{bold}{file}{bold:#}")?;
        for (place, (index, probability)) in classes.into_iter().enumerate() {
            let strong = if place == 0 { bold } else { Style::new() };
            let bar = terminal::bar(probability, 32);
            let gap = " ".repeat(32usize.saturating_sub(bar.chars().count()));
            let percent = probability * 100.0;
            writeln!(out, "  {strong}{:<width$}{strong:#}  {color}{bar}{color:#}{gap} {percent:5.1} %", name(index))?;
        }
        Ok(())
    }

    pub fn failure(&self, out: &mut dyn Write, file: &str, error: &str) -> Result<(), Failure> {
        complain(&format!("{file}: {error}"));
        if self.json {
            self.object(out, &Answer { file, model: self.model, device: self.device, top: None, ms: None, error: Some(error) })?;
        }
        Ok(())
    }

    fn object(&self, out: &mut dyn Write, answer: &Answer<'_>) -> Result<(), Failure> {
        let line = serde_json::to_string(answer).map_err(|e| Failure::failed(e.to_string()))?;
        writeln!(out, "{line}")?;
        Ok(())
    }
}

/// At most `length` characters of a label, of its synonyms as many as fit.
fn shorten(label: &str, length: usize) -> String {
    let mut text = label;
    while text.chars().count() > length {
        match text.rsplit_once(", ") {
            Some((shorter, _)) => text = shorter,
            None => return text.chars().take(length - 1).chain(['…']).collect(),
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_labels_lose_synonyms_first() {
        assert_eq!(shorten("tabby, tabby cat", 36), "tabby, tabby cat");
        assert_eq!(shorten("great white shark, white shark, man-eater, man-eating shark", 36), "great white shark, white shark");
        assert_eq!(shorten("abcdefgh", 4), "abc…");
    }

    #[test]
    fn outputs_are_one_score_a_class() {
        let classifier = Classifier { scores: Scores::Probabilities, labels: None, label_file: None, model: "m.onnx" };
        let ok = |shape: &[usize]| {
            classifier.probabilities(&Tensor::full(shape, 0.25f32), 2).map(|p| p.iter().map(Vec::len).collect::<Vec<_>>())
        };
        assert_eq!(ok(&[2, 4]).unwrap(), [4, 4]);
        assert_eq!(ok(&[2, 4, 1, 1]).unwrap(), [4, 4]);
        assert_eq!(ok(&[2, 1, 1, 4]).unwrap(), [4, 4]);
        for shape in [&[2, 4, 3][..], &[1, 4], &[4], &[2, 0]] {
            assert!(ok(shape).unwrap_err().to_string().contains("not one score a class"));
        }
    }
}
