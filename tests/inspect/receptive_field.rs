//! Every pixel of the input is changed in turn: what changes must be within the field, and reach its ends.

use macula::ops::{self, Binary, Conv, ConvTranspose, Padding, ReduceFunction, ResizeCoordinates, ResizeMode, Spatial, Unary, Window};
use macula::{DType, Device, GraphBuilder, ReceptiveField, ReceptiveFields, Session, Tensor, ValueId};

use crate::support::{integers, random};

/// A network of one picture, with positive weights so that nothing cancels.
struct Net {
    b: GraphBuilder,
    channels: usize,
    next: u64,
}

impl Net {
    fn weight(&mut self, shape: Vec<usize>) -> ValueId {
        self.next += 1;
        self.b.constant(format!("w{}", self.next), random(self.next, shape, 0.5..1.5))
    }

    fn node(&mut self, op: impl Into<ops::Op>, inputs: &[ValueId]) -> ValueId {
        self.next += 1;
        self.b.node(format!("n{}", self.next), op, inputs).unwrap()
    }

    /// A convolution that keeps the number of channels, of which there are `channels`.
    fn conv(&mut self, x: ValueId, channels: [usize; 2], kernel: &[usize], op: Conv) -> ValueId {
        let w = self.weight([&[channels[1], channels[0] / op.groups], kernel].concat());
        self.node(op, &[x, w])
    }

    fn same(&mut self, x: ValueId, kernel: &[usize], op: Conv) -> ValueId {
        self.conv(x, [self.channels; 2], kernel, op)
    }

    fn transpose(&mut self, x: ValueId, kernel: &[usize], op: ConvTranspose) -> ValueId {
        let w = self.weight([&[self.channels, self.channels], kernel].concat());
        self.node(op, &[x, w])
    }

    fn resize(&mut self, x: ValueId, mode: ResizeMode, coordinates: ResizeCoordinates, scales: &[f32]) -> ValueId {
        let scales = self.b.constant(format!("scales{}", self.next), Tensor::vector(scales.to_vec()));
        self.node(ops::Resize { mode, coordinates, ..Default::default() }, &[x, scales])
    }

    fn integers(&mut self, values: &[i64]) -> ValueId {
        self.next += 1;
        self.b.constant(format!("c{}", self.next), integers(values))
    }
}

/// A padded, strided, dilated window.
fn conv(stride: impl Into<Spatial>, dilation: impl Into<Spatial>, before: impl Into<Spatial>, after: impl Into<Spatial>) -> Conv {
    let padding = Padding::Explicit { before: before.into(), after: after.into() };
    Conv { stride: Some(stride.into()), dilation: Some(dilation.into()), padding, groups: 1 }
}

fn plain() -> Conv {
    conv([1, 1], [1, 1], [1, 1], [1, 1])
}

fn window(kernel_size: impl Into<Spatial>, stride: impl Into<Spatial>, before: impl Into<Spatial>, after: impl Into<Spatial>) -> Window {
    let (kernel_size, padding) = (kernel_size.into(), Padding::Explicit { before: before.into(), after: after.into() });
    Window { kernel_size, stride: stride.into(), dilation: Spatial::splat(kernel_size.len(), 1), padding, ceil_mode: true }
}

/// What makes a network's output of its input.
type Build<'a> = &'a dyn Fn(&mut Net, ValueId) -> ValueId;

/// A network made ready, and what its output sees.
struct Seen {
    session: Session,
    x: Tensor,
    fields: ReceptiveFields,
    output: ValueId,
    input: ValueId,
}

impl Seen {
    fn of(shape: &[usize], build: impl Fn(&mut Net, ValueId) -> ValueId) -> Self {
        let mut net = Net { b: GraphBuilder::new("net"), channels: shape[1], next: 0 };
        let input = net.b.input("x", DType::F32, shape.iter().copied());
        let output = build(&mut net, input);
        net.b.output("y", output);
        let session = Device::cpu().compile(net.b.finish().unwrap()).unwrap();
        let x = random(99, shape, 0.5..1.5);
        let plan = session.plan(&[("x", macula::TensorType::new(DType::F32, shape))]).unwrap();
        Self { fields: ReceptiveFields::new(&plan), output: plan.graph.outputs()[0], input: plan.graph.inputs()[0], session, x }
    }

    fn field(&self) -> ReceptiveField {
        self.fields.get(self.output, self.input).expect("the output sees the input")
    }

    /// Size, stride (0 for none) and centre of each axis.
    fn numbers(&self) -> Vec<(usize, f64, f64)> {
        self.field().axes.iter().map(|axis| (axis.size, axis.stride.unwrap_or(0.0), axis.centre)).collect()
    }

    /// Where the field, widened by `more` at its ends, and what changes disagree.
    fn disagreements(&self, more: [i64; 2]) -> Vec<String> {
        let shape = self.x.shape().clone();
        let spatial = &shape[2..];
        let run = |x: &Tensor| self.session.run(&[("x", x.view())]).unwrap().into_tensors().remove(0);
        let before = run(&self.x);
        let units = before.len();
        // For each unit the first and the last pixel on each axis that changed it.
        let mut changed: Vec<Vec<Option<[i64; 2]>>> = vec![vec![None; spatial.len()]; units];
        let mut outside: Vec<String> = vec![];
        let field = |unit: usize| {
            let range = self.fields.at(self.output, self.input, &before.shape().coordinates(unit));
            range.map(|axes| axes.into_iter().map(|[a, b]| [a - more[0], b + more[1]]).collect::<Vec<_>>())
        };
        let fields: Vec<_> = (0..units).map(field).collect();
        for pixel in 0..spatial.iter().product() {
            let at = macula::Shape::from(spatial).coordinates(pixel);
            let mut values = self.x.data::<f32>().unwrap().to_vec();
            let pixels = spatial.iter().product::<usize>();
            // Of the first picture alone.
            (0..shape[1]).for_each(|c| values[c * pixels + pixel] += 100.0);
            let after = run(&Tensor::new(&shape, values).unwrap());
            for unit in 0..units {
                if before.data::<f32>().unwrap()[unit] == after.data::<f32>().unwrap()[unit] {
                    continue;
                }
                for (axis, &at) in at.iter().enumerate() {
                    let at = at as i64;
                    let seen = changed[unit][axis].get_or_insert([at, at]);
                    *seen = [seen[0].min(at), seen[1].max(at)];
                }
                let inside = |ranges: &Vec<[i64; 2]>| ranges.iter().zip(&at).all(|(r, &at)| (r[0]..=r[1]).contains(&(at as i64)));
                if !fields[unit].as_ref().is_some_and(inside) {
                    outside.push(format!("pixel {at:?} changes unit {unit}, whose field is {:?}", fields[unit]));
                }
            }
        }
        let mut compared = 0;
        for (unit, field) in fields.iter().enumerate() {
            let Some(field) = field else { continue };
            let within = |(range, &extent): (&[i64; 2], &usize)| range[0] >= 0 && range[1] < extent as i64;
            if before.shape().coordinates(unit)[0] == 0 && field.iter().zip(spatial).all(within) {
                compared += 1;
                let seen: Option<Vec<[i64; 2]>> = changed[unit].iter().copied().collect();
                if seen.as_ref() != Some(field) {
                    outside.push(format!("unit {unit} sees {seen:?}, its field is {field:?}"));
                }
            }
        }
        if compared == 0 {
            outside.push("no unit's field lies within the input".into());
        }
        outside
    }

    /// The field is what pixels say, and is not when it is one wider or one narrower at either end.
    fn check(&self) -> &Self {
        let wrong = self.disagreements([0, 0]);
        assert!(wrong.is_empty(), "{} disagreements, such as {}", wrong.len(), wrong[0]);
        for more in [[1, 0], [0, 1], [-1, 0], [0, -1]] {
            assert!(!self.disagreements(more).is_empty(), "a field with {more:?} more is not noticed");
        }
        self
    }
}

#[test]
fn strides_dilation_and_asymmetric_padding() {
    let seen = Seen::of(&[2, 3, 17, 22], |net, x| {
        let x = net.same(x, &[3, 2], conv([2, 1], [1, 1], [1, 0], [0, 2]));
        let x = net.node(Unary::Relu, &[x]);
        net.same(x, &[2, 3], conv([1, 2], [3, 2], [2, 1], [0, 3]))
    });
    // Height: (2 − 1) · 3 · 2 + 3 = 9 from −2 · 2 − 1 = −5; width: (3 − 1) · 2 + 2 = 6 from −1.
    assert_eq!(seen.check().numbers(), [(9, 2.0, -1.0), (6, 2.0, 1.5)]);
}

#[test]
fn pools_and_grouped_and_pointwise_convolutions() {
    let seen = Seen::of(&[1, 4, 19, 15], |net, x| {
        let x = net.same(x, &[3, 3], Conv { groups: 4, ..plain() });
        let x = net.node(ops::MaxPool { window: window([3, 2], [2, 2], [1, 0], [1, 1]), column_major: false }, &[x]);
        let x = net.conv(x, [4, 6], &[1, 1], Conv { groups: 2, ..conv([1, 1], [1, 1], [0, 0], [0, 0]) });
        net.node(ops::AveragePool { window: window([2, 3], [1, 2], [0, 1], [0, 1]), count_include_pad: false }, &[x])
    });
    assert_eq!(seen.check().numbers(), [(7, 2.0, 1.0), (8, 4.0, 0.5)]);
}

#[test]
fn branches_of_different_depth_and_residuals() {
    let seen = Seen::of(&[1, 2, 16, 21], |net, x| {
        let deep = net.same(x, &[3, 3], plain());
        let deep = net.same(deep, &[3, 5], conv([1, 1], [1, 1], [1, 1], [1, 3]));
        let short = net.same(x, &[1, 1], conv([1, 1], [1, 1], [0, 0], [0, 0]));
        let all = net.node(ops::Concat { axis: 1 }, &[deep, short]);
        let all = net.conv(all, [4, 2], &[1, 1], conv([1, 1], [1, 1], [0, 0], [0, 0]));
        let aside = net.same(all, &[2, 1], conv([1, 1], [1, 1], [0, 0], [1, 0]));
        net.node(Binary::Add, &[all, aside])
    });
    assert_eq!(seen.check().numbers(), [(6, 1.0, 0.5), (7, 1.0, 1.0)]);
}

#[test]
fn transposed_convolutions() {
    for (kernel, stride, dilation, cut, more) in
        [([4, 3], [2, 2], [1, 1], [1, 1], [0, 1]), ([3, 2], [1, 3], [2, 1], [0, 0], [0, 0]), ([5, 4], [3, 2], [1, 3], [2, 1], [1, 0])]
    {
        let seen = Seen::of(&[1, 2, 11, 9], |net, x| {
            let op = ConvTranspose {
                stride: Some(stride.into()),
                dilation: Some(dilation.into()),
                padding: Padding::Explicit { before: cut.into(), after: [0, 1].into() },
                output_padding: Some(more.into()),
                ..ConvTranspose::default()
            };
            let x = net.same(x, &[3, 2], plain());
            let x = net.transpose(x, &kernel, op);
            net.same(x, &[2, 2], conv([1, 1], [1, 1], [0, 1], [0, 0]))
        });
        seen.check();
        let strides: Vec<_> = seen.numbers().iter().map(|axis| axis.1).collect();
        assert_eq!(strides, stride.map(|s| 1.0 / s as f64));
    }
}

#[test]
fn an_encoder_and_decoder_with_a_skip() {
    let seen = Seen::of(&[1, 2, 24, 20], |net, x| {
        let top = net.same(x, &[3, 3], plain());
        let down = net.same(top, &[3, 3], conv([2, 2], [1, 1], [1, 1], [1, 1]));
        let up = ConvTranspose { stride: Some([2, 2].into()), ..ConvTranspose::default() };
        let up = net.transpose(down, &[2, 2], up);
        let both = net.node(ops::Concat { axis: 1 }, &[top, up]);
        net.conv(both, [4, 2], &[3, 3], plain())
    });
    seen.check();
    // Pairs of rows see alike: rows −1, 0 and 1 see the encoder's units −1 and 0, whose fields are 5 wide and 2 apart.
    assert_eq!(seen.numbers(), [(7, 1.0, -1.0), (7, 1.0, -1.0)]);
}

#[test]
fn resizing_where_it_is_regular() {
    let nearest = ResizeMode::Nearest(ops::NearestMode::Floor);
    let cases = [
        (nearest, ResizeCoordinates::Asymmetric, [2.0, 3.0], [0.5, 1.0 / 3.0]),
        (ResizeMode::default(), ResizeCoordinates::HalfPixel, [0.5, 2.0], [2.0, 0.5]),
        (ResizeMode::Linear, ResizeCoordinates::HalfPixel, [2.0, 1.5], [0.5, 2.0 / 3.0]),
        (ResizeMode::Linear, ResizeCoordinates::AlignCorners, [2.0, 3.0], [11.0 / 23.0, 9.0 / 29.0]),
        (ResizeMode::Cubic { coefficient: -0.75 }, ResizeCoordinates::HalfPixel, [2.0, 0.5], [0.5, 2.0]),
    ];
    for (mode, coordinates, [height, width], strides) in cases {
        let seen = Seen::of(&[1, 2, 12, 10], |net, x| net.resize(x, mode, coordinates, &[1.0, 1.0, height, width]));
        let wrong = seen.disagreements([0, 0]);
        // At the edge the position that counts is the edge's, and is within the field once that is moved to it.
        assert!(wrong.is_empty(), "{mode:?} {coordinates:?}: {}", wrong[0]);
        assert!(!seen.disagreements([1, 0]).is_empty() && !seen.disagreements([0, 1]).is_empty());
        assert!(!seen.disagreements([-1, 0]).is_empty() && !seen.disagreements([0, -1]).is_empty());
        let found: Vec<_> = seen.numbers().iter().map(|axis| axis.1).collect();
        assert!(found.iter().zip(strides).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {strides:?}");
    }
}

#[test]
fn slices_pads_and_flips() {
    let seen = Seen::of(&[1, 2, 14, 17], |net, x| {
        let pads = net.integers(&[0, 0, 2, 0, 0, 0, 1, 3]);
        let x = net.node(ops::Pad { mode: ops::PadMode::Constant }, &[x, pads]);
        let [starts, ends, axes, steps] = [&[-2, 1], &[i64::MIN, 16], &[2, 3], &[-1, 2]].map(|list| net.integers(list));
        let x = net.node(ops::Slice, &[x, starts, ends, axes, steps]);
        net.same(x, &[3, 2], conv([1, 1], [1, 1], [0, 0], [0, 0]))
    });
    seen.check();
    // Row 0 of the slice is row 15 of 17, which is row 13; it goes backwards.
    assert_eq!(seen.numbers(), [(3, -1.0, 12.0), (3, 2.0, 2.0)]);
}

#[test]
fn space_and_depth() {
    let seen = Seen::of(&[1, 2, 12, 16], |net, x| {
        let x = net.node(ops::SpaceToDepth { block_size: 2 }, &[x]);
        let x = net.conv(x, [8, 8], &[3, 3], plain());
        net.node(ops::DepthToSpace { block_size: 2, mode: ops::DepthOrder::ColumnRowDepth }, &[x])
    });
    assert_eq!(seen.check().numbers(), [(6, 1.0, 0.5), (6, 1.0, 0.5)]);
    // The same pixel shuffle as exporters write it.
    let written = Seen::of(&[1, 4, 6, 5], |net, x| {
        let x = net.same(x, &[3, 3], plain());
        let apart = net.integers(&[1, 1, 2, 2, 6, 5]);
        let x = net.node(ops::Reshape::default(), &[x, apart]);
        let x = net.node(ops::Transpose { permutation: vec![0, 1, 4, 2, 5, 3] }, &[x]);
        let together = net.integers(&[1, 1, 12, 10]);
        net.node(ops::Reshape::default(), &[x, together])
    });
    assert_eq!(written.check().numbers(), [(3, 0.5, 0.0), (3, 0.5, 0.0)]);
}

#[test]
fn tokens_keep_the_field_of_their_patch() {
    let seen = Seen::of(&[1, 2, 12, 15], |net, x| {
        let x = net.conv(x, [2, 5], &[4, 3], conv([4, 3], [1, 1], [0, 0], [0, 0]));
        let tokens = net.integers(&[1, 5, -1]);
        let x = net.node(ops::Reshape::default(), &[x, tokens]);
        let x = net.node(ops::Transpose { permutation: vec![0, 2, 1] }, &[x]);
        let w = net.weight(vec![5, 7]);
        let x = net.node(ops::MatMul, &[x, w]);
        net.node(ops::Softmax { axis: -1, log: false, flatten: false }, &[x])
    });
    assert_eq!(seen.check().numbers(), [(4, 0.0, 1.5), (3, 0.0, 1.0)]);
    assert!(seen.field().axes.iter().all(|axis| axis.stride.is_none() && !axis.whole));
}

#[test]
fn one_and_three_axes() {
    let line = Seen::of(&[1, 2, 31], |net, x| {
        let x = net.same(x, &[4], conv([3], [2], [2], [1]));
        net.node(ops::MaxPool { window: window([2], [1], [0], [0]), column_major: false }, &[x])
    });
    assert_eq!(line.check().numbers(), [(10, 3.0, 2.5)]);
    let volume = Seen::of(&[1, 2, 5, 7, 6], |net, x| net.same(x, &[1, 3, 2], conv([1, 2, 2], [1, 1, 1], [0, 1, 0], [0, 0, 1])));
    assert_eq!(volume.check().numbers(), [(1, 1.0, 0.0), (3, 2.0, 0.0), (2, 2.0, 0.5)]);
}

#[test]
fn channels_last_inputs_are_seen_along_height_and_width() {
    let seen = Seen::of(&[1, 8, 9, 2], |net, x| {
        let x = net.node(ops::Transpose { permutation: vec![0, 3, 1, 2] }, &[x]);
        net.conv(x, [2, 2], &[3, 5], plain())
    });
    assert_eq!(seen.numbers(), [(3, 1.0, 0.0), (5, 1.0, 1.0)]);
}

#[test]
fn what_mixes_positions_sees_the_whole_input() {
    let shape = [1, 3, 6, 7];
    let one = |build: Build<'_>| {
        let seen = Seen::of(&shape, build);
        let wrong = seen.disagreements([0, 0]);
        assert!(wrong.is_empty(), "{}", wrong[0]);
        assert!(seen.field().axes.iter().all(|axis| axis.whole && axis.stride.is_none()), "{:?}", seen.field());
        assert_eq!(seen.numbers(), [(6, 0.0, 2.5), (7, 0.0, 3.0)]);
    };
    one(&|net, x| net.node(ops::GlobalPool { kind: ops::PoolKind::Average }, &[x]));
    one(&|net, x| {
        let x = net.same(x, &[3, 3], conv([1, 1], [1, 1], [0, 0], [0, 0]));
        let x = net.node(ops::Flatten { axis: 1 }, &[x]);
        let w = net.weight(vec![60, 5]);
        net.node(ops::MatMul, &[x, w])
    });
    // Squeeze and excitation.
    one(&|net, x| {
        let axes = net.integers(&[2, 3]);
        let mean = ops::Reduce { function: ReduceFunction::Mean, keep_dims: true, noop_with_empty_axes: false };
        let pooled = net.node(mean, &[x, axes]);
        let pooled = net.same(pooled, &[1, 1], conv([1, 1], [1, 1], [0, 0], [0, 0]));
        net.node(Binary::Mul, &[x, pooled])
    });
    one(&|net, x| {
        let (scale, bias) = (net.weight(vec![3]), net.weight(vec![3]));
        net.node(ops::InstanceNormalization { eps: 1e-5 }, &[x, scale, bias])
    });
    // Softmax over the positions.
    one(&|net, x| {
        let flat = net.integers(&[1, 3, 42]);
        let x = net.node(ops::Reshape::default(), &[x, flat]);
        let small = net.b.constant("small", Tensor::scalar(0.01f32));
        let x = net.node(Binary::Mul, &[x, small]);
        net.node(ops::Softmax { axis: 2, log: false, flatten: false }, &[x])
    });
    // Attention: every token reads every other.
    one(&|net, x| {
        let flat = net.integers(&[1, 3, 42]);
        let x = net.node(ops::Reshape::default(), &[x, flat]);
        let turned = net.node(ops::Transpose { permutation: vec![0, 2, 1] }, &[x]);
        let scores = net.node(ops::MatMul, &[turned, x]);
        net.node(ops::MatMul, &[scores, turned])
    });
}

/// Parts that move differently, and parts of the axis itself: the field may be too large here, never too small.
#[test]
fn what_is_not_regular_is_never_too_small() {
    let builds: [Build<'_>; 5] = [
        &|net, x| {
            let deep = net.same(x, &[3, 3], plain());
            net.node(ops::Concat { axis: 2 }, &[x, deep])
        },
        &|net, x| {
            let pads = net.integers(&[0, 0, 2, 3, 0, 0, 1, 2]);
            net.node(ops::Pad { mode: ops::PadMode::Wrap }, &[x, pads])
        },
        &|net, x| {
            let repeats = net.integers(&[1, 1, 2, 3]);
            let x = net.node(ops::Tile, &[x, repeats]);
            net.same(x, &[2, 3], plain())
        },
        &|net, x| {
            let places = net.integers(&[4, 1, 1, 3]);
            net.node(ops::Gather { axis: 3 }, &[x, places])
        },
        &|net, x| {
            let parts = net.integers(&[2, 4]);
            net.next += 1;
            let halves = net.b.nodes("split", ops::Split { axis: 2 }, &[Some(x), Some(parts)], 2).unwrap();
            let axis = net.b.constant("axis", Tensor::scalar(2i64));
            net.node(ops::CumSum { exclusive: false, reverse: false }, &[halves[1], axis])
        },
    ];
    for build in builds {
        let seen = Seen::of(&[1, 2, 6, 7], build);
        let small: Vec<_> = seen.disagreements([0, 0]).into_iter().filter(|text| text.contains("changes")).collect();
        assert!(small.is_empty(), "{}", small[0]);
    }
}

#[test]
fn values_that_see_nothing_have_no_field() {
    let seen = Seen::of(&[1, 2, 6, 7], |net, x| {
        let axes = net.integers(&[0]);
        let slope = net.b.constant("slope", Tensor::vector(vec![0.1f32, 0.2]));
        let slope = net.node(ops::Unsqueeze, &[slope, axes]);
        let shape = net.integers(&[1, 2, 1, 1]);
        let slope = net.node(ops::Reshape::default(), &[slope, shape]);
        net.node(ops::PRelu, &[x, slope])
    });
    assert_eq!(seen.numbers(), [(1, 1.0, 0.0); 2]);
    let plan = seen.session.plan(&[("x", macula::TensorType::new(DType::F32, [1, 2, 6, 7]))]).unwrap();
    let constant = plan.graph.values().iter().position(|value| value.constant.is_some()).unwrap();
    let ids = plan.graph.nodes().iter().flat_map(|node| node.inputs.iter().flatten());
    let constants: Vec<_> = ids.filter(|id| id.index() == constant || plan.graph.value(**id).constant.is_some()).collect();
    assert!(constants.iter().all(|id| seen.fields.get(**id, seen.input).is_none()) && !constants.is_empty());
}
