//! What a candidate is built for.

use serde::{Deserialize, Serialize};

/// Where code runs, as far as code generation must know. Which of several devices it is, is the runtime's matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The CPU kinstr runs on.
    #[default]
    Cpu,
    /// An NVIDIA GPU: host code for this CPU, kernels for the chip.
    Cuda {
        /// Code generation's name for it, e.g. `sm_90`.
        chip: String,
    },
}

impl Target {
    /// The device's chip, if the target has a device.
    pub fn chip(&self) -> Option<&str> {
        match self {
            Self::Cpu => None,
            Self::Cuda { chip } => Some(chip),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda { chip } => write!(f, "cuda:{chip}"),
        }
    }
}

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            Some(("cuda", chip)) if chip.starts_with("sm_") => Ok(Self::Cuda { chip: chip.to_owned() }),
            _ => Err(format!("`{text}` is no target: `cpu`, or `cuda:CHIP` as in `cuda:sm_90`")),
        }
    }
}
