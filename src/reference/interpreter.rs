//! Which Python runs the host.
use super::ReferenceError;
use crate::store::cache_dir;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A Python interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter(PathBuf);

impl Interpreter {
    /// `$KINSTR_PYTHON`; else the virtual environment that `scripts/setup` makes; else `python3` on the path.
    ///
    /// # Errors
    /// When there is none, or `$KINSTR_PYTHON` is not a file.
    pub fn find() -> Result<Self, ReferenceError> {
        Self::find_among(env::var_os("KINSTR_PYTHON"), Some(&cache_dir()), env::var_os("PATH"))
    }

    fn find_among(
        chosen: Option<OsString>,
        cache: Option<&Path>,
        path: Option<OsString>,
    ) -> Result<Self, ReferenceError> {
        if let Some(chosen) = chosen.filter(|chosen| !chosen.is_empty()).map(PathBuf::from) {
            let reason = || format!("KINSTR_PYTHON is {}, which is no file", chosen.display());
            return match chosen.is_file() {
                true => Ok(Interpreter(chosen)),
                false => Err(ReferenceError::NoInterpreter { reason: reason() }),
            };
        }
        let environment = cache.map(|cache| cache.join("venv/bin/python"));
        let folders: Vec<PathBuf> = path.iter().flat_map(|path| env::split_paths(path)).collect();
        let on_path = folders.iter().map(|folder| folder.join("python3"));
        let found = environment.iter().cloned().chain(on_path).find(|candidate| candidate.is_file());
        found.map(Interpreter).ok_or_else(|| {
            let environment = environment.map_or(String::new(), |e| format!("neither {} nor ", e.display()));
            ReferenceError::NoInterpreter { reason: format!("{environment}`python3` on the path") }
        })
    }

    /// The program.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn touch(path: PathBuf) -> PathBuf {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        path
    }

    #[test]
    fn the_chosen_one_comes_first_then_the_environment_then_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let chosen = touch(folder.path().join("chosen"));
        let path = Some(folder.path().join("bin").into_os_string());
        let find = |chosen: Option<&PathBuf>| {
            let chosen = chosen.map(|c| c.clone().into_os_string());
            Interpreter::find_among(chosen, Some(folder.path()), path.clone()).ok().map(|i| i.0)
        };
        assert_eq!(find(None), None);
        let on_path = touch(folder.path().join("bin/python3"));
        assert_eq!(find(None), Some(on_path));
        let environment = touch(folder.path().join("venv/bin/python"));
        assert_eq!(find(None), Some(environment));
        assert_eq!(find(Some(&chosen)), Some(chosen.clone()));
        assert_eq!(find(Some(&folder.path().join("nowhere"))), None);
    }
}
