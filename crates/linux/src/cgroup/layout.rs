//! Where control groups are mounted on this host. The type of each file system decides, never its path: a directory
//! below `/sys/fs/cgroup` may be a plain folder of a tmpfs, and cgroup2 may sit beside version 1 and own a controller.
//!
//! | layout  | `/sys/fs/cgroup`      | cgroup2                                                      |
//! |---------|-----------------------|--------------------------------------------------------------|
//! | v1      | tmpfs                 | nowhere                                                      |
//! | hybrid  | tmpfs                 | on a folder of its own, with the controllers v1 does not use |
//! | v2      | cgroup2               | there                                                        |

use super::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// The generation of the interface of one hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// One hierarchy for each controller, or for a few.
    V1,
    /// The one hierarchy of cgroup2.
    V2,
}

/// What a host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Version 1 alone.
    V1,
    /// Version 1, and cgroup2 beside it.
    Hybrid,
    /// cgroup2 alone.
    V2,
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its interface.
    pub version: Version,
    /// The controllers in it; `name=systemd` for a named one without.
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub point: PathBuf,
    /// Which of its cgroups is mounted there; `/` unless this is a container.
    pub root: PathBuf,
}

/// All hierarchies of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// cgroup2, if any, is the last.
    pub mounts: Vec<Mount>,
}

/// The controllers of version 1 that a container is placed in; a hierarchy without any of these is somebody else's.
const V1_CONTROLLERS: [&str; 14] = [
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "misc",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
    "rdma",
];
/// The named hierarchy that systemd keeps track of its units in.
const NAMED: &str = "name=systemd";

const V1_MAGIC: u64 = 0x0027_e0eb;
const V2_MAGIC: u64 = 0x6367_7270;

impl Layout {
    /// Looks at the mounts of this process.
    pub fn detect() -> Result<Self> {
        let usual = Path::new("/sys/fs/cgroup");
        let mut mounts = if file_system(usual) == Some(Version::V2) {
            // The root of such a mount is not needed: the own path of a process is seen through the same namespace.
            vec![Mount { version: Version::V2, controllers: vec![], point: usual.into(), root: "/".into() }]
        } else {
            let path = Path::new("/proc/self/mountinfo");
            let text = std::fs::read_to_string(path).map_err(|cause| Error::on("read", path, cause))?;
            parse_mountinfo(&text, file_system)
        };
        if mounts.is_empty() {
            return Err(Error::Unsupported("no control group file system is mounted".into()));
        }
        for mount in mounts.iter_mut().filter(|mount| mount.version == Version::V2) {
            let file = mount.point.join("cgroup.controllers");
            let text = std::fs::read_to_string(&file).map_err(|cause| Error::on("read", &file, cause))?;
            mount.controllers = text.split_whitespace().map(str::to_owned).collect();
        }
        Ok(Self { mounts })
    }

    /// Which of the three layouts it is.
    pub fn kind(&self) -> Kind {
        let has = |version| self.mounts.iter().any(|mount| mount.version == version);
        match (has(Version::V1), has(Version::V2)) {
            (true, false) => Kind::V1,
            (true, true) => Kind::Hybrid,
            (false, _) => Kind::V2,
        }
    }

    /// The cgroup2 hierarchy.
    pub fn unified(&self) -> Option<&Mount> {
        self.mounts.iter().find(|mount| mount.version == Version::V2)
    }
}

/// What is mounted at a path, if it is control groups.
fn file_system(path: &Path) -> Option<Version> {
    let magic = u64::try_from(rustix::fs::statfs(path).ok()?.f_type).ok()?;
    match magic {
        V1_MAGIC => Some(Version::V1),
        V2_MAGIC => Some(Version::V2),
        _ => None,
    }
}

/// `file_system` says what is really seen at a mount point: a mount can be covered by a later one.
fn parse_mountinfo(text: &str, file_system: impl Fn(&Path) -> Option<Version>) -> Vec<Mount> {
    let mut found: Vec<Mount> = Vec::new();
    for line in text.lines() {
        // 31 23 0:28 / /sys/fs/cgroup rw,relatime shared:1 - tmpfs tmpfs rw,mode=755
        let Some((place, file_system_part)) = line.split_once(" - ") else { continue };
        let mut place = place.split(' ').skip(3);
        let (Some(root), Some(point)) = (place.next(), place.next()) else { continue };
        let mut kind = file_system_part.split(' ');
        let (Some(kind), options) = (kind.next(), kind.nth(1).unwrap_or_default()) else { continue };
        let version = match kind {
            "cgroup" => Version::V1,
            "cgroup2" => Version::V2,
            _ => continue,
        };
        let point = unescape(point);
        let controllers: Vec<String> = match version {
            Version::V1 => options.split(',').filter(|option| is_ours(option)).map(str::to_owned).collect(),
            Version::V2 => vec![],
        };
        let known = found.iter().any(|other| {
            other.version == version
                && (version == Version::V2 || other.controllers.iter().any(|c| controllers.contains(c)))
        });
        if known || (version == Version::V1 && controllers.is_empty()) || file_system(&point) != Some(version)
        {
            continue;
        }
        found.push(Mount { version, controllers, point, root: unescape(root) });
    }
    found.sort_by_key(|mount| mount.version == Version::V2);
    found
}

fn is_ours(option: &str) -> bool {
    option == NAMED || V1_CONTROLLERS.contains(&option)
}

/// mountinfo writes a space as `\040`, and likewise tab, newline and backslash.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let octal = (*first == b'\\').then(|| tail.get(..3)).flatten();
        let code = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(code) = code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(code);
            rest = tail.get(3..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// The cgroups of one process, as `/proc/<pid>/cgroup` has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Membership(Vec<(Vec<String>, PathBuf)>);

impl Membership {
    /// `who` is a pid or `self`.
    pub(crate) fn of(who: &str) -> Result<Self> {
        let path = PathBuf::from(format!("/proc/{who}/cgroup"));
        let text = std::fs::read_to_string(&path).map_err(|cause| Error::on("read", &path, cause))?;
        Ok(Self::parse(&text))
    }

    /// Each controller, named or not, with the path of the process's cgroup; that of cgroup2 has no name.
    pub(crate) fn controllers(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.0.iter().flat_map(|(controllers, path)| {
            let unified = controllers.is_empty().then_some("");
            controllers.iter().map(String::as_str).chain(unified).map(move |name| (name, path.as_path()))
        })
    }

    pub(super) fn parse(text: &str) -> Self {
        let parse_line = |line: &str| {
            let mut fields = line.splitn(3, ':').skip(1);
            let controllers =
                fields.next()?.split(',').filter(|c| !c.is_empty()).map(str::to_owned).collect();
            Some((controllers, PathBuf::from(fields.next()?)))
        };
        Self(text.lines().filter_map(parse_line).collect())
    }

    /// Where the process is in a hierarchy, as a path below its mount point.
    pub(crate) fn below(&self, mount: &Mount) -> PathBuf {
        let is_it = |controllers: &Vec<String>| match mount.version {
            Version::V2 => controllers.is_empty(),
            Version::V1 => controllers.iter().any(|c| mount.controllers.contains(c)),
        };
        let absolute =
            self.0.iter().find(|(controllers, _)| is_it(controllers)).map(|(_, path)| path.as_path());
        let absolute = absolute.unwrap_or(Path::new("/"));
        clean(absolute.strip_prefix(&mount.root).unwrap_or(absolute))
    }
}

/// A path without `.`, `..` and the leading `/`, so that joining it never leaves what it is joined to.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /sys/fs/cgroup/with\\040space rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
42 31 0:39 / /sys/fs/cgroup/elogind rw,relatime - cgroup cgroup rw,name=elogind
43 31 0:28 /cpu /sys/fs/cgroup/pids rw,relatime - tmpfs tmpfs rw,mode=755
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
44 31 0:29 /x /elsewhere rw,relatime - cgroup cgroup rw,cpu,cpuacct
";

    fn by_name(path: &Path) -> Option<Version> {
        Some(if path.ends_with("unified") { Version::V2 } else { Version::V1 })
    }

    #[test]
    fn a_hybrid_host_has_version_1_mounts_and_cgroup2_last() {
        let layout = Layout { mounts: parse_mountinfo(HYBRID, by_name) };
        let points: Vec<_> = layout.mounts.iter().map(|m| m.point.to_str().unwrap()).collect();
        assert_eq!(
            points,
            [
                "/sys/fs/cgroup/cpu,cpuacct",
                "/sys/fs/cgroup/with space",
                "/sys/fs/cgroup/systemd",
                "/sys/fs/cgroup/unified"
            ]
        );
        assert_eq!(layout.mounts[0].controllers, ["cpu", "cpuacct"]);
        assert_eq!(layout.mounts[2].controllers, ["name=systemd"]);
        assert_eq!(layout.kind(), Kind::Hybrid);
    }

    #[test]
    fn a_mount_that_is_covered_by_another_file_system_is_not_used() {
        let mounts = parse_mountinfo(HYBRID, |path| by_name(path).filter(|_| !path.ends_with("cpu,cpuacct")));
        assert_eq!(mounts[0].controllers, ["memory"]);
        assert_eq!(mounts.last().map(|m| m.version), Some(Version::V2));
        assert_eq!(
            mounts.iter().find(|m| m.controllers.contains(&"cpu".into())).unwrap().root,
            Path::new("/x")
        );
    }

    #[test]
    fn a_plain_folder_of_tmpfs_is_no_control_group() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(file_system(folder.path()), None);
        assert_eq!(file_system(Path::new("/proc")), None);
    }

    #[test]
    fn the_own_cgroup_is_seen_below_the_mount_root() {
        let own = Membership::parse("4:memory:/a/b\n3:cpu,cpuacct:/docker/x/y\n1:name=systemd:/s\n0::/u:v\n");
        let mount = |version, controller: &str, root: &str| Mount {
            version,
            controllers: vec![controller.into()],
            point: "/p".into(),
            root: root.into(),
        };
        assert_eq!(own.below(&mount(Version::V1, "memory", "/")), Path::new("a/b"));
        assert_eq!(own.below(&mount(Version::V1, "cpu", "/docker/x")), Path::new("y"));
        assert_eq!(own.below(&mount(Version::V1, "name=systemd", "/")), Path::new("s"));
        assert_eq!(own.below(&mount(Version::V2, "hugetlb", "/")), Path::new("u:v"));
        assert_eq!(own.below(&mount(Version::V1, "pids", "/")), Path::new(""));
    }

    #[test]
    fn a_clean_path_never_leaves_its_root() {
        for (path, expected) in [("/a/../../b", "b"), ("../../x/./y//z", "x/y/z"), ("/", ""), ("..", "")] {
            assert_eq!(clean(Path::new(path)), Path::new(expected), "{path}");
        }
    }

    #[test]
    fn this_host_has_control_groups() {
        let layout = Layout::detect().unwrap();
        for mount in &layout.mounts {
            assert_eq!(file_system(&mount.point), Some(mount.version), "{mount:?}");
        }
    }
}
