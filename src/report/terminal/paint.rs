//! A page of text: sections, wrapped paragraphs, colour if wanted.

use crate::harmless;

/// How to render.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether to use ANSI colours.
    pub color: bool,
    /// Columns.
    pub width: usize,
}

/// Meaning of a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// As the rest.
    Plain,
    /// A heading or a name.
    Strong,
    /// Context.
    Faint,
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Wrong, or costly.
    Bad,
}

impl Ink {
    /// Codes of the 16-colour palette, which every terminal theme makes readable.
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Strong => Some("1"),
            Self::Faint => Some("2"),
            Self::Good => Some("32"),
            Self::Warn => Some("33"),
            Self::Bad => Some("31"),
        }
    }
}

/// Text under construction.
pub struct Page {
    style: Style,
    text: String,
}

impl Page {
    pub fn new(style: Style) -> Self {
        Self { style, text: String::new() }
    }

    pub fn finish(self) -> String {
        self.text
    }

    /// `text` in `ink`, or as it is without colour.
    pub fn ink(&self, ink: Ink, text: &str) -> String {
        let text = harmless::line(text);
        match ink.code().filter(|_| self.style.color && !text.is_empty()) {
            Some(code) => format!("\x1b[{code}m{text}\x1b[0m"),
            None => text,
        }
    }

    /// An empty line, then a heading.
    pub fn heading(&mut self, text: &str) {
        let heading = self.ink(Ink::Strong, text);
        self.text.push('\n');
        self.line(&heading);
    }

    pub fn line(&mut self, text: &str) {
        // Whatever part of a line nobody made harmless before.
        self.text.push_str(harmless::coloured(text).trim_end());
        self.text.push('\n');
    }

    /// Words of `text`, wrapped and indented. Line breaks in it are kept.
    pub fn paragraph(&mut self, indent: usize, text: &str) {
        self.hanging(&" ".repeat(indent), text);
    }

    /// As [`Page::paragraph`], the first line after `label`, which takes the room of the indent.
    pub fn hanging(&mut self, label: &str, text: &str) {
        let indent = columns(label);
        let mut lead = label.to_owned();
        for part in text.lines() {
            for line in wrap(part, self.style.width.saturating_sub(indent)) {
                self.line(&format!("{lead}{line}"));
                lead = " ".repeat(indent);
            }
        }
    }
}

impl Page {
    /// As [`Page::hanging`], with `word` in `ink` between the label and the text.
    pub fn inked_hanging(&mut self, label: &str, ink: Ink, word: &str, text: &str) {
        let indent = columns(label);
        let room = self.style.width.saturating_sub(indent);
        for (number, line) in wrap(&format!("{word}{text}"), room).into_iter().enumerate() {
            let coloured = match line.strip_prefix(word.trim_end()).filter(|_| number == 0) {
                Some(rest) => self.ink(ink, word.trim_end()) + rest,
                None => line,
            };
            let lead = if number == 0 { label.to_owned() } else { " ".repeat(indent) };
            self.line(&format!("{lead}{coloured}"));
        }
    }

    /// Faint words, wrapped.
    pub fn faint_paragraph(&mut self, text: &str) {
        for line in wrap(text, self.style.width) {
            let line = self.ink(Ink::Faint, &line);
            self.line(&line);
        }
    }
}

/// Columns `text` takes, taking every character for one column.
pub fn columns(text: &str) -> usize {
    text.chars().count()
}

/// Lines of at most `width` columns; a word that is longer has a line of its own.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![];
    let mut line = String::new();
    for word in text.split_whitespace().map(harmless::line) {
        if !line.is_empty() && columns(&line) + 1 + columns(&word) > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines
}
