//! Tells an LLM agent, and a person, why a kernel is not faster.

pub mod correctness;
pub mod near;
pub mod problem;
pub mod reference;
pub mod tensor;
pub mod worker;
