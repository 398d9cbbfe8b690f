//! What became of each diagnosis.

use super::lines::twins;
use kinstr_trace::diagnosis::Diagnosis;
use kinstr_trace::report::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of a diagnosis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisChange {
    /// What became of it.
    pub fate: Fate,
    /// Stable code.
    pub code: String,
    /// Name of the rule.
    pub name: String,
    /// As it was; absent if it appeared.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<Diagnosis>,
    /// As it is; absent if it vanished.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<Diagnosis>,
}

/// What became of a diagnosis, in the order in which a reader wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It was there and is no more.
    Vanished,
    /// It was not there.
    Appeared,
    /// The same code on the same workload, on another source line.
    Moved,
    /// The same code on the same workload and source line.
    Stayed,
}

/// A diagnosis is known by its code and workload. Of several such, those on the same source line are the same; the
/// others are paired in the order of the reports.
pub(super) fn changes(before: &Report, after: &Report) -> Vec<DiagnosisChange> {
    let mut old: Vec<&Diagnosis> = before.diagnoses.iter().collect();
    let mut new: Vec<&Diagnosis> = after.diagnoses.iter().collect();
    let twins = twins(before, after);
    let mut changes =
        pairs(&mut old, &mut new, |old, new| twins(old.workload, new.workload) && old.place == new.place);
    changes.extend(pairs(&mut old, &mut new, |old, new| twins(old.workload, new.workload)));
    changes.extend(old.into_iter().map(|old| change(Fate::Vanished, Some(old), None, old)));
    changes.extend(new.into_iter().map(|new| change(Fate::Appeared, None, Some(new), new)));
    changes.sort_by_key(|change| change.fate);
    changes
}

/// Takes from `old` and `new` what has the same code and satisfies `same`.
fn pairs(
    old: &mut Vec<&Diagnosis>,
    new: &mut Vec<&Diagnosis>,
    same: impl Fn(&Diagnosis, &Diagnosis) -> bool,
) -> Vec<DiagnosisChange> {
    let mut found = vec![];
    old.retain(|&was| {
        let twin = new.iter().position(|is| was.code == is.code && same(was, is));
        let Some(position) = twin else { return true };
        let is = new.remove(position);
        let fate = if was.place == is.place { Fate::Stayed } else { Fate::Moved };
        found.push(change(fate, Some(was), Some(is), is));
        false
    });
    found
}

fn change(
    fate: Fate,
    before: Option<&Diagnosis>,
    after: Option<&Diagnosis>,
    named: &Diagnosis,
) -> DiagnosisChange {
    let (code, name) = (named.code.clone(), named.name.clone());
    DiagnosisChange { fate, code, name, before: before.cloned(), after: after.cloned() }
}
