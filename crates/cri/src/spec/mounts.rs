//! The mounts of a container: what every container has, what its pod shares, what was asked for.

use std::fs;
use std::path::{Path, PathBuf};

use compute::Mount as SnapshotMount;
use oci_spec::runtime::{LinuxIdMapping, LinuxIdMappingBuilder, Mount, MountBuilder};

use super::mountinfo::Mountinfo;
use crate::error::{Attempt as _, Error, Result};
use crate::host::Host;
use crate::wire::v1::{self, MountPropagation};

/// What the mounts of a container depend on beside the request.
pub(super) struct Surroundings<'a> {
    pub(super) host: &'a Host,
    pub(super) privileged: bool,
    pub(super) read_only_root: bool,
    /// The pod's user namespace is not the host's.
    pub(super) user_namespace: bool,
    /// The network is the host's: a user namespace that does not own it cannot mount sysfs.
    pub(super) host_network: bool,
    /// Files that the pod's containers share, by the path in the container: `/etc/hosts`, `/dev/shm` …
    pub(super) shared: &'a [(&'static str, PathBuf)],
}

/// All mounts, in the order in which they have to be made, and how the root is to propagate.
pub(super) fn mounts(
    asked: &[v1::Mount],
    images: &[(usize, Vec<SnapshotMount>)],
    around: &Surroundings<'_>,
) -> Result<(Vec<Mount>, Option<&'static str>)> {
    let taken = |path: &str| asked.iter().any(|mount| clean(&mount.container_path) == Path::new(path));
    let mut mounts = Vec::new();
    for mount in usual(around)? {
        if !mount.destination().to_str().is_some_and(taken) {
            mounts.push(mount);
        }
    }
    for (path, source) in around.shared {
        if !taken(path) {
            mounts.push(shared(path, source, around)?);
        }
    }
    let mut requested = Vec::with_capacity(asked.len());
    let mut propagation = None;
    for (index, mount) in asked.iter().enumerate() {
        match images.iter().find(|(at, _)| *at == index) {
            Some((_, image)) => requested.push(of_image(mount, image)?),
            None => {
                let (bound, wants) = bound(mount, around.host)?;
                requested.push(bound);
                propagation = propagation.max(wants);
            }
        }
    }
    // A mount that lies in another one has to come after it.
    requested.sort_by_key(|mount| mount.destination().components().count());
    mounts.extend(requested);
    let propagation = propagation.map(|Propagation(word, _)| word);
    Ok((mounts, propagation))
}

/// The volumes that an image declares, where nothing else is mounted.
pub(super) fn volumes(others: &[Mount], volumes: &[(String, PathBuf)]) -> Result<Vec<Mount>> {
    let taken = |path: &str| others.iter().any(|mount| mount.destination() == &clean(path));
    let free = volumes.iter().filter(|(path, _)| !taken(path));
    free.map(|(path, folder)| mount(path, "bind", &folder.to_string_lossy(), &["rbind", "rprivate", "rw"]))
        .collect()
}

/// What every container has.
fn usual(around: &Surroundings<'_>) -> Result<Vec<Mount>> {
    let sys = if around.privileged { "rw" } else { "ro" };
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"])?,
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"])?,
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        )?,
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"])?,
        if around.user_namespace && around.host_network {
            mount("/sys", "bind", "/sys", &["rbind", "nosuid", "noexec", "nodev", sys])?
        } else {
            mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", sys])?
        },
    ];
    let cgroup = ["nosuid", "noexec", "nodev", "relatime", sys];
    mounts.push(mount("/sys/fs/cgroup", "cgroup", "cgroup", &cgroup)?);
    Ok(mounts)
}

/// A file or folder of the pod.
fn shared(path: &str, source: &Path, around: &Surroundings<'_>) -> Result<Mount> {
    let source = source.to_string_lossy();
    if path == "/dev/shm" {
        return mount(path, "bind", &source, &["rbind", "nosuid", "nodev", "noexec", "rprivate", "rw"]);
    }
    let access = if around.read_only_root { "ro" } else { "rw" };
    mount(path, "bind", &source, &["rbind", "rprivate", access])
}

/// A folder of an image, which the runtime mounts where only this container sees it.
fn of_image(asked: &v1::Mount, image: &[SnapshotMount]) -> Result<Mount> {
    let at = &asked.container_path;
    if !asked.host_path.is_empty() {
        return Err(Error::invalid(format!("the mount on {at} has both host_path and image")));
    }
    if asked.propagation() != MountPropagation::PropagationPrivate {
        return Err(Error::invalid(format!("propagation of the image mounted on {at} has to be private")));
    }
    let [only] = image else {
        return Err(Error::invalid(format!(
            "the image for {} takes more than one mount",
            asked.container_path
        )));
    };
    let mut options: Vec<&str> = only.options.iter().map(String::as_str).collect();
    for option in ["ro", "nosuid", "nodev"] {
        if !options.contains(&option) {
            options.push(option);
        }
    }
    mount(&asked.container_path, &only.kind, &only.source, &options)
}

/// What a mount asks of the root's propagation, the most demanding last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Propagation(&'static str, u8);

impl PartialOrd for Propagation {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Propagation {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.1.cmp(&other.1)
    }
}

/// A path of the host.
fn bound(asked: &v1::Mount, host: &Host) -> Result<(Mount, Option<Propagation>)> {
    let at = &asked.container_path;
    if at.is_empty() {
        return Err(Error::invalid("a mount has no container_path"));
    }
    if asked.host_path.is_empty() {
        return Err(Error::invalid(format!("the mount on {at} has neither host_path nor image")));
    }
    if !asked.image_sub_path.is_empty() {
        return Err(Error::invalid(format!("image_sub_path of the mount on {at} needs an image")));
    }
    let source = source(&asked.host_path)?;
    let mut options = vec!["rbind"];
    let wants = match asked.propagation() {
        MountPropagation::PropagationPrivate => {
            options.push("rprivate");
            None
        }
        MountPropagation::PropagationHostToContainer => {
            Mountinfo::of_this_process()?.receives(&source)?;
            options.push("rslave");
            Some(Propagation("rslave", 0))
        }
        MountPropagation::PropagationBidirectional => {
            Mountinfo::of_this_process()?.shares(&source)?;
            options.push("rshared");
            Some(Propagation("rshared", 1))
        }
    };
    if asked.recursive_read_only {
        check_recursive_read_only(asked, host)?;
        options.push("rro");
    } else {
        options.push(if asked.readonly { "ro" } else { "rw" });
    }
    let wrong = || format!("mount {} on {at}", asked.host_path);
    let mut mount = MountBuilder::default()
        .destination(at)
        .typ("bind")
        .source(source)
        .options(options.into_iter().map(str::to_owned).collect::<Vec<_>>());
    if !asked.uid_mappings.is_empty() || !asked.gid_mappings.is_empty() {
        mount =
            mount.uid_mappings(mappings(&asked.uid_mappings)?).gid_mappings(mappings(&asked.gid_mappings)?);
    }
    Ok((mount.build().attempt(wrong)?, wants))
}

fn check_recursive_read_only(asked: &v1::Mount, host: &Host) -> Result<()> {
    let at = &asked.container_path;
    if !asked.readonly {
        return Err(Error::invalid(format!("recursive_read_only of the mount on {at} needs readonly")));
    }
    if asked.propagation() != MountPropagation::PropagationPrivate {
        return Err(Error::invalid(format!(
            "recursive_read_only of the mount on {at} needs private propagation"
        )));
    }
    if !host.recursive_read_only {
        return Err(Error::invalid(format!("RROUnsupported: the mount on {at} needs Linux 5.12")));
    }
    Ok(())
}

/// Where a host path leads. A folder that is not there is made, as every runtime does.
fn source(path: &str) -> Result<PathBuf> {
    let attempted = || format!("use the host path {path}");
    match fs::canonicalize(path) {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            fs::create_dir_all(path).attempt(attempted)?;
            fs::canonicalize(path).attempt(attempted)
        }
        Err(error) => Err(error).attempt(attempted),
    }
}

/// Ranges of ids, as the OCI spec has them.
pub(super) fn mappings(asked: &[v1::IdMapping]) -> Result<Vec<LinuxIdMapping>> {
    let one = |mapping: &v1::IdMapping| {
        LinuxIdMappingBuilder::default()
            .host_id(mapping.host_id)
            .container_id(mapping.container_id)
            .size(mapping.length)
            .build()
            .attempt(|| "map ids".to_owned())
    };
    asked.iter().map(one).collect()
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Result<Mount> {
    MountBuilder::default()
        .destination(destination)
        .typ(kind)
        .source(source)
        .options(options.iter().map(|option| (*option).to_owned()).collect::<Vec<_>>())
        .build()
        .attempt(|| format!("mount {source} on {destination}"))
}

/// The path without a slash at its end.
fn clean(path: &str) -> PathBuf {
    Path::new(path).components().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(host: &Host) -> Surroundings<'_> {
        Surroundings {
            host,
            privileged: false,
            read_only_root: true,
            user_namespace: false,
            host_network: false,
            shared: &[],
        }
    }

    fn asked(host_path: &Path, container_path: &str) -> v1::Mount {
        v1::Mount {
            host_path: host_path.to_string_lossy().into_owned(),
            container_path: container_path.to_owned(),
            ..Default::default()
        }
    }

    #[test]
    fn what_is_asked_for_takes_the_place_of_the_usual_and_inner_mounts_come_last() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::look();
        let hosts = [("/etc/hosts", PathBuf::from("/pod/hosts"))];
        let around = Surroundings { shared: &hosts, ..around(&host) };
        let asked =
            [asked(folder.path(), "/a/b/c"), asked(folder.path(), "/a"), asked(folder.path(), "/etc/hosts/")];
        let (mounts, _) = mounts(&asked, &[], &around).unwrap();
        let at: Vec<&str> = mounts.iter().filter_map(|mount| mount.destination().to_str()).collect();
        assert_eq!(at.iter().filter(|path| path.starts_with("/etc/hosts")).count(), 1);
        let place = |path: &str| at.iter().position(|found| *found == path).unwrap();
        assert!(place("/a") < place("/a/b/c"));
    }

    #[test]
    fn a_mount_is_of_a_path_or_of_an_image_and_the_rest_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let view = [SnapshotMount {
            kind: "bind".to_owned(),
            source: "/layer".to_owned(),
            target: String::new(),
            options: vec!["rbind".to_owned()],
        }];
        let image = v1::Mount { host_path: String::new(), ..asked(folder.path(), "/x") };
        let mounted = of_image(&image, &view).unwrap();
        assert!(mounted.options().as_ref().unwrap().contains(&"ro".to_owned()));
        let both = of_image(&asked(folder.path(), "/x"), &view).unwrap_err();
        assert_eq!(both.to_string(), "the mount on /x has both host_path and image");
        let shared =
            v1::Mount { propagation: MountPropagation::PropagationBidirectional.into(), ..image.clone() };
        let error = of_image(&shared, &view).unwrap_err().to_string();
        assert!(error.starts_with("propagation of the image mounted on /x"), "{error}");
        let host = Host::look();
        let neither = bound(&image, &host).unwrap_err();
        assert_eq!(neither.to_string(), "the mount on /x has neither host_path nor image");
        let sub = v1::Mount { image_sub_path: "etc".to_owned(), ..asked(folder.path(), "/x") };
        assert_eq!(
            bound(&sub, &host).unwrap_err().to_string(),
            "image_sub_path of the mount on /x needs an image"
        );
    }

    #[test]
    fn a_folder_that_is_missing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("a/b");
        bound(&asked(&missing, "/x"), &Host::look()).unwrap();
        assert!(missing.is_dir());
    }

    #[test]
    fn recursive_read_only_is_refused_where_it_makes_no_sense() {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = asked(folder.path(), "/x");
        mount.recursive_read_only = true;
        let error = bound(&mount, &Host::look()).unwrap_err();
        assert!(error.to_string().ends_with("needs readonly"), "{error}");
        mount.readonly = true;
        mount.propagation = MountPropagation::PropagationHostToContainer.into();
        // Either the place receives no mounts, or the combination is refused.
        assert!(bound(&mount, &Host::look()).is_err());
    }
}
