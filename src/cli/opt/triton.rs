//! `kinstr opt` on Triton kernels: Triton compiles, kinstr's probes go into its LLVM IR, Triton goes on from there.

use super::{Emit, Emitted, Job, device::Error, no_such_chip};
use crate::{
    cli::{Failure, exit},
    codegen::{self, machine::Machine},
    complaint::Complaint,
    frontend::triton::{self, Compiler, KernelSpec, TritonError, as_triton_reads_it},
    lower::device::{self, Device},
};
use kinstr_passes::probe::Level;
use kinstr_trace::{report::Fault, sites::SiteTable};

impl From<TritonError> for Failure {
    fn from(error: TritonError) -> Self {
        let code = match error.fault() {
            Fault::Candidate => exit::NOT_ACCEPTED,
            Fault::Infrastructure => exit::INFRASTRUCTURE,
            Fault::Internal => exit::INTERNAL,
        };
        Self::new(code, Complaint::from(&error))
    }
}

impl Job<'_> {
    /// The kernels that the file's directives name, for `chip`.
    pub(super) fn emit_triton(&self, chip: &str) -> Result<Emitted, Failure> {
        let kernels = &self.source.directives.kernels;
        if kernels.is_empty() {
            let path = self.source.path.clone();
            return Err(Failure::usage(Complaint::from(&TritonError::NoKernels { path })));
        }
        if self.options.emit == Emit::Structured {
            let text = "Triton kernels have no structured form";
            return Err(Failure::usage(Complaint::new("opt::emit", text)));
        }
        let machine = Machine::nvptx(chip).map_err(no_such_chip)?;
        let llvm = codegen::context();
        let mut compiler = Compiler::start(&self.source.path, chip)?;
        // Scopes are regions, and hinder the optimiser: they are marked where somebody asks for their times.
        let markers = self.probes.iter().any(|probe| probe.level() == Level::Structured);
        let compiled = kernels.iter().map(|kernel| compiler.compile(kernel, markers));
        let compiled: Vec<String> = compiled.collect::<Result<_, _>>()?;
        let adopted = |(kernel, text): (&KernelSpec, &String)| -> Result<Device<'_>, Failure> {
            let code = triton::parse(&kernel.name, text, &llvm)?;
            Ok(device::adopt::<Error>(self.mlir, code, &machine)?)
        };
        let devices: Vec<_> = kernels.iter().zip(&compiled).map(adopted).collect::<Result<_, _>>()?;
        let sites = SiteTable { mode: self.mode(), ..SiteTable::default() };
        self.emit_probed(&devices, &self.probes, sites, &machine, |devices| {
            let texts = devices.iter().zip(&compiled);
            let texts = texts
                .map(|(device, text)| as_triton_reads_it(&device.code.print_to_string().to_string(), text));
            match self.options.emit {
                Emit::LlvmIr => Ok(texts.collect()),
                // By Triton itself, so that nothing but the probes differs from what would run without kinstr.
                _ => Ok(kernels
                    .iter()
                    .zip(texts)
                    .map(|(kernel, text)| compiler.finish(&kernel.name, &text))
                    .collect::<Result<_, _>>()?),
            }
        })
    }
}
