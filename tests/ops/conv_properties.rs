//! What textbooks say of convolution, of every kernel on the GPU and of the CPU device.

use macula::ops::{BatchNormalization, Conv, ConvTranspose, Op, Padding, Tolerance};
use macula::{Comparison, CompileOptions, DType, Device, GraphBuilder, Pass, Tensor};

use crate::support::{gpu, random};

/// Runs one node with a constant weight on both devices.
fn run(device: &Device, op: impl Into<Op>, x: &Tensor, w: &Tensor) -> Tensor {
    let mut b = GraphBuilder::new("property");
    let input = b.input("x", x.dtype(), x.shape().to_vec());
    let weight = b.constant("w", w.clone());
    let y = b.node("node", op, &[input, weight]).unwrap();
    b.output("y", y);
    let session = device.compile(b.finish().unwrap()).unwrap();
    session.run(&[("x", x.view())]).unwrap().into_tensors().remove(0)
}

fn devices() -> [Device; 2] {
    [Device::cpu(), gpu().clone()]
}

fn dot(a: &Tensor, b: &Tensor) -> f64 {
    a.to_f64().iter().zip(b.to_f64()).map(|(a, b)| a * b).sum()
}

fn assert_close(a: &Tensor, b: &Tensor) {
    let comparison = Comparison::new(a, b, Tolerance::accumulation(DType::F32));
    assert!(comparison.passed(), "{comparison}");
}

/// A part of every map: rows and columns from `start`, `size` of them.
fn window(t: &Tensor, start: [usize; 2], size: [usize; 2]) -> Tensor {
    let [n, c, h, w] = t.shape().dims()[..] else { panic!("four axes") };
    let values = t.data::<f32>().unwrap();
    let mut out = vec![];
    for map in 0..n * c {
        for y in start[0]..start[0] + size[0] {
            out.extend_from_slice(&values[(map * h + y) * w + start[1]..][..size[1]]);
        }
    }
    Tensor::new([n, c, size[0], size[1]], out).unwrap()
}

/// Two windows of one image, two rows and three columns apart: their convolutions agree where both have them.
#[test]
fn a_shifted_input_shifts_the_output() {
    let (image, w) = (random(1, [2, 3, 13, 17], -1.0..1.0), random(2, [5, 3, 3, 2], -1.0..1.0));
    for device in devices() {
        let here = run(&device, Conv::default(), &window(&image, [0, 0], [11, 14]), &w);
        let there = run(&device, Conv::default(), &window(&image, [2, 3], [11, 14]), &w);
        assert_close(&window(&here, [2, 3], [7, 10]), &window(&there, [0, 0], [7, 10]));
    }
}

/// `Conv` is a cross-correlation: with a flipped kernel it is the convolution `Σ w[j, i] · x[y − j, x − i]`.
#[test]
fn with_a_flipped_kernel_it_is_the_convolution_of_mathematics() {
    let (x, w) = (random(1, [1, 1, 7, 9], -1.0..1.0), random(2, [1, 1, 3, 4], -1.0..1.0));
    let (values, weights) = (x.to_f64(), w.to_f64());
    let mut expected = vec![0f32; 9 * 12];
    for y in 0..9 {
        for column in 0..12 {
            let mut sum = 0.0;
            for j in 0..=y.min(2) {
                for i in 0..=column.min(3) {
                    if y - j < 7 && column - i < 9 {
                        sum += weights[j * 4 + i] * values[(y - j) * 9 + column - i];
                    }
                }
            }
            expected[y * 12 + column] = sum as f32;
        }
    }
    let flipped = Tensor::new([1, 1, 3, 4], w.data::<f32>().unwrap().iter().rev().copied().collect()).unwrap();
    let full = Conv { padding: Padding::symmetric([2, 3]), ..Conv::default() };
    for device in devices() {
        assert_close(&run(&device, full, &x, &flipped), &Tensor::new([1, 1, 9, 12], expected.clone()).unwrap());
        // The same by definition: what the transposed convolution computes with stride 1.
        assert_close(&run(&device, ConvTranspose::default(), &x, &w), &Tensor::new([1, 1, 9, 12], expected.clone()).unwrap());
    }
}

/// ⟨conv(x), y⟩ = ⟨x, conv_transpose(y)⟩ with the same weight and attributes.
#[test]
fn the_transpose_is_the_adjoint() {
    let padding = Padding::Explicit { before: [1, 0].into(), after: [0, 2].into() };
    let (stride, dilation) = (Some([2, 3].into()), Some([1, 2].into()));
    let (x, w, y) = (random(1, [2, 6, 7, 9], -1.0..1.0), random(2, [4, 3, 2, 3], -1.0..1.0), random(3, [2, 4, 4, 3], -1.0..1.0));
    for device in devices() {
        let forward = run(&device, Conv { stride, dilation, padding, groups: 2 }, &x, &w);
        let back = ConvTranspose { stride, dilation, padding, groups: 2, ..ConvTranspose::default() };
        let back = run(&device, back, &y, &w);
        assert_eq!(back.shape(), x.shape());
        let (a, b) = (dot(&forward, &y), dot(&x, &back));
        assert!((a - b).abs() <= 1e-4 * a.abs().max(1.0), "{a} and {b}");
    }
}

/// Convolution and normalization as one node and as two.
#[test]
fn a_folded_normalization_equals_the_two_run_apart() {
    let mut b = GraphBuilder::new("fold");
    let x = b.input("x", DType::F32, [2, 3, 7, 6]);
    let w = b.constant("w", random(1, [5, 3, 3, 2], -1.0..1.0));
    let bias = b.constant("b", random(2, [5], -1.0..1.0));
    let conv = Conv { stride: Some([2, 1].into()), padding: Padding::SameUpper, ..Conv::default() };
    let conv = b.node("conv", conv, &[x, w, bias]).unwrap();
    let statistics: Vec<_> = (0..4).map(|i| b.constant(format!("s{i}"), random(3 + i, [5], 0.5..2.0))).collect();
    let norm = BatchNormalization { eps: 1e-5, momentum: 0.9, training: false };
    let y = b.node("norm", norm, &[&[conv], &statistics[..]].concat()).unwrap();
    b.output("y", y);
    let graph = b.finish().unwrap();
    let x = random(9, [2, 3, 7, 6], -1.0..1.0);
    for device in devices() {
        let run = |skip| {
            let session = device.compile_with(graph.clone(), CompileOptions::new().without(Pass::all().filter(|_| skip))).unwrap();
            let nodes = session.plans_for(&[("x", x.view())]).unwrap()[0].graph.nodes().len();
            (session.run(&[("x", x.view())]).unwrap().into_tensors().remove(0), nodes)
        };
        let ((folded, one), (apart, two)) = (run(false), run(true));
        assert_eq!((one, two), (1, 2));
        assert_close(&folded, &apart);
    }
}
