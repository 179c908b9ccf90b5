//! Sizes and durations as runc's callers write them: Docker's "64m" and Go's "1m30s".

use std::time::Duration;

/// Why a text is no size; the texts are those that runc prints.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SizeError {
    #[error("invalid size: '{0}'")]
    Size(String),
    #[error("invalid suffix: '{0}'")]
    Suffix(String),
}

/// Bytes from a number with an optional binary unit: `1024`, `1.5k`, `64M`, `2 GiB`, `1tb`. Units are powers of 1024
/// whatever their spelling.
pub(crate) fn bytes(text: &str) -> Result<i64, SizeError> {
    let invalid = || SizeError::Size(text.to_owned());
    let digits = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ').ok_or_else(invalid)?;
    let (number, unit) = text.split_at(digits + 1);
    let number: f64 = number.strip_suffix(' ').unwrap_or(number).parse().map_err(|_| invalid())?;
    if !number.is_finite() || number < 0.0 {
        return Err(invalid());
    }
    let size = number * multiplier(unit).ok_or_else(|| SizeError::Suffix(unit.to_lowercase()))?;
    // `i64::MAX` as a float is one more than the largest size.
    if size >= i64::MAX as f64 { Err(invalid()) } else { Ok(size as i64) }
}

fn multiplier(unit: &str) -> Option<f64> {
    let unit = unit.to_lowercase();
    let prefix = match unit.strip_suffix("ib") {
        Some("") => return None,
        Some(prefix) => prefix,
        None => unit.strip_suffix('b').unwrap_or(&unit),
    };
    let power = match prefix {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    Some(1024_f64.powi(power))
}

/// A duration as Go reads it: numbers with units, `1h15m30.5s`, `300ms`, or a plain `0`. Negative ones are read, and
/// are as none: `Some(ZERO)`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(unit_at);
        let next_at = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(next_at);
        total = total.checked_add(nanoseconds(number, unit)?)?;
        rest = next;
    }
    if total > i64::MAX as u64 {
        return None;
    }
    Some(if negative { Duration::ZERO } else { Duration::from_nanos(total) })
}

fn nanoseconds(number: &str, unit: &str) -> Option<u64> {
    let per_unit: u64 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanoseconds = whole.checked_mul(per_unit)?;
    let mut place = per_unit;
    for digit in fraction.chars() {
        place /= 10;
        nanoseconds = nanoseconds.checked_add(u64::from(digit.to_digit(10)?) * place)?;
    }
    Some(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary_whatever_the_spelling() {
        let sizes = [
            ("32", 32),
            ("32b", 32),
            ("32B", 32),
            ("32k", 32 << 10),
            ("32K", 32 << 10),
            ("32kb", 32 << 10),
            ("32 KiB", 32 << 10),
            ("32Mb", 32 << 20),
            ("1.5g", 3 << 29),
            (".5 g", 1 << 29),
            ("32tib", 32 << 40),
            ("32PB", 32 << 50),
            ("0", 0),
            ("0.4", 0),
            ("32.", 32),
        ];
        for (text, size) in sizes {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_told_in_runcs_words() {
        let told = |text| bytes(text).unwrap_err().to_string();
        for text in
            ["", "hello", "k", ".", " ", "-32", "-32k", " 32 ", "9223372036854775807", "9000p", "1e400"]
        {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert_eq!(told("hello"), "invalid size: 'hello'");
        assert_eq!(told("32ex"), "invalid suffix: 'ex'");
        for text in ["32kk", "32 bb", "32ib", "32kibb", "32m b", "1x", "32µ"] {
            assert!(matches!(bytes(text), Err(SizeError::Suffix(_) | SizeError::Size(_))), "{text}");
        }
    }

    #[test]
    fn durations_are_gos() {
        let ms = Duration::from_millis;
        let durations = [
            ("0", ms(0)),
            ("5s", ms(5_000)),
            ("1m30s", ms(90_000)),
            ("1h15m30.5s", ms(4_530_500)),
            ("300ms", ms(300)),
            (".5s", ms(500)),
            ("1.s", ms(1_000)),
            ("2us", Duration::from_micros(2)),
            ("2µs", Duration::from_micros(2)),
            ("0.1234567891s", Duration::from_nanos(123_456_789)),
            ("+1s", ms(1_000)),
            ("-1s", ms(0)),
        ];
        for (text, expected) in durations {
            assert_eq!(duration(text), Some(expected), "{text}");
        }
        for text in ["", "5", "s", ".s", "1x", "1s5", "-", "1 s", "99999999999h", "1d", "1.2.3s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
