//! Programs of other projects that kinstr runs.

use std::path::{Path, PathBuf};

/// How programs say that a disk is full.
pub const FULL_DISK: [&str; 2] = ["No space left on device", "Disk quota exceeded"];

/// The first of `names` that is there: an absolute path as it is, any other in the folders of `PATH`.
pub fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    names.iter().find_map(|name| {
        let candidate = Path::new(name);
        if candidate.is_absolute() {
            return candidate.is_file().then(|| candidate.to_owned());
        }
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
    })
}
