//! Names. `cgroupsPath` is `slice:prefix:name`; the unit is `prefix-name.scope`, or `name` itself where that ends in
//! `.slice`. Each `-` in the name of a slice is a level of the hierarchy.

use super::value::Value;
use crate::cgroup::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

const ANNOTATION: &str = "org.systemd.property.";

/// A container's unit; kept in its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// The slice that it is in.
    pub slice: String,
    /// What the description calls the container.
    pub container: String,
    /// The user's manager has it.
    pub user: bool,
    /// Properties from annotations, in GVariant's text form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<(String, String)>,
}

impl Unit {
    /// Decides; asks nobody.
    pub fn plan(
        id: &str,
        cgroups_path: Option<&str>,
        user: bool,
        annotations: Option<&HashMap<String, String>>,
    ) -> Result<Self> {
        let (slice, prefix, name) = match cgroups_path {
            None => ("", "runc", id),
            Some(path) => match path.split(':').collect::<Vec<_>>().as_slice() {
                [slice, prefix, name] => (*slice, *prefix, *name),
                _ => {
                    return Err(Error::Invalid(format!(
                        "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, \
                         got {path:?} instead"
                    )));
                }
            },
        };
        let slice = match slice {
            "" if user => "user.slice",
            "" => "system.slice",
            "-" => "-.slice",
            slice => slice,
        };
        expand_slice(slice)?;
        let unit_name =
            if name.ends_with(".slice") { name.to_owned() } else { format!("{prefix}-{name}.scope") };
        if name.is_empty() || unit_name.contains('/') {
            return Err(Error::Invalid(format!("invalid unit name: {unit_name}")));
        }
        let mut properties = Vec::new();
        for (key, text) in annotations.into_iter().flatten() {
            if let Some(property) = key.strip_prefix(ANNOTATION) {
                parse_property(property, text)?;
                properties.push((property.to_owned(), text.clone()));
            }
        }
        properties.sort();
        Ok(Self { name: unit_name, slice: slice.to_owned(), container: name.to_owned(), user, properties })
    }

    pub(crate) fn is_slice(&self) -> bool {
        self.name.ends_with(".slice")
    }

    /// The unit's cgroup, below that of its manager.
    pub(crate) fn path(&self) -> Result<String> {
        Ok(format!("{}/{}", expand_slice(&self.slice)?.trim_end_matches('/'), self.name))
    }
}

/// `a-b.slice` → `/a.slice/a-b.slice`.
fn expand_slice(slice: &str) -> Result<String> {
    let invalid = || Error::Invalid(format!("invalid slice name: {slice}"));
    let name = slice.strip_suffix(".slice").filter(|name| !name.contains('/')).ok_or_else(invalid)?;
    if name == "-" {
        return Ok("/".into());
    }
    let (mut path, mut prefix) = (String::new(), String::new());
    for component in name.split('-') {
        if component.is_empty() {
            return Err(invalid());
        }
        path.push_str(&format!("/{prefix}{component}.slice"));
        prefix.push_str(&format!("{component}-"));
    }
    Ok(path)
}

/// One annotation. systemd's files have times in seconds under `XSec`, its bus has microseconds under `XUSec`.
pub(crate) fn parse_property(name: &str, text: &str) -> Result<(String, Value)> {
    let shown = || format!("annotation {ANNOTATION}{name}={text}");
    if name.len() < 3 {
        return Err(Error::Invalid(format!("{} name incorrect: too short", shown())));
    }
    if !name.chars().all(|c| c.is_ascii_alphabetic()) {
        return Err(Error::Invalid(format!("{} name incorrect: contains non-alphabetic character", shown())));
    }
    let value =
        Value::parse(text).map_err(|why| Error::Invalid(format!("{} value parse error: {why}", shown())))?;
    match name.strip_suffix("Sec").filter(|stem| stem.ends_with(|c: char| c.is_ascii_lowercase())) {
        None => Ok((name.to_owned(), value)),
        Some(stem) => microseconds(&value)
            .map(|value| (format!("{stem}USec"), Value::U64(value)))
            .ok_or_else(|| Error::Invalid(format!("{} value parse error: not a number", shown()))),
    }
}

fn microseconds(value: &Value) -> Option<u64> {
    const PER_SECOND: u64 = 1_000_000;
    let whole = |seconds: u64| Some(seconds.saturating_mul(PER_SECOND));
    match *value {
        Value::Byte(n) => whole(n.into()),
        Value::I16(n) => whole(u64::try_from(n).ok()?),
        Value::U16(n) => whole(n.into()),
        Value::I32(n) => whole(u64::try_from(n).ok()?),
        Value::U32(n) => whole(n.into()),
        Value::I64(n) => whole(u64::try_from(n).ok()?),
        Value::U64(n) => whole(n),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked; saturates at the end"
        )]
        Value::F64(n) if n >= 0.0 => Some((n * 1e6) as u64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_unit() {
        for (path, user, slice, name, cgroup) in [
            (None, false, "system.slice", "runc-c1.scope", "/system.slice/runc-c1.scope"),
            (None, true, "user.slice", "runc-c1.scope", "/user.slice/runc-c1.scope"),
            (Some(":docker:9"), false, "system.slice", "docker-9.scope", "/system.slice/docker-9.scope"),
            (Some("-:p:n"), false, "-.slice", "p-n.scope", "/p-n.scope"),
            (
                Some("kube-a.slice:cri:9"),
                false,
                "kube-a.slice",
                "cri-9.scope",
                "/kube.slice/kube-a.slice/cri-9.scope",
            ),
            (Some("a.slice:x:a-b.slice"), false, "a.slice", "a-b.slice", "/a.slice/a-b.slice"),
        ] {
            let unit = Unit::plan("c1", path, user, None).unwrap();
            assert_eq!((unit.slice.as_str(), unit.name.as_str()), (slice, name), "{path:?}");
            assert_eq!(unit.path().unwrap(), cgroup, "{path:?}");
        }
    }

    #[test]
    fn bad_names_are_refused() {
        for (path, text) in [
            (
                "/a/b",
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got \"/a/b\" instead",
            ),
            ("a--b.slice:p:n", "invalid slice name: a--b.slice"),
            ("-a.slice:p:n", "invalid slice name: -a.slice"),
            ("a:p:n", "invalid slice name: a"),
            ("a/b.slice:p:n", "invalid slice name: a/b.slice"),
            ("a.slice:p:../n", "invalid unit name: p-../n.scope"),
        ] {
            assert_eq!(Unit::plan("c", Some(path), false, None).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn annotations_become_properties() {
        let ok = |name: &str, text: &str| parse_property(name, text).unwrap();
        assert_eq!(ok("TimeoutStopUSec", "uint64 5"), ("TimeoutStopUSec".into(), Value::U64(5)));
        assert_eq!(ok("TimeoutStopSec", "123"), ("TimeoutStopUSec".into(), Value::U64(123_000_000)));
        assert_eq!(ok("TimeoutStopSec", "1.5"), ("TimeoutStopUSec".into(), Value::U64(1_500_000)));
        assert_eq!(ok("CollectMode", "'inactive-or-failed'").1, Value::from("inactive-or-failed"));
        for (name, text, why) in [
            ("Xx", "1", "too short"),
            ("A-b", "1", "non-alphabetic"),
            ("Good", "nonsense", "value parse error"),
            ("GoodSec", "'x'", "not a number"),
            ("GoodSec", "-1", "not a number"),
        ] {
            let error = parse_property(name, text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("annotation org.systemd.property.{name}={text}")), "{error}");
            assert!(error.contains(why), "{error}");
        }
        let annotations = HashMap::from([
            ("org.systemd.property.After".to_owned(), "['b.service']".to_owned()),
            ("other".to_owned(), "x".to_owned()),
        ]);
        let unit = Unit::plan("c", None, false, Some(&annotations)).unwrap();
        assert_eq!(unit.properties, [("After".to_owned(), "['b.service']".to_owned())]);
    }
}
