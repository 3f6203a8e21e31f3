//! A network written in Rust, with a free batch size: `cargo run --release --example build_graph`.

use macula::ops::{Conv, GlobalPool, Padding, PoolKind, Softmax, Unary};
use macula::{DType, Device, Dim, GraphBuilder, Tensor};

fn main() -> Result<(), macula::Error> {
    // Two classes of 1 × 8 × 8 images: horizontal and vertical stripes, told apart by two edge filters.
    let mut b = GraphBuilder::new("stripes");
    let image = b.input("image", DType::F32, [Dim::from("N"), 1.into(), 8.into(), 8.into()]);
    let filters = vec![1f32, 1., 1., 0., 0., 0., -1., -1., -1., 1., 0., -1., 1., 0., -1., 1., 0., -1.];
    let filters = b.constant("filters", Tensor::new([2, 1, 3, 3], filters)?);
    let conv = Conv { padding: Padding::symmetric([1, 1]), ..Conv::default() };
    let edges = b.node("edges", conv, &[image, filters])?;
    let strength = b.node("strength", Unary::Relu, &[edges])?;
    let pooled = b.node("pooled", GlobalPool { kind: PoolKind::Average }, &[strength])?;
    let classes = b.node("classes", Softmax { axis: 1, log: false, flatten: false }, &[pooled])?;
    b.output("classes", classes);

    let session = Device::auto().compile(b.finish()?)?;
    let stripes = |n: usize, y: usize, x: usize| if n == 0 { (y % 4 / 2) as f32 } else { (x % 4 / 2) as f32 };
    let pixels = (0..2 * 64).map(|i| stripes(i / 64, i / 8 % 8, i % 8)).collect();
    let images = Tensor::new([2, 1, 8, 8], pixels)?;
    let outputs = session.run(&[("image", images.view())])?;
    for (n, classes) in outputs[0].data::<f32>().unwrap_or_default().chunks(2).enumerate() {
        println!("image {n}: horizontal {:.3}, vertical {:.3}", classes[0], classes[1]);
    }
    Ok(())
}
