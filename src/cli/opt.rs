//! `kinstr opt`: probes and pipelines on one module.

mod device;
mod triton;

use super::{Failure, exit, print};
use crate::{
    builds::{
        BuildError,
        optimize::{Early, optimized, optimized_with},
        with_stack,
    },
    codegen::{self, CodegenError, machine::Machine},
    complaint::Complaint,
    frontend::{FrontendError, Language, Source, mlir},
    lower::{self, LowerError, Mlir},
    near,
    target::Target,
};
use clap::{Args, ValueEnum};
use kinstr_passes::{
    ir,
    pipeline::{self, PipelineError},
    probe::{self, Level, Perturbation, Probe},
    transforms::{adapt_entry::find_entry, strip_probes::strip_probes},
};
use kinstr_trace::{layout::Mode, report::Fault, sites::SiteTable};
use melior::ir::{
    Module,
    operation::{OperationLike, OperationPrintingFlags},
};
use std::path::PathBuf;

#[derive(Args)]
pub struct Options {
    /// MLIR, LLVM IR, C or C++ file, Python with Triton kernels, `-` for MLIR on standard input
    file: PathBuf,
    /// Probes to insert, comma-separated (`kinstr list probes`)
    #[arg(long, value_delimiter = ',')]
    probes: Vec<String>,
    /// What the probes record
    #[arg(long, value_enum, default_value_t = RecordMode::Aggregate)]
    mode: RecordMode,
    /// Pass pipeline to run before anything else, in MLIR's textual form
    #[arg(long, default_value = "")]
    pipeline: String,
    /// Take every probe out again before printing
    #[arg(long)]
    strip: bool,
    /// What to print
    #[arg(long, value_enum, default_value_t = Emit::Mlir)]
    emit: Emit,
    /// Device for PTX or AMDGCN
    #[arg(long, value_name = "CHIP")]
    chip: Option<String>,
    /// What the code is for: `cpu`, or `cuda:CHIP`, of which device code is printed
    #[arg(long, value_name = "TARGET", default_value_t)]
    target: Target,
    /// Print source locations in MLIR
    #[arg(long)]
    locations: bool,
    /// Write the site table as JSON to FILE
    #[arg(long, value_name = "FILE")]
    sites: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum RecordMode {
    Aggregate,
    Trace,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Emit {
    /// The module after the pipeline and the probes
    Mlir,
    /// The module on memrefs, where structured probes go in
    Structured,
    /// The LLVM dialect, probes converted
    LlvmDialect,
    /// Optimised LLVM IR
    LlvmIr,
    /// Assembly of this CPU
    Asm,
    /// PTX of every gpu.module
    Ptx,
    /// AMDGCN assembly of every gpu.module
    Amdgcn,
    /// The site table
    Sites,
}

/// Runs the command.
pub fn run(options: &Options) -> Result<u8, Failure> {
    // As candidates are compiled: MLIR and LLVM walk nested code by recursion.
    with_stack(|| run_here(options))
}

fn run_here(options: &Options) -> Result<u8, Failure> {
    let probes = options.probes.iter().map(|name| find_probe(name)).collect::<Result<Vec<_>, _>>()?;
    let source = Source::read(&options.file).map_err(|error| Failure::from(&error))?;
    let mlir = Mlir::new().map_err(|error| internal(&error.to_string()))?;
    let job = Job { options, mlir: &mlir, source: &source, probes };
    let (text, sites) = job.run().map_err(|failure| failure.shown_in(&source))?;
    if let (Some(path), Some(sites)) = (&options.sites, &sites) {
        std::fs::write(path, to_json(sites)).map_err(|error| {
            let text = format!("cannot write {}: {error}", path.display());
            Failure::new(exit::INFRASTRUCTURE, Complaint::new("opt::write", text))
        })?;
    }
    print(&text);
    Ok(exit::CORRECT)
}

fn find_probe(name: &str) -> Result<&'static dyn Probe, Failure> {
    probe::find(name).ok_or_else(|| {
        let names: Vec<&str> = kinstr_passes::probes::ALL.iter().map(|probe| probe.name()).collect();
        let complaint = Complaint::new("opt::probe", format!("no probe is called `{name}`"));
        Failure::usage(complaint.help(near::hint(name, names)))
    })
}

fn internal(text: &str) -> Failure {
    Failure::new(exit::INTERNAL, Complaint::new("internal", text))
}

fn lowering(error: impl Into<LowerError>) -> Failure {
    BuildError::from(error.into()).into()
}

/// A pipeline given on the command line that does not parse is wrong usage; one that fails is the module's matter.
fn own_pipeline(error: PipelineError) -> Failure {
    match error {
        PipelineError::Parse { .. } => Failure::usage(&LowerError::from(error)),
        PipelineError::Run { .. } => lowering(error),
    }
}

fn emission(error: CodegenError) -> Failure {
    BuildError::from(error).into()
}

/// A chip that there is none of is wrong usage.
fn no_such_chip(error: CodegenError) -> Failure {
    Failure::usage(&error)
}

/// As an evaluation would end.
impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        let code = match error.fault() {
            Fault::Candidate => exit::NOT_ACCEPTED,
            Fault::Infrastructure => exit::INFRASTRUCTURE,
            Fault::Internal => exit::INTERNAL,
        };
        Self::new(code, Complaint::from(&error))
    }
}

fn to_json(sites: &SiteTable) -> String {
    serde_json::to_string_pretty(sites).unwrap_or_default() + "\n"
}

struct Job<'a> {
    options: &'a Options,
    mlir: &'a Mlir,
    source: &'a Source,
    probes: Vec<&'static dyn Probe>,
}

type Emitted = (String, Option<SiteTable>);

impl<'a> Job<'a> {
    fn run(&self) -> Result<Emitted, Failure> {
        self.check_options()?;
        match self.source.language {
            Language::Mlir => self.emit(self.parse()?),
            Language::Python if let Some(device::Vendor::Nvidia { chip }) = self.vendor()? => {
                self.emit_triton(&chip)
            }
            Language::Python | Language::Launches => {
                let path = self.source.path.clone();
                Err(Failure::usage(&FrontendError::NotCompiled { path }))
            }
            _ => self.emit_optimized(),
        }
    }

    /// An option that would have no effect is refused.
    fn check_options(&self) -> Result<(), Failure> {
        let Options { emit, strip, chip, pipeline, sites, target, .. } = self.options;
        let is_module = matches!(emit, Emit::Mlir | Emit::Sites);
        let is_device = self.vendor()?.is_some();
        let takes_chip = matches!((emit, target), (Emit::Amdgcn, _) | (Emit::Ptx, Target::Cpu));
        let idle = [
            (*strip && !is_module && !is_device, "--strip", "what --emit mlir prints"),
            (chip.is_some() && !takes_chip, "--chip", "--emit ptx and amdgcn, where --target names no chip"),
            (sites.is_some() && self.probes.is_empty(), "--sites", "probes, given by --probes"),
            (
                !pipeline.is_empty() && self.source.language != Language::Mlir && !is_module,
                "--pipeline",
                "MLIR, and with other languages on what --emit mlir prints",
            ),
        ];
        if let Some((_, option, what)) = idle.into_iter().find(|(is_idle, ..)| *is_idle) {
            let text = format!("{option} has no effect here: it works on {what}");
            return Err(Failure::usage(Complaint::new("opt::options", text)));
        }
        let times = |probe: &&&dyn Probe| probe.perturbation() == Perturbation::Timing;
        let timing = self.probes.iter().map(|probe| probe as &&dyn Probe).filter(times).count();
        if !is_module && !is_device && timing > 0 && timing < self.probes.len() {
            let text = "probes that time and probes that count go into separate builds";
            return Err(Failure::usage(Complaint::new("opt::probes", text).help("run opt once for each")));
        }
        Ok(())
    }

    fn parse(&self) -> Result<Module<'a>, Failure> {
        let Mlir { context, messages } = self.mlir;
        let mut module = mlir::parse(self.source, context, messages).map_err(BuildError::from)?;
        self.run_pipeline(&mut module)?;
        Ok(module)
    }

    fn run_pipeline(&self, module: &mut Module<'a>) -> Result<(), Failure> {
        let Mlir { context, messages } = self.mlir;
        pipeline::run(context, messages, module, &self.options.pipeline).map_err(own_pipeline)
    }

    /// What is no MLIR is optimised LLVM IR by now, into which late probes go.
    fn emit_optimized(&self) -> Result<Emitted, Failure> {
        let machine = Machine::native().map_err(emission)?;
        let llvm = codegen::context();
        let times = self.probes.iter().any(|probe| probe.perturbation() == Perturbation::Timing);
        let code = match times {
            true => {
                let early = Early { probes: &[], mode: self.mode(), choice: None };
                optimized_with(&early, self.source, self.mlir, &machine, &llvm).map(|(code, _)| code)
            }
            false => optimized(self.source, self.mlir, &machine, &llvm).map(|optimized| optimized.code),
        }?;
        match self.options.emit {
            Emit::Mlir | Emit::Sites => {
                let mut module = lower::import(self.mlir, &code).map_err(lowering)?;
                self.run_pipeline(&mut module)?;
                self.emit_inserted(module)
            }
            Emit::LlvmDialect if self.probes.is_empty() => {
                let module = lower::import(self.mlir, &code).map_err(lowering)?;
                Ok((self.print_module(&module), None))
            }
            Emit::LlvmDialect | Emit::LlvmIr | Emit::Asm => {
                self.emit_late(code, None, &self.probes, &machine, &llvm)
            }
            Emit::Structured | Emit::Ptx | Emit::Amdgcn => {
                let text =
                    format!("{} has no structured form and no gpu.module", self.source.language.name());
                Err(Failure::usage(Complaint::new("opt::emit", text)))
            }
        }
    }

    fn emit(&self, module: Module<'a>) -> Result<Emitted, Failure> {
        if let Some(vendor) = self.vendor()? {
            return self.emit_device(module, &vendor);
        }
        match self.options.emit {
            Emit::Mlir | Emit::Sites => self.emit_inserted(module),
            Emit::Structured | Emit::LlvmDialect | Emit::LlvmIr | Emit::Asm => self.emit_cpu(module),
            // Emitted above, for whichever vendor.
            Emit::Ptx | Emit::Amdgcn => Err(internal("no vendor of this device code")),
        }
    }

    fn mode(&self) -> Mode {
        match self.options.mode {
            RecordMode::Aggregate => Mode::Aggregate,
            RecordMode::Trace => Mode::Trace,
        }
    }

    /// Probes go into the module as it stands.
    fn emit_inserted(&self, module: Module<'a>) -> Result<Emitted, Failure> {
        let mut sites = None;
        if !self.probes.is_empty() {
            let entry = find_entry(&module, self.source.directives.entry.as_deref()).ok().map(ir::symbol);
            let table =
                probe::insert(&self.mlir.context, &module, &self.probes, entry.as_deref(), self.mode());
            sites = Some(table.map_err(lowering)?);
        }
        if self.options.strip {
            strip_probes(&self.mlir.context, &module);
        }
        let text = match (self.options.emit, &sites) {
            (Emit::Sites, Some(sites)) => to_json(sites),
            (Emit::Sites, None) => to_json(&SiteTable::default()),
            _ => self.print_module(&module),
        };
        Ok((text, sites))
    }

    /// The way a candidate takes in `kinstr eval`.
    fn emit_cpu(&self, module: Module<'a>) -> Result<Emitted, Failure> {
        let (early, late): (Vec<&dyn Probe>, Vec<&dyn Probe>) =
            self.probes.iter().partition(|probe| probe.level() == Level::Structured);
        let directives = &self.source.directives;
        let (mut structured, rest) = lower::structure(self.mlir, module, directives).map_err(lowering)?;
        let mut sites = None;
        if !early.is_empty() {
            sites = Some(
                lower::insert_early(self.mlir, &structured, &early, self.mode(), None).map_err(lowering)?,
            );
        }
        if self.options.emit == Emit::Structured {
            return Ok((self.print_module(&structured.module), sites));
        }
        // Early probes alone can be looked at before the optimiser.
        let early_alone = self.options.emit == Emit::LlvmDialect && late.is_empty();
        let converted = sites.as_ref().filter(|_| early_alone);
        lower::to_llvm_dialect(self.mlir, &mut structured, &rest, converted).map_err(lowering)?;
        if early_alone {
            return Ok((self.print_module(&structured.module), sites));
        }
        lower::carry_regions(self.mlir, &structured).map_err(lowering)?;
        let llvm = codegen::context();
        let machine = Machine::native().map_err(emission)?;
        let code = lower::to_llvm_ir(self.mlir, &structured.module, &llvm).map_err(lowering)?;
        codegen::optimize(&code, &machine).map_err(emission)?;
        self.emit_late(code, sites, &late, &machine, &llvm)
    }

    /// Late probes go into optimised code, which may carry the regions of early ones.
    fn emit_late<'l>(
        &self,
        mut code: inkwell::module::Module<'l>,
        mut sites: Option<SiteTable>,
        late: &[&dyn Probe],
        machine: &Machine,
        llvm: &'l inkwell::context::Context,
    ) -> Result<Emitted, Failure> {
        if !self.probes.is_empty() {
            let times = self.probes.iter().any(|probe| probe.perturbation() == Perturbation::Timing);
            let (module, table) = if times {
                let before = sites.unwrap_or_else(|| SiteTable { mode: self.mode(), ..SiteTable::default() });
                lower::insert_timing(self.mlir, &code, before, late, None)
            } else {
                lower::insert_late(self.mlir, &code, late, self.mode())
            }
            .map_err(lowering)?;
            sites = Some(table);
            if self.options.emit == Emit::LlvmDialect {
                return Ok((self.print_module(&module), sites));
            }
            let original = code;
            code = lower::to_llvm_ir(self.mlir, &module, llvm).map_err(lowering)?;
            codegen::inline_probes(&code, &original, machine).map_err(emission)?;
        }
        let text = match self.options.emit {
            Emit::Asm => codegen::emit_assembly(&code, machine).map_err(emission)?,
            _ => code.print_to_string().to_string(),
        };
        Ok((text, sites))
    }

    fn print_module(&self, module: &Module<'_>) -> String {
        let flags = OperationPrintingFlags::new();
        let flags = if self.options.locations { flags.enable_debug_info(true, false) } else { flags };
        module.as_operation().to_string_with_flags(flags).unwrap_or_default()
    }
}
