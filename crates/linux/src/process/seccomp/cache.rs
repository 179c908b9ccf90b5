//! Compiled filters, kept by content.
//!
//! A folder of its own (mode 0700), a file for each profile. The name is a hash, which only has to spread: the file
//! holds the profile itself, and is used only if that is equal, so nobody can make two profiles share a filter. What
//! does not fit in any way (foreign, too long, another version, cut off) counts as absent and is written anew; the
//! cache can make a creation slower, never fail and never wrong.
//!
//! | bytes | what                                                   |
//! |-------|--------------------------------------------------------|
//! | 8     | `cofsecc` and the version of this format               |
//! | 8     | version of libseccomp, and the architecture            |
//! | 8     | length of the profile                                  |
//! | 8     | length of the program, a multiple of 8                 |
//! | 8     | checksum of the program                                |
//! | …     | the profile as JSON, then the program                  |

use super::compile;
use crate::process::error::Error;
use oci_spec::runtime::LinuxSeccomp;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, mkdirat, openat, renameat, unlinkat};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::geteuid;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

const MAGIC: [u8; 8] = *b"cofsecc\x01";
const HEADER: usize = 40;
/// No real profile comes near it, and no program may be longer than 4096 instructions.
const FILE_LIMIT: u64 = 1 << 20;
/// A caller that makes a profile for each container would fill the folder; beyond this many it is emptied.
const ENTRY_LIMIT: usize = 256;

/// The program for a profile: found, or compiled and kept.
pub(super) fn program(profile: &LinuxSeccomp, folder: &Path) -> Result<Vec<u8>, Error> {
    let Some(key) = Key::of(profile) else { return compile::program(profile) };
    let Some(folder) = open_folder(folder) else { return compile::program(profile) };
    if let Some(program) = find(folder.as_fd(), &key) {
        return Ok(program);
    }
    let program = compile::program(profile)?;
    if let Err(errno) = keep(folder.as_fd(), &key, &program) {
        log::debug!("the compiled seccomp filter is not kept: {errno}");
    }
    Ok(program)
}

/// What a filter depends on.
struct Key {
    profile: Vec<u8>,
    maker: [u8; 8],
    name: String,
}

impl Key {
    fn of(profile: &LinuxSeccomp) -> Option<Self> {
        let profile = serde_json::to_vec(profile).ok()?;
        let version = libseccomp::ScmpVersion::current().ok()?;
        let part = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
        let arch =
            std::env::consts::ARCH.bytes().fold(0u32, |sum, byte| sum.rotate_left(5) ^ u32::from(byte));
        let [a, b, c, d] = arch.to_ne_bytes();
        let maker = [part(version.major), part(version.minor), part(version.micro), 0, a, b, c, d];
        let mut hash = DefaultHasher::new();
        hash.write(&maker);
        hash.write(&profile);
        Some(Self { name: format!("{:016x}", hash.finish()), profile, maker })
    }

    fn header(&self, program: &[u8]) -> [u8; HEADER] {
        let mut checksum = DefaultHasher::new();
        checksum.write(program);
        let numbers = [self.profile.len() as u64, program.len() as u64, checksum.finish()];
        let mut header = [0; HEADER];
        let parts = [MAGIC, self.maker].into_iter().chain(numbers.map(u64::to_ne_bytes));
        for (place, part) in header.as_chunks_mut::<8>().0.iter_mut().zip(parts) {
            *place = part;
        }
        header
    }

    /// The program in a file's content, if the file is about this profile and whole.
    fn program(&self, content: &[u8]) -> Option<Vec<u8>> {
        let (header, rest) = content.split_at_checked(HEADER)?;
        let (profile, program) = rest.split_at_checked(self.profile.len())?;
        let whole = header == self.header(program) && program.len().is_multiple_of(8) && !program.is_empty();
        (whole && profile == self.profile).then(|| program.to_vec())
    }
}

/// Only ours, and only for us.
fn open_folder(path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || openat(CWD, path, flags, Mode::empty());
    let folder = match open() {
        Err(Errno::NOENT) => {
            // Somebody else may make it at this moment.
            let _ = mkdirat(CWD, path, Mode::RWXU);
            open()
        }
        done => done,
    };
    folder.ok().filter(|folder| is_ours(folder.as_fd(), FileType::Directory))
}

fn is_ours(fd: BorrowedFd<'_>, kind: FileType) -> bool {
    fstat(fd).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == kind
            && stat.st_uid == geteuid().as_raw()
            && stat.st_mode & 0o077 == 0
    })
}

fn find(folder: BorrowedFd<'_>, key: &Key) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = openat(folder, &*key.name, flags, Mode::empty()).ok()?;
    if !is_ours(file.as_fd(), FileType::RegularFile) {
        return None;
    }
    let mut content = Vec::with_capacity(32 << 10);
    File::from(file).take(FILE_LIMIT).read_to_end(&mut content).ok()?;
    key.program(&content)
}

/// Whole or not at all, whoever else does the same.
fn keep(folder: BorrowedFd<'_>, key: &Key, program: &[u8]) -> Result<(), Errno> {
    make_room(folder)?;
    let partial = format!(".{}.{}", key.name, rustix::process::getpid());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || retry_on_intr(|| openat(folder, &*partial, flags, Mode::RUSR | Mode::WUSR));
    let file = match open() {
        Err(Errno::EXIST) => {
            // Of a process that had our number and did not come to its end.
            unlinkat(folder, &*partial, AtFlags::empty())?;
            open()?
        }
        done => done?,
    };
    let content = [&key.header(program), &key.profile[..], program].concat();
    let written = File::from(file).write_all(&content);
    let done = match written {
        Ok(()) => renameat(folder, &*partial, folder, &*key.name),
        Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
    };
    if done.is_err() {
        let _ = unlinkat(folder, &*partial, AtFlags::empty());
    }
    done
}

fn make_room(folder: BorrowedFd<'_>) -> Result<(), Errno> {
    let names: Vec<_> = rustix::fs::Dir::read_from(folder)?
        .filter_map(|entry| entry.ok().map(|entry| entry.file_name().to_owned()))
        .filter(|name| !matches!(name.to_bytes(), b"." | b".."))
        .collect();
    if names.len() >= ENTRY_LIMIT {
        for name in names {
            let _ = unlinkat(folder, name, AtFlags::empty());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn profile(name: &str) -> LinuxSeccomp {
        let json = format!(
            r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":["{name}"],"action":"SCMP_ACT_ALLOW"}}]}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    /// The folder of a test, and the one file that a profile leaves in it.
    fn with_one_kept() -> (tempfile::TempDir, std::path::PathBuf, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("seccomp");
        let compiled = program(&profile("read"), &folder).unwrap();
        let file = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        (dir, file, compiled)
    }

    #[test]
    fn the_second_time_it_is_found() {
        let (_dir, file, compiled) = with_one_kept();
        let folder = file.parent().unwrap();
        assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
        let key = Key::of(&profile("read")).unwrap();
        assert_eq!(find(open_folder(folder).unwrap().as_fd(), &key).unwrap(), compiled);
        let other = Key::of(&profile("write")).unwrap();
        assert!(find(open_folder(folder).unwrap().as_fd(), &other).is_none());
    }

    #[test]
    fn a_name_shared_by_two_profiles_does_not_share_the_filter() {
        let (_dir, file, _) = with_one_kept();
        let folder = open_folder(file.parent().unwrap()).unwrap();
        let mut other = Key::of(&profile("write")).unwrap();
        other.name = file.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(find(folder.as_fd(), &other).is_none());
    }

    #[test]
    fn whatever_is_broken_is_written_anew() {
        let (_dir, file, compiled) = with_one_kept();
        let folder = file.parent().unwrap().to_owned();
        let whole = fs::read(&file).unwrap();
        let mut cases: Vec<Vec<u8>> =
            vec![Vec::new(), whole[..whole.len() - 8].to_vec(), vec![0; whole.len()]];
        for place in [0, 7, 8, 16, 24, 32, HEADER, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            cases.push(changed);
        }
        for broken in cases {
            fs::write(&file, &broken).unwrap();
            assert_eq!(program(&profile("read"), &folder).unwrap(), compiled);
            assert_eq!(fs::read(&file).unwrap(), whole);
        }
    }

    #[test]
    fn what_others_can_write_is_not_trusted() {
        let (_dir, file, compiled) = with_one_kept();
        let folder = file.parent().unwrap().to_owned();
        let key = Key::of(&profile("read")).unwrap();
        let found = || find(open_folder(&folder).unwrap().as_fd(), &key);

        fs::set_permissions(&file, fs::Permissions::from_mode(0o622)).unwrap();
        assert!(found().is_none());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(found().unwrap(), compiled);
        std::os::unix::fs::chown(&file, Some(12345), None).unwrap();
        assert!(found().is_none());
        program(&profile("read"), &folder).unwrap();
        assert_eq!(found().unwrap(), compiled, "it was replaced by one of ours");

        let elsewhere = folder.with_file_name("elsewhere");
        fs::rename(&file, &elsewhere).unwrap();
        symlink(&elsewhere, &file).unwrap();
        assert!(found().is_none());

        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(open_folder(&folder).is_none());
        assert_eq!(
            program(&profile("read"), &folder).unwrap(),
            compiled,
            "without a cache it is only slower"
        );
    }

    #[test]
    fn the_folder_does_not_grow_for_ever() {
        let (_dir, file, _) = with_one_kept();
        let folder = open_folder(file.parent().unwrap()).unwrap();
        for n in 0..ENTRY_LIMIT {
            fs::write(file.with_file_name(format!("{n}")), "").unwrap();
        }
        make_room(folder.as_fd()).unwrap();
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 0);
    }
}
