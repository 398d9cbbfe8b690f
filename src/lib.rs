//! Tells an LLM agent, and a person, why a kernel is not faster.

pub mod worker;
