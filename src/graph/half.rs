//! A network of 32-bit floats as one of 16-bit floats.

use std::collections::HashSet;

use super::{Graph, ValueId};
use crate::ops::Op;
use crate::tensor::{DType, Tensor};

impl Graph {
    /// The same network in half precision: what is `f32` is `f16`, inputs, weights, conversions and constants that operators make alike.
    ///
    /// `scales` and `roi` of `Resize` say how large outputs are and stay. Weights beyond 65504 become infinite. Where an operator takes
    /// no `f16`, as those of quantized networks, [`Device::compile`](crate::Device::compile) says which node.
    pub fn to_f16(&self) -> Graph {
        let half = |tensor: &Tensor| {
            if tensor.dtype() == DType::F32 {
                Tensor::from_f64(DType::F16, tensor.shape(), tensor.to_f64()).expect("as many elements as before")
            } else {
                tensor.clone()
            }
        };
        let mut graph = self.clone();
        let mut sizes: HashSet<ValueId> = HashSet::new();
        for node in &mut graph.nodes {
            match &mut node.op {
                Op::Resize(_) => sizes.extend(node.inputs.iter().skip(1).flatten()),
                Op::Cast(cast) if cast.to == DType::F32 => cast.to = DType::F16,
                Op::EyeLike(eye) if eye.dtype == Some(DType::F32) => eye.dtype = Some(DType::F16),
                Op::ConstantOfShape(constant) => constant.value = half(&constant.value),
                _ => {}
            }
        }
        let computed: HashSet<ValueId> = self.nodes.iter().flat_map(|node| node.outputs.iter().flatten()).copied().collect();
        for (index, value) in graph.values.iter_mut().enumerate() {
            let id = ValueId(index as u32);
            if computed.contains(&id) {
                // What the file or the builder knew of it need not hold; it follows again.
                (value.dtype, value.ty) = (None, None);
            } else if !sizes.contains(&id) {
                value.constant = value.constant.as_ref().map(half);
                for dtype in value.dtype.iter_mut().chain(value.ty.iter_mut().map(|ty| &mut ty.dtype)).filter(|d| **d == DType::F32) {
                    *dtype = DType::F16;
                }
            }
        }
        graph
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Binary, Cast, Conv, Padding, Resize};
    use crate::{Device, GraphBuilder};

    #[test]
    fn everything_that_is_f32_becomes_f16_and_sizes_stay() {
        let mut b = GraphBuilder::new("mixed");
        let (x, n) = (b.input("x", DType::F32, [1, 3, 6, 5]), b.input("n", DType::I64, [1]));
        let w = b.constant("w", Tensor::of([4, 3, 3, 3], (0..108).map(|i| (i as f32 * 0.7).sin()).collect()));
        let conv = b.node("conv", Conv { padding: Padding::symmetric([1, 1]), ..Conv::default() }, &[x, w]).unwrap();
        let float = b.node("float", Cast { to: DType::F32 }, &[n]).unwrap();
        let sum = b.node("sum", Binary::Add, &[conv, float]).unwrap();
        // In half precision this scale would be another number.
        let scales = b.constant("scales", Tensor::vector(vec![1f32, 1.0, 2.0, 2.8334]));
        let resized = b.nodes("resized", Resize::default(), &[Some(sum), None, Some(scales)], 1).unwrap();
        b.output("y", resized[0]);
        let whole = b.finish().unwrap();
        let half = whole.to_f16();
        assert_eq!(half.value(w).constant.as_ref().unwrap().dtype(), DType::F16);
        assert_eq!(half.value(scales).constant, whole.value(scales).constant);
        let x = Tensor::of([1, 3, 6, 5], (0..90).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<f32>>());
        let n = Tensor::vector(vec![2i64]);
        let run = |graph: Graph, x: &Tensor| Device::cpu().compile(graph).unwrap().run(&[("x", x.view()), ("n", n.view())]).unwrap();
        let narrow = Tensor::from_f64(DType::F16, x.shape(), x.to_f64()).unwrap();
        let (expected, got) = (run(whole, &x), run(half, &narrow));
        assert_eq!((got[0].dtype(), got[0].shape()), (DType::F16, expected[0].shape()));
        for (got, expected) in got[0].to_f64().into_iter().zip(expected[0].to_f64()) {
            assert!((got - expected).abs() < 2e-2, "{got} is not {expected}");
        }
    }
}
