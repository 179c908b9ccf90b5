//! Network devices that move into a container.

use crate::{Story, Told, inside, told};
use linux::process::network::{NetDevice, move_devices};
use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

pub(crate) fn stories() -> Vec<Story> {
    vec![Story(MOVED, moved, moved_inside)]
}

const MOVED: &str = "a_device_moves_with_its_addresses";

fn moved() -> Told {
    if Command::new("ip").arg("-V").output().is_err() {
        return Told::Skipped("iproute2 is not installed");
    }
    let text = told(inside(MOVED, &["--net"]));
    if text.starts_with("skip") {
        return Told::Skipped("the kernel has no veth devices");
    }
    assert!(text.contains("inet 10.9.8.7/24"), "{text}");
    assert!(text.contains("inet6 2001:db8::7/64"), "{text}");
    assert!(text.contains("c0"), "{text}");
    assert!(text.contains(",UP"), "{text}");
    assert!(!text.contains("169.254.1.1"), "link scope stays behind: {text}");
    assert!(text.contains("gone\n"), "{text}");
    assert!(text.contains("link not found for interface v0 on runtime namespace: no such device"), "{text}");
    Told::True
}

fn ip(words: &str) -> bool {
    Command::new("ip").args(words.split(' ')).stderr(Stdio::null()).status().unwrap().success()
}

fn moved_inside() {
    if !ip("link add v0 type veth peer name v1") {
        println!("skip");
        return;
    }
    assert!(ip("link set v0 up") && ip("address add 10.9.8.7/24 brd + dev v0"));
    assert!(ip("address add 169.254.1.1/16 scope link dev v0"));
    assert!(ip("address add 2001:db8::7/64 nodad dev v0"));
    let mut container = Command::new("unshare")
        .args(["--net", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // An echo says that the namespace is there.
    let (mut to, mut from) = (container.stdin.take().unwrap(), container.stdout.take().unwrap());
    std::io::Write::write_all(&mut to, b"x").unwrap();
    std::io::Read::read_exact(&mut from, &mut [0]).unwrap();
    let namespace = File::open(format!("/proc/{}/ns/net", container.id())).unwrap();

    let devices = [NetDevice { host: "v0".to_owned(), container: "c0".to_owned() }];
    move_devices(&devices, namespace.as_fd()).unwrap();
    let target = container.id().to_string();
    let shown =
        Command::new("nsenter").args(["--net", "--target", &target, "ip", "address", "show", "c0"]).output();
    print!("{}", String::from_utf8_lossy(&shown.unwrap().stdout));
    println!("{}", if ip("link show v0") { "still here" } else { "gone" });
    println!("{}", compute::Error::from(move_devices(&devices, namespace.as_fd()).unwrap_err()));
    drop(to);
    container.wait().unwrap();
}
