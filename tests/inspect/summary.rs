//! Parameters, costs and output shapes by the textbook.

use macula::ops::{self, BatchNormalization, Binary, Conv, Gemm, MaxPool, Padding, Spatial, Unary, Window};
use macula::{CompileOptions, DType, Device, Graph, GraphBuilder, Pass, Shape, Summary, Tensor, TensorType, ValueId};

/// Layers of zeros: only their shapes count here.
struct Net {
    b: GraphBuilder,
    layers: usize,
}

impl Net {
    fn new(shape: &[usize]) -> (Self, ValueId) {
        let mut b = GraphBuilder::new("net");
        let x = b.input("x", DType::F32, shape.iter().copied());
        (Self { b, layers: 0 }, x)
    }

    fn weight(&mut self, shape: &[usize]) -> ValueId {
        self.layers += 1;
        self.b.constant(format!("w{}", self.layers), Tensor::full(shape, 0f32))
    }

    fn node(&mut self, name: &str, op: impl Into<ops::Op>, inputs: &[ValueId]) -> ValueId {
        self.b.node(name, op, inputs).unwrap()
    }

    /// `out` filters of `k` × `k` × `channels`, with a bias.
    fn conv(&mut self, name: &str, x: ValueId, [out, channels, k]: [usize; 3], stride: usize, padding: usize, groups: usize) -> ValueId {
        let (w, b) = (self.weight(&[out, channels / groups, k, k]), self.weight(&[out]));
        let padding = Padding::symmetric(Spatial::splat(2, padding));
        self.node(name, Conv { stride: Some(Spatial::splat(2, stride)), dilation: None, padding, groups }, &[x, w, b])
    }

    fn pool(&mut self, name: &str, x: ValueId, k: usize, stride: usize) -> ValueId {
        let [kernel_size, stride, dilation] = [k, stride, 1].map(|n| Spatial::splat(2, n));
        let window = Window { kernel_size, stride, dilation, padding: Padding::Valid, ceil_mode: false };
        self.node(name, MaxPool { window, column_major: false }, &[x])
    }

    fn linear(&mut self, name: &str, x: ValueId, [inputs, outputs]: [usize; 2]) -> ValueId {
        let (w, b) = (self.weight(&[outputs, inputs]), self.weight(&[outputs]));
        self.node(name, Gemm { transpose_b: true, ..Gemm::default() }, &[x, w, b])
    }

    fn summary(mut self, y: ValueId, shape: &[usize]) -> Summary {
        self.b.output("y", y);
        summary(self.b.finish().unwrap(), shape, Pass::all())
    }
}

fn summary(file: Graph, shape: &[usize], without: impl IntoIterator<Item = Pass>) -> Summary {
    let session = Device::cpu().compile_with(file.clone(), CompileOptions::new().without(without)).unwrap();
    Summary::new(&file, &session.plan(&[("x", TensorType::new(DType::F32, shape))]).unwrap())
}

/// Name, output shape, parameters and floating-point operations.
fn rows(summary: &Summary) -> Vec<(&str, &Shape, usize, u64)> {
    summary.layers.iter().map(|l| (l.name.as_str(), &l.outputs[0].shape, l.parameters, l.flops.unwrap())).collect()
}

/// A. Krizhevsky, I. Sutskever, G. Hinton, 2012, in one column: 62,378,344 parameters.
#[test]
fn alexnet() {
    let (mut net, x) = Net::new(&[1, 3, 227, 227]);
    let x = net.conv("conv1", x, [96, 3, 11], 4, 0, 1);
    let x = net.node("relu1", Unary::Relu, &[x]);
    let x = net.pool("pool1", x, 3, 2);
    let x = net.conv("conv2", x, [256, 96, 5], 1, 2, 1);
    let x = net.pool("pool2", x, 3, 2);
    let x = net.conv("conv3", x, [384, 256, 3], 1, 1, 1);
    let x = net.conv("conv4", x, [384, 384, 3], 1, 1, 1);
    let x = net.conv("conv5", x, [256, 384, 3], 1, 1, 1);
    let x = net.pool("pool5", x, 3, 2);
    let x = net.node("flatten", ops::Flatten { axis: 1 }, &[x]);
    let x = net.linear("fc6", x, [9216, 4096]);
    let x = net.linear("fc7", x, [4096, 4096]);
    let y = net.linear("fc8", x, [4096, 1000]);
    let summary = net.summary(y, &[1, 3, 227, 227]);
    let shape = |dims: &[usize]| Shape::from(dims);
    let layer = |name: &str| rows(&summary).into_iter().find(|row| row.0 == name).unwrap();
    // 2 · 363 · 55 · 55 · 96 for products and sums, 55 · 55 · 96 for the bias.
    assert_eq!(layer("conv1"), ("conv1", &shape(&[1, 96, 55, 55]), 34_944, 727 * 290_400));
    assert_eq!(layer("pool1").1, &shape(&[1, 96, 27, 27]));
    assert_eq!(layer("conv2"), ("conv2", &shape(&[1, 256, 27, 27]), 614_656, 4801 * 186_624));
    assert_eq!(layer("conv3").2, 885_120);
    assert_eq!(layer("conv4").2, 1_327_488);
    assert_eq!(layer("conv5").2, 884_992);
    assert_eq!(layer("pool5").1, &shape(&[1, 256, 6, 6]));
    assert_eq!((layer("fc6").2, layer("fc7").2, layer("fc8").2), (37_752_832, 16_781_312, 4_097_000));
    assert_eq!(layer("fc8").3, 2 * 4_096_000 + 1000);
    assert_eq!(summary.parameters, 62_378_344);
    let fields: Vec<_> = ["conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5"]
        .iter()
        .map(|name| summary.layers.iter().find(|l| l.name == *name).unwrap().receptive_fields[0].1.axes[0].size)
        .collect();
    // Araujo, Norris, Sim: AlexNet's fields.
    assert_eq!(fields, [11, 19, 51, 67, 99, 131, 163, 195]);
    let fc = &summary.layers.last().unwrap().receptive_fields[0].1.axes;
    assert!(fc.iter().all(|axis| axis.whole));
}

/// One stage of VGG-16 and a depthwise separable convolution.
#[test]
fn vgg_and_mobilenet_layers() {
    let (mut net, x) = Net::new(&[2, 64, 112, 96]);
    let x = net.conv("conv2_1", x, [128, 64, 3], 1, 1, 1);
    let x = net.pool("pool2", x, 2, 2);
    let x = net.conv("depthwise", x, [128, 128, 3], 2, 1, 128);
    let y = net.conv("pointwise", x, [256, 128, 1], 1, 0, 1);
    let summary = net.summary(y, &[2, 64, 112, 96]);
    let [a, b, c, d] = [[2, 128, 112, 96], [2, 128, 56, 48], [2, 128, 28, 24], [2, 256, 28, 24]].map(Shape::from);
    assert_eq!(
        rows(&summary),
        [
            ("conv2_1", &a, 73_856, 1153 * 2 * 128 * 112 * 96),
            ("pool2", &b, 0, 4 * 2 * 128 * 56 * 48),
            ("depthwise", &c, 1_280, 19 * 2 * 128 * 28 * 24),
            ("pointwise", &d, 33_024, 257 * 2 * 256 * 28 * 24),
        ]
    );
    assert_eq!(summary.flops, Some(rows(&summary).iter().map(|row| row.3).sum()));
}

/// A convolution without bias and its normalization, as residual networks have them.
fn conv_norm(net: &mut Net, name: &str, x: ValueId, [out, channels, k]: [usize; 3], stride: usize) -> ValueId {
    let w = net.weight(&[out, channels, k, k]);
    let padding = Padding::symmetric(Spatial::splat(2, k / 2));
    let conv = net.node(name, Conv { stride: Some(Spatial::splat(2, stride)), dilation: None, padding, groups: 1 }, &[x, w]);
    let mut inputs = vec![conv];
    inputs.extend((0..4).map(|_| net.weight(&[out])));
    net.node(&format!("{name}.norm"), BatchNormalization { eps: 1e-5, momentum: 0.9, training: false }, &inputs)
}

/// K. He and others, 2015, as torchvision has it: 11,689,512 parameters, 1.814 · 10⁹ multiply-adds.
#[test]
fn resnet18() {
    let shape = [1, 3, 224, 224];
    let (mut net, x) = Net::new(&shape);
    let x = conv_norm(&mut net, "conv1", x, [64, 3, 7], 2);
    let x = net.node("relu", Unary::Relu, &[x]);
    let [kernel_size, stride, dilation] = [3, 2, 1].map(|n| Spatial::splat(2, n));
    let window = Window { kernel_size, stride, dilation, padding: Padding::symmetric([1, 1]), ceil_mode: false };
    let mut x = net.node("pool", MaxPool { window, column_major: false }, &[x]);
    let mut channels = 64;
    for (stage, out) in [64, 128, 256, 512].into_iter().enumerate() {
        for block in 0..2 {
            let (name, stride) = (format!("layer{}.{block}", stage + 1), if stage > 0 && block == 0 { 2 } else { 1 });
            let a = conv_norm(&mut net, &format!("{name}.conv1"), x, [out, channels, 3], stride);
            let a = net.node(&format!("{name}.relu1"), Unary::Relu, &[a]);
            let a = conv_norm(&mut net, &format!("{name}.conv2"), a, [out, out, 3], 1);
            let short = if channels == out { x } else { conv_norm(&mut net, &format!("{name}.short"), x, [out, channels, 1], stride) };
            let sum = net.node(&format!("{name}.add"), Binary::Add, &[a, short]);
            x = net.node(&format!("{name}.relu2"), Unary::Relu, &[sum]);
            channels = out;
        }
    }
    let pooled = net.node("mean", ops::GlobalPool { kind: ops::PoolKind::Average }, &[x]);
    let flat = net.node("flatten", ops::Flatten { axis: 1 }, &[pooled]);
    let y = net.linear("fc", flat, [512, 1000]);
    net.b.output("y", y);
    let file = net.b.finish().unwrap();
    for without in [Pass::all().collect(), vec![]] {
        let summary = summary(file.clone(), &shape, without);
        assert_eq!(summary.parameters, 11_689_512);
        assert_eq!(summary.layers.iter().map(|layer| layer.parameters).sum::<usize>(), 11_689_512);
        let products = summary.layers.iter().filter(|layer| ["Conv", "Gemm"].contains(&layer.op)).filter_map(|layer| layer.flops);
        let multiply_adds = products.sum::<u64>() as f64 / 2e9;
        // Biases and fused activations are operations too, a few thousandths of all.
        assert!((1.814..1.822).contains(&multiply_adds), "{multiply_adds}");
        let field = summary.layers.iter().find(|layer| layer.origins.iter().any(|name| name == "layer4.1.add"));
        let axis = &field.unwrap().receptive_fields[0].1.axes[0];
        // Araujo, Norris, Sim: 435 pixels, 32 apart.
        assert_eq!((axis.size, axis.stride, axis.centre), (435, Some(32.0), 0.0));
    }
}

/// A convolution without bias, its normalization folded into it.
fn normalized() -> Graph {
    let (mut net, x) = Net::new(&[1, 4, 9, 7]);
    let w = net.weight(&[6, 4, 3, 3]);
    let conv = net.node("conv", Conv::default(), &[x, w]);
    // Not zero, so that the convolution gets a bias.
    let statistics: Vec<_> = (0..4).map(|i| net.b.constant(format!("s{i}"), Tensor::full([6], 0.5f32))).collect();
    let norm = BatchNormalization { eps: 1e-5, momentum: 0.9, training: false };
    let y = net.node("norm", norm, &[conv, statistics[0], statistics[1], statistics[2], statistics[3]]);
    net.b.output("y", y);
    net.b.finish().unwrap()
}

#[test]
fn folding_changes_what_runs_and_not_the_parameters() {
    let but_folding = Pass::all().filter(|pass| *pass != Pass::FoldAffine);
    let (folded, whole) = (summary(normalized(), &[1, 4, 9, 7], but_folding), summary(normalized(), &[1, 4, 9, 7], Pass::all()));
    // 6 · (3 · 3 · 4) weights, a scale and a shift for each channel; running means and variances are statistics.
    assert_eq!((folded.parameters, whole.parameters), (216 + 12, 216 + 12));
    assert_eq!((folded.layers.len(), whole.layers.len()), (1, 2));
    assert_eq!((folded.layers[0].parameters, &folded.layers[0].origins[..]), (228, &["conv".to_owned(), "norm".into()][..]));
    assert_eq!(whole.layers.iter().map(|l| l.parameters).collect::<Vec<_>>(), [216, 12]);
    assert!(folded.flops < whole.flops);
    assert_eq!(Summary::of_file(&normalized()).parameters, 228);
}

#[test]
fn shared_weights_count_once_in_the_sum_and_numbers_not_at_all() {
    let (mut net, x) = Net::new(&[5, 3]);
    let w = net.weight(&[3, 3]);
    let a = net.node("a", ops::MatMul, &[x, w]);
    let b = net.node("b", ops::MatMul, &[a, w]);
    let half = net.b.constant("half", Tensor::scalar(0.5f32));
    let c = net.node("c", Binary::Mul, &[b, half]);
    let two = net.b.constant("two", Tensor::vector(vec![2f32]));
    let c = net.node("power", Binary::Pow, &[c, two]);
    let bias = net.weight(&[3]);
    // Computed from constants: the weight belongs to who reads the result.
    let negated = net.node("negated", Unary::Neg, &[bias]);
    let y = net.node("d", Binary::Add, &[c, negated]);
    let summary = net.summary(y, &[5, 3]);
    assert_eq!(
        summary.layers.iter().map(|l| (l.name.as_str(), l.parameters)).collect::<Vec<_>>(),
        [("a", 9), ("b", 9), ("c", 0), ("power", 0), ("d", 3)]
    );
    assert_eq!(summary.parameters, 12);
    // An input of two axes has no space to see.
    assert!(summary.layers.iter().all(|l| l.receptive_fields.is_empty()));
}

#[test]
fn memory_is_known_where_it_is_planned() {
    let summary = summary(normalized(), &[1, 4, 9, 7], []);
    let memory = summary.memory.unwrap();
    assert_eq!((memory.weights_bytes, memory.peak_bytes), (4 * (216 + 6), None));
    assert_eq!(summary.dispatches, Some(0));
    let session = crate::support::gpu().compile(normalized()).unwrap();
    let plan = session.plan(&[("x", TensorType::new(DType::F32, [1, 4, 9, 7]))]).unwrap();
    let gpu = Summary::new(&normalized(), &plan);
    let memory = gpu.memory.unwrap();
    // As kernels read them: padded, transformed.
    assert!(memory.weights_bytes == plan.weights_bytes() && memory.weights_bytes >= 4 * (216 + 6));
    let (peak, bound, all) = (memory.peak_bytes.unwrap(), memory.lower_bound_bytes.unwrap(), memory.no_reuse_bytes.unwrap());
    assert!(bound > 0 && bound <= peak && peak <= all);
    assert_eq!(gpu.dispatches, Some(1));
}
