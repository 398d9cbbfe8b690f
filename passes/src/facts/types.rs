//! Lanes and sizes of LLVM-dialect types, read from their printed form.

use melior::ir::{Type, Value, ValueLike};

/// A scalar or a fixed-length vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Lanes, 1 for a scalar.
    pub lanes: u32,
    /// Element type as MLIR prints it.
    pub element: String,
}

impl Shape {
    /// Shape of a value's type; a scalar of unknown type for `None`.
    pub fn of_value(value: Option<Value<'_, '_>>) -> Self {
        value.map_or(Self { lanes: 1, element: String::new() }, |value| Self::of_type(value.r#type()))
    }

    /// Shape of a type.
    pub fn of_type(r#type: Type<'_>) -> Self {
        Self::parse(&r#type.to_string())
    }

    fn parse(text: &str) -> Self {
        let inside = text
            .strip_prefix("vector<")
            .or_else(|| text.strip_prefix("!llvm.vec<"))
            .and_then(|rest| rest.strip_suffix('>'));
        match inside.and_then(|inside| inside.split_once('x')) {
            Some((lanes, element)) => Self {
                lanes: lanes.trim_matches(['[', ']', ' ']).parse().unwrap_or(1),
                element: element.trim().to_owned(),
            },
            None => Self { lanes: 1, element: text.to_owned() },
        }
    }

    /// Address space of a pointer, 0 where it says none; `None` for what is no pointer.
    pub fn address_space(pointer: Value<'_, '_>) -> Option<u32> {
        let text = pointer.r#type().to_string();
        let rest = text.strip_prefix("!llvm.ptr")?;
        Some(rest.trim_matches(['<', '>']).parse().unwrap_or(0))
    }

    /// True for floating-point elements.
    pub fn is_float(&self) -> bool {
        matches!(self.element.as_str(), "f16" | "bf16" | "f32" | "f64" | "f80" | "f128")
    }

    /// Bytes in memory: sub-byte elements are packed, pointers have 8 bytes.
    pub fn bytes(&self) -> u32 {
        let bits = match self.element.as_str() {
            "bf16" => 16,
            "index" => 64,
            other if other.contains("ptr") => 64,
            other => other.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0),
        };
        (self.lanes * bits).div_ceil(8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_vectors_and_pointers() {
        assert_eq!(Shape::parse("f32").bytes(), 4);
        assert_eq!(Shape::parse("vector<16xf32>"), Shape { lanes: 16, element: "f32".into() });
        assert_eq!(Shape::parse("vector<8xbf16>").bytes(), 16);
        assert_eq!(Shape::parse("!llvm.ptr").bytes(), 8);
        assert_eq!(Shape::parse("vector<4x!llvm.ptr>").bytes(), 32);
        assert_eq!(Shape::parse("i1").bytes(), 1);
    }
}
