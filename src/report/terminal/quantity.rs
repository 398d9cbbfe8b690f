//! Numbers for people: three digits and a unit that fits.

/// A time.
pub fn time(ns: f64) -> String {
    scaled(ns, 1000.0, &["ns", "µs", "ms", "s"])
}

/// Bytes, in powers of 1024.
pub fn bytes(bytes: f64) -> String {
    scaled(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"])
}

/// A count of `unit`.
pub fn count(value: f64, unit: &str) -> String {
    if value < 1000.0 && value.fract() == 0.0 {
        return format!("{value} {unit}");
    }
    let (value, prefix) = scale(value, 1000.0, &["", "k", "M", "G", "T"]);
    format!("{} {prefix}{unit}", digits(value))
}

/// A part of a whole.
pub fn percent(part: f64) -> String {
    let percent = part * 100.0;
    if percent < 9.95 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

/// A ratio of speeds; far below 1 as a fraction, so that it does not round to nothing.
pub fn factor(ratio: f64) -> String {
    match ratio {
        slow if slow > 0.0 && slow < 0.0995 => format!("1/{:.0}×", 1.0 / slow),
        fast if fast >= 99.95 => format!("{fast:.0}×"),
        ratio => format!("{ratio:.2}×"),
    }
}

/// A value in the unit of an evidence item.
pub fn in_unit(value: f64, unit: &str) -> String {
    match unit {
        "ns" => time(value),
        "B" => bytes(value),
        "1" => digits(value),
        "flop/B" | "GB/s" => format!("{} {unit}", digits(value)),
        _ => count(value, unit),
    }
}

fn scaled(value: f64, step: f64, units: &[&str]) -> String {
    let (value, unit) = scale(value, step, units);
    format!("{} {unit}", digits(value))
}

/// `value` in the largest of `units`, each `step` times the one before, that leaves it at least 1.
fn scale<'a>(mut value: f64, step: f64, units: &[&'a str]) -> (f64, &'a str) {
    let mut unit = 0;
    // 999.5 would be printed as 1000.
    while value.abs() >= step * 0.9995 && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    (value, units.get(unit).copied().unwrap_or_default())
}

/// Three significant digits; whole numbers as such.
fn digits(value: f64) -> String {
    let places = match value.abs() {
        v if v >= 99.95 || v == 0.0 || (v.fract() == 0.0 && v < 1000.0) => 0,
        v if v >= 9.995 => 1,
        v if v >= 0.0995 => 2,
        v if v >= 0.001 => 3,
        _ => return format!("{value:.1e}"),
    };
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_never_round_to_nothing() {
        let shown = [0.0, 0.000083, 0.5, 2.716, 4271.3].map(factor);
        assert_eq!(shown, ["0.00×", "1/12048×", "0.50×", "2.72×", "4271×"]);
    }

    #[test]
    fn units_fit_the_value() {
        assert_eq!(time(0.0), "0 ns");
        assert_eq!(time(999.7), "1.00 µs");
        assert_eq!(time(35_240_000.0), "35.2 ms");
        assert_eq!(time(2.5e13), "25000 s");
        assert_eq!(bytes(201_326_592.0), "192 MiB");
        assert_eq!(count(3.0, "sweeps"), "3 sweeps");
        assert_eq!(count(16_777_216.0, "calls"), "16.8 Mcalls");
        assert_eq!(percent(0.0123), "1.2 %");
        assert_eq!(percent(1.5), "150 %");
        assert_eq!(in_unit(0.382, "1"), "0.38");
        assert_eq!(in_unit(0.0909, "1"), "0.091");
        assert_eq!(in_unit(0.00038, "1"), "3.8e-4");
    }
}
