//! The comparison that holds what an operator says it reads against what changes it, seen to fail.

use macula::Tensor;
use macula::ops::{Conv, Op, Padding, Reach, ReachContext, Softmax, Unary};

use crate::support::random;
use crate::support::reach::lie;

#[test]
fn rules_that_say_too_little_are_caught() {
    let x = random(1, [1, 2, 5, 6], -1.0..1.0);
    let w = random(2, [2, 2, 3, 1], -1.0..1.0);
    let conv = Op::from(Conv { padding: Padding::symmetric([1, 0]), ..Conv::default() });
    let check = |op: &Op, inputs: &[Option<&Tensor>], rule: &dyn Fn(&ReachContext<'_>) -> Reach| {
        let known: Vec<bool> = (0..inputs.len()).map(|at| at > 0).collect();
        lie(op, inputs, &known, 1, rule)
    };
    let inputs = [Some(&x), Some(&w)];
    assert_eq!(check(&conv, &inputs, &|context| conv.operator().reach(context)), None);
    assert_eq!(check(&conv, &inputs, &|context| context.whole()), None);
    assert!(check(&conv, &inputs, &|context| context.elementwise()).is_some());
    assert!(check(&conv, &inputs, &|_| Reach::Nothing).is_some());
    let softmax = Op::from(Softmax { axis: -1, log: false, flatten: false });
    assert!(check(&softmax, &inputs[..1], &|context| context.elementwise()).is_some());
    assert!(check(&softmax, &inputs[..1], &|context| context.mixing(|axis| axis == 2)).is_some());
    assert_eq!(check(&Unary::Exp.into(), &inputs[..1], &|context| context.elementwise()), None);
}
