//! References: where the expected outputs come from.
//!
//! A reference runs in a process of its own, on an arena of its own: expected outputs are in that process and in this
//! one, and nowhere a candidate can reach.
mod error;
mod host;
mod interpreter;
mod package;
mod python;

pub use error::{ReferenceError, Refused};
pub use host::{Description, Waiting, command, describe};
pub use interpreter::Interpreter;
pub use python::{PythonReference, host_buffers};

use crate::problem::{Output, Problem, ReferenceSource};
use crate::tensor::{Seed, TensorSpec};
use crate::worker::Making;
use kinstr_runtime::arena::{Arena, BufferSpec, POISON, Role};
use rayon::prelude::*;
use std::time::Duration;

/// Which code of a reference is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// As it is.
    Plain,
    /// What `torch.compile` made of it; see [`Reference::compile`].
    Compiled,
}

/// What runs a reference: a Python host, or a native worker with a compiled reference.
///
/// It holds one arena a workload, whose buffers are the inputs and then the outputs, in the problem's order.
pub trait ReferenceProcess {
    /// Makes this workload the one that all other calls are about.
    ///
    /// # Errors
    /// When the process does not follow.
    fn select(&mut self, workload: usize) -> Result<(), ReferenceError>;

    /// The arena of the selected workload.
    fn arena(&self) -> &Arena;

    /// The arena of the selected workload, to write inputs.
    fn arena_mut(&mut self) -> &mut Arena;

    /// Makes the inputs for a seed, where the reference is who makes them.
    ///
    /// # Errors
    /// When it fails to.
    fn make_inputs(&mut self, seed: Seed) -> Result<(), ReferenceError>;

    /// Makes other inputs for the model that is there.
    ///
    /// # Errors
    /// When it fails to, or has no model.
    fn make_other_inputs(&mut self, seed: Seed) -> Result<(), ReferenceError> {
        let _ = seed;
        Err(ReferenceError::Protocol("there is no model to make other inputs for".into()))
    }

    /// How the model was made that is there, if one is.
    ///
    /// # Errors
    /// When its arguments cannot be handed on.
    fn making(&mut self) -> Result<Making, ReferenceError> {
        Ok(Making::default())
    }

    /// Takes over the inputs that are in the arena now.
    ///
    /// # Errors
    /// When the process does not follow.
    fn take_inputs(&mut self) -> Result<(), ReferenceError>;

    /// Makes `torch.compile`'s variant of the reference, for the model and the inputs that are there.
    ///
    /// # Errors
    /// When it cannot be made, or the reference is not PyTorch's.
    fn compile(&mut self) -> Result<(), ReferenceError> {
        Err(ReferenceError::NotCompiled { reason: "the reference is not PyTorch".into() })
    }

    /// Calls that variant. The time is the parent's.
    ///
    /// # Errors
    /// When there is none, or it fails.
    fn call_compiled(&mut self, calls: u32) -> Result<Duration, ReferenceError> {
        let _ = calls;
        self.compile().map(|()| Duration::ZERO)
    }

    /// Calls the reference; with `store`, the outputs of the last call go to the arena. The time is the parent's.
    ///
    /// # Errors
    /// When the reference fails.
    fn call(&mut self, calls: u32, store: bool) -> Result<Duration, ReferenceError>;

    /// Times `calls` calls on the device that the reference runs on, each at other addresses, with `rotate` on moved
    /// inputs, and with the cache overwritten, in ns; `None` if it runs on no device.
    ///
    /// # Errors
    /// When the reference fails.
    fn time(
        &mut self,
        calls: u32,
        rotate: bool,
        variant: Variant,
    ) -> Result<Option<Vec<f64>>, ReferenceError> {
        let _ = (calls, rotate, variant);
        Ok(None)
    }

    /// Kills the process, and does not wait until the system has cleaned up after it.
    fn kill(&mut self);

    /// What runs the reference, for the report: versions and number of threads.
    fn versions(&self) -> &[String];

    /// Confining measures that this machine did not let us apply.
    fn isolation(&self) -> &[&'static str];

    /// False once the process has ended and has to be started again.
    fn is_alive(&self) -> bool {
        true
    }
}

/// Elements that one thread looks through for holes at a time.
const HOLES_AT_ONCE: usize = 1 << 16;

/// The reference of a problem, started.
pub struct Reference {
    process: Box<dyn ReferenceProcess>,
    problem: Problem,
    selected: usize,
}

impl Reference {
    /// Starts the reference of a problem, whose file is Python; on GPU `device`, if it is one of PyTorch and PyTorch has
    /// it. The process dies with the calling thread.
    ///
    /// # Errors
    /// When there is no Python with what the reference imports, or the reference does not load. An MLIR reference is
    /// [`ReferenceError::NotPython`]: it has to be compiled first, and then given to [`Reference::native`].
    pub fn start(problem: &Problem, device: Option<u32>) -> Result<Self, ReferenceError> {
        if let ReferenceSource::Mlir { path, .. } = &problem.reference {
            return Err(ReferenceError::NotPython { path: path.clone() });
        }
        let process = PythonReference::start(problem, device)?;
        Self::over(problem, Box::new(process))
    }

    /// A reference that was compiled and loaded into a worker.
    ///
    /// # Errors
    /// When the worker does not accept the first workload.
    pub fn native(problem: &Problem, process: Box<dyn ReferenceProcess>) -> Result<Self, ReferenceError> {
        Self::over(problem, process)
    }

    fn over(problem: &Problem, process: Box<dyn ReferenceProcess>) -> Result<Self, ReferenceError> {
        let mut reference = Reference { process, problem: problem.clone(), selected: 0 };
        reference.select(0)?;
        Ok(reference)
    }

    /// Makes the `workload`-th workload of the problem the one that all other calls are about.
    ///
    /// # Errors
    /// When there is no such workload, or the process does not follow.
    pub fn select(&mut self, workload: usize) -> Result<(), ReferenceError> {
        if workload >= self.problem.workloads.len() {
            return Err(ReferenceError::NoSuchWorkload(workload));
        }
        self.selected = workload;
        self.process.select(workload)
    }

    /// Puts the inputs for `seed` in place, made by kinstr or by the reference, as the problem says.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn prepare(&mut self, seed: Seed) -> Result<(), ReferenceError> {
        if self.problem.reference_makes_inputs() {
            self.process.make_inputs(seed)?;
        } else {
            let workload = &self.problem.workloads[self.selected];
            let arena = self.process.arena_mut();
            for index in 0..self.problem.inputs.len() {
                self.problem.fill_input(workload, index, seed, arena.bytes_mut(index))?;
            }
        }
        self.process.take_inputs()
    }

    /// Puts other inputs in place, for the model of the last [`Reference::prepare`] if the reference is one.
    ///
    /// # Errors
    /// As for [`Reference::prepare`].
    pub fn prepare_other_inputs(&mut self, seed: Seed) -> Result<(), ReferenceError> {
        if !self.problem.reference_makes_inputs() {
            return self.prepare(seed);
        }
        self.process.make_other_inputs(seed)?;
        self.process.take_inputs()
    }

    /// How the model of the last [`Reference::prepare`] was made, and how its last outputs lie in memory.
    ///
    /// # Errors
    /// When the arguments of its model cannot be handed on.
    pub fn making(&mut self) -> Result<Making, ReferenceError> {
        self.process.making()
    }

    /// Computes the expected outputs for the inputs that are in place.
    ///
    /// # Errors
    /// When the reference raises, or gives what the problem does not say, or leaves elements unwritten.
    pub fn evaluate(&mut self) -> Result<(), ReferenceError> {
        self.process.arena_mut().poison_outputs();
        self.process.call(1, true)?;
        match self.unwritten() {
            Some(output) => {
                let path = self.problem.reference.path().to_owned();
                Err(ReferenceError::Unwritten { path, output })
            }
            None => Ok(()),
        }
    }

    /// The first output that still holds poison somewhere. Left alone it would match a candidate's own holes, as NaN on
    /// both sides. Integers are not looked at: there the poison is −1, an answer like any other.
    fn unwritten(&self) -> Option<String> {
        let holes = |output: &Output, bytes: &[u8]| {
            output.dtype.is_float()
                && bytes
                    .par_chunks_exact(output.dtype.bytes())
                    .with_min_len(HOLES_AT_ONCE)
                    .any(|element| element.iter().all(|b| *b == POISON))
        };
        let mut outputs = self.problem.outputs.iter().zip(self.expected());
        outputs.find(|(output, bytes)| holes(output, bytes)).map(|(output, _)| output.name.clone())
    }

    /// Computes them once more, and gives back the outputs from before: a reference that gives another answer every
    /// time, such as one with dropout, is nothing to compare with.
    ///
    /// # Errors
    /// As for [`Reference::evaluate`].
    pub fn evaluate_again(&mut self) -> Result<Vec<Vec<u8>>, ReferenceError> {
        let before = self.expected().into_iter().map(<[u8]>::to_vec).collect();
        self.evaluate()?;
        Ok(before)
    }

    /// The inputs that are in place, in the problem's order, to be copied to the candidate's arena.
    pub fn inputs(&self) -> Vec<&[u8]> {
        (0..self.problem.inputs.len()).map(|index| self.process.arena().bytes(index)).collect()
    }

    /// The outputs that [`Reference::evaluate`] computed, in the problem's order. Not for the candidate's process.
    pub fn expected(&self) -> Vec<&[u8]> {
        let first = self.problem.inputs.len();
        (first..first + self.problem.outputs.len()).map(|index| self.process.arena().bytes(index)).collect()
    }

    /// Calls the reference on the inputs that are in place, and tells how long that took, including one request;
    /// with 0 calls that is the request alone.
    ///
    /// # Errors
    /// When the reference fails.
    pub fn run(&mut self, calls: u32, variant: Variant) -> Result<Duration, ReferenceError> {
        match variant {
            Variant::Plain => self.process.call(calls, false),
            Variant::Compiled => self.process.call_compiled(calls),
        }
    }

    /// Makes `torch.compile`'s variant of the reference, for the model and the inputs that are in place.
    ///
    /// # Errors
    /// When it cannot be made, or the reference is not PyTorch's.
    pub fn compile(&mut self) -> Result<(), ReferenceError> {
        self.process.compile()
    }

    /// Times `calls` calls on the device that the reference runs on; `None` if it runs on no device. See
    /// [`ReferenceProcess::time`].
    ///
    /// # Errors
    /// When the reference fails.
    pub fn time(
        &mut self,
        calls: u32,
        rotate: bool,
        variant: Variant,
    ) -> Result<Option<Vec<f64>>, ReferenceError> {
        self.process.time(calls, rotate, variant)
    }

    /// What runs the reference, for the report: versions and number of threads.
    pub fn versions(&self) -> &[String] {
        self.process.versions()
    }

    /// Confining measures that this machine did not let us apply.
    pub fn isolation(&self) -> &[&'static str] {
        self.process.isolation()
    }

    /// Kills its process, and does not wait until the system has cleaned up after it; dropping it does.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// False once its process has ended: no call will succeed any more.
    pub fn is_alive(&self) -> bool {
        self.process.is_alive()
    }
}

/// The buffers of a workload: the inputs and then the outputs, in the problem's order. Candidates' arenas are the same.
pub fn buffer_specs(problem: &Problem, workload: usize) -> Vec<BufferSpec> {
    let Some(workload) = problem.workloads.get(workload) else { return Vec::new() };
    let spec = |role| {
        move |tensor: TensorSpec| BufferSpec {
            element_bytes: tensor.dtype.bytes(),
            elements: tensor.bytes() / tensor.dtype.bytes(),
            name: tensor.name,
            role,
        }
    };
    let inputs = problem.input_specs(workload).into_iter().map(spec(Role::Input));
    inputs.chain(problem.output_specs(workload).into_iter().map(spec(Role::Output))).collect()
}

#[cfg(test)]
mod tests;
