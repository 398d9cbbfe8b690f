//! Keeps a report within its size.

/// Bytes of compact JSON a report has at most unless asked for in full.
pub const DEFAULT_LIMIT: usize = 16 * 1024;
