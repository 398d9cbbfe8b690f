//! Evaluations as a fixed row of stages over one event stream.

pub mod event;
pub mod fold;
pub mod log;
