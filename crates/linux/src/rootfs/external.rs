//! The mounts of a container that come from outside of it, as CRIU has to be told of them: it does not write them to a
//! checkpoint, and at a restore binds whatever is then at their sources.
//!
//! A mount is named by a key that checkpoint and restore agree on: where it is in the container, without symbolic links.
//! Masked files are all the one null device. The keys are those of runc, so that either restores what the other wrote.

use super::attach::Mounter;
use super::error::{Attempted, Error, Refusal};
use super::mounts::{Maker, same_kind};
use super::options::ms;
use super::plan::{Kind, Mount, Plan};
use super::target::{Create, Root};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// What masks a file.
const NULL: &str = "/dev/null";

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External {
    /// Where it is in the container.
    pub point: PathBuf,
    /// What checkpoint and restore call it.
    pub key: PathBuf,
    /// What is bound there at a restore.
    pub source: PathBuf,
}

impl External {
    fn new(point: PathBuf, source: &Path) -> Self {
        Self { key: point.clone(), point, source: source.to_owned() }
    }
}

impl Plan {
    /// Those of a container that runs; `root` is its root as its processes see it.
    pub fn external_mounts(&self, root: OwnedFd) -> Result<Vec<External>, Error> {
        let root = Root::new(root);
        let mut found = Vec::new();
        for mount in &self.mounts {
            self.external(mount, &mut found, |mount, _| match root.target(&mount.destination, nothing) {
                Ok(target) => Ok(target.path),
                // Another mount covers what was there.
                Err(Errno::NOENT | Errno::NOTDIR) => Ok(mount.destination.clone()),
                Err(cause) => Err(cause).attempted(|| format!("find {}", mount.destination.display()))?,
            })?;
        }
        for path in &self.masked {
            if is_masked_file(&root, path)? {
                let key = PathBuf::from(NULL);
                found.push(External { point: path.clone(), source: key.clone(), key });
            }
        }
        self.external_devices(&mut found);
        Ok(found)
    }

    /// Makes the mount points that a creation would have made, and says what is to be bound on those of external mounts.
    /// Binds on its way, because mount points can lie in what is bound: to be called
    /// [`in_scratch_namespace`](super::in_scratch_namespace).
    pub fn make_mount_points(&self) -> Result<Vec<External>, Error> {
        rustix::process::umask(Mode::empty());
        let root = Root::new(self.open_root()?);
        let mounter = Mounter::default();
        let maker = Maker { plan: self, root: &root, mounter: &mounter, late_readonly: Vec::new() };
        let mut found = Vec::new();
        for (index, mount) in self.mounts.iter().enumerate() {
            let before = self.mounts.get(..index).unwrap_or_default();
            if is_inside_filesystem(before, &mount.destination) {
                // CRIU brings the mount point back with what it is in.
                self.external(mount, &mut found, |mount, _| Ok(mount.destination.clone()))?;
                continue;
            }
            if !matches!(mount.kind, Kind::Bind { .. } | Kind::Remount { .. }) {
                root.target(&mount.destination, || Ok(Create::Folder))
                    .attempted(|| format!("make mountpoint {:?}", mount.destination))?;
            }
            self.external(mount, &mut found, |mount, source| bind(&maker, mount, source))?;
        }
        if !self.masked.is_empty() {
            found.push(External::new(PathBuf::from(NULL), Path::new(NULL)));
        }
        self.external_devices(&mut found);
        Ok(found)
    }

    /// Adds what of this mount is external; `place` says where in the container that is.
    fn external(
        &self,
        mount: &Mount,
        found: &mut Vec<External>,
        place: impl Fn(&Mount, &Path) -> Result<PathBuf, Refusal>,
    ) -> Result<(), Error> {
        match &mount.kind {
            Kind::Bind { path, .. } => {
                let point = place(mount, path).map_err(|cause| mount.failed(cause))?;
                found.push(External::new(point, path));
            }
            Kind::CgroupV1 { hierarchies, namespaced: false } => {
                found.extend(hierarchies.iter().map(|hierarchy| {
                    External::new(mount.destination.join(&hierarchy.name), &hierarchy.path)
                }));
            }
            // The host's own, bound.
            Kind::CgroupV2 { host, namespaced: false } => {
                found.push(External::new(mount.destination.clone(), host));
            }
            Kind::Filesystem { .. }
            | Kind::Remount { .. }
            | Kind::CgroupV1 { .. }
            | Kind::CgroupV2 { .. } => {}
        }
        Ok(())
    }

    /// Nodes may be bound from the host; for one that is not, nothing comes of naming it.
    fn external_devices(&self, found: &mut Vec<External>) {
        let devices = self.devices.iter().flatten();
        found.extend(devices.map(|device| External::new(device.path.clone(), &device.path)));
    }
}

fn nothing() -> rustix::io::Result<Create> {
    Ok(Create::Nothing)
}

fn bind(maker: &Maker<'_>, mount: &Mount, source: &Path) -> Result<PathBuf, Refusal> {
    let source = maker.mounter.bind_source(source, mount.set & ms::REC != 0)?;
    let target = maker.target(mount, || same_kind(source.fd()))?;
    maker.mounter.bind(maker.root, source, &target)?;
    Ok(target.path)
}

/// Whether the innermost mount around `path` is a file system of the container's own.
fn is_inside_filesystem(mounts: &[Mount], path: &Path) -> bool {
    let around =
        mounts.iter().filter(|mount| mount.destination != path && path.starts_with(&mount.destination));
    let innermost = around.max_by_key(|mount| mount.destination.components().count());
    innermost.is_some_and(|mount| !mount.is_bind())
}

fn is_masked_file(root: &Root, path: &Path) -> Result<bool, Error> {
    let attempted = || format!("look at {}", path.display());
    let found = match root.existing(path) {
        Err(Errno::NOTDIR) => None,
        found => found.attempted(attempted)?,
    };
    let Some(found) = found else { return Ok(false) };
    let stat = rustix::fs::fstat(found).attempted(attempted)?;
    Ok(FileType::from_raw_mode(stat.st_mode) != FileType::Directory)
}

#[cfg(test)]
mod tests {
    use super::super::plan::{CgroupView, Request, plan};
    use super::*;
    use oci_spec::runtime::{LinuxBuilder, MountBuilder, RootBuilder, Spec, SpecBuilder};

    fn mount(kind: &str, source: &Path, destination: &str) -> oci_spec::runtime::Mount {
        MountBuilder::default().typ(kind).source(source).destination(destination).build().unwrap()
    }

    fn spec(mounts: Vec<oci_spec::runtime::Mount>) -> Spec {
        SpecBuilder::default()
            .root(RootBuilder::default().path("rootfs").build().unwrap())
            .mounts(mounts)
            .linux(LinuxBuilder::default().masked_paths(["/proc/kcore".to_owned()]).build().unwrap())
            .build()
            .unwrap()
    }

    #[test]
    fn mount_points_are_made_in_what_is_bound_but_not_in_what_comes_back() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (rootfs, outside) = (dir.path().join("rootfs"), dir.path().join("outside"));
        for folder in [&rootfs, &outside, &rootfs.join("real")] {
            std::fs::create_dir(folder).unwrap();
        }
        std::os::unix::fs::symlink("/real", rootfs.join("link")).unwrap();
        let spec = spec(vec![
            mount("tmpfs", Path::new("tmpfs"), "/dev"),
            mount("bind", &outside, "/dev/kept"),
            mount("bind", &outside, "/link/data"),
            mount("bind", &rootfs, "/real/data/inner"),
        ]);
        let plan = plan(&Request {
            spec: &spec,
            bundle: dir.path(),
            no_pivot: false,
            rootless: false,
            cgroup: CgroupView::V2 { fallback: "/sys/fs/cgroup".into() },
            selinux: false,
        })
        .unwrap();
        let external = super::super::in_scratch_namespace(|| plan.make_mount_points()).unwrap();
        let keys: Vec<_> = external.iter().take(4).map(|one| one.key.to_str().unwrap()).collect();
        assert_eq!(keys, ["/dev/kept", "/real/data", "/real/data/inner", "/dev/null"]);
        assert!(!rootfs.join("dev/kept").exists() && rootfs.join("dev").is_dir());
        assert!(rootfs.join("real/data").is_dir() && outside.join("inner").is_dir());
        assert!(!rootfs.join("real/data/inner").exists(), "nothing stays mounted");
    }
}
