//! A reference in the Python host.
use super::host::Host;
use super::{ReferenceError, ReferenceProcess, Variant, buffer_specs};
use crate::problem::{Problem, Workload};
use crate::tensor::{Seed, TensorSpec};
use crate::worker::Making;
use crate::worker::process::FIRST_EXTRA_FD;
use kinstr_runtime::arena::{Arena, Buffer};
use serde_json::{Value, json};
use std::time::Duration;

/// A Python process that hosts a NumPy, PyTorch or KernelBench reference. Everything there runs on one thread.
pub struct PythonReference {
    host: Host,
    /// One a workload; descriptors from [`FIRST_EXTRA_FD`] on in the host.
    arenas: Vec<Arena>,
    /// The tensors of each workload, in the order of its arena.
    tensors: Vec<Vec<TensorSpec>>,
    versions: Vec<String>,
    selected: usize,
}

impl PythonReference {
    /// Starts the host with an arena for every workload, and loads the reference; on GPU `device` if it can.
    pub(super) fn start(problem: &Problem, device: Option<u32>) -> Result<Self, ReferenceError> {
        if let Some((host, memory)) = problem.described_by.take() {
            let arena = Arena::of(memory, &buffer_specs(problem, 0))?;
            return Ok(Self::over(host, vec![arena], problem));
        }
        let arena = |workload| Ok(Arena::new(&buffer_specs(problem, workload))?);
        let arenas = (0..problem.workloads.len()).map(arena).collect::<Result<Vec<_>, ReferenceError>>()?;
        let fds: Vec<_> = arenas.iter().map(Arena::fd).collect();
        let host = Host::start(&problem.reference, &fds, device)?;
        Ok(Self::over(host, arenas, problem))
    }

    fn over(host: Host, arenas: Vec<Arena>, problem: &Problem) -> Self {
        let tensors = problem.workloads.iter().map(|workload| tensors_of(problem, workload)).collect();
        let versions = host.loaded.for_report();
        PythonReference { host, arenas, tensors, versions, selected: 0 }
    }

    fn tell(&mut self, request: Value) -> Result<Duration, ReferenceError> {
        self.host.ask::<Value>(request).map(|(_, took)| took)
    }
}

impl ReferenceProcess for PythonReference {
    fn select(&mut self, workload: usize) -> Result<(), ReferenceError> {
        let arena = self.arenas.get(workload).ok_or(ReferenceError::NoSuchWorkload(workload))?;
        let buffers = described(arena, &self.tensors[workload]);
        self.selected = workload;
        let fd = FIRST_EXTRA_FD as usize + workload;
        self.tell(json!({ "op": "bind", "fd": fd, "buffers": buffers })).map(|_| ())
    }

    fn arena(&self) -> &Arena {
        &self.arenas[self.selected]
    }

    fn arena_mut(&mut self) -> &mut Arena {
        &mut self.arenas[self.selected]
    }

    fn make_inputs(&mut self, seed: Seed) -> Result<(), ReferenceError> {
        self.tell(json!({ "op": "fill", "seed": seed.number(), "model": true })).map(|_| ())
    }

    fn make_other_inputs(&mut self, seed: Seed) -> Result<(), ReferenceError> {
        self.tell(json!({ "op": "fill", "seed": seed.number(), "model": false })).map(|_| ())
    }

    fn making(&mut self) -> Result<Making, ReferenceError> {
        self.host.ask(json!({ "op": "model" })).map(|(making, _)| making)
    }

    fn take_inputs(&mut self) -> Result<(), ReferenceError> {
        self.tell(json!({ "op": "take" })).map(|_| ())
    }

    fn call(&mut self, calls: u32, store: bool) -> Result<Duration, ReferenceError> {
        self.tell(json!({ "op": "run", "calls": calls, "store": store }))
    }

    fn compile(&mut self) -> Result<(), ReferenceError> {
        self.tell(json!({ "op": "compile" })).map(|_| ())
    }

    fn call_compiled(&mut self, calls: u32) -> Result<Duration, ReferenceError> {
        self.tell(json!({ "op": "run", "calls": calls, "store": false, "compiled": true }))
    }

    fn time(
        &mut self,
        calls: u32,
        rotate: bool,
        variant: Variant,
    ) -> Result<Option<Vec<f64>>, ReferenceError> {
        if self.host.loaded.device.is_none() {
            return Ok(None);
        }
        let (times, _): (Times, _) = self.host.ask(json!({
            "op": "time",
            "calls": calls,
            "rotate": rotate,
            "compiled": variant == Variant::Compiled,
        }))?;
        Ok(Some(times.device_ns))
    }

    fn kill(&mut self) {
        self.host.kill();
    }

    fn versions(&self) -> &[String] {
        &self.versions
    }

    fn isolation(&self) -> &[&'static str] {
        self.host.isolation()
    }

    fn is_alive(&self) -> bool {
        self.host.is_alive()
    }
}

/// The host's reply to `time`.
#[derive(serde::Deserialize)]
struct Times {
    device_ns: Vec<f64>,
}

/// The tensors of `workload` in `arena`, as Python hosts take them.
pub fn host_buffers(problem: &Problem, workload: &Workload, arena: &Arena) -> Vec<Value> {
    described(arena, &tensors_of(problem, workload))
}

fn tensors_of(problem: &Problem, workload: &Workload) -> Vec<TensorSpec> {
    [problem.input_specs(workload), problem.output_specs(workload)].concat()
}

fn described(arena: &Arena, tensors: &[TensorSpec]) -> Vec<Value> {
    arena.layout().buffers.iter().zip(tensors).map(buffer).collect()
}

fn buffer((buffer, tensor): (&Buffer, &TensorSpec)) -> Value {
    json!({
        "name": buffer.name,
        "role": buffer.role,
        "offset": buffer.offset,
        "dtype": tensor.dtype,
        "shape": tensor.shape,
    })
}
