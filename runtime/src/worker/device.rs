//! Requests about an open device.

use serde_json::{Value, json};

use super::candidate::Candidate;
use super::control::{Control, Phase};
use super::protocol::{Refusal, RefusalKind, Request};
use crate::gpu::{Gpu, Shown};
use crate::shared::{Access, Mapping};

/// The device of this worker, and the memory that its records come back to.
pub(super) struct OpenDevice {
    pub(super) gpu: Gpu,
    records: Option<Mapping>,
}

impl OpenDevice {
    pub(super) fn open(ordinal: u32) -> Result<(Self, Shown), Refusal> {
        let (gpu, shown) = Gpu::open(ordinal)?;
        Ok((Self { gpu, records: None }, shown))
    }

    /// Records from now on, into the inherited memory `fd`. It is mapped and pinned once.
    pub(super) fn attach(&mut self, fd: i32, bytes: usize, mask: u32) -> Result<(), Refusal> {
        let records = match self.records.take().filter(|records| records.len() == bytes) {
            Some(records) => records,
            None => {
                let records = Mapping::inherited(fd, bytes, Access::Write)?;
                self.gpu.pin(&records);
                records
            }
        };
        self.gpu.attach(&records, mask)?;
        self.records = Some(records);
        Ok(())
    }

    /// Ends recording; the records are in the inherited memory.
    pub(super) fn detach(&mut self) -> Result<(), Refusal> {
        match &self.records {
            Some(records) => Ok(self.gpu.detach(records)?),
            None => Ok(()),
        }
    }

    pub(super) fn peaks(&mut self, date: String) -> Result<Value, Refusal> {
        Ok(json!(self.gpu.peaks(date)?))
    }

    pub(super) fn answer(
        &mut self,
        request: Request,
        candidate: &mut Candidate,
        control: &Control,
    ) -> Result<Value, Refusal> {
        match request {
            Request::Upload { inputs, poison } => {
                self.gpu.upload(candidate.arena(), inputs, poison)?;
                Ok(Value::Null)
            }
            Request::Download => Ok(json!(self.gpu.download(candidate.arena())?)),
            Request::Trace { calls } => {
                control.enter(Phase::Running);
                let traced = self.gpu.trace(calls, || candidate.run(1));
                control.enter(Phase::Own);
                Ok(json!(traced?))
            }
            Request::TimeCalls { calls, call, rotate } => self.time(candidate, control, calls, call, &rotate),
            _ => Err(Refusal::new(RefusalKind::BadRequest, "this is no request to a device")),
        }
    }

    fn time(
        &mut self,
        candidate: &mut Candidate,
        control: &Control,
        calls: u32,
        call: bool,
        rotate: &[usize],
    ) -> Result<Value, Refusal> {
        let second = self.gpu.second()?;
        if let Some(addresses) = &second {
            candidate.bind_second(addresses)?;
        }
        control.enter(Phase::Running);
        let mut entry = |second: bool| candidate.run_with(second);
        let entry: Option<&mut dyn FnMut(bool)> = if call { Some(&mut entry) } else { None };
        let times = self.gpu.time(calls, rotate, second.as_deref(), entry);
        control.enter(Phase::Own);
        Ok(json!(times?))
    }
}
