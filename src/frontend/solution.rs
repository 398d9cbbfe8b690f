//! A FlashInfer-Bench Solution as a candidate: a JSON file with Python sources in it.
//!
//! The digest of the candidate is that of the whole file. Sources are written to the cache, under that digest, as a package
//! that the candidate's host imports. What it depends on and what hardware it is for is not looked at: a module that is not
//! installed is named where it is imported.

use super::FrontendError;
use crate::complaint::Complaint;
use crate::store::{digest, solution_dir, write_atomically};
use serde::Deserialize;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Languages whose solutions are taken.
const LANGUAGES: [&str; 2] = ["python", "triton"];
/// The folder of the sources, whose name is that of their package.
const PACKAGE: &str = "kinstr_candidate";

/// A solution, as far as kinstr reads it.
#[derive(Debug, Clone, Deserialize)]
pub struct Solution {
    /// Its name, by which Traces call it.
    pub name: String,
    /// Name of the definition that it solves.
    pub definition: String,
    spec: Spec,
    sources: Vec<File>,
    /// Where its sources lie.
    #[serde(skip)]
    pub folder: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
struct Spec {
    language: String,
    entry_point: String,
    #[serde(default = "passes_destinations")]
    destination_passing_style: bool,
}

#[derive(Debug, Clone, Deserialize)]
struct File {
    path: PathBuf,
    content: String,
}

/// What FlashInfer-Bench takes where a solution says nothing.
fn passes_destinations() -> bool {
    true
}

/// Whether a path leads out of the folder that it is taken in, or to that itself.
fn leaves(path: &Path) -> bool {
    let stays = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    path.file_name().is_none() || !path.components().all(stays)
}

impl Solution {
    /// The solution in `text`, which stands in `path`, with its sources written.
    ///
    /// # Errors
    /// [`FrontendError::Solution`] for what is no solution, or none that can be taken; `Unpack` where its sources cannot be written.
    pub fn read(path: &Path, text: &str) -> Result<Self, FrontendError> {
        let unfit = |reason| FrontendError::Solution { path: path.into(), reason };
        let mut solution = Self::parsed(text).map_err(unfit)?;
        solution.folder = solution_dir(&digest([text.as_bytes()])).join(PACKAGE);
        solution.write().map_err(|error| FrontendError::Unpack { path: path.into(), error })?;
        Ok(solution)
    }

    fn parsed(text: &str) -> Result<Self, String> {
        let solution: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let language = &solution.spec.language;
        if !LANGUAGES.contains(&language.as_str()) {
            let known = LANGUAGES.join("` and `");
            return Err(format!("its language is `{language}`, and of solutions `{known}` are taken"));
        }
        if let Some(file) = solution.sources.iter().find(|file| leaves(&file.path)) {
            let path = file.path.display();
            return Err(format!(
                "the source `{path}` leaves the solution's folder: paths are relative, without `..`"
            ));
        }
        let mut paths: Vec<_> = solution.sources.iter().map(|file| &file.path).collect();
        paths.sort();
        if let Some([twice, _]) = paths.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("it has two sources `{}`", twice.display()));
        }
        let (entry, _) = solution.entry_point().ok_or_else(|| {
            format!("its entry point is `{}`, which is not `FILE.py::FUNCTION`", solution.spec.entry_point)
        })?;
        if !solution.sources.iter().any(|file| file.path == Path::new(entry)) {
            return Err(format!("its entry point is in `{entry}`, which is none of its sources"));
        }
        Ok(solution)
    }

    fn entry_point(&self) -> Option<(&str, &str)> {
        let parts = self.spec.entry_point.split_once("::");
        parts.filter(|(file, function)| file.ends_with(".py") && !function.contains("::"))
    }

    fn write(&self) -> std::io::Result<()> {
        for file in &self.sources {
            let place = self.folder.join(&file.path);
            fs::create_dir_all(place.parent().unwrap_or(&self.folder))?;
            write_atomically(&place, file.content.as_bytes()).map_err(std::io::Error::other)?;
        }
        Ok(())
    }

    /// The file with the entry point.
    pub fn entry(&self) -> PathBuf {
        self.entry_point().map(|(file, _)| self.folder.join(file)).unwrap_or_default()
    }

    /// The function that is called.
    pub fn function(&self) -> &str {
        self.entry_point().map(|(_, function)| function).unwrap_or_default()
    }

    /// Whether it is given tensors to write its outputs to.
    pub fn takes_destinations(&self) -> bool {
        self.spec.destination_passing_style
    }

    /// Refuses a problem that it does not solve.
    ///
    /// # Errors
    /// [`FrontendError::Solution`].
    pub fn solves(&self, problem: &str, path: &Path) -> Result<(), FrontendError> {
        if self.definition == problem {
            return Ok(());
        }
        let reason =
            format!("it solves the definition `{}`, and the problem is `{problem}`", self.definition);
        Err(FrontendError::Solution { path: path.into(), reason })
    }

    /// `complaint` with its places in the sources shown.
    pub fn show(&self, complaint: Complaint) -> Complaint {
        self.sources.iter().fold(complaint, |complaint, file| {
            complaint.shown_in(&file.path.to_string_lossy(), &file.content)
        })
    }
}
