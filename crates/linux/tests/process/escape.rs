//! Ways out of a container that are closed.

use crate::{Story, Told, become_container, inside, spec, told};
use linux::process::Procfs;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{MountFlags, mount, mount_bind, mount_bind_recursive};
use serde_json::{Value, json};
use std::fs;

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
    assert_eq!(told(inside("a_leaked_directory_is_no_working_directory", &["--mount"])), OUTSIDE);
    Told::True
}

/// A root below a tmpfs with this host's programs, and a directory of the host left open as descriptor 9 or so.
fn enter_root() -> i32 {
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
    let number = std::os::fd::AsRawFd::as_raw_fd(&host);
    std::mem::forget(host);
    number
}

fn with(process: Value) -> Value {
    json!({ "process": process })
}

fn leaked_inside() {
    let number = enter_root();
    become_container(&spec("pwd", with(json!({"cwd": format!("/proc/self/fd/{number}")}))));
}

/// The program is found through the descriptor, but it is closed when the program is opened.
fn program() -> Told {
    let said = told(inside("a_leaked_directory_is_no_program_either", &["--mount"]));
    assert!(
        said.starts_with("exec /proc/self/fd/") && said.ends_with("no such file or directory\n"),
        "{said}"
    );
    Told::True
}

fn program_inside() {
    let number = enter_root();
    become_container(&spec("", with(json!({"args": [format!("/proc/self/fd/{number}/bin/true")]}))));
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
