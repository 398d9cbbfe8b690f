//! What a child printed, bounded.

use std::io::{ErrorKind, Read};

/// Bytes of a stream that are kept; the rest is counted.
const KEPT_BYTES: usize = 64 << 10;

/// The beginning of what a child wrote to one stream, and how much it wrote in all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Printed {
    kept: Vec<u8>,
    /// Bytes written, kept or not.
    pub total_bytes: u64,
}

impl Printed {
    /// The kept beginning, with what is not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }

    /// The last line that is not empty, of the kept beginning.
    pub fn last_line(&self) -> String {
        let text = self.text();
        text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = KEPT_BYTES - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.total_bytes += bytes.len() as u64;
    }
}

/// A stream of a child, read as it comes so that the child never blocks on it.
#[derive(Debug)]
pub(super) struct Capture<R> {
    /// `None` once the other end is closed.
    pub(super) stream: Option<R>,
    pub(super) printed: Printed,
}

impl<R: Read> Capture<R> {
    pub(super) fn new(stream: Option<R>) -> Self {
        Self { stream, printed: Printed::default() }
    }

    /// Takes what has arrived, at most a pipe's worth, so that a child that prints without end cannot
    /// keep us from looking at the clock. The stream must not block.
    pub(super) fn drain(&mut self) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        let mut buffer = [0; 64 << 10];
        match stream.read(&mut buffer) {
            Ok(0) => self.stream = None,
            Ok(bytes) => self.printed.add(&buffer[..bytes]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.stream = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_is_kept_and_everything_counted() {
        let flood = vec![b'x'; 3 * KEPT_BYTES];
        let mut capture = Capture::new(Some(flood.as_slice()));
        while capture.stream.is_some() {
            capture.drain();
        }
        assert_eq!(capture.printed.text().len(), KEPT_BYTES);
        assert_eq!(capture.printed.total_bytes, flood.len() as u64);
    }
}
