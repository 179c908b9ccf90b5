//! Hands a cgroup2 to the container's root, who can then make cgroups below it. The limits stay ours: only the files
//! that the kernel names as delegable change their owner.

use super::Cgroup;
use super::error::{Error, Result};
use super::layout::{Kind, Version};
use rustix::fs::{AtFlags, Uid};
use rustix::io::Errno;

const LIST: &str = "/sys/kernel/cgroup/delegate";
/// What kernels before 4.15 delegate, which have no list.
const OLD: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

pub(crate) fn hand_over(cgroup: &Cgroup, owner: u32) -> Result<()> {
    if cgroup.placement.layout != Kind::V2 {
        return Ok(());
    }
    let Some(index) = cgroup.placement.hierarchies.iter().position(|h| h.version == Version::V2) else {
        return Ok(());
    };
    hand_over_directory(cgroup.dir(index)?, owner)
}

fn hand_over_directory(dir: &super::dir::Dir, owner: u32) -> Result<()> {
    let owner = Some(Uid::from_raw(owner));
    rustix::fs::fchown(dir, owner, None).map_err(|errno| Error::on("chown", dir.path(), errno))?;
    let list = std::fs::read_to_string(LIST).unwrap_or_else(|_| OLD.to_owned());
    for file in list.lines().filter(|file| !file.is_empty() && !file.contains('/')) {
        match rustix::fs::chownat(dir, file, owner, None, AtFlags::SYMLINK_NOFOLLOW) {
            // The list has the files of all controllers, those that are not enabled too.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(Error::on("chown", &dir.path().join(file), errno)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn only_the_delegable_files_change_their_owner() {
        let Some(dir) = crate::cgroup::tests::unified_scratch("delegate") else { return };
        hand_over_directory(&super::super::dir::Dir::open(&dir.path).unwrap(), 4321).unwrap();
        let owner = |file: &str| std::fs::metadata(dir.path.join(file)).unwrap().uid();
        assert_eq!(owner(""), 4321);
        assert_eq!(owner("cgroup.procs"), 4321);
        assert_eq!(owner("cgroup.subtree_control"), 4321);
        assert_eq!(owner("cgroup.freeze"), 0);
    }
}
