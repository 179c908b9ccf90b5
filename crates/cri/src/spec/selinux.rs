//! SELinux: the labels of a container's processes and files.

use crate::wire::v1::SeLinuxOption;

/// The label of a container's processes.
pub(super) fn of_process(options: &SeLinuxOption) -> String {
    let or = |text: &str, usual: &str| if text.is_empty() { usual.to_owned() } else { text.to_owned() };
    format!(
        "{}:{}:{}:{}",
        or(&options.user, "system_u"),
        or(&options.role, "system_r"),
        or(&options.r#type, "container_t"),
        or(&options.level, "s0")
    )
}

/// The label of its files: of its level, and of the type that policies give to all containers.
pub(crate) fn of_files(options: Option<&SeLinuxOption>) -> String {
    let level =
        options.map(|options| options.level.as_str()).filter(|level| !level.is_empty()).unwrap_or("s0");
    format!("system_u:object_r:container_file_t:{level}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_policies_have_it() {
        let options = SeLinuxOption { level: "s0:c1,c2".to_owned(), ..Default::default() };
        assert_eq!(of_process(&options), "system_u:system_r:container_t:s0:c1,c2");
        assert_eq!(of_files(Some(&options)), "system_u:object_r:container_file_t:s0:c1,c2");
        assert_eq!(of_files(None), "system_u:object_r:container_file_t:s0");
    }
}
