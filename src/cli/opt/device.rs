//! `kinstr opt` on device code.

use super::{Emit, Emitted, Job, emission, lowering, no_such_chip, to_json};
use crate::{
    cli::Failure,
    codegen::{self, CodegenError, cuda::Tools, machine::Machine},
    complaint::Complaint,
    lower::{
        LowerError,
        device::{self, Device, Mapping, Probes},
        host, pipelines,
    },
    target::Target,
};
use kinstr_passes::{
    conversion::ConversionError,
    ir,
    probe::{self, Level, Probe, ProbeError, Request},
    transforms::adapt_entry::find_entry,
};
use kinstr_trace::sites::SiteTable;
use melior::ir::Module;

/// Which device code is emitted.
pub(super) enum Vendor {
    Nvidia { chip: String },
    Amd { chip: String },
}

/// Lowering and code generation fail in one place here.
pub(super) enum Error {
    Lower(LowerError),
    Codegen(CodegenError),
}

impl From<LowerError> for Error {
    fn from(error: LowerError) -> Self {
        Self::Lower(error)
    }
}

impl From<CodegenError> for Error {
    fn from(error: CodegenError) -> Self {
        Self::Codegen(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Lower(error) => lowering(error),
            Error::Codegen(error) => emission(error),
        }
    }
}

impl<'a> Job<'a> {
    /// The vendor of the device code that is asked for: by `--emit ptx` and `amdgcn`, or by `--target`.
    pub(super) fn vendor(&self) -> Result<Option<Vendor>, Failure> {
        let chip = |default: &str| self.options.chip.clone().unwrap_or_else(|| default.to_owned());
        Ok(match (self.options.emit, &self.options.target) {
            (Emit::Amdgcn, _) => Some(Vendor::Amd { chip: chip("gfx942") }),
            (_, Target::Cuda { chip }) => Some(Vendor::Nvidia { chip: chip.clone() }),
            (Emit::Ptx, _) => Some(Vendor::Nvidia { chip: chip("sm_90") }),
            _ => None,
        })
    }

    /// The way device code takes in `kinstr eval`.
    pub(super) fn emit_device(&self, module: Module<'a>, vendor: &Vendor) -> Result<Emitted, Failure> {
        let machine = match vendor {
            Vendor::Nvidia { chip } => Machine::nvptx(chip),
            Vendor::Amd { chip } => Machine::amdgpu(chip),
        }
        .map_err(no_such_chip)?;
        if matches!(vendor, Vendor::Amd { .. }) && !self.probes.is_empty() {
            return Err(lowering(ConversionError::Target { target: "amdgcn".into() }));
        }
        let mut module = self.kernels(module, vendor)?;
        let (early, late): (Vec<&dyn Probe>, Vec<&dyn Probe>) =
            self.probes.iter().partition(|probe| probe.level() == Level::Structured);
        let sites = self.insert_early(&module, &early)?;
        if self.options.emit == Emit::Structured {
            return Ok((self.print_module(&module), Some(sites)));
        }
        let llvm = codegen::context();
        let devices = match vendor {
            Vendor::Nvidia { .. } => device::lower_nvidia(self.mlir, &mut module, &llvm),
            Vendor::Amd { chip } => {
                device::lower(self.mlir, &mut module, &pipelines::rocdl_lowering(chip), &llvm)
            }
        }
        .map_err(lowering)?;
        match vendor {
            Vendor::Nvidia { .. } => device::optimize(&devices, &machine, &Tools::find()),
            Vendor::Amd { .. } => {
                devices.iter().try_for_each(|device| codegen::optimize(&device.code, &machine))
            }
        }
        .map_err(emission)?;
        self.emit_probed(&devices, &late, sites, &machine, |devices| self.print_devices(devices, &machine))
    }

    /// Late probes go into the optimised code of `devices`, which `print` writes if it is code that is asked for.
    pub(super) fn emit_probed<'l>(
        &self,
        devices: &[Device<'l>],
        late: &[&dyn Probe],
        sites: SiteTable,
        machine: &Machine,
        print: impl FnOnce(&[Device<'_>]) -> Result<String, Failure>,
    ) -> Result<Emitted, Failure> {
        if self.probes.is_empty()
            && !matches!(self.options.emit, Emit::LlvmDialect | Emit::Mlir | Emit::Sites)
        {
            return Ok((print(devices)?, None));
        }
        let (modules, sites) =
            device::insert(self.mlir, devices, Probes { probes: late, before: sites, choice: None })
                .map_err(lowering)?;
        if self.options.strip {
            device::strip(self.mlir, &modules);
        }
        let text = match self.options.emit {
            Emit::Sites => to_json(&sites),
            Emit::Mlir => self.print_modules(&modules),
            _ => {
                modules
                    .iter()
                    .try_for_each(|module| device::convert(self.mlir, module, &sites))
                    .map_err(lowering)?;
                if self.options.emit == Emit::LlvmDialect {
                    self.print_modules(&modules)
                } else {
                    let llvm = codegen::context();
                    let devices =
                        device::instrumented::<Error>(self.mlir, devices, &modules, machine, &llvm)?;
                    print(&devices)?
                }
            }
        };
        Ok((text, Some(sites)))
    }

    /// `module` with its kernels outlined. A file may hold kernels alone, without an entry.
    fn kernels(&self, mut module: Module<'a>, vendor: &Vendor) -> Result<Module<'a>, Failure> {
        let mapping = match vendor {
            Vendor::Nvidia { chip } => Mapping::for_nvidia(chip),
            Vendor::Amd { .. } => Mapping::Loops,
        };
        let directives = &self.source.directives;
        let is_gpu = |operation| ir::name(operation).starts_with("gpu.");
        if ir::nested(module.as_operation()).into_iter().any(is_gpu) {
            device::outline(self.mlir, &mut module, mapping).map_err(lowering)?;
            return Ok(module);
        }
        if find_entry(&module, directives.entry.as_deref()).is_err() {
            let text = "there is no gpu.module, no gpu.launch and no entry in this file";
            return Err(Failure::usage(Complaint::new("opt::device", text)));
        }
        Ok(host::structure(self.mlir, module, directives, mapping).map_err(lowering)?.module)
    }

    /// Regions, before the optimiser. That there are none is no error where late probes go in.
    fn insert_early(&self, module: &Module<'a>, early: &[&dyn Probe]) -> Result<SiteTable, Failure> {
        let before = SiteTable { mode: self.mode(), ..SiteTable::default() };
        let request = Request { probes: early, entry: None, before: before.clone(), choice: None };
        match probe::insert_more(&self.mlir.context, module, request) {
            Err(ProbeError::NothingToWatch { .. }) if early.len() < self.probes.len() => Ok(before),
            inserted => inserted.map_err(lowering),
        }
    }

    fn print_modules(&self, modules: &[Module<'_>]) -> String {
        modules.iter().map(|module| self.print_module(module)).collect()
    }

    fn print_devices(&self, devices: &[Device<'_>], machine: &Machine) -> Result<String, Failure> {
        let print = |Device { code, .. }: &Device<'_>| match self.options.emit {
            Emit::LlvmIr => Ok(code.print_to_string().to_string()),
            _ => codegen::emit_assembly(code, machine).map_err(emission),
        };
        devices.iter().map(print).collect()
    }
}
