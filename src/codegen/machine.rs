//! Target machines: this CPU, NVPTX, AMDGPU.

use super::CodegenError;
use inkwell::{
    OptimizationLevel,
    module::Module,
    targets::{CodeModel, InitializationConfig, RelocMode, Target, TargetMachine, TargetTriple},
};
use kinstr_passes::ffi;

/// One LLVM target machine.
pub struct Machine {
    machine: TargetMachine,
    features: String,
}

impl Machine {
    /// The CPU kinstr runs on, with all its features.
    ///
    /// # Errors
    /// [`CodegenError::Target`].
    pub fn native() -> Result<Self, CodegenError> {
        Target::initialize_x86(&InitializationConfig::default());
        let triple = TargetMachine::get_default_triple();
        let cpu = TargetMachine::get_host_cpu_name().to_string();
        let features = TargetMachine::get_host_cpu_features().to_string();
        Self::create(&triple, &cpu, &features)
    }

    /// NVIDIA device code for `chip`, e.g. `sm_90`.
    ///
    /// # Errors
    /// [`CodegenError::Target`].
    pub fn nvptx(chip: &str) -> Result<Self, CodegenError> {
        let rest = check_chip(chip, "sm_", "sm_90")?;
        // Behind the number stands what code for this chip or this family alone may use.
        let number = rest.strip_suffix(['a', 'f']).unwrap_or(rest).parse::<u32>();
        let number = number.map_err(|_| no_such_chip(chip, "sm_90"))?;
        Target::initialize_nvptx(&InitializationConfig::default());
        // The oldest PTX that knows the chip, so that drivers need not be new.
        let features = if number >= 100 { "+ptx87" } else { "+ptx80" };
        Self::create(&TargetTriple::create("nvptx64-nvidia-cuda"), chip, features)
    }

    /// AMD device code for `chip`, e.g. `gfx942`.
    ///
    /// # Errors
    /// [`CodegenError::Target`].
    pub fn amdgpu(chip: &str) -> Result<Self, CodegenError> {
        check_chip(chip, "gfx", "gfx942")?;
        Target::initialize_amd_gpu(&InitializationConfig::default());
        Self::create(&TargetTriple::create("amdgcn-amd-amdhsa"), chip, "")
    }

    fn create(triple: &TargetTriple, cpu: &str, features: &str) -> Result<Self, CodegenError> {
        let name = triple.as_str().to_string_lossy().into_owned();
        let refused = |reason: String| CodegenError::Target { target: format!("{name} {cpu}"), reason };
        let target = Target::from_triple(triple).map_err(|reason| refused(reason.to_string()))?;
        let machine = target
            .create_target_machine(
                triple,
                cpu,
                features,
                OptimizationLevel::Aggressive,
                RelocMode::PIC,
                CodeModel::Default,
            )
            .ok_or_else(|| refused("LLVM made no target machine".into()))?;
        ffi::use_init_array(&machine);
        Ok(Self { machine, features: features.to_owned() })
    }

    /// Sets the module's triple and data layout.
    pub fn prepare(&self, module: &Module<'_>) {
        module.set_triple(&self.machine.get_triple());
        module.set_data_layout(&self.machine.get_target_data().get_data_layout());
    }

    /// The triple, e.g. `x86_64-pc-linux-gnu`.
    pub fn triple(&self) -> String {
        self.machine.get_triple().as_str().to_string_lossy().into_owned()
    }

    /// The data layout in LLVM's words.
    pub fn data_layout(&self) -> String {
        self.machine.get_target_data().get_data_layout().as_str().to_string_lossy().into_owned()
    }

    /// True if the CPU has `feature`, by LLVM's name.
    pub fn has_feature(&self, feature: &str) -> bool {
        self.features.split(',').any(|known| known.strip_prefix('+') == Some(feature))
    }

    /// CPU name by LLVM's name, e.g. `znver4`.
    pub fn cpu(&self) -> String {
        self.machine.get_cpu().to_string()
    }

    /// CPU name and features: what the digest of generated code depends on.
    pub fn describe(&self) -> String {
        format!("{} {} {}", self.triple(), self.cpu(), self.features)
    }

    pub(super) fn raw(&self) -> &TargetMachine {
        &self.machine
    }
}

/// LLVM makes a machine for any name and emits generic code, so that a name of another family is refused here. Of the
/// right family but unknown, LLVM says so on standard error. Answers what stands behind the prefix.
fn check_chip<'c>(chip: &'c str, prefix: &str, example: &str) -> Result<&'c str, CodegenError> {
    let rest = chip.strip_prefix(prefix).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    rest.ok_or_else(|| no_such_chip(chip, example))
}

fn no_such_chip(chip: &str, example: &str) -> CodegenError {
    let reason = format!("its chips are named like `{example}`");
    CodegenError::Target { target: chip.into(), reason }
}
