//! Where an evaluation runs, by the name that a user gives.

use super::EvalError;
use crate::{builds::Probes, target::Target};
use kinstr_runtime::gpu::{self, Shown};

/// A target as it is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// `cpu`.
    Cpu,
    /// `cuda:N`; `cuda` alone is its first device.
    Cuda {
        /// Number of the device.
        ordinal: u32,
    },
}

impl Destination {
    /// The target of that name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        match name.split_once(':') {
            None if name == "cpu" => Some(Self::Cpu),
            None if name == "cuda" => Some(Self::Cuda { ordinal: 0 }),
            Some(("cuda", number)) => number.parse().ok().map(|ordinal| Self::Cuda { ordinal }),
            _ => None,
        }
    }

    /// Number of the device, if it is one.
    pub fn ordinal(self) -> Option<u32> {
        match self {
            Self::Cpu => None,
            Self::Cuda { ordinal } => Some(ordinal),
        }
    }
}

/// Where an evaluation runs, found.
#[derive(Debug, Clone)]
pub struct Site {
    /// What code is built for.
    pub target: Target,
    /// The device, if it is one.
    pub device: Option<Shown>,
}

impl Site {
    /// Looks for the target named `name`.
    pub fn find(name: &str) -> Result<Self, EvalError> {
        let destination =
            Destination::parse(name).ok_or_else(|| EvalError::Target { name: name.to_owned() })?;
        let Destination::Cuda { ordinal } = destination else {
            return Ok(Self { target: Target::Cpu, device: None });
        };
        let mut devices = gpu::devices()?;
        let count = u32::try_from(devices.len()).unwrap_or(u32::MAX);
        if ordinal >= count {
            return Err(gpu::DeviceFault::NoDevice { ordinal, count }.into());
        }
        let device = devices.swap_remove(ordinal as usize);
        Ok(Self { target: Target::Cuda { chip: device.facts.chip.clone() }, device: Some(device) })
    }

    /// Number of the device, if it is one.
    pub fn ordinal(&self) -> Option<u32> {
        self.device.as_ref().map(|device| device.ordinal)
    }

    /// What peaks and times belong to.
    pub fn identity(&self) -> String {
        match &self.device {
            Some(device) => device.identity.clone(),
            None => crate::measure::peaks::device(),
        }
    }

    /// What is inserted into a candidate here.
    pub fn probes(&self) -> Probes {
        Probes::on(&self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_known_by_name_and_number() {
        assert_eq!(Destination::parse("cpu"), Some(Destination::Cpu));
        assert_eq!(Destination::parse("cuda"), Some(Destination::Cuda { ordinal: 0 }));
        assert_eq!(Destination::parse("cuda:3"), Some(Destination::Cuda { ordinal: 3 }));
        for wrong in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "cuda:sm_90"] {
            assert_eq!(Destination::parse(wrong), None, "{wrong}");
        }
    }
}
