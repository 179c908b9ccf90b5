//! Offsets of the clocks in a time namespace.
//!
//! They can be written between the making of the namespace and the first process in it, so this runs in whoever called
//! unshare(CLONE_NEWTIME), before it forks (or is written for it from outside).

use super::error::Error;
use super::procfs::Procfs;
use oci_spec::runtime::LinuxTimeOffset;
use rustix::fs::OFlags;
use std::collections::HashMap;

/// The text that `timens_offsets` takes: a line for each clock.
pub(crate) fn plan(wanted: &HashMap<String, LinuxTimeOffset>) -> Result<Option<String>, Error> {
    let mut lines = Vec::with_capacity(wanted.len());
    for (clock, offset) in wanted {
        if !matches!(clock.as_str(), "monotonic" | "boottime") {
            return Err(Error::invalid(format!(
                "linux.timeOffsets: {clock:?} is no clock of a time namespace"
            )));
        }
        let nanosecs = offset.nanosecs().unwrap_or(0);
        if nanosecs > 999_999_999 {
            return Err(Error::invalid(format!(
                "linux.timeOffsets.{clock}.nanosecs: {nanosecs} is a second or more"
            )));
        }
        lines.push(format!("{clock} {} {nanosecs}\n", offset.secs().unwrap_or(0)));
    }
    lines.sort_unstable();
    Ok((!lines.is_empty()).then(|| lines.concat()))
}

/// Sets them for the namespace that the children of `process` (a pid, or `self`) will be in.
pub fn set_offsets(proc: &Procfs, process: &str, offsets: &str) -> Result<(), Error> {
    proc.try_write(&format!("{process}/timens_offsets"), OFlags::WRONLY, offsets.as_bytes())
        .map_err(Error::system(format!("failed to update timens_offsets to {offsets:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_lines() {
        let parse = |json| serde_json::from_str::<HashMap<String, LinuxTimeOffset>>(json).unwrap();
        let text = plan(&parse(r#"{"monotonic":{"secs":-5},"boottime":{"secs":7,"nanosecs":9}}"#)).unwrap();
        assert_eq!(text.unwrap(), "boottime 7 9\nmonotonic -5 0\n");
        assert!(plan(&parse(r#"{"realtime":{"secs":1}}"#)).is_err());
        assert!(plan(&parse(r#"{"monotonic":{"nanosecs":1000000000}}"#)).is_err());
        assert_eq!(plan(&HashMap::new()).unwrap(), None);
    }
}
