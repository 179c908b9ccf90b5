//! Ways out of a container that are closed.

use crate::{Story, Told, become_container, become_container_keeping, inside, spec, told};
use linux::process::Procfs;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{MountFlags, mount, mount_bind, mount_bind_recursive};
use serde_json::{Value, json};
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};

pub(crate) fn stories() -> Vec<Story> {
    vec![
        Story("a_leaked_directory_is_no_working_directory", leaked, leaked_inside),
        Story("a_leaked_directory_is_no_program_either", program, program_inside),
        Story("a_working_directory_is_made", made, made_inside),
        Story("a_sysctl_does_not_go_through_a_mount", sysctl, sysctl_inside),
        Story("a_proc_that_is_none_is_not_written_to", no_proc, no_proc_inside),
        Story("a_passwd_that_never_ends_is_no_trouble", passwd, passwd_inside),
    ]
}

const OUTSIDE: &str = "current working directory is outside of container mount namespace root -- possible container breakout detected\n";

fn leaked() -> Told {
    let story = "a_leaked_directory_is_no_working_directory";
    let said = told(inside(story, &["--mount"]));
    assert!(said.starts_with("chdir to cwd (\"/proc/self/fd/"), "it is closed by then: {said}");
    assert!(said.ends_with("set in config.json failed: no such file or directory\n"), "{said}");
    let mut kept = inside(story, &["--mount"]);
    kept.env("KEPT", "");
    assert_eq!(told(kept), OUTSIDE);
    Told::True
}

/// A root below a tmpfs with this host's programs; what is left is a directory of the host.
fn enter_root() -> OwnedFd {
    mount("tmpfs", "/mnt", "tmpfs", MountFlags::empty(), None).unwrap();
    for name in ["usr", "proc", "etc", "dev", "tmp"] {
        fs::create_dir(format!("/mnt/{name}")).unwrap();
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{name}"), format!("/mnt/{name}")).unwrap();
    }
    mount_bind("/usr", "/mnt/usr").unwrap();
    mount_bind_recursive("/dev", "/mnt/dev").unwrap();
    mount("proc", "/mnt/proc", "proc", MountFlags::empty(), None).unwrap();
    let host = openat(CWD, "/", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    rustix::process::chroot("/mnt").unwrap();
    rustix::process::chdir("/").unwrap();
    host
}

fn with(process: Value) -> Value {
    json!({ "process": process })
}

/// Init forgot about the descriptor, or needs it itself until the end.
fn try_it(host: OwnedFd, more: Value) {
    let spec = spec("pwd", with(more));
    if std::env::var_os("KEPT").is_some() {
        become_container_keeping(&spec, vec![host]);
    }
    std::mem::forget(host);
    become_container(&spec);
}

fn leaked_inside() {
    let host = enter_root();
    let cwd = format!("/proc/self/fd/{}", host.as_raw_fd());
    try_it(host, json!({ "cwd": cwd }));
}

/// Found through the descriptor or not, it is closed when the program is opened.
fn program() -> Told {
    let story = "a_leaked_directory_is_no_program_either";
    let said = told(inside(story, &["--mount"]));
    assert!(
        said.starts_with("exec: \"/proc/self/fd/") && said.ends_with("no such file or directory\n"),
        "{said}"
    );
    let mut kept = inside(story, &["--mount"]);
    kept.env("KEPT", "");
    let said = told(kept);
    assert!(
        said.starts_with("exec /proc/self/fd/") && said.ends_with("no such file or directory\n"),
        "{said}"
    );
    Told::True
}

fn program_inside() {
    let host = enter_root();
    let program = format!("/proc/self/fd/{}/bin/true", host.as_raw_fd());
    try_it(host, json!({ "args": [program] }));
}

fn made() -> Told {
    assert_eq!(told(inside("a_working_directory_is_made", &["--mount"])), "/new/one\n");
    Told::True
}

fn made_inside() {
    enter_root();
    become_container(&spec("pwd", with(json!({"cwd": "/new/../new/one"}))));
}

fn sysctl() -> Told {
    let said = told(inside("a_sysctl_does_not_go_through_a_mount", &["--mount", "--ipc"]));
    assert_eq!(said, "failed to write sysctl kernel.shmmni = \"17\": invalid cross-device link\n4\n");
    Told::True
}

fn sysctl_inside() {
    // As an image with a prepared /proc would do it, if it could: one parameter stands for another.
    fs::write("/proc/sys/kernel/shmmni", "4").unwrap();
    mount_bind("/proc/sys/kernel/shmmax", "/proc/sys/kernel/shmmni").unwrap();
    let spec =
        spec("", json!({"linux": {"namespaces": [{"type": "ipc"}], "sysctl": {"kernel.shmmni": "17"}}}));
    let plan = crate::plan(&spec);
    println!("{}", compute::Error::from(linux::process::after_root(&plan, None, None).unwrap_err()));
    rustix::mount::unmount("/proc/sys/kernel/shmmni", rustix::mount::UnmountFlags::empty()).unwrap();
    print!("{}", fs::read_to_string("/proc/sys/kernel/shmmni").unwrap());
}

fn no_proc() -> Told {
    let said =
        told(inside("a_proc_that_is_none_is_not_written_to", &["--mount", "--ipc", "--pid", "--fork"]));
    assert_eq!(
        said,
        "/proc is not the root of a procfs -- possible container breakout detected\nOk(())\n0\n17\n"
    );
    Told::True
}

fn no_proc_inside() {
    let host = openat(CWD, "/proc", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    mount("tmpfs", "/proc", "tmpfs", MountFlags::empty(), None).unwrap();
    fs::create_dir_all("/proc/sys/kernel").unwrap();
    fs::write("/proc/sys/kernel/shmmni", "0").unwrap();
    println!("{}", Procfs::open().unwrap_err());
    let spec =
        spec("", json!({"linux": {"namespaces": [{"type": "ipc"}], "sysctl": {"kernel.shmmni": "17"}}}));
    let plan = crate::plan(&spec);
    println!("{:?}", linux::process::after_root(&plan, None, None));
    println!("{}", fs::read_to_string("/proc/sys/kernel/shmmni").unwrap());
    let real = openat(&host, "sys/kernel/shmmni", OFlags::RDONLY, Mode::empty()).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut fs::File::from(real), &mut text).unwrap();
    print!("{text}");
}

fn passwd() -> Told {
    assert_eq!(told(inside("a_passwd_that_never_ends_is_no_trouble", &["--mount"])), "/\n");
    Told::True
}

fn passwd_inside() {
    enter_root();
    rustix::fs::mknodat(CWD, "/etc/passwd", rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o644), 0)
        .unwrap();
    become_container(&spec("echo $HOME", with(json!({"user": {"uid": 12, "gid": 0}, "capabilities": {}}))));
}
