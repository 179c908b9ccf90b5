//! Descriptors: those that go into a container on purpose, and that no other does.

use crate::console::FdSocket;
use crate::runtime::{Call, Kind};
use crate::story::{Need, Story, story};
use crate::world::World;
use rustix::process::{Signal, pidfd_send_signal};
use std::fs;
use std::os::unix::net::UnixListener;

pub(crate) const STORIES: &[Story] = &[
    story!(no_descriptor_leaks_into_run, Need::Anyone),
    story!(no_descriptor_leaks_into_a_created_container, Need::Anyone),
    story!(no_descriptor_leaks_into_exec, Need::Anyone),
    story!(a_created_container_holds_nothing_of_its_runtime, Need::NotCrun),
    story!(preserved_descriptors_are_there, Need::Anyone),
    story!(preserved_descriptors_reach_exec, Need::Anyone),
    story!(a_descriptor_to_preserve_must_exist, Need::NotCrun, Need::Anyone),
    story!(sockets_of_activation_are_passed, Need::Anyone),
    story!(sockets_of_activation_for_another_process_are_not, Need::NotCrun, Need::Anyone),
    story!(activation_and_preserved_descriptors_together, Need::NotCrun, Need::Anyone),
    story!(a_pidfd_of_init_is_handed_over, Need::Ours("runc has it since 1.2")),
    story!(a_pidfd_of_exec_is_handed_over, Need::Ours("runc has it since 1.2")),
    story!(closed_standard_streams_do_no_harm, Need::Anyone),
];

/// The call as a shell makes it that has these redirections.
fn with_redirections(call: Call, redirections: &str) -> Call {
    call.behind(&["sh", "-c", &format!("exec \"$@\" {redirections}"), "sh"])
}

const LEAKY: &str = "3</etc/passwd 4</ 5</proc/self/ns/mnt 8</ 9>/dev/null";

/// What a container sees of its own descriptors: those of `ls` itself end with the listing's.
const LISTING: &str = "for fd in $(ls /proc/$$/fd); do readlink /proc/$$/fd/$fd >/dev/null && echo fd $fd; done; \
                       ls -l /proc/$$/fd | sed 's/.* -> //'";

fn only_standard(listing: &str) {
    let fds: Vec<&str> = listing.lines().filter_map(|line| line.strip_prefix("fd ")).collect();
    // The shell itself may hold its script or a terminal above 9.
    assert_eq!(fds, ["0", "1", "2"], "{listing}");
}

fn no_descriptor_leaks_into_run(w: &World) {
    let call = w.run_call(&w.bundle().sh(LISTING), "c", &[]);
    only_standard(&with_redirections(call, LEAKY).run().ok().stdout);
}

fn no_descriptor_leaks_into_a_created_container(w: &World) {
    let bundle = w.bundle().sh(&format!("{LISTING}; echo done"));
    let call = with_redirections(w.create_call(&bundle, "c", &[]), LEAKY);
    let mut c = w.adopt(call, "c".to_owned(), &bundle);
    c.created.clone().ok();
    c.start();
    only_standard(&c.out.until("done"));
}

fn no_descriptor_leaks_into_exec(w: &World) {
    let c = w.idle();
    let call = c.exec_with(&[], &["/bin/sh", "-c", LISTING]);
    only_standard(&with_redirections(call, LEAKY).run().ok().stdout);
}

fn a_created_container_holds_nothing_of_its_runtime(w: &World) {
    let bundle = w.bundle();
    let call = with_redirections(w.create_call(&bundle, "c", &[]), LEAKY);
    let c = w.adopt(call, "c".to_owned(), &bundle);
    c.created.clone().ok();
    let held: Vec<String> = fs::read_dir(format!("/proc/{}/fd", c.pid()))
        .unwrap()
        .flatten()
        .map(|entry| {
            fs::read_link(entry.path()).map(|to| to.to_string_lossy().into_owned()).unwrap_or_default()
        })
        .collect();
    assert!(!held.iter().any(|to| to == "/" || to == "/etc/passwd"), "{held:?}");
}

fn preserved_descriptors_are_there(w: &World) {
    fs::write(w.path("a"), "content of a\n").unwrap();
    fs::write(w.path("b"), "content of b\n").unwrap();
    let call = w.run_call(
        &w.bundle().sh("cat <&3; cat <&4; test ! -e /proc/self/fd/5"),
        "c",
        &["--preserve-fds", "2"],
    );
    let redirections = format!("3<{} 4<{} 5</", w.path("a").display(), w.path("b").display());
    let output = with_redirections(call, &redirections).run().ok();
    assert_eq!(output.stdout, "content of a\ncontent of b\n");
}

fn preserved_descriptors_reach_exec(w: &World) {
    let c = w.idle();
    fs::write(w.path("a"), "content of a\n").unwrap();
    let call = c.exec_with(&["--preserve-fds", "1"], &["/bin/sh", "-c", "cat <&3"]);
    let output = with_redirections(call, &format!("3<{}", w.path("a").display())).run().ok();
    assert_eq!(output.stdout, "content of a\n");
}

fn a_descriptor_to_preserve_must_exist(w: &World) {
    let call = w.run_call(&w.bundle().sh("true"), "c", &["--preserve-fds", "30"]);
    with_redirections(call, "3<&- 4<&-").run().code(1).fails("unable to stat preserved-fd");
    let call = w.run_call(&w.bundle().sh("true"), "c", &["--preserve-fds", "-1"]);
    let _ = call.run();
}

fn sockets_of_activation_are_passed(w: &World) {
    let listener = UnixListener::bind(w.path("activation.sock")).unwrap();
    drop(listener);
    fs::write(w.path("a"), "activated\n").unwrap();
    let script = "echo $LISTEN_FDS $LISTEN_PID; cat <&3; test ! -e /proc/self/fd/4";
    let call = w.run_call(&w.bundle().sh(script), "c", &[]);
    let shell = format!("LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\" 3<{} 4</", w.path("a").display());
    let output = call.behind(&["sh", "-c", &shell, "sh"]).run().ok();
    // crun leaves out the process id.
    let words = if w.kind() == Kind::Crun { "1" } else { "1 1" };
    assert_eq!(output.stdout, format!("{words}\nactivated\n"));
}

fn sockets_of_activation_for_another_process_are_not(w: &World) {
    let call = w.run_call(&w.bundle().sh("echo [$LISTEN_FDS]; ls /proc/$$/fd | wc -l"), "c", &[]);
    let output =
        call.behind(&["sh", "-c", "LISTEN_FDS=1 LISTEN_PID=1 exec \"$@\" 3</etc/passwd", "sh"]).run().ok();
    assert!(output.stdout.starts_with("[]") || w.kind() != Kind::Ours, "{output}");
}

fn activation_and_preserved_descriptors_together(w: &World) {
    fs::write(w.path("a"), "activated\n").unwrap();
    fs::write(w.path("b"), "preserved\n").unwrap();
    let call = w.run_call(&w.bundle().sh("cat <&3; cat <&4"), "c", &["--preserve-fds", "1"]);
    let (a, b) = (w.path("a"), w.path("b"));
    let shell = format!("LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\" 3<{} 4<{}", a.display(), b.display());
    let output = call.behind(&["sh", "-c", &shell, "sh"]).run().ok();
    assert_eq!(output.stdout, "activated\npreserved\n");
}

fn a_pidfd_of_init_is_handed_over(w: &World) {
    let socket = FdSocket::bind(&w.path("pidfd.sock"));
    let bundle = w.bundle();
    let call = w.create_call(&bundle, "c", &["--pidfd-socket", socket.path()]);
    let mut c = w.adopt(call, "c".to_owned(), &bundle);
    c.created.clone().ok();
    let received = socket.receive();
    c.start();
    c.out.expect("ready");
    pidfd_send_signal(&received.fd, Signal::KILL).unwrap();
    assert!(crate::lines::readable(&received.fd, crate::lines::PATIENCE));
    c.wait_stopped();
}

fn a_pidfd_of_exec_is_handed_over(w: &World) {
    let c = w.idle();
    let socket = FdSocket::bind(&w.path("pidfd.sock"));
    c.exec_with(&["--detach", "--pidfd-socket", socket.path()], &["sleep", "1000"]).run().ok();
    let received = socket.receive();
    pidfd_send_signal(&received.fd, Signal::KILL).unwrap();
    assert!(crate::lines::readable(&received.fd, crate::lines::PATIENCE));
    assert_eq!(c.status(), "running");
}

fn closed_standard_streams_do_no_harm(w: &World) {
    let call = w.run_call(&w.bundle().sh("echo x; exit 3"), "c", &[]);
    let output = with_redirections(call, "<&- >&- 2>&-").run();
    assert!(output.code == Some(3) || w.kind() != Kind::Ours, "{output}");
}
