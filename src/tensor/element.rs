//! Elements as numbers: reading, writing and measuring distance, for each element type.
use half::{bf16, f16};

/// One element of a tensor, little-endian in memory.
pub trait Element: Copy + PartialEq {
    /// Size in bytes.
    const BYTES: usize;
    /// Reads the element that starts at `bytes[0]`; `bytes` holds `BYTES` of them.
    fn read(bytes: &[u8]) -> Self;
    /// Writes the element over `bytes`, which are `BYTES` long.
    fn write(self, bytes: &mut [u8]);
    /// The nearest element to `value`; integers round towards zero and saturate.
    fn from_f64(value: f64) -> Self;
    /// The greatest element below `value`.
    fn below(value: f64) -> Self;
    /// The value; 64-bit integers beyond 2^53 lose digits.
    fn to_f64(self) -> f64;
    /// Representable values between the two: ULPs for floating point, the difference for integers. Meaningless for NaN.
    fn steps_to(self, other: Self) -> u64;
    /// `|self − other|`, exact for integers below 2^53.
    fn difference(self, other: Self) -> f64;
}

/// Maps the bits of a float (sign and magnitude) to an integer that rises with the value; both zeros become 0.
fn ordered(bits: u64, width: u32) -> i64 {
    let sign = 1u64 << (width - 1);
    let magnitude = (bits & (sign - 1)) as i64;
    if bits & sign == 0 { magnitude } else { -magnitude }
}

/// The bits of the next float towards minus infinity.
fn next_down(bits: u64, width: u32) -> u64 {
    let sign = 1u64 << (width - 1);
    match (bits & (sign - 1), bits & sign) {
        (0, _) => sign | 1,
        (_, 0) => bits - 1,
        _ => bits + 1,
    }
}

macro_rules! float_element {
    ($type:ty, $width:literal, $from:expr, $to:expr) => {
        impl Element for $type {
            const BYTES: usize = $width / 8;
            fn read(bytes: &[u8]) -> Self {
                let mut raw = [0; $width / 8];
                raw.copy_from_slice(bytes);
                Self::from_le_bytes(raw)
            }
            fn write(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
            fn from_f64(value: f64) -> Self {
                $from(value)
            }
            fn below(value: f64) -> Self {
                let nearest: Self = $from(value);
                match Element::to_f64(nearest) < value {
                    true => nearest,
                    false => Self::from_bits(next_down(nearest.to_bits().into(), $width) as _),
                }
            }
            fn to_f64(self) -> f64 {
                $to(self)
            }
            fn steps_to(self, other: Self) -> u64 {
                ordered(self.to_bits().into(), $width).abs_diff(ordered(other.to_bits().into(), $width))
            }
            fn difference(self, other: Self) -> f64 {
                (Element::to_f64(self) - Element::to_f64(other)).abs()
            }
        }
    };
}

float_element!(f16, 16, f16::from_f64, f16::to_f64);
float_element!(bf16, 16, bf16::from_f64, bf16::to_f64);
float_element!(f32, 32, |v| v as f32, f64::from);
float_element!(f64, 64, std::convert::identity, std::convert::identity);

macro_rules! integer_element {
    ($($type:ty),*) => {$(
        impl Element for $type {
            const BYTES: usize = size_of::<$type>();
            fn read(bytes: &[u8]) -> Self {
                let mut raw = [0; size_of::<$type>()];
                raw.copy_from_slice(bytes);
                Self::from_le_bytes(raw)
            }
            fn write(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
            fn from_f64(value: f64) -> Self {
                value as $type
            }
            fn below(value: f64) -> Self {
                (value.ceil() - 1.0) as $type
            }
            fn to_f64(self) -> f64 {
                self as f64
            }
            fn steps_to(self, other: Self) -> u64 {
                u64::from(self.abs_diff(other))
            }
            fn difference(self, other: Self) -> f64 {
                self.abs_diff(other) as f64
            }
        }
    )*};
}

integer_element!(i8, i16, i32, i64, u8);

/// Evaluates the body with the type alias `$element` bound to the Rust type of `$dtype`.
/// A boolean is its byte, so that a byte that is neither 0 nor 1 stays visible.
macro_rules! with_element {
    ($dtype:expr, $element:ident => $body:expr) => {{
        macro_rules! arm {
            ($type:ty) => {{
                type $element = $type;
                $body
            }};
        }
        match $dtype {
            $crate::tensor::DType::F16 => arm!(half::f16),
            $crate::tensor::DType::BF16 => arm!(half::bf16),
            $crate::tensor::DType::F32 => arm!(f32),
            $crate::tensor::DType::F64 => arm!(f64),
            $crate::tensor::DType::I8 => arm!(i8),
            $crate::tensor::DType::I16 => arm!(i16),
            $crate::tensor::DType::I32 => arm!(i32),
            $crate::tensor::DType::I64 | $crate::tensor::DType::Index => arm!(i64),
            $crate::tensor::DType::U8 | $crate::tensor::DType::Bool => arm!(u8),
        }
    }};
}
pub(crate) use with_element;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_step_apart_across_zero() {
        let tiny = f32::from_bits(1);
        assert_eq!(tiny.steps_to(-tiny), 2);
        assert_eq!(0.0f32.steps_to(-0.0), 0);
        assert_eq!(1.0f64.steps_to(1.0 + f64::EPSILON), 1);
        assert_eq!(f16::ONE.steps_to(f16::from_f64(1.0 + 2.0 * f16::EPSILON.to_f64())), 2);
    }

    #[test]
    fn the_greatest_value_below_is_a_step_away_or_what_rounding_gives() {
        assert_eq!(f32::below(1.0), 1.0f32.next_down());
        assert_eq!(f32::below(-1.0), (-1.0f32).next_down());
        assert_eq!(f64::below(0.0), -f64::from_bits(1));
        assert_eq!(f16::below(1.0).to_f64(), 1.0 - f16::EPSILON.to_f64() / 2.0);
        assert_eq!(bf16::below(1.0001).to_f64(), 1.0);
        assert_eq!((i8::below(3.0), i8::below(2.5)), (2, 2));
    }

    #[test]
    fn integers_do_not_wrap() {
        assert_eq!(i64::MIN.steps_to(i64::MAX), u64::MAX);
        assert_eq!(i8::from_f64(300.0), 127);
        assert_eq!((-128i8).difference(127), 255.0);
    }
}
