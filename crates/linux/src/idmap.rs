//! Id mappings of a user namespace: written by us where the kernel lets us, by newuidmap and newgidmap where it does
//! not.

use compute::{Error, Kind};
use oci_spec::runtime::LinuxIdMapping;
use std::fmt::Write as _;
use std::process::Command;

/// Writes the mappings of the user namespace that process `pid` just made.
pub(crate) fn write(pid: i32, uids: &[LinuxIdMapping], gids: &[LinuxIdMapping]) -> Result<(), Error> {
    let euid = rustix::process::geteuid().as_raw();
    let egid = rustix::process::getegid().as_raw();
    write_one(pid, "uid_map", "newuidmap", uids, |map| is_only(map, euid))?;
    if is_only(gids, egid) && euid != 0 {
        // Unprivileged users may map their own group only when it can no longer be dropped.
        let path = format!("/proc/{pid}/setgroups");
        match std::fs::write(&path, "deny") {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(format!("write {path}"), error));
            }
            _ => {}
        }
    }
    write_one(pid, "gid_map", "newgidmap", gids, |map| is_only(map, egid))
}

fn write_one(
    pid: i32,
    file: &str,
    program: &str,
    mappings: &[LinuxIdMapping],
    is_own: impl Fn(&[LinuxIdMapping]) -> bool,
) -> Result<(), Error> {
    let path = format!("/proc/{pid}/{file}");
    // The file takes one write.
    match std::fs::write(&path, lines(mappings)) {
        Ok(()) => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EPERM) && !is_own(mappings) => {
            run_helper(program, pid, mappings)
        }
        Err(error) => Err(Error::io(
            format!("write {} to {path}", lines(mappings).trim_end().replace('\n', ", ")),
            error,
        )),
    }
}

fn is_only(mappings: &[LinuxIdMapping], id: u32) -> bool {
    matches!(mappings, [only] if only.host_id() == id && only.size() == 1)
}

/// `container host size`, a line each.
pub(crate) fn lines(mappings: &[LinuxIdMapping]) -> String {
    let mut text = String::new();
    for mapping in mappings {
        let _ = writeln!(text, "{} {} {}", mapping.container_id(), mapping.host_id(), mapping.size());
    }
    text
}

/// The setuid programs that check /etc/subuid and /etc/subgid.
fn run_helper(program: &str, pid: i32, mappings: &[LinuxIdMapping]) -> Result<(), Error> {
    let mut command = Command::new(program);
    command.arg(pid.to_string());
    for mapping in mappings {
        command.args([mapping.container_id(), mapping.host_id(), mapping.size()].map(|id| id.to_string()));
    }
    let output = command.output().map_err(|cause| {
        Error::io(
            format!("run {program} (package uidmap), which maps ids for users without privileges"),
            cause,
        )
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(
        Kind::PermissionDenied,
        format!("{program} refused the mappings ({}): {}", output.status, said.trim()),
    ))
}

/// The host's id for an id of the container, if it is mapped.
pub(crate) fn host_id(mappings: &[LinuxIdMapping], id: u32) -> Option<u32> {
    mappings.iter().find_map(|mapping| {
        let offset = id.checked_sub(mapping.container_id()).filter(|offset| *offset < mapping.size())?;
        mapping.host_id().checked_add(offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::LinuxIdMappingBuilder;

    fn mapping(container: u32, host: u32, size: u32) -> LinuxIdMapping {
        LinuxIdMappingBuilder::default().container_id(container).host_id(host).size(size).build().unwrap()
    }

    #[test]
    fn ids_are_found_on_the_host() {
        let mappings = [mapping(0, 1000, 1), mapping(1, 100_000, 65_536)];
        assert_eq!(host_id(&mappings, 0), Some(1000));
        assert_eq!(host_id(&mappings, 1), Some(100_000));
        assert_eq!(host_id(&mappings, 65_536), Some(165_535));
        assert_eq!(host_id(&mappings, 65_537), None);
        assert_eq!(host_id(&[mapping(0, u32::MAX, 2)], 1), None);
        assert_eq!(lines(&mappings), "0 1000 1\n1 100000 65536\n");
    }
}
