//! Runs a test's body in new namespaces: this executable is started again by unshare(1), for that one test.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Namespaces and user of a test.
#[derive(Clone, Copy)]
pub(super) struct Inside {
    wrapper: &'static [&'static str],
    namespaces: &'static [&'static str],
}

/// New mount, PID and IPC namespaces.
pub(super) const ROOT: Inside = Inside { wrapper: &[], namespaces: &["--mount", "--pid", "--ipc", "--fork"] };
/// [`ROOT`]'s and a cgroup namespace.
pub(super) const CGROUP: Inside =
    Inside { wrapper: &[], namespaces: &["--mount", "--pid", "--ipc", "--cgroup", "--fork"] };
/// [`ROOT`]'s and a user namespace that has only root.
pub(super) const USER: Inside = Inside {
    wrapper: &[],
    namespaces: &["--user", "--map-root-user", "--mount", "--pid", "--ipc", "--fork"],
};
/// What a user without privileges can make.
pub(super) const ROOTLESS: Inside = Inside {
    wrapper: &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
    namespaces: &["--user", "--map-root-user", "--mount", "--pid", "--ipc", "--fork"],
};

const BUNDLE: &str = "COFFERDAM_TEST_BUNDLE";
const NESTED: &str = "COFFERDAM_TEST_NESTED";

/// Runs `body` with a fresh folder, as the test function `test` in new namespaces. The folder goes afterwards, and
/// nothing may be mounted in it outside.
pub(super) fn isolated<T: Fn()>(test: T, inside: Inside, body: impl FnOnce(&Path)) {
    if let Some(bundle) = std::env::var_os(BUNDLE) {
        body(Path::new(&bundle));
        return;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    if !inside.wrapper.is_empty() {
        std::os::unix::fs::chown(folder.path(), Some(65534), Some(65534)).unwrap();
    }
    // Somebody without privileges may not be let into the folder that this was built in.
    let program = tempfile::tempdir().unwrap();
    std::fs::set_permissions(program.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let copy = program.path().join("test");
    if !inside.wrapper.is_empty() {
        std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    }
    let executable = if inside.wrapper.is_empty() { std::env::current_exe().unwrap() } else { copy };
    start(&test, inside, &executable, &[(BUNDLE, folder.path())]);
    assert_not_mounted(folder.path());
}

/// Inside of an isolated test, whose namespaces stand for a host's: runs `body` in further ones.
pub(super) fn nested<T: Fn()>(
    test: T,
    inside: Inside,
    body: impl FnOnce(&Path),
    host: impl FnOnce(&Path, &dyn Fn()),
) {
    let bundle = PathBuf::from(std::env::var_os(BUNDLE).unwrap());
    if std::env::var_os(NESTED).is_some() {
        body(&bundle);
        return;
    }
    host(&bundle, &|| start(&test, inside, &std::env::current_exe().unwrap(), &[(NESTED, Path::new("1"))]));
}

/// No mount is left at or below this folder.
pub(super) fn assert_not_mounted(folder: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(folder.to_str().unwrap()), "a mount is left outside:\n{mounts}");
}

fn start<T: Fn()>(_: &T, inside: Inside, executable: &Path, environment: &[(&str, &Path)]) {
    let name = std::any::type_name::<T>();
    let (_, name) = name.split_once("::").unwrap();
    let wrapped = [inside.wrapper, &["unshare"]].concat();
    let output = Command::new(wrapped[0])
        .args(&wrapped[1..])
        .args(inside.namespaces)
        .args(["--propagation", "unchanged"])
        .arg(executable)
        .args(["--exact", name, "--nocapture", "--test-threads=1", "--include-ignored"])
        .envs(environment.iter().copied())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: {wrapped:?} cannot be run: {error}");
            return;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    print!("{text}");
    assert!(output.status.success(), "{name} failed inside ({}):\n{text}", output.status);
    assert!(text.contains("1 passed"), "{name} did not run inside:\n{text}");
}
