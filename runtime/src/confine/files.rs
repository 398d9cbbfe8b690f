//! Where a confined child may write: Landlock rules.

use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, AccessFs, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus,
    path_beneath_rules,
};

use super::Measure;

/// The whole set of write rights is known since this version of Landlock (Linux 6.2); before it,
/// `truncate` cannot be forbidden.
const WRITE_RIGHTS: ABI = ABI::V3;

/// What `WRITE_RIGHTS` are on directories and on files, as bits of `struct landlock_ruleset_attr`.
pub(super) fn write_rights() -> (u64, u64) {
    let all = AccessFs::from_write(WRITE_RIGHTS);
    (all.bits(), (all & AccessFs::from_file(WRITE_RIGHTS)).bits())
}

/// Rules that forbid writing outside some directories. Reading is not restricted: a kernel may load
/// the libraries it was linked against.
pub(super) struct WriteRules(RulesetCreated);

impl WriteRules {
    /// Rules that allow writing below `directories`, to `devices` and to `/dev/null`.
    pub(super) fn new(directories: &[PathBuf], devices: &[PathBuf]) -> io::Result<Self> {
        for directory in directories {
            // The rules skip what cannot be opened; a scratch directory that is missing is an error.
            std::fs::read_dir(directory)?;
        }
        let paths = directories.iter().chain(devices).map(PathBuf::as_path);
        let paths = paths.chain([std::path::Path::new("/dev/null")]);
        let rights = AccessFs::from_write(WRITE_RIGHTS);
        Ruleset::default()
            .handle_access(rights)
            .and_then(Ruleset::create)
            .and_then(|rules| rules.add_rules(path_beneath_rules(paths, rights)))
            .map(Self)
            .map_err(io::Error::other)
    }

    /// Restricts the calling thread, and answers what the kernel could not do.
    pub(super) fn apply(&self) -> Option<Measure> {
        let status = self.0.try_clone().ok().and_then(|rules| rules.restrict_self().ok());
        match status.map(|status| status.ruleset) {
            Some(RulesetStatus::FullyEnforced) => None,
            Some(RulesetStatus::PartiallyEnforced) => Some(Measure::WritesInScratchOnlyPartly),
            Some(RulesetStatus::NotEnforced) | None => Some(Measure::WritesInScratchOnly),
        }
    }
}
