//! Tensors as problems speak of them: element types, shapes, and deterministic contents.
mod dtype;
mod element;
mod fill;
mod seed;
mod spec;

pub use dtype::{DType, UnknownDType};
pub use element::Element;
pub(crate) use element::with_element;
pub use fill::{FillError, Init, InitKind, fill};
pub use seed::Seed;
pub use spec::{TensorSpec, Unravelled, unravel};
