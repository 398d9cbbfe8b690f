//! What a candidate is timed against: the reference as it is, and what `torch.compile` makes of it.

use super::{EvalError, session::Session};
use crate::{
    jobs::event::Event,
    measure::{DeviceTimed, Timed},
    reference::{Reference, Variant},
    worker::{Fault, fault::InfrastructureFault},
};
use kinstr_trace::report::LayerStatus;
use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

/// Name of the part of a layer that the compiled reference is.
const LAYER: &str = "performance/torch-compile";

/// Compiles the reference, if that was asked for, and answers whether it can be timed. If it cannot, the report says why.
///
/// # Errors
/// When the event log cannot be written.
pub fn compile(session: &mut Session<'_>, reference: &mut Reference) -> Result<bool, EvalError> {
    if !session.options.compiled {
        return Ok(false);
    }
    session.progress("compiling the reference");
    let compiled = reference.compile();
    let status = match &compiled {
        Ok(()) => LayerStatus::Ran,
        Err(error) => LayerStatus::Unavailable(error.to_string()),
    };
    session.push(Event::Layer { name: LAYER.into(), status })?;
    Ok(compiled.is_ok())
}

/// The reference in one of its variants, to be timed in turns with others.
pub struct TimedReference<'r, 'p> {
    reference: &'r RefCell<&'p mut Reference>,
    variant: Variant,
    /// Whether inputs move from call to call, on a device.
    rotate: bool,
    on_device: &'r Cell<bool>,
}

impl<'r, 'p> TimedReference<'r, 'p> {
    /// `on_device` is cleared if the reference is timed by the parent's clock after all.
    pub fn new(
        reference: &'r RefCell<&'p mut Reference>,
        variant: Variant,
        rotate: bool,
        on_device: &'r Cell<bool>,
    ) -> Self {
        Self { reference, variant, rotate, on_device }
    }
}

fn failed(error: crate::reference::ReferenceError) -> Fault {
    InfrastructureFault::Worker(format!("the reference: {error}")).into()
}

impl Timed for TimedReference<'_, '_> {
    fn run(&mut self, calls: u32) -> Result<Duration, Fault> {
        self.reference.borrow_mut().run(calls, self.variant).map_err(failed)
    }
}

impl DeviceTimed for TimedReference<'_, '_> {
    fn time(&mut self, calls: u32) -> Result<Vec<f64>, Fault> {
        let timed = self.reference.borrow_mut().time(calls, self.rotate, self.variant).map_err(failed)?;
        if let Some(times) = timed {
            return Ok(times);
        }
        self.on_device.set(false);
        let begin = Instant::now();
        self.run(calls)?;
        Ok(vec![begin.elapsed().as_nanos() as f64 / f64::from(calls.max(1))])
    }
}
