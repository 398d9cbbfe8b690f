//! `kinstr eval` as its users run it: the binary, on small problems.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod after;
mod c;
mod correct;
mod faults;
mod help;
mod python;
mod resume;
mod solution;
mod support;
mod unreadable;
mod wrong;
