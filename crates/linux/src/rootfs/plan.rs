//! What a bundle asks of its root file system, decided before anything is made: [`plan`].
//!
//! The result is plain data that init gets over its socket; nothing in it has to be checked again.

use super::error::{DeviceRule, Error, MountRule};
use super::options::{self, Below, ms};
use oci_spec::runtime::{LinuxDevice, LinuxDeviceType, LinuxIdMapping, LinuxNamespaceType, Spec};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// What the runtime knows beyond the bundle's `config.json`.
pub struct Request<'a> {
    /// The bundle's `config.json`.
    pub spec: &'a Spec,
    /// The bundle's folder, absolute; relative paths start here.
    pub bundle: &'a Path,
    /// Move the root instead of pivoting (for a root on an initramfs).
    pub no_pivot: bool,
    /// The runtime has no privileges over the host's mounts, so init opens bind sources itself.
    pub rootless: bool,
    /// What a mount of type `cgroup` shows.
    pub cgroup: CgroupView,
    /// SELinux is enabled on this host; without it `linux.mountLabel` has no meaning.
    pub selinux: bool,
}

/// What a mount of type `cgroup` shows, as the owner of the container's control groups knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CgroupView {
    /// A folder per hierarchy (also on a hybrid host).
    V1(Vec<Hierarchy>),
    /// One hierarchy.
    V2 {
        /// The host's folder that is bound where no cgroup2 of the container's own can be mounted: the container's
        /// group when it has a cgroup namespace, else the whole tree.
        fallback: PathBuf,
    },
}

/// One cgroup v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hierarchy {
    /// The folder's name below `/sys/fs/cgroup`; each part between commas gets a link to it.
    pub name: String,
    /// What mounts it anew, in a cgroup namespace: `cpu,cpuacct`, `name=systemd`.
    pub options: String,
    /// The container's group on the host, bound where there is no cgroup namespace.
    pub path: PathBuf,
}

/// What [`Rootfs`](super::Rootfs) does, decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub(super) root: PathBuf,
    pub(super) readonly: bool,
    pub(super) entry: Entry,
    /// As `linux.rootfsPropagation` has it, `MS_*`.
    pub(super) propagation: Option<u32>,
    pub(super) mounts: Vec<Mount>,
    /// None when the bundle binds a /dev of its own.
    pub(super) devices: Option<Vec<Device>>,
    /// Device nodes are bound from the host, because a user namespace cannot make any.
    pub(super) bind_devices: bool,
    pub(super) masked: Vec<PathBuf>,
    pub(super) read_only: Vec<PathBuf>,
    /// The `context=` of mounts that take one.
    pub(super) label: Option<String>,
    /// A cgroup mount that cannot be made is covered instead.
    pub(super) rootless: bool,
}

/// How the root becomes `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Entry {
    Pivot,
    Move,
    /// In the host's mount namespace.
    Chroot,
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mount {
    /// Absolute and clean, seen from the container.
    pub(super) destination: PathBuf,
    /// As the bundle has it.
    pub(super) source: String,
    pub(super) kind: Kind,
    /// `MS_*`.
    pub(super) set: u32,
    /// `MS_*` that the bundle explicitly does not want.
    pub(super) cleared: u32,
    pub(super) propagation: Vec<u32>,
    pub(super) below: Below,
    /// Options for the file system.
    pub(super) data: Vec<String>,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    /// A file or folder of the host.
    Bind {
        path: PathBuf,
        /// The runtime opens it and passes it, see [`open_sources`](super::open_sources).
        passed: bool,
        map: Option<IdMap>,
    },
    /// A new instance of a file system.
    Filesystem { fstype: String, copy_up: bool },
    /// Other flags for what is mounted there already.
    Remount { fstype: String },
    /// New mounts of cgroup v1 hierarchies, or binds of the container's groups.
    CgroupV1 { hierarchies: Vec<Hierarchy>, namespaced: bool },
    /// A cgroup2, or a bind of the host's.
    CgroupV2 { host: PathBuf, namespaced: bool },
}

/// Whose ids the files of a bind mount are shown with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct IdMap {
    pub(super) recursive: bool,
    pub(super) user_namespace: UserNamespace,
}

/// The user namespace an id-mapped mount takes its mapping from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum UserNamespace {
    /// One that exists.
    Path(PathBuf),
    /// One that is made for these mappings: lines of container id, host id, size.
    New { uids: String, gids: String },
}

/// A node below /dev, or elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Device {
    pub(super) path: PathBuf,
    pub(super) kind: DeviceKind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum DeviceKind {
    Character { major: u32, minor: u32 },
    Block { major: u32, minor: u32 },
    Fifo,
}

/// Decides what is made; looks at nothing but the request.
pub fn plan(request: &Request<'_>) -> Result<Plan, Error> {
    let root = request.spec.root().as_ref().ok_or(Error::NoRoot)?;
    let linux = request.spec.linux().as_ref();
    let namespaces = Namespaces::of(request.spec);
    let root_path = clean(&request.bundle.join(root.path()));
    let restricted = |paths: Option<&Vec<String>>| -> Vec<PathBuf> {
        paths.into_iter().flatten().map(|path| clean(Path::new(path))).collect()
    };
    let masked = restricted(linux.and_then(|linux| linux.masked_paths().as_ref()));
    let read_only = restricted(linux.and_then(|linux| linux.readonly_paths().as_ref()));
    let restricts = !masked.is_empty() || !read_only.is_empty();
    if restricts && !namespaces.mount {
        return Err(Error::NoMountNamespace);
    }
    let propagation = propagation(request)?;
    let mounts = mounts(request, &namespaces, &root_path)?;
    let own_dev = mounts.iter().any(|mount| mount.is_bind() && mount.destination == Path::new("/dev"));
    Ok(Plan {
        root: root_path,
        readonly: root.readonly().unwrap_or(false),
        entry: match (namespaces.mount, request.no_pivot) {
            (true, false) => Entry::Pivot,
            (true, true) => Entry::Move,
            // Anything else would move the root of the host.
            (false, _) => Entry::Chroot,
        },
        propagation,
        mounts,
        devices: if own_dev { None } else { Some(devices(request.spec)?) },
        bind_devices: namespaces.user,
        masked,
        read_only,
        label: linux
            .and_then(|linux| linux.mount_label().clone())
            .filter(|label| request.selinux && !label.is_empty()),
        rootless: request.rootless,
    })
}

impl Plan {
    /// The container's root on the host.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// How many descriptors [`open_sources`](super::open_sources) will return and init needs; none for most bundles
    /// without a user namespace.
    pub fn sources(&self) -> usize {
        self.mounts.iter().filter(|mount| mount.is_passed()).count()
    }

    /// Looks whether the root is there and reached without symbolic links, so that a wrong bundle is known before a
    /// process exists. Init opens it by the same rule.
    pub fn check(&self) -> Result<(), Error> {
        self.open_root().map(drop)
    }

    pub(super) fn open_root(&self) -> Result<rustix::fd::OwnedFd, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let failed = |cause: Errno| match cause {
            Errno::LOOP => Error::RootIsLink,
            cause => Error::Root { path: self.root.clone(), cause: cause.into() },
        };
        match rustix::fs::openat2(
            rustix::fs::CWD,
            &self.root,
            flags,
            Mode::empty(),
            ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
        ) {
            Err(Errno::NOSYS) => {
                let real = std::fs::canonicalize(&self.root)
                    .map_err(|cause| Error::Root { path: self.root.clone(), cause })?;
                if real != self.root {
                    return Err(Error::RootIsLink);
                }
                rustix::fs::open(&self.root, flags | OFlags::NOFOLLOW, Mode::empty()).map_err(failed)
            }
            opened => opened.map_err(failed),
        }
    }
}

impl Mount {
    pub(super) fn is_bind(&self) -> bool {
        matches!(self.kind, Kind::Bind { .. })
    }

    pub(super) fn is_passed(&self) -> bool {
        matches!(self.kind, Kind::Bind { passed: true, .. })
    }
}

/// Which namespaces the container does not share with its host.
struct Namespaces {
    mount: bool,
    user: bool,
    cgroup: bool,
    /// The path of a user namespace that is joined.
    user_path: Option<PathBuf>,
}

impl Namespaces {
    fn of(spec: &Spec) -> Self {
        let list = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
        let has = |kind| list.iter().any(|namespace| namespace.typ() == kind);
        Self {
            mount: has(LinuxNamespaceType::Mount),
            user: has(LinuxNamespaceType::User),
            cgroup: has(LinuxNamespaceType::Cgroup),
            user_path: list
                .iter()
                .find(|namespace| namespace.typ() == LinuxNamespaceType::User)
                .and_then(|namespace| namespace.path().clone())
                .filter(|path| !path.as_os_str().is_empty()),
        }
    }
}

fn propagation(request: &Request<'_>) -> Result<Option<u32>, Error> {
    let word = request.spec.linux().as_ref().and_then(|linux| linux.rootfs_propagation().as_deref());
    let Some(word) = word.filter(|word| !word.is_empty()) else { return Ok(None) };
    let flags = options::propagation(word).ok_or_else(|| Error::Propagation(word.to_owned()))?;
    if request.no_pivot && flags & ms::PRIVATE != 0 {
        return Err(Error::PrivateWithoutPivot);
    }
    Ok(Some(flags))
}

fn mounts(request: &Request<'_>, namespaces: &Namespaces, root: &Path) -> Result<Vec<Mount>, Error> {
    let list = request.spec.mounts().as_deref().unwrap_or_default();
    list.iter()
        .map(|mount| {
            plan_mount(mount, request, namespaces, root)
                .map_err(|rule| Error::InvalidMount { destination: mount.destination().clone(), rule })
        })
        .collect()
}

fn plan_mount(
    mount: &oci_spec::runtime::Mount,
    request: &Request<'_>,
    namespaces: &Namespaces,
    root: &Path,
) -> Result<Mount, MountRule> {
    if !mount.destination().is_absolute() {
        log::warn!(
            "mount destination {} is not absolute. Support for non-absolute mount destinations will be removed in a \
             future release.",
            mount.destination().display()
        );
    }
    let source = mount.source().clone().unwrap_or_default();
    let fstype = mount.typ().clone().unwrap_or_default();
    for field in [source.as_os_str(), mount.destination().as_os_str(), fstype.as_ref()] {
        if field.as_bytes().contains(&0) {
            return Err(MountRule::NullByte);
        }
    }
    let options = options::parse(mount.options().as_deref().unwrap_or_default());
    let map = id_map(mount, options.map_ids, request, namespaces)?;
    let kind = kind(mount, &options, map, request, namespaces)?;
    if matches!(kind, Kind::Bind { .. }) && !options.data.is_empty() {
        return Err(MountRule::BindWithData);
    }
    Ok(Mount {
        destination: destination(mount.destination(), root),
        source: source.to_string_lossy().into_owned(),
        kind,
        set: options.set,
        cleared: options.cleared,
        propagation: options.propagation,
        below: options.below,
        data: options.data,
    })
}

fn kind(
    mount: &oci_spec::runtime::Mount,
    options: &options::Options,
    map: Option<IdMap>,
    request: &Request<'_>,
    namespaces: &Namespaces,
) -> Result<Kind, MountRule> {
    let fstype = mount.typ().clone().unwrap_or_default();
    if options.set & ms::REMOUNT != 0 {
        return Ok(Kind::Remount { fstype });
    }
    // "Any type the user specified is meaningless for bind mounts": the option decides, then the type.
    if options.set & ms::BIND != 0 || fstype == "bind" {
        let source = mount.source().as_ref().filter(|path| !path.as_os_str().is_empty());
        let path = request.bundle.join(source.ok_or(MountRule::NoSource)?);
        let passed = map.is_some() || (namespaces.user && !request.rootless);
        return Ok(Kind::Bind { path, passed, map });
    }
    if map.is_some() {
        return Err(MountRule::IdMapWithoutBind);
    }
    match (fstype.as_str(), &request.cgroup) {
        ("", _) => Err(MountRule::NoType),
        ("cgroup", CgroupView::V1(hierarchies)) => {
            Ok(Kind::CgroupV1 { hierarchies: hierarchies.clone(), namespaced: namespaces.cgroup })
        }
        ("cgroup", CgroupView::V2 { fallback }) => {
            Ok(Kind::CgroupV2 { host: fallback.clone(), namespaced: namespaces.cgroup })
        }
        _ => {
            let copy_up = options.copy_up && fstype == "tmpfs";
            Ok(Kind::Filesystem { fstype, copy_up })
        }
    }
}

fn id_map(
    mount: &oci_spec::runtime::Mount,
    wanted: Option<bool>,
    request: &Request<'_>,
    namespaces: &Namespaces,
) -> Result<Option<IdMap>, MountRule> {
    let (uids, gids) = (mount.uid_mappings().as_deref(), mount.gid_mappings().as_deref());
    if wanted.is_none() && uids.is_none() && gids.is_none() {
        return Ok(None);
    }
    if request.rootless {
        return Err(MountRule::IdMapRootless);
    }
    let user_namespace = if uids.is_none() && gids.is_none() {
        container_mapping(request.spec, namespaces).ok_or(MountRule::IdMapIncomplete)?
    } else {
        new_namespace(uids.unwrap_or_default(), gids.unwrap_or_default()).ok_or(MountRule::IdMapIncomplete)?
    };
    Ok(Some(IdMap { recursive: wanted.unwrap_or(false), user_namespace }))
}

/// Without mappings of its own a mount has those of the container.
fn container_mapping(spec: &Spec, namespaces: &Namespaces) -> Option<UserNamespace> {
    if let Some(path) = &namespaces.user_path {
        return Some(UserNamespace::Path(path.clone()));
    }
    let linux = spec.linux().as_ref().filter(|_| namespaces.user)?;
    new_namespace(
        linux.uid_mappings().as_deref().unwrap_or_default(),
        linux.gid_mappings().as_deref().unwrap_or_default(),
    )
}

fn new_namespace(uids: &[LinuxIdMapping], gids: &[LinuxIdMapping]) -> Option<UserNamespace> {
    let lines = |mappings: &[LinuxIdMapping]| -> String {
        let line = |m: &LinuxIdMapping| format!("{} {} {}\n", m.container_id(), m.host_id(), m.size());
        mappings.iter().map(line).collect()
    };
    if uids.is_empty() || gids.is_empty() {
        return None;
    }
    Some(UserNamespace::New { uids: lines(uids), gids: lines(gids) })
}

/// Callers have passed destinations that begin with the root's path on the host; they mean what is below it.
fn destination(path: &Path, root: &Path) -> PathBuf {
    let path = clean(path);
    match path.strip_prefix(root) {
        Ok(below) if root != Path::new("/") => clean(below),
        _ => path,
    }
}

/// Absolute, and without `.`, `..` and repeated slashes, decided by the text alone.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => cleaned.push(name),
            Component::ParentDir => {
                cleaned.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    cleaned
}

/// The nodes every container has, by the OCI runtime specification (default devices).
const DEFAULT_DEVICES: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/random", 1, 8),
    ("/dev/full", 1, 7),
    ("/dev/tty", 5, 0),
    ("/dev/zero", 1, 5),
    ("/dev/urandom", 1, 9),
];

fn devices(spec: &Spec) -> Result<Vec<Device>, Error> {
    let listed = spec.linux().as_ref().and_then(|linux| linux.devices().as_deref()).unwrap_or_default();
    let listed = listed.iter().map(device).collect::<Result<Vec<_>, _>>()?;
    let mut devices: Vec<Device> = DEFAULT_DEVICES
        .iter()
        .filter(|(path, ..)| !listed.iter().any(|device| device.path == Path::new(path)))
        .map(|(path, major, minor)| Device {
            path: PathBuf::from(path),
            kind: DeviceKind::Character { major: *major, minor: *minor },
            mode: 0o666,
            uid: 0,
            gid: 0,
        })
        .collect();
    // /dev/ptmx is the container's own, a link into its devpts.
    devices.extend(listed.into_iter().filter(|device| device.path != Path::new("/dev/ptmx")));
    Ok(devices)
}

fn device(device: &LinuxDevice) -> Result<Device, Error> {
    let invalid = |rule| Error::InvalidDevice { path: device.path().clone(), rule };
    let number = |number: i64| u32::try_from(number).map_err(|_| invalid(DeviceRule::Number(number)));
    let numbers = || -> Result<(u32, u32), Error> { Ok((number(device.major())?, number(device.minor())?)) };
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => {
            let (major, minor) = numbers()?;
            DeviceKind::Character { major, minor }
        }
        LinuxDeviceType::B => {
            let (major, minor) = numbers()?;
            DeviceKind::Block { major, minor }
        }
        LinuxDeviceType::P => DeviceKind::Fifo,
        LinuxDeviceType::A => return Err(invalid(DeviceRule::Type("a".into()))),
    };
    Ok(Device {
        path: clean(device.path()),
        kind,
        mode: device.file_mode().unwrap_or(0o666) & 0o7777,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn destinations_are_made_absolute_and_clean() {
        let root = Path::new("/bundle/rootfs");
        for (given, expected) in [
            ("/a/b", "/a/b"),
            ("a/b/", "/a/b"),
            ("//a/./b/../c", "/a/c"),
            ("/../../a", "/a"),
            ("..", "/"),
            ("/bundle/rootfs/a", "/a"),
            ("/bundle/rootfs", "/"),
            ("/bundle/rootfs2/a", "/bundle/rootfs2/a"),
        ] {
            assert_eq!(destination(Path::new(given), root), Path::new(expected), "{given}");
        }
        assert_eq!(destination(Path::new("/a"), Path::new("/")), Path::new("/a"));
    }

    fn planned(config: serde_json::Value) -> Result<Plan, Error> {
        plan(&Request {
            spec: &serde_json::from_value(config).unwrap(),
            bundle: Path::new("/bundle"),
            no_pivot: false,
            rootless: false,
            cgroup: CgroupView::V2 { fallback: "/sys/fs/cgroup".into() },
            selinux: true,
        })
    }

    #[test]
    fn a_plan_reaches_init_unchanged() {
        let plan = planned(json!({
            "ociVersion": "1.2.0",
            "root": { "path": "rootfs", "readonly": true },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/d", "source": "data", "options": ["rbind", "ridmap", "rro", "rshared"] },
                { "destination": "/c", "type": "cgroup", "source": "cgroup", "options": ["ro"] },
            ],
            "linux": {
                "namespaces": [{ "type": "mount" }, { "type": "user", "path": "/proc/1/ns/user" }],
                "mountLabel": "system_u:object_r:container_file_t:s0:c1,c2",
                "maskedPaths": ["proc/kcore"],
                "devices": [{ "path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o100_600 }],
            },
        }))
        .unwrap();
        assert_eq!(plan.root(), Path::new("/bundle/rootfs"));
        assert_eq!(plan.sources(), 1);
        assert_eq!(plan.masked, [Path::new("/proc/kcore")]);
        assert!(plan.bind_devices && plan.label.is_some());
        let devices = plan.devices.as_ref().unwrap();
        assert_eq!(devices.iter().filter(|device| device.path == Path::new("/dev/null")).count(), 1);
        assert_eq!(devices.last().unwrap().mode, 0o600);
        let Kind::Bind { path, map: Some(map), .. } = &plan.mounts[1].kind else {
            panic!("{:?}", plan.mounts[1])
        };
        assert_eq!(path, Path::new("/bundle/data"));
        assert_eq!(map.user_namespace, UserNamespace::Path("/proc/1/ns/user".into()));
        let wire = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&wire).unwrap(), plan);
    }

    #[test]
    fn devices_that_cannot_be_are_refused() {
        let refusal = |device: serde_json::Value| {
            let config = json!({ "ociVersion": "1.2.0", "root": { "path": "rootfs" },
                "linux": { "devices": [device] } });
            planned(config).unwrap_err().to_string()
        };
        assert_eq!(
            refusal(json!({ "path": "/dev/x", "type": "a" })),
            "invalid device /dev/x: invalid device type \"a\""
        );
        assert_eq!(
            refusal(json!({ "path": "/dev/x", "type": "b", "major": -1 })),
            "invalid device /dev/x: device number -1 is out of range"
        );
    }

    #[test]
    fn a_dev_that_is_bound_is_left_alone() {
        let config = json!({ "ociVersion": "1.2.0", "root": { "path": "rootfs" },
            "mounts": [{ "destination": "/dev/", "source": "/dev", "options": ["rbind"] }] });
        assert_eq!(planned(config).unwrap().devices, None);
    }
}
