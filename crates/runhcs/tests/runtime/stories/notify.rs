//! NOTIFY_SOCKET: a container tells the host's service manager that it is ready, through the runtime.

use crate::console::receive_datagram;
use crate::runtime::Kind;
use crate::story::{Need, Story, story};
use crate::world::World;
use std::os::unix::net::UnixDatagram;

pub(crate) const STORIES: &[Story] = &[
    story!(readiness_is_passed_on_with_the_main_pid, Need::NotCrun),
    story!(start_waits_until_the_container_is_ready, Need::NotCrun),
    story!(a_container_that_never_says_so_ends_the_wait),
];

fn readiness_is_passed_on_with_the_main_pid(w: &World) {
    let path = w.path("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    let bundle = w
        .bundle()
        .with_programs()
        .sh("/bin/inside --inside notify 'READY=1\nSTATUS=fine' && exec sleep 1000");
    let id = w.fresh("n");
    let pid_file = w.path("pid");
    let options = ["--detach", "--pid-file", pid_file.to_str().unwrap()];
    let mut run = w.run_call(&bundle, &id, &options).env("NOTIFY_SOCKET", path.to_str().unwrap()).spawn();
    let (ready, _) = receive_datagram(&manager);
    assert!(ready.starts_with("READY=1"), "{ready}");
    let (main, _) = receive_datagram(&manager);
    let pid = main.trim().strip_prefix("MAINPID=").expect("the main pid").to_owned();
    pass_the_barrier(w, &manager);
    run.wait().ok();
    assert_eq!(pid, std::fs::read_to_string(pid_file).unwrap());
    w.call(&["delete", "--force", &id]).run().ok();
}

fn start_waits_until_the_container_is_ready(w: &World) {
    let path = w.path("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    let script =
        "echo $NOTIFY_SOCKET; read go </go && /bin/inside --inside notify READY=1 && exec sleep 1000";
    let bundle = w.bundle().with_programs().sh(script);
    rustix::fs::mkfifoat(rustix::fs::CWD, bundle.rootfs().join("go"), rustix::fs::Mode::RWXU).unwrap();
    let id = w.fresh("n");
    let socket = path.to_str().unwrap();
    let call = w.create_call(&bundle, &id, &[]).env("NOTIFY_SOCKET", socket);
    let mut c = w.adopt(call, id, &bundle);
    c.created.clone().ok();
    let mut start = c.call(&["start"]).env("NOTIFY_SOCKET", socket).spawn();
    c.out.expect("/run/notify/notify.sock");
    assert!(!start.ends_within(std::time::Duration::from_millis(200)), "start waits");
    std::fs::write(c.rootfs().join("go"), "go\n").unwrap();
    let (ready, _) = receive_datagram(&manager);
    assert!(ready.starts_with("READY=1"), "{ready}");
    receive_datagram(&manager);
    pass_the_barrier(w, &manager);
    start.wait().ok();
}

fn a_container_that_never_says_so_ends_the_wait(w: &World) {
    let path = w.path("notify.sock");
    let _manager = UnixDatagram::bind(&path).unwrap();
    let socket = path.to_str().unwrap();
    let bundle = w.bundle().sh("exit 0");
    let c = w.adopt(w.create_call(&bundle, "c", &[]).env("NOTIFY_SOCKET", socket), "c".to_owned(), &bundle);
    c.call(&["start"]).env("NOTIFY_SOCKET", socket).run().ok();
    c.wait_stopped();
    if w.kind() == Kind::Ours {
        w.run_call(&w.bundle().sh("exit 7"), "r", &[]).env("NOTIFY_SOCKET", socket).run().code(7);
    }
}

/// The service manager takes a descriptor and closes it when it has done all before it. runc does so since 1.2.
fn pass_the_barrier(w: &World, manager: &UnixDatagram) {
    if w.kind() == Kind::Ours {
        let (barrier, fds) = receive_datagram(manager);
        assert_eq!((barrier.trim(), fds.len()), ("BARRIER=1", 1));
    }
}
