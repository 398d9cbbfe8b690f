//! Tells an LLM agent, and a person, why a kernel is not faster.

pub mod measure;
pub mod worker;
