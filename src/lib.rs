//! `kinstr` tells an LLM agent, and a person, why a kernel is not faster.
pub mod problem;
pub mod tensor;
