//! Many runs in order, several of them in flight.

use std::collections::VecDeque;
use std::future::Future;
use std::iter::{Fuse, FusedIterator};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::{Outputs, Session};
use crate::error::Result;
use crate::tensor::Tensor;

impl Session {
    /// Runs the network on each of `inputs` with up to `in_flight` runs under way at once, and yields their outputs in order.
    ///
    /// An item is what one run takes, names and tensors: an array or a `Vec`. On a GPU, uploads and downloads of one run then overlap
    /// the computation of another; two in flight are mostly enough, and each takes the memory of one run
    /// ([`Plan::peak_bytes`](crate::plan::Plan::peak_bytes)) and holds its inputs. On the CPU device runs go one after the
    /// other: each of them uses every core.
    ///
    /// Nothing happens before the first `next`, which takes `in_flight` inputs and waits for the first outputs; each `next` after it
    /// takes one more input. Nodes on the CPU make progress during `next` only. An error is that item's alone, the others go on.
    /// Dropped early, it takes no more inputs and forgets what is under way. No async runtime is needed; a program that has one may
    /// as well buffer futures of [`Session::run_async`].
    ///
    /// ```
    /// # use macula::{DType, Device, GraphBuilder, Tensor, ops};
    /// # fn main() -> Result<(), macula::Error> {
    /// # let mut b = GraphBuilder::new("smallest");
    /// # let x = b.input("x", DType::F32, [2, 3]);
    /// # let y = b.node("y", ops::Unary::Relu, &[x])?;
    /// # b.output("y", y);
    /// # let session = Device::auto().compile(b.finish()?)?;
    /// let tensors = (0..5).map(|n| Tensor::full([2, 3], n as f32));
    /// for (n, outputs) in session.run_all(tensors.map(|x| [("x", x)]), 2).enumerate() {
    ///     assert_eq!(outputs?[0], Tensor::full([2, 3], n as f32));
    /// }
    /// # Ok(()) }
    /// ```
    pub fn run_all<'s, 'n, I>(&'s self, inputs: I, in_flight: usize) -> RunAll<'s, I::IntoIter>
    where
        I: IntoIterator,
        I::Item: AsRef<[(&'n str, Tensor)]>,
    {
        let in_flight = if self.device.context().is_some() { in_flight.max(1) } else { 1 };
        RunAll { session: self, inputs: inputs.into_iter().fuse(), in_flight, runs: VecDeque::with_capacity(in_flight) }
    }
}

/// The outputs of [`Session::run_all`].
#[must_use = "runs happen as their outputs are asked for"]
pub struct RunAll<'s, I> {
    session: &'s Session,
    inputs: Fuse<I>,
    in_flight: usize,
    runs: VecDeque<Run<'s>>,
}

enum Run<'s> {
    UnderWay(Pin<Box<dyn Future<Output = Result<Outputs>> + Send + 's>>),
    Done(Result<Outputs>),
}

impl<'s> Run<'s> {
    fn start(session: &'s Session, inputs: &[(&str, Tensor)]) -> Self {
        // Clones share their elements.
        let tensors = match session.matched(inputs.iter().map(|(name, tensor)| (*name, tensor.clone())).collect()) {
            Ok(tensors) => tensors,
            Err(error) => return Run::Done(Err(error)),
        };
        let mut run = Run::UnderWay(Box::pin(session.run_owned(tensors)));
        // The first poll submits; who waits polls again and is woken then.
        run.advance(&mut Context::from_waker(Waker::noop()));
        run
    }

    fn advance(&mut self, cx: &mut Context<'_>) {
        if let Run::UnderWay(future) = self
            && let Poll::Ready(outputs) = future.as_mut().poll(cx)
        {
            *self = Run::Done(outputs);
        }
    }
}

impl<'n, I: Iterator> Iterator for RunAll<'_, I>
where
    I::Item: AsRef<[(&'n str, Tensor)]>,
{
    type Item = Result<Outputs>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.runs.len() < self.in_flight
            && let Some(inputs) = self.inputs.next()
        {
            self.runs.push_back(Run::start(self.session, inputs.as_ref()));
        }
        // All of them advance while the first one is waited for: runs with nodes on the CPU submit several times.
        pollster::block_on(std::future::poll_fn(|cx| {
            self.runs.iter_mut().for_each(|run| run.advance(cx));
            if let Some(Run::UnderWay(_)) = self.runs.front() { Poll::Pending } else { Poll::Ready(()) }
        }));
        match self.runs.pop_front() {
            Some(Run::Done(outputs)) => Some(outputs),
            _ => None,
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (least, most) = self.inputs.size_hint();
        (least.saturating_add(self.runs.len()), most.and_then(|most| most.checked_add(self.runs.len())))
    }
}

impl<'n, I: Iterator> FusedIterator for RunAll<'_, I> where I::Item: AsRef<[(&'n str, Tensor)]> {}

impl<I> std::fmt::Debug for RunAll<'_, I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunAll")
            .field("session", &self.session)
            .field("in_flight", &self.in_flight)
            .field("under_way", &self.runs.len())
            .finish()
    }
}
