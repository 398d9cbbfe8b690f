//! Errors as people see them: a stable code, what, where, and what to do about it.

use crate::harmless;
use kinstr_passes::context::Message;
use kinstr_trace::sites::Place;
use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode};
use serde::{Deserialize, Serialize};

/// One error, ready to be rendered at the edge.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(into = "Plain", from = "Plain")]
pub struct Complaint {
    code: String,
    message: String,
    help: Option<String>,
    labels: Vec<LabeledSpan>,
    source: Option<NamedSource<String>>,
    /// Places, and what is said of them, in files whose text is not at hand.
    places: Vec<(Place, String)>,
}

impl Complaint {
    /// `code` is stable and kebab-case after `kinstr::`, e.g. `kinstr::mlir`.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: format!("kinstr::{code}"), message: harmless::text(&message.into()), ..Self::default() }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(harmless::text(&help.into()));
        self
    }

    /// The last part of its code, which names the cause.
    pub fn cause(&self) -> &str {
        self.code.rsplit("::").next().unwrap_or_default()
    }

    /// What was said to do about it.
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The message and what its labels say, each with its place, on one line: for reports.
    pub fn summary(&self) -> String {
        let lines = self.message.lines().map(|line| line.trim().to_owned());
        let shown = self.labels.iter().filter_map(|label| self.placed(label));
        lines.chain(shown).chain(self.unshown()).collect::<Vec<_>>().join("; ")
    }

    fn placed(&self, label: &LabeledSpan) -> Option<String> {
        let (text, source) = (label.label()?, self.source.as_ref()?);
        let before = source.inner().get(..label.offset())?;
        let line = before.matches('\n').count() + 1;
        let column = before.len() - before.rfind('\n').map_or(0, |end| end + 1) + 1;
        Some(format!("{}:{line}:{column}: {text}", source.name()))
    }

    /// Points at `place`. What stands there is shown by [`Complaint::shown_in`] alone: a candidate's locations may name
    /// any file.
    #[must_use]
    pub fn at(mut self, place: &Place, label: impl Into<String>) -> Self {
        let place = Place { file: harmless::text(&place.file), ..place.clone() };
        self.places.push((place, harmless::text(&label.into())));
        self
    }

    /// Shows the places in the file `name`, whose text is `text`.
    #[must_use]
    pub fn shown_in(mut self, name: &str, text: &str) -> Self {
        let name = harmless::text(name);
        if self.source.is_some() || !self.places.iter().any(|(place, _)| place.file == name) {
            return self;
        }
        let (here, elsewhere) = self.places.into_iter().partition(|(place, _)| place.file == name);
        self.places = elsewhere;
        let here: Vec<(Place, String)> = here;
        self.labels.extend(
            here.into_iter().map(|(place, label)| LabeledSpan::at_offset(offset_of(text, &place), label)),
        );
        self.source = Some(NamedSource::new(name, harmless::source(text)));
        self
    }

    /// The places that are not shown, each on a line.
    fn unshown(&self) -> impl Iterator<Item = String> {
        self.places.iter().map(|(Place { file, line, column }, label)| match column {
            0 => format!("{file}:{line}: {label}"),
            _ => format!("{file}:{line}:{column}: {label}"),
        })
    }

    /// Adds MLIR's messages: the located ones point into the source, the others join the text.
    #[must_use]
    pub fn messages(mut self, messages: &[Message]) -> Self {
        for message in messages {
            self = match &message.place {
                Some(place) => self.at(place, &message.text),
                None => {
                    self.message += &harmless::text(&format!("\n  {}", message.text));
                    self
                }
            };
        }
        self
    }
}

/// A complaint as it goes from one process to another.
#[derive(Serialize, Deserialize)]
struct Plain {
    code: String,
    message: String,
    help: Option<String>,
    /// Byte offsets, and what is said of them.
    labels: Vec<(usize, String)>,
    /// Name and text.
    source: Option<(String, String)>,
    places: Vec<(Place, String)>,
}

impl From<Complaint> for Plain {
    fn from(complaint: Complaint) -> Self {
        let Complaint { code, message, help, labels, source, places } = complaint;
        let label = |label: LabeledSpan| (label.offset(), label.label().unwrap_or_default().to_owned());
        Self {
            code,
            message,
            help,
            labels: labels.into_iter().map(label).collect(),
            source: source.map(|source| (source.name().to_owned(), source.inner().clone())),
            places,
        }
    }
}

impl From<Plain> for Complaint {
    fn from(plain: Plain) -> Self {
        let Plain { code, message, help, labels, source, places } = plain;
        Self {
            code,
            message,
            help,
            labels: labels.into_iter().map(|(offset, text)| LabeledSpan::at_offset(offset, text)).collect(),
            source: source.map(|(name, text)| NamedSource::new(name, text)),
            places,
        }
    }
}

/// Byte offset of a position; past the end of the text it is the text's end.
fn offset_of(text: &str, place: &Place) -> usize {
    let line = (place.line as usize).saturating_sub(1);
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    (start + (place.column as usize).saturating_sub(1)).min(text.len())
}

impl std::fmt::Display for Complaint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        self.unshown().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl std::error::Error for Complaint {}

impl Diagnostic for Complaint {
    fn code<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(&self.code))
    }
    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn std::fmt::Display>)
    }
    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.labels.is_empty() { None } else { Some(Box::new(self.labels.iter().cloned())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_count_lines_and_columns_from_one() {
        let place = |line, column| Place { file: "f".into(), line, column };
        assert_eq!(offset_of("ab\ncd\n", &place(2, 2)), 4);
        assert_eq!(offset_of("ab\n", &place(9, 9)), 3);
    }

    #[test]
    fn a_complaint_crosses_processes_whole() {
        let at = |file: &str| Place { file: file.into(), line: 2, column: 2 };
        let sent = Complaint::new("mlir", "not valid").help("mend it").at(&at("f.mlir"), "expected ','");
        let sent = sent.shown_in("f.mlir", "ab\ncd\n").at(&at("g.h"), "elsewhere");
        let json = serde_json::to_string(&sent).unwrap();
        let received: Complaint = serde_json::from_str(&json).unwrap();
        assert_eq!(received.summary(), sent.summary());
        assert_eq!(
            format!("{:?}", miette::Report::new(received)),
            format!("{:?}", miette::Report::new(sent))
        );
    }

    #[test]
    fn a_summary_says_each_place() {
        let place = Place { file: "f.mlir".into(), line: 2, column: 2 };
        let complaint = Complaint::new("mlir", "not valid\n  at all").at(&place, "expected ','");
        let summary = "not valid; at all; f.mlir:2:2: expected ','";
        assert_eq!(complaint.summary(), summary);
        assert_eq!(complaint.shown_in("f.mlir", "ab\ncd\n").summary(), summary);
    }

    #[test]
    fn no_file_is_read_for_a_place_and_no_escape_gets_through() {
        let place = Place { file: "/etc/passwd".into(), line: 1, column: 1 };
        let complaint =
            Complaint::new("mlir", "no\u{1b}[2J").at(&place, "here\u{7}").shown_in("f.mlir", "ab\n");
        let shown = format!("{:?}", miette::Report::new(complaint));
        assert!(shown.contains("/etc/passwd:1:1: here�") && shown.contains("no�[2J"), "{shown}");
        assert!(!shown.contains("root:"), "{shown}");
    }
}
