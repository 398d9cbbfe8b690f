//! What a probe is: a named pass that puts `kprobe` intent ops into a module and says what each site is.

use kinstr_dialects::{
    ops::{BuildError, Builder, Op},
    verify::{VerifyError, verify},
};
use kinstr_trace::{
    layout::Mode,
    sites::{Choice, Place, ProbeSite, SiteKeys, SiteKind, SiteTable},
};
use melior::{
    Context,
    ir::{BlockLike, BlockRef, Module, OperationRef, operation::OperationLike},
};

use crate::ir::{body, operations};

/// Where in the lowering a probe goes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Early, on structured ops (linalg, scf, affine, marked regions), before the optimiser.
    Structured,
    /// Late, on optimised LLVM IR imported back into the LLVM dialect.
    Optimized,
}

/// What a probe does to the code it watches. There is no default: each author decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Perturbation {
    /// Reads a clock and must stay within the overhead budget; may share a build with other timing probes.
    Timing,
    /// May slow the code down; goes into a build of its own from which no clock is read.
    Counting,
    /// Follows single accesses and branches, and slows the code down many times; goes into a build of its own
    /// from which no clock is read.
    Observing,
}

/// One probe: one file in `probes/`, found by the folder.
pub trait Probe: Sync {
    /// The noun it measures, kebab-case, e.g. `region-time`.
    fn name(&self) -> &'static str;
    /// The text of its own file (`include_str!`); [`docs`] takes the header out of it.
    fn source(&self) -> &'static str;
    /// Where it goes in.
    fn level(&self) -> Level;
    /// What it costs.
    fn perturbation(&self) -> Perturbation;
    /// Inserts `kprobe` intent ops, one new site each. Adds nothing but `kprobe` ops, so that
    /// `strip-probes` gives back the input.
    fn insert(&self, insertion: &mut Insertion<'_, '_>) -> Result<(), ProbeError>;
}

/// Why a probe could not be inserted.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The dialect refused an op.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The inserted ops break a rule of the dialect.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// There is nothing this probe could watch.
    #[error("probe `{probe}` found nothing to watch: {reason}")]
    NothingToWatch {
        /// Probe.
        probe: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// The probe does not work at this level of the lowering.
    #[error("probe `{probe}` goes in {wanted}, and this module is not there")]
    WrongLevel {
        /// Probe.
        probe: &'static str,
        /// Where it goes in.
        wanted: &'static str,
    },
}

/// A module under insertion and the sites made so far.
pub struct Insertion<'m, 'c> {
    context: &'c Context,
    module: &'m Module<'c>,
    entry: Option<String>,
    table: SiteTable,
    choice: Option<&'m Choice>,
    keys: SiteKeys,
}

impl<'m, 'c> Insertion<'m, 'c> {
    /// The context the module lives in.
    pub fn context(&self) -> &'c Context {
        self.context
    }

    /// The module.
    pub fn module(&self) -> &'m Module<'c> {
        self.module
    }

    /// Symbol of the entry function, if only that one is to be watched.
    pub fn entry(&self) -> Option<&str> {
        self.entry.as_deref()
    }

    /// The functions of the LLVM dialect that have a body, for probes that go in late.
    ///
    /// # Errors
    /// [`ProbeError::WrongLevel`] if there is none.
    pub fn optimized_functions(&self, probe: &'static str) -> Result<Vec<OperationRef<'c, 'm>>, ProbeError> {
        let functions = crate::ir::functions(self.module, "llvm");
        match functions.is_empty() {
            true => Err(ProbeError::WrongLevel { probe, wanted: "after the optimiser, on the LLVM dialect" }),
            false => Ok(functions),
        }
    }

    /// A builder at `operation`'s location.
    pub fn builder(&self, operation: OperationRef<'c, '_>) -> Builder<'c> {
        Builder::new(self.context, operation.location())
    }

    /// Adds a site if it is among those that were chosen, and returns its id. For probes whose sites may be left out
    /// to stay within the overhead budget.
    pub fn add_chosen_site(&mut self, site: NewSite) -> Option<u32> {
        let key = self.keys.next(site.probe, &site.function, site.place.as_ref(), site.loop_depth);
        let chosen = self.choice.is_none_or(|choice| choice.0.contains(&key));
        chosen.then(|| self.add_site(site))
    }

    /// Says what cannot be watched, one sentence.
    pub fn leave_out(&mut self, sentence: String) {
        self.table.left_out.push(sentence);
    }

    /// Adds a site and returns its id.
    pub fn add_site(&mut self, site: NewSite) -> u32 {
        let id = self.table.sites.len() as u32;
        self.table.sites.push(ProbeSite {
            id,
            probe: site.probe.into(),
            kind: site.kind,
            name: site.name,
            function: site.function,
            place: site.place,
            loop_depth: site.loop_depth,
            counts_trips: site.counts_trips,
            parent: None,
            words: site.words,
            lines: site.lines,
        });
        id
    }

    /// Where the first op of a function's first block may stand: behind the mark that [`Self::open_function`] puts there.
    pub fn first_in(&self, block: BlockRef<'c, '_>) -> usize {
        usize::from(block.first_operation().as_ref().and_then(Op::of) == Some(Op::Init))
    }

    /// What the last op before the return at the end of `block` stands in front of: the return, or the flush before it.
    /// Nothing if the block ends in another way.
    pub fn before_return<'a>(&self, block: BlockRef<'c, 'a>) -> Option<OperationRef<'c, 'a>> {
        let leave = block.terminator().filter(|last| is_return(*last))?;
        let flush = operations(block).find(|operation| Op::of(operation) == Some(Op::Flush));
        Some(flush.unwrap_or(leave))
    }

    /// Marks `function` as holding probes: `kprobe.init` first, `kprobe.flush` before every return. Does
    /// nothing where another probe already did.
    pub fn open_function(&self, function: OperationRef<'c, '_>) -> Result<(), ProbeError> {
        let Some(region) = body(function) else { return Ok(()) };
        let builder = self.builder(function);
        for (index, block) in crate::ir::blocks(region).enumerate() {
            if index == 0 {
                // Another probe may have put its ops in front since.
                let probes = operations(block).map_while(|operation| Op::of(&operation));
                if probes.into_iter().any(|op| op == Op::Init) {
                    return Ok(());
                }
                block.insert_operation(0, builder.init()?);
            }
            if let Some(last) = operations(block).last().filter(|last| is_return(*last)) {
                block.insert_operation_before(last, self.builder(last).flush()?);
            }
        }
        Ok(())
    }
}

fn is_return(operation: OperationRef<'_, '_>) -> bool {
    ["func.return", "llvm.return", "gpu.return"].iter().any(|name| crate::ir::is(operation, name))
}

/// What [`Insertion::add_site`] needs to know.
pub struct NewSite {
    /// Probe name.
    pub probe: &'static str,
    /// What is covered.
    pub kind: SiteKind,
    /// Label for people.
    pub name: String,
    /// Function symbol.
    pub function: String,
    /// Source position.
    pub place: Option<Place>,
    /// Loops around it.
    pub loop_depth: u32,
    /// True for a loop whose trips are counted one by one.
    pub counts_trips: bool,
    /// Words it owns in each unit.
    pub words: u32,
    /// Static facts per source line.
    pub lines: Vec<kinstr_trace::sites::LineFacts>,
}

impl NewSite {
    /// A timed site of which nothing more is known than what and where it is.
    pub fn timed(
        probe: &'static str,
        kind: SiteKind,
        name: String,
        function: String,
        place: Option<Place>,
    ) -> Self {
        let lines = Vec::new();
        Self { probe, kind, name, function, place, loop_depth: 0, counts_trips: false, words: 0, lines }
    }
}

impl NewSite {
    /// A counted site of which nothing more is known than what it is.
    pub fn counted(probe: &'static str, kind: SiteKind, name: String, function: String) -> Self {
        Self::timed(probe, kind, name, function, None)
    }
}

/// A probe's documentation as Markdown, from the header of its file: what `kinstr explain` prints.
pub fn docs(probe: &dyn Probe) -> String {
    let header = probe.source().lines().map_while(|line| line.strip_prefix("//!"));
    header.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The probe called `name`.
pub fn find(name: &str) -> Option<&'static dyn Probe> {
    crate::probes::ALL.iter().copied().find(|probe| probe.name() == name)
}

/// What to insert, and into what.
#[derive(Clone, Default)]
pub struct Request<'r> {
    /// Probes in order.
    pub probes: &'r [&'r dyn Probe],
    /// Limits structured probes to this function.
    pub entry: Option<&'r str>,
    /// What was inserted before, at an earlier level; ids go on after its sites. It also says how sites record.
    pub before: SiteTable,
    /// The timing sites to insert; all if there is no choice.
    pub choice: Option<&'r Choice>,
}

/// Inserts `probes` in order and returns the site table. `entry` limits structured probes to that function.
///
/// # Errors
/// [`ProbeError`], after which the module must be thrown away.
pub fn insert<'c>(
    context: &'c Context,
    module: &Module<'c>,
    probes: &[&dyn Probe],
    entry: Option<&str>,
    mode: Mode,
) -> Result<SiteTable, ProbeError> {
    let before = SiteTable { mode, ..SiteTable::default() };
    insert_more(context, module, Request { probes, entry, before, choice: None })
}

/// Inserts what `request` asks for and returns the table of all sites, those from before included.
///
/// # Errors
/// [`ProbeError`], after which the module must be thrown away.
pub fn insert_more<'c>(
    context: &'c Context,
    module: &Module<'c>,
    request: Request<'_>,
) -> Result<SiteTable, ProbeError> {
    let Request { probes, entry, before, choice } = request;
    let entry = entry.map(str::to_owned);
    let mut insertion =
        Insertion { context, module, entry, table: before, choice, keys: SiteKeys::default() };
    for probe in probes {
        probe.insert(&mut insertion)?;
    }
    let nesting = verify(module.as_operation())?;
    let mut table = insertion.table;
    for site in &mut table.sites {
        site.parent = nesting.parents.get(&site.id).copied().flatten();
    }
    Ok(table)
}
