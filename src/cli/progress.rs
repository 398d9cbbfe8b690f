//! Progress on standard error, only on a terminal.

use crate::{eval::Observer, jobs::event::Stage};
use std::io::{IsTerminal, Write};

/// One line that is overwritten.
pub struct Progress {
    shown: bool,
}

impl Progress {
    /// Silent unless standard error is a terminal.
    pub fn new() -> Self {
        Self { shown: std::io::stderr().is_terminal() }
    }

    /// Takes the line away.
    pub fn finish(&mut self) {
        self.write("");
    }

    fn write(&mut self, text: &str) {
        if self.shown {
            let mut err = std::io::stderr().lock();
            // A terminal that went away is no error.
            let _ = write!(err, "\r\x1b[K{text}").and_then(|()| err.flush());
        }
    }
}

impl Observer for Progress {
    fn began(&mut self, stage: Stage, attempt: u32) {
        match attempt {
            1 => self.write(stage.name()),
            again => self.write(&format!("{}, attempt {again}", stage.name())),
        }
    }

    fn progress(&mut self, text: &str) {
        self.write(text);
    }
}
