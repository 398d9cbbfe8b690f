//! Shapes with all axes bound.
use super::DType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One tensor of a workload: every axis has its size. An empty shape is a scalar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TensorSpec {
    /// The name in the problem.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Extents, outermost first; the layout is row-major and contiguous.
    pub shape: Vec<u64>,
}

impl TensorSpec {
    /// Number of elements; `None` past `u64`.
    pub fn checked_elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1u64, |product, extent| product.checked_mul(*extent))
    }

    /// Number of elements, saturating: a [`crate::problem::Problem`] refuses workloads that would saturate.
    pub fn elements(&self) -> u64 {
        self.checked_elements().unwrap_or(u64::MAX)
    }

    /// Size in bytes; `None` where it does not fit the address space.
    pub fn checked_bytes(&self) -> Option<usize> {
        let bytes = self.checked_elements()?.checked_mul(self.dtype.bytes() as u64)?;
        usize::try_from(bytes).ok().filter(|bytes| *bytes <= isize::MAX as usize)
    }

    /// Size in bytes, saturating as [`Self::elements`] does.
    pub fn bytes(&self) -> usize {
        self.checked_bytes().unwrap_or(usize::MAX)
    }
}

impl fmt::Display for TensorSpec {
    /// `x: f32[4096, 1024]`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}{}", self.name, self.dtype, Unravelled(&self.shape))
    }
}

/// Shows a shape or an index as `[4, 2]`.
#[derive(Clone, Copy, Debug)]
pub struct Unravelled<'a>(pub &'a [u64]);

impl fmt::Display for Unravelled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(u64::to_string).collect();
        write!(f, "[{}]", parts.join(", "))
    }
}

/// The index, one number an axis, of the element at `position` in row-major order.
pub fn unravel(position: u64, shape: &[u64]) -> Vec<u64> {
    let mut rest = position;
    let mut index = vec![0; shape.len()];
    for (slot, extent) in index.iter_mut().zip(shape).rev() {
        let extent = (*extent).max(1);
        *slot = rest % extent;
        rest /= extent;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(shape: &[u64]) -> TensorSpec {
        TensorSpec { name: "x".into(), dtype: DType::F32, shape: shape.to_vec() }
    }

    #[test]
    fn scalars_have_one_element() {
        assert_eq!(spec(&[]).elements(), 1);
        assert_eq!(spec(&[]).to_string(), "x: f32[]");
    }

    #[test]
    fn sizes_past_the_address_space_are_refused() {
        assert_eq!(spec(&[1 << 40, 1 << 40]).checked_elements(), None);
        assert_eq!(spec(&[1 << 62]).checked_bytes(), None);
        assert_eq!(spec(&[3, 4]).checked_bytes(), Some(48));
    }

    #[test]
    fn indices_are_row_major() {
        assert_eq!(unravel(7, &[2, 3, 2]), [1, 0, 1]);
        assert_eq!(unravel(0, &[]), Vec::<u64>::new());
    }
}
