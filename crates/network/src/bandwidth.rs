//! Bandwidth limits, as pods ask for them by annotations.

use serde::Serialize;
use std::collections::BTreeMap;

/// The annotation that limits what a pod receives.
pub const INGRESS_ANNOTATION: &str = "kubernetes.io/ingress-bandwidth";
/// The annotation that limits what a pod sends.
pub const EGRESS_ANNOTATION: &str = "kubernetes.io/egress-bandwidth";

/// The bounds that Kubernetes sets, in bits per second.
const LEAST: u64 = 1_000;
const MOST: u64 = 1_000_000_000_000_000;
/// A burst that never holds a rate back, and that plugins accept: 512 MiB.
const BURST: u64 = u32::MAX as u64;

/// Limits for one attachment; rates in bits per second, bursts in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bandwidth {
    /// What may be received.
    #[serde(skip_serializing_if = "is_zero")]
    pub ingress_rate: u64,
    /// What may be received at once.
    #[serde(skip_serializing_if = "is_zero")]
    pub ingress_burst: u64,
    /// What may be sent.
    #[serde(skip_serializing_if = "is_zero")]
    pub egress_rate: u64,
    /// What may be sent at once.
    #[serde(skip_serializing_if = "is_zero")]
    pub egress_burst: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A limit that cannot be kept.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("annotation {annotation}: {value:?} {problem}")]
pub struct BandwidthError {
    annotation: &'static str,
    value: String,
    problem: &'static str,
}

impl Bandwidth {
    /// What a pod's annotations ask for; `None` if they do not.
    pub fn of_annotations(annotations: &BTreeMap<String, String>) -> Result<Option<Self>, BandwidthError> {
        let ingress = rate(annotations, INGRESS_ANNOTATION)?;
        let egress = rate(annotations, EGRESS_ANNOTATION)?;
        if ingress.is_none() && egress.is_none() {
            return Ok(None);
        }
        let burst = |rate: Option<u64>| rate.map_or(0, |_| BURST);
        Ok(Some(Self {
            ingress_rate: ingress.unwrap_or(0),
            ingress_burst: burst(ingress),
            egress_rate: egress.unwrap_or(0),
            egress_burst: burst(egress),
        }))
    }
}

fn rate(annotations: &BTreeMap<String, String>, name: &'static str) -> Result<Option<u64>, BandwidthError> {
    let Some(value) = annotations.get(name) else { return Ok(None) };
    let error = |problem| BandwidthError { annotation: name, value: value.clone(), problem };
    match quantity(value) {
        None => Err(error("is no quantity")),
        Some(..LEAST) => Err(error("is less than 1k")),
        Some(rate) if rate > MOST => Err(error("is more than 1P")),
        Some(rate) => Ok(Some(rate)),
    }
}

/// A quantity as Kubernetes writes them: a decimal number with a binary, a decimal or no suffix, or with an exponent.
/// What lies between two whole numbers counts as the higher; what is beyond 64 bits is `u64::MAX`.
fn quantity(text: &str) -> Option<u64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    // More digits than this change nothing that can be written into 64 bits.
    let fraction = fraction.get(..fraction.len().min(18))?;
    let digits: u128 = match format!("{whole}{fraction}").trim_start_matches('0') {
        "" => 0,
        digits if digits.len() > 38 => return suffix_of(suffix).map(|_| u64::MAX),
        digits => digits.parse().ok()?,
    };
    let (times, power) = suffix_of(suffix)?;
    let power = power - i32::try_from(fraction.len()).ok()?;
    let scaled = digits.checked_mul(times).and_then(|digits| match u32::try_from(power) {
        Ok(up) => digits.checked_mul(10_u128.checked_pow(up)?),
        Err(_) => Some(
            10_u128
                .checked_pow(power.unsigned_abs())
                .map_or(u128::from(digits > 0), |by| digits.div_ceil(by)),
        ),
    });
    Some(scaled.and_then(|value| u64::try_from(value).ok()).unwrap_or(u64::MAX))
}

/// A suffix as a factor and a power of ten.
fn suffix_of(suffix: &str) -> Option<(u128, i32)> {
    let of = match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            (1, exponent.clamp(-100, 100))
        }
    };
    Some(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        for (text, value) in [
            ("10M", 10_000_000),
            ("1Ki", 1024),
            ("1.5k", 1500),
            (".5M", 500_000),
            ("1.", 1),
            ("+2G", 2_000_000_000),
            ("1e6", 1_000_000),
            ("15E2", 1_500),
            ("1E", 1_000_000_000_000_000_000),
            ("0.5", 1),
            ("1500m", 2),
            ("1e-100", 1),
            ("0e-100", 0),
            ("0", 0),
            ("1.0000000000000000000000001", 1),
            ("16Ei", u64::MAX),
            ("1e100", u64::MAX),
            ("100000000000000000000000000000000000000000000", u64::MAX),
        ] {
            assert_eq!(quantity(text), Some(value), "{text}");
        }
        for bad in ["", ".", "k", "-1", "1 k", "1K", "1kk", "1e", "1.2.3", "1e1.5", "١"] {
            assert_eq!(quantity(bad), None, "{bad}");
        }
    }

    #[test]
    fn annotations_become_limits_or_are_refused() {
        let of = |name: &str, value: &str| {
            Bandwidth::of_annotations(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
        };
        let limits = of(INGRESS_ANNOTATION, "1M").unwrap().unwrap();
        assert_eq!(
            serde_json::to_string(&limits).unwrap(),
            r#"{"ingressRate":1000000,"ingressBurst":4294967295}"#
        );
        assert_eq!(of("x", "1M").unwrap(), None);
        for (value, problem) in [("1", "less than 1k"), ("2P", "more than 1P"), ("fast", "no quantity")] {
            let error = of(EGRESS_ANNOTATION, value).unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains(EGRESS_ANNOTATION), "{error}");
        }
    }
}
