//! Finding the program in the container, with the words of Go's `exec.LookPath`, which callers of runc parse; and
//! becoming it.

use super::env;
use super::error::Error;
use crate::sys::exec::Image;
use rustix::fs::{Access, AtFlags, CWD, FileType, accessat, stat};
use rustix::io::Errno;
use std::ffi::CString;
use std::io;

/// Looks for `args[0]` as the container's user, in its PATH if the name has no slash.
pub fn find(args: &[String], env: &[String]) -> Result<Image, Error> {
    let name = args.first().ok_or_else(|| Error::invalid("args must not be empty"))?;
    let path = if name.contains('/') {
        executable(name).map_err(|error| error.of(name))?;
        name.clone()
    } else {
        search(name, env::get(env, "PATH").unwrap_or_default())?
    };
    Ok(Image::new(
        c_string("process.args", &path)?,
        args.iter().map(|arg| c_string("process.args", arg)).collect::<Result<_, _>>()?,
        env.iter().map(|pair| c_string("process.env", pair)).collect::<Result<_, _>>()?,
    ))
}

/// Becomes the program; returns only to say why that failed.
pub fn exec(image: &Image) -> Error {
    Error::system(format!("exec {}", image.path().to_string_lossy()))(image.exec())
}

fn search(name: &str, path: &str) -> Result<String, Error> {
    let refuse = |why: &str| Error::Executable { name: name.to_owned(), why: why.to_owned(), errno: None };
    if name.is_empty() || path.is_empty() {
        return Err(refuse("executable file not found in $PATH"));
    }
    for directory in path.split(':') {
        let candidate = match directory {
            "" => format!("./{name}"),
            directory => format!("{}/{name}", directory.trim_end_matches('/')),
        };
        if executable(&candidate).is_ok() {
            return if candidate.starts_with('/') {
                Ok(candidate)
            } else {
                Err(refuse("cannot run executable found relative to current directory"))
            };
        }
    }
    Err(refuse("executable file not found in $PATH"))
}

/// Why a file cannot be executed.
enum Unfit {
    Stat(Errno),
    Directory,
    Access(Errno),
}

impl Unfit {
    fn of(self, path: &str) -> Error {
        let words = |errno: Errno| {
            compute::Error::io("", io::Error::from(errno)).chain().last().cloned().unwrap_or_default()
        };
        let (why, errno) = match self {
            Unfit::Stat(errno) => (format!("stat {path}: {}", words(errno)), errno),
            Unfit::Directory => ("is a directory".to_owned(), Errno::ISDIR),
            Unfit::Access(errno) => (words(errno), errno),
        };
        Error::Executable { name: path.to_owned(), why, errno: Some(errno.raw_os_error()) }
    }
}

/// A noexec mount and the user's own rights count, so the kernel is asked; one that cannot be asked (faccessat2(2) is
/// of Linux 5.8) leaves the mode.
fn executable(path: &str) -> Result<(), Unfit> {
    let stat = stat(path).map_err(Unfit::Stat)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(Unfit::Directory);
    }
    match accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS) {
        Ok(()) => Ok(()),
        Err(Errno::NOSYS | Errno::PERM) if stat.st_mode & 0o111 != 0 => Ok(()),
        Err(Errno::NOSYS | Errno::PERM) => Err(Unfit::Access(Errno::ACCESS)),
        Err(errno) => Err(Unfit::Access(errno)),
    }
}

fn c_string(field: &str, text: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::invalid(format!("{field}: {text:?} contains a nul byte")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn find_in(path: &str, name: &str) -> Result<String, String> {
        find(&[name.to_owned()], &[format!("PATH={path}")])
            .map(|image| image.path().to_string_lossy().into_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_texts_are_those_that_callers_of_runc_know() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        fs::write(dir.path().join("plain"), "").unwrap();
        assert_eq!(find_in(path, "foo").unwrap_err(), r#"exec: "foo": executable file not found in $PATH"#);
        assert_eq!(find_in("", "sh").unwrap_err(), r#"exec: "sh": executable file not found in $PATH"#);
        assert_eq!(
            find_in(path, "plain").unwrap_err(),
            r#"exec: "plain": executable file not found in $PATH"#
        );
        assert_eq!(
            find_in(path, "/nope/x").unwrap_err(),
            r#"exec: "/nope/x": stat /nope/x: no such file or directory"#
        );
        let plain = format!("{path}/plain");
        assert_eq!(find_in(path, &plain).unwrap_err(), format!("exec: {plain:?}: permission denied"));
        assert_eq!(find_in(path, "/").unwrap_err(), r#"exec: "/": is a directory"#);
    }

    #[test]
    fn the_first_that_may_be_executed_is_taken() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        for (dir, mode) in dirs.iter().zip([0o644, 0o755]) {
            fs::write(dir.path().join("tool"), "").unwrap();
            fs::set_permissions(dir.path().join("tool"), fs::Permissions::from_mode(mode)).unwrap();
        }
        let path = format!("{}/:{}", dirs[0].path().display(), dirs[1].path().display());
        assert_eq!(find_in(&path, "tool").unwrap(), dirs[1].path().join("tool").to_str().unwrap());
    }
}
