//! A list of mounts made on a folder of the host: how the layers of an image become the root file system of a bundle.
//!
//! An overlay's lower folders are given one by one (`lowerdir+`) where the kernel has that (Linux 6.5), so that neither
//! their number nor a colon in their names matters. Before, they are one option of at most a page; when they do not fit,
//! they are named from the folder that they have in common.
//!
//! `uidmap=` and `gidmap=` on an overlay (`container:host:size`, several of them separated by commas or repeated) show
//! the files of the lower folders with mapped owners. Each is bound for that, mapped, to a place that is gone when the
//! overlay is made: the overlay keeps mounts of its own.

use super::attach::{self, Filesystem, Mounter, Source};
use super::error::{Attempted, Error, Failure, Refusal};
use super::options::{self, ms};
use super::sources::new_user_namespace;
use super::target::{Create, Root, Target};
use crate::sys::mount::{Change, map_ids};
use compute::Mount;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, UnmountFlags};
use std::path::{Path, PathBuf};

/// A mount(2) takes a page of options, with the zero at its end.
const PAGE: usize = 4096;
/// fsconfig(2) copies values of fewer bytes only.
const FSCONFIG_MAX: usize = 256;

/// Makes all mounts, in order, on `folder` or below it. When one fails, none stays.
pub fn mount_layers(mounts: &[Mount], folder: &Path) -> Result<(), Error> {
    let mut made = Ok(());
    for mount in mounts {
        made = make(mount, folder).map_err(|cause| Error::Mount {
            source_name: mount.source.clone(),
            destination: folder.join(mount.target.trim_start_matches('/')),
            cause,
        });
        if made.is_err() {
            unmount_layers(folder)?;
            break;
        }
    }
    made
}

/// Takes away whatever is mounted on `folder`, with what is mounted below it. Nothing, and a folder that is not there,
/// are no errors.
pub fn unmount_layers(folder: &Path) -> Result<(), Error> {
    loop {
        match rustix::mount::unmount(folder, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOENT) => return Ok(()),
            Err(cause) => Err(cause).attempted(|| format!("unmount {}", folder.display()))?,
        }
    }
}

fn make(mount: &Mount, folder: &Path) -> Result<(), Refusal> {
    let (root, target) = find(mount, folder)?;
    let mounter = Mounter::default();
    let options = options::parse(&mount.options);
    if options.set & ms::BIND != 0 || matches!(mount.kind.as_str(), "bind" | "rbind") {
        let recursive = options.set & ms::REC != 0 || mount.kind == "rbind";
        let source = mounter.bind_source(Path::new(&mount.source), recursive)?;
        let made = mounter.bind(&root, source, &target)?;
        let change = attributes(&options);
        if change != Change::default() {
            mounter.change(made.as_fd(), &change)?;
        }
        return Ok(propagate(&mounter, &made, &options)?);
    }
    let made = if mount.kind == "overlay" {
        Overlay::read(&options)?.mount(folder, &target, options.set)?
    } else {
        let fs = Filesystem {
            fstype: &mount.kind,
            source: &mount.source,
            set: options.set,
            options: &options.data,
            label: None,
        };
        mounter.mount(&root, &fs, &target)?
    };
    Ok(propagate(&mounter, &made, &options)?)
}

/// The place, opened anew for each mount: the one before may cover it.
fn find(mount: &Mount, folder: &Path) -> Result<(Root, Target), Failure> {
    let open = || {
        rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .attempted(|| format!("open {}", folder.display()))
    };
    let root = Root::new(open()?);
    let below = mount.target.trim_matches('/');
    if below.is_empty() {
        return Ok((root, Target { fd: open()?, path: "/".into(), created: false }));
    }
    let path = Path::new("/").join(below);
    let target =
        root.target(&path, || Ok(Create::Nothing)).attempted(|| format!("find {}", path.display()))?;
    Ok((root, target))
}

/// What a bind changes of the mount that it copies: only what is asked for.
fn attributes(options: &options::Options) -> Change {
    let plain = |flags: u32| options::attributes(flags) & !libc::MOUNT_ATTR__ATIME;
    let mut change = Change { set: plain(options.set), clear: plain(options.cleared), ..Change::default() };
    if options.set & (ms::NOATIME | ms::RELATIME | ms::STRICTATIME) != 0 {
        change.set |= options::attributes(options.set) & libc::MOUNT_ATTR__ATIME;
        change.clear |= libc::MOUNT_ATTR__ATIME;
    }
    change
}

fn propagate(mounter: &Mounter, made: &OwnedFd, options: &options::Options) -> Result<(), Failure> {
    for flags in &options.propagation {
        let change = Change {
            propagation: u64::from(flags & !ms::REC),
            recursive: flags & ms::REC != 0,
            ..Change::default()
        };
        mounter.change(made.as_fd(), &change)?;
    }
    Ok(())
}

/// The options of an overlay.
#[derive(Debug, Default, PartialEq, Eq)]
struct Overlay {
    /// Topmost first.
    lower: Vec<PathBuf>,
    /// Lines of `/proc/<pid>/uid_map` and `gid_map`.
    maps: Option<(String, String)>,
    /// All others.
    rest: Vec<String>,
}

impl Overlay {
    fn read(options: &options::Options) -> Result<Self, Failure> {
        let mut overlay = Self::default();
        let (mut uids, mut gids) = (String::new(), String::new());
        for option in &options.data {
            match option.split_once('=') {
                Some(("lowerdir", value)) => overlay.lower = split_lower(value),
                Some(("uidmap", value)) => uids.push_str(&lines(value)?),
                Some(("gidmap", value)) => gids.push_str(&lines(value)?),
                // The second of "uidmap=0:1000:1,1:2000:9" arrives by itself.
                None if option.contains(':') && !uids.is_empty() => {
                    let map = if gids.is_empty() { &mut uids } else { &mut gids };
                    map.push_str(&lines(option)?);
                }
                _ => overlay.rest.push(option.clone()),
            }
        }
        if uids.is_empty() != gids.is_empty() {
            return Err(Failure::new("an overlay needs both uidmap and gidmap", Errno::INVAL));
        }
        overlay.maps = (!uids.is_empty()).then_some((uids, gids));
        Ok(overlay)
    }

    /// Mounts it on `target`. Beside `folder` mapped layers have their place for a moment.
    fn mount(mut self, folder: &Path, target: &Target, set: u32) -> Result<OwnedFd, Failure> {
        let mapped = match &self.maps {
            None => None,
            Some(maps) => {
                let mapped = Mapped::make(folder, &self.lower, maps)?;
                self.lower = mapped.places();
                Some(mapped)
            }
        };
        let made = match self.detached(set) {
            Err(failure) if failure.is(Errno::NOSYS) || failure.is(Errno::INVAL) => {
                // No mount API, or an overlay that does not know "lowerdir+": the same mistakes get the same answer.
                self.classic(target, set)
            }
            made => made.and_then(|mount| attach::attach(mount, target.fd.as_fd())),
        };
        drop(mapped);
        made
    }

    fn detached(&self, set: u32) -> Result<OwnedFd, Failure> {
        let long = |path: &PathBuf| path.as_os_str().len() >= FSCONFIG_MAX;
        if self.lower.iter().any(long) || self.rest.iter().any(|option| option.len() >= FSCONFIG_MAX) {
            return Err(Failure::new("fsconfig overlay", Errno::NOSYS));
        }
        let context =
            rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).attempted(|| "fsopen overlay")?;
        let string = |key: &str, value: &Path| {
            rustix::mount::fsconfig_set_string(&context, key, value)
                .attempted(|| format!("set {key}={} of overlay", value.display()))
        };
        string("source", Path::new("overlay"))?;
        for lower in &self.lower {
            string("lowerdir+", lower)?;
        }
        for option in &self.rest {
            match option.split_once('=') {
                Some((key, value)) => string(key, Path::new(value))?,
                None => rustix::mount::fsconfig_set_flag(&context, option)
                    .attempted(|| format!("set {option} of overlay"))?,
            }
        }
        if set & ms::RDONLY != 0 {
            rustix::mount::fsconfig_set_flag(&context, "ro").attempted(|| "set ro of overlay")?;
        }
        rustix::mount::fsconfig_create(&context)
            .attempted(|| format!("create overlay{}", attach::kernel_says(&context)))?;
        let attributes = MountAttrFlags::from_bits_retain(options::attributes(set) as u32);
        rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .attempted(|| "fsmount overlay")
    }

    /// By mount(2). What does not fit a page is named from a common folder, which is this process's for the moment.
    fn classic(&self, target: &Target, set: u32) -> Result<OwnedFd, Failure> {
        let whole = self.options(None);
        let here = || rustix::fs::open(".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let (options, before) = match common_folder(&self.lower) {
            Some(common) if whole.iter().map(|option| option.len() + 1).sum::<usize>() >= PAGE => {
                let before = here().attempted(|| "open the working folder")?;
                rustix::process::chdir(&common).attempted(|| format!("change to {}", common.display()))?;
                (self.options(Some(&common)), Some(before))
            }
            _ => (whole, None),
        };
        let fs = Filesystem { fstype: "overlay", source: "overlay", set, options: &options, label: None };
        let mounted = attach::classic_mount(&fs, target);
        if let Some(before) = before {
            rustix::process::fchdir(before).attempted(|| "change back to the working folder")?;
        }
        mounted?;
        // What covers the place now.
        let path = attach::magic_path(target.fd.as_fd())?;
        let real = rustix::fs::readlink(path, Vec::new()).attempted(|| "find the overlay")?;
        rustix::fs::open(real, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .attempted(|| "open the overlay")
    }

    fn options(&self, common: Option<&Path>) -> Vec<String> {
        let name = |path: &PathBuf| {
            let path = common.and_then(|common| path.strip_prefix(common).ok()).unwrap_or(path);
            path.to_string_lossy().replace('\\', "\\\\").replace(':', "\\:")
        };
        let lower: Vec<String> = self.lower.iter().map(name).collect();
        [format!("lowerdir={}", lower.join(":"))].into_iter().chain(self.rest.iter().cloned()).collect()
    }
}

/// A colon or backslash of a name has a backslash before it.
fn split_lower(value: &str) -> Vec<PathBuf> {
    let mut folders = vec![String::new()];
    let mut escaped = false;
    for c in value.chars() {
        match c {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            ':' if !escaped => folders.push(String::new()),
            c => folders.last_mut().into_iter().for_each(|folder| folder.push(c)),
        }
        escaped = false;
    }
    folders.retain(|folder| !folder.is_empty());
    folders.into_iter().map(PathBuf::from).collect()
}

/// `container:host:size` to the kernel's form.
fn lines(value: &str) -> Result<String, Failure> {
    let mut text = String::new();
    for map in value.split(',') {
        let fields: Vec<u32> = map.split(':').map_while(|field| field.parse().ok()).collect();
        let [container, host, size] = fields[..] else {
            return Err(Failure::new(format!("understand the id map {map:?}"), Errno::INVAL));
        };
        text.push_str(&format!("{container} {host} {size}\n"));
    }
    Ok(text)
}

fn common_folder(paths: &[PathBuf]) -> Option<PathBuf> {
    let mut common = paths.first()?.parent()?;
    while !paths.iter().all(|path| path.starts_with(common)) {
        common = common.parent()?;
    }
    (common != Path::new("/")).then(|| common.to_owned())
}

/// Lower folders with mapped owners, each bound to a place of ours until this is dropped.
struct Mapped {
    folder: PathBuf,
    count: usize,
}

impl Mapped {
    fn make(beside: &Path, lower: &[PathBuf], (uids, gids): &(String, String)) -> Result<Self, Failure> {
        let namespace = new_user_namespace(uids, gids)?;
        let name = beside.file_name().unwrap_or_default().to_string_lossy();
        let io = |attempted: String| {
            move |cause: std::io::Error| {
                Failure::new(attempted, Errno::from_io_error(&cause).unwrap_or(Errno::IO))
            }
        };
        let folder = beside.with_file_name(format!(".{name}.layers"));
        let mut mapped = Self { folder, count: 0 };
        for path in lower {
            let place = mapped.place(mapped.count);
            std::fs::create_dir_all(&place).map_err(io(format!("make {}", place.display())))?;
            mapped.count += 1;
            let source = Mounter::default().bind_source(path, false)?;
            let Source::Detached(mount) = source else {
                return Err(Failure::new("map the owners of a layer (needs Linux 5.12)", Errno::NOSYS));
            };
            map_ids(mount.as_fd(), namespace.as_fd(), false)
                .attempted(|| format!("map the owners of {}", path.display()))?;
            let place = rustix::fs::openat(CWD, &place, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .attempted(|| format!("open {}", place.display()))?;
            attach::attach(mount, place.as_fd())?;
        }
        Ok(mapped)
    }

    fn place(&self, number: usize) -> PathBuf {
        self.folder.join(number.to_string())
    }

    fn places(&self) -> Vec<PathBuf> {
        (0..self.count).map(|number| self.place(number)).collect()
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        for place in self.places() {
            if let Err(cause) = rustix::mount::unmount(&place, UnmountFlags::DETACH) {
                log::debug!("unmount {}: {cause}", place.display());
            }
            // Never with what is in it: had the unmount failed, that would be the layer.
            if let Err(cause) = std::fs::remove_dir(&place) {
                log::warn!("remove {}: {cause}", place.display());
            }
        }
        let _ = std::fs::remove_dir(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlay(words: &[&str]) -> Result<Overlay, Failure> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        Overlay::read(&options::parse(&words))
    }

    #[test]
    fn options_of_an_overlay_are_told_apart() {
        let read = overlay(&["lowerdir=/a\\:b:/c", "upperdir=/u", "index=off", "userxattr"]).unwrap();
        assert_eq!(read.lower, [Path::new("/a:b"), Path::new("/c")]);
        assert_eq!(read.rest, ["upperdir=/u", "index=off", "userxattr"]);
        assert_eq!(read.options(None)[0], "lowerdir=/a\\:b:/c");
        let maps = |words: &[&str]| overlay(words).map(|overlay| overlay.maps);
        let both = Some(("0 5 9\n".to_owned(), "0 6 9\n1 7 1\n".to_owned()));
        assert_eq!(maps(&["uidmap=0:5:9", "gidmap=0:6:9", "gidmap=1:7:1"]).unwrap(), both);
        assert_eq!(maps(&["uidmap=0:5:9", "gidmap=0:6:9,1:7:1"]).unwrap(), both);
        assert_eq!(maps(&["lowerdir=/a"]).unwrap(), None);
        assert!(maps(&["uidmap=0:5:9"]).is_err());
        assert!(maps(&["uidmap=0:5", "gidmap=0:6:9"]).is_err());
    }

    #[test]
    fn long_options_are_named_from_the_common_folder() {
        let paths = ["/var/lib/x/1/fs", "/var/lib/x/22/fs"].map(PathBuf::from);
        let common = common_folder(&paths).unwrap();
        assert_eq!(common, Path::new("/var/lib/x"));
        let overlay = Overlay { lower: paths.into(), ..Overlay::default() };
        assert_eq!(overlay.options(Some(&common)), ["lowerdir=1/fs:22/fs"]);
        assert_eq!(common_folder(&["/a/b".into(), "/c/d".into()]), None);
    }
}
