//! What every verb is given: the name we were called by, the program's options, and the state root.

use crate::cli::Globals;
use crate::logging::{self, Format};
use anyhow::{Context as _, bail};
use compute::ContainerId;
use rustix::process::geteuid;
use std::env;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// See the module's text.
pub(crate) struct Context {
    /// `runc` when we were invoked under that name, otherwise `runhcs`.
    pub(crate) program: &'static str,
    /// The program's options.
    pub(crate) globals: Globals,
    /// Where the state of containers is.
    pub(crate) root: PathBuf,
}

impl Context {
    /// Finds the state root and opens the log.
    pub(crate) fn open(program: &'static str, globals: Globals) -> anyhow::Result<Self> {
        let root = match &globals.root {
            Some(root) => given_root(root)?,
            None => default_root(program)?,
        };
        let format = Format::named(globals.log_format.as_deref().unwrap_or_default())?;
        let log = globals.log.as_deref();
        logging::open(log, format, globals.debug)
            .with_context(|| format!("open log {}", log.unwrap_or(Path::new("")).display()))?;
        log::debug!("state root is {}", root.display());
        Ok(Self { program, globals, root })
    }

    /// Who new containers belong to.
    pub(crate) fn owner(&self) -> &str {
        self.globals.owner.as_deref().unwrap_or_default()
    }
}

/// The program's name, from the name it was called by.
pub(crate) fn program(argv0: &Path) -> &'static str {
    if argv0.file_name().is_some_and(|name| name == "runc") { "runc" } else { "runhcs" }
}

/// The id of a container that should exist. What cannot be an id is an error, not a container that is missing.
pub(crate) fn container(id: &str) -> anyhow::Result<ContainerId> {
    Ok(ContainerId::new(id)?)
}

fn given_root(root: &Path) -> anyhow::Result<PathBuf> {
    let root = std::path::absolute(root).with_context(|| format!("resolve --root {}", root.display()))?;
    if root == Path::new("/") {
        bail!("Option --root argument should not be set to /");
    }
    Ok(root)
}

/// `/run/<program>`, or the user's runtime folder for who is not root. That folder is cleaned of what was not used for
/// a while unless it has the sticky bit (XDG base directory specification).
fn default_root(program: &str) -> anyhow::Result<PathBuf> {
    let runtime_dir = env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    let Some(runtime_dir) = runtime_dir.filter(|_| is_users_own()) else {
        return Ok(Path::new("/run").join(program));
    };
    let root = Path::new(&runtime_dir).join(program);
    DirBuilder::new().recursive(true).mode(0o700).create(&root).with_context(|| {
        format!("mkdir {}: the path in $XDG_RUNTIME_DIR must be writable by the user", root.display())
    })?;
    fs::set_permissions(&root, Permissions::from_mode(0o1700)).with_context(|| {
        format!("chmod {}: you should check permission of the path in $XDG_RUNTIME_DIR", root.display())
    })?;
    Ok(root)
}

/// Root of the host keeps to `/run` even when a login left it `XDG_RUNTIME_DIR`; root of a user namespace is some
/// user, unless a login as root says otherwise.
fn is_users_own() -> bool {
    !geteuid().is_root() || (in_user_namespace() && env::var_os("USER").is_none_or(|user| user != "root"))
}

fn in_user_namespace() -> bool {
    fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| is_partial(&map))
}

/// Whether ids are mapped otherwise than one to one.
fn is_partial(uid_map: &str) -> bool {
    let fields: Vec<&str> = uid_map.split_whitespace().collect();
    fields != ["0", "0", "4294967295"]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_who_we_are() {
        assert_eq!(program(Path::new("/usr/sbin/runc")), "runc");
        assert_eq!(program(Path::new("runc")), "runc");
        assert_eq!(program(Path::new("/opt/runhcs")), "runhcs");
        assert_eq!(program(Path::new("runc2")), "runhcs");
    }

    #[test]
    fn the_root_is_absolute_and_not_the_hosts() {
        assert_eq!(given_root(Path::new("/a")).unwrap(), Path::new("/a"));
        assert_eq!(given_root(Path::new("a")).unwrap(), env::current_dir().unwrap().join("a"));
        for root in ["/", "//", "/."] {
            let told = given_root(Path::new(root)).unwrap_err().to_string();
            assert_eq!(told, "Option --root argument should not be set to /");
        }
    }

    #[test]
    fn a_user_namespace_shows_in_its_map() {
        assert!(!is_partial("         0          0 4294967295\n"));
        assert!(is_partial("         0       1000          1\n"));
    }
}
