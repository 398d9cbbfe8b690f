//! Aligned columns.

use super::paint::{Ink, Page, columns};

/// One cell.
pub struct Cell {
    text: String,
    ink: Ink,
    right: bool,
}

/// Text, to the left.
pub fn left(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), ink: Ink::Plain, right: false }
}

/// A number, to the right.
pub fn right(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), ink: Ink::Plain, right: true }
}

impl Cell {
    /// The same in colour.
    pub fn ink(self, ink: Ink) -> Self {
        Self { ink, ..self }
    }

    fn padded(&self, page: &Page, width: usize) -> String {
        let space = " ".repeat(width.saturating_sub(columns(&self.text)));
        let text = page.ink(self.ink, &self.text);
        if self.right { space + &text } else { text + &space }
    }
}

/// Writes `rows` two columns in, each column as wide as its widest cell, two spaces between.
pub fn write(page: &mut Page, rows: Vec<Vec<Cell>>) {
    let mut widths: Vec<usize> = vec![];
    for row in &rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = columns(&cell.text).max(*width);
        }
    }
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| cell.padded(page, *width));
        let line = cells.collect::<Vec<_>>().join("  ");
        page.line(&format!("  {line}"));
    }
}

/// A row of faint column names, to the right where `right` says so.
pub fn header(names: &[(&str, bool)]) -> Vec<Cell> {
    let cell = |&(name, to_right): &(&str, bool)| if to_right { right(name) } else { left(name) };
    names.iter().map(|name| cell(name).ink(Ink::Faint)).collect()
}

/// A bar of `width` columns filled to `share`, in eighths of a column.
pub fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let bar = "█".repeat(eighths / 8) + EIGHTHS[eighths % 8];
    let space = " ".repeat(width.saturating_sub(columns(&bar)));
    bar + &space
}
