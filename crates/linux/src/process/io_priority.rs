//! When its I/O is served.

use super::error::Error;
use crate::sys::sched::ioprio_set;
use oci_spec::runtime::{IOPriorityClass, LinuxIOPriority};

/// Class and level as ioprio_set(2) takes them.
pub(crate) fn plan(wanted: &LinuxIOPriority) -> Result<i32, Error> {
    let level = i32::try_from(wanted.priority())
        .ok()
        .filter(|level| (0..=7).contains(level))
        .ok_or_else(|| Error::invalid(format!("invalid ioPriority.Priority: {}", wanted.priority())))?;
    let class = match wanted.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    Ok(class << 13 | level)
}

/// Gives the calling process its I/O priority.
pub fn set(priority: i32) -> Result<(), Error> {
    ioprio_set(priority).map_err(Error::system("failed to set io priority"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_priority_is_class_and_level() {
        let planned = |json| plan(&serde_json::from_str(json).unwrap()).map_err(|error| error.to_string());
        assert_eq!(planned(r#"{"class":"IOPRIO_CLASS_IDLE","priority":7}"#).unwrap(), 0x6007);
        assert_eq!(
            planned(r#"{"class":"IOPRIO_CLASS_BE","priority":8}"#).unwrap_err(),
            "invalid ioPriority.Priority: 8"
        );
    }
}
