//! Errors as people see them: a stable code, what, where, and what to do about it.

use kinstr_passes::context::Message;
use kinstr_trace::sites::Place;
use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode};

/// One error, ready to be rendered at the edge.
#[derive(Debug, Default)]
pub struct Complaint {
    code: String,
    message: String,
    help: Option<String>,
    labels: Vec<LabeledSpan>,
    source: Option<NamedSource<String>>,
}

impl Complaint {
    /// `code` is stable and kebab-case after `kinstr::`, e.g. `kinstr::mlir`.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: format!("kinstr::{code}"), message: message.into(), ..Self::default() }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What was said to do about it.
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The message and what its labels say, on one line: for reports.
    pub fn summary(&self) -> String {
        let labels = self.labels.iter().filter_map(|label| label.label());
        let parts: Vec<&str> = self.message.lines().map(str::trim).chain(labels).collect();
        parts.join("; ")
    }

    /// Points at `place`. The first call decides the file that is shown; a file that cannot be read, or another
    /// one, is named in the message instead.
    #[must_use]
    pub fn at(mut self, place: &Place, label: impl Into<String>) -> Self {
        if self.source.is_none()
            && let Ok(text) = std::fs::read_to_string(&place.file)
        {
            self.source = Some(NamedSource::new(&place.file, text));
        }
        let label = label.into();
        match self.source.as_ref().filter(|source| source.name() == place.file) {
            Some(source) => {
                let offset = offset_of(source.inner(), place);
                self.labels.push(LabeledSpan::at_offset(offset, label));
            }
            None => self.message += &format!("\n  {place}: {label}"),
        }
        self
    }

    /// Adds MLIR's messages: the located ones point into the source, the others join the text.
    #[must_use]
    pub fn messages(mut self, messages: &[Message]) -> Self {
        for message in messages {
            self = match &message.place {
                Some(place) => self.at(place, &message.text),
                None => {
                    self.message += &format!("\n  {}", message.text);
                    self
                }
            };
        }
        self
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
        f.write_str(&self.message)
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
}
