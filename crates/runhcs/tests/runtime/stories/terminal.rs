//! Terminals: handed over by a console socket, or the caller's own in the foreground.

use crate::console::{FdSocket, Terminal, set_size, write_all};
use crate::lines::Lines;
use crate::runtime::{Call, Kind};
use crate::story::{Need, Story, story};
use crate::world::World;
use serde_json::json;
use std::os::unix::net::UnixListener;

pub(crate) const STORIES: &[Story] = &[
    story!(the_console_socket_gets_the_terminal_in_one_message, Need::Anyone),
    story!(the_process_has_a_terminal_of_its_own, Need::Anyone),
    story!(the_terminal_has_the_configured_size, Need::Anyone),
    story!(resizing_signals_the_process, Need::Anyone),
    story!(newlines_are_translated_as_runc_leaves_them, Need::Anyone),
    story!(the_terminal_belongs_to_the_user_of_the_process),
    story!(dev_console_is_the_terminal, Need::Anyone),
    story!(an_interactive_shell_in_the_foreground, Need::Anyone),
    story!(the_foreground_terminal_follows_the_size_of_the_callers, Need::NotCrun, Need::Anyone),
    story!(the_callers_terminal_is_restored, Need::Anyone),
    story!(control_c_goes_to_the_container, Need::Anyone),
    story!(exec_with_a_terminal_in_the_foreground, Need::Anyone),
    story!(
        lines_of_exec_end_once,
        Need::Ours("others may take the terminal after the first word"),
        Need::Anyone
    ),
    story!(exec_with_a_console_socket, Need::Anyone),
    story!(exec_without_tty_has_none_though_init_has, Need::NotCrun, Need::Anyone),
    story!(a_terminal_without_a_console_socket_is_refused, Need::NotCrun, Need::Anyone),
    story!(a_console_socket_without_a_terminal_is_refused, Need::NotCrun, Need::Anyone),
    story!(a_console_socket_that_nobody_serves_is_an_error, Need::Anyone),
    story!(the_terminal_hangs_up_when_the_container_ends, Need::Anyone),
];

fn with_terminal(w: &World, script: &str) -> crate::bundle::Bundle {
    w.bundle().sh(script).set("/process/terminal", json!(true))
}

/// A container with a terminal, created and started, and the terminal.
fn on_a_socket(w: &World, bundle: &crate::bundle::Bundle) -> (crate::container::Container, Lines) {
    let socket = FdSocket::bind(&w.path("tty.sock"));
    let id = w.fresh("t");
    let c = w.adopt(w.create_call(bundle, &id, &["--console-socket", socket.path()]), id.clone(), bundle);
    c.created.clone().ok();
    let received = socket.receive();
    c.start();
    (c, Lines::new(received.fd))
}

/// The runtime as the leader of a session on a terminal.
fn in_front(call: Call, terminal: &Terminal) -> Call {
    call.behind(&["setsid", "--ctty"]).stdio(terminal.stdio())
}

fn the_console_socket_gets_the_terminal_in_one_message(w: &World) {
    let socket = FdSocket::bind(&w.path("tty.sock"));
    let bundle = with_terminal(w, "echo here; exec sleep 1000");
    let id = w.fresh("t");
    let c = w.adopt(w.create_call(&bundle, &id, &["--console-socket", socket.path()]), id.clone(), &bundle);
    c.created.clone().ok();
    let received = socket.receive();
    assert!(rustix::termios::isatty(&received.fd), "it is a terminal");
    assert!(!received.payload.is_empty() && received.payload.len() < 4096, "its name comes along");
    let name = String::from_utf8_lossy(&received.payload).into_owned();
    assert!(w.kind() == Kind::Crun || name.contains("pt"), "the terminal's name: {name:?}");
    assert!(received.closed_after, "one message is all");
    c.start();
    Lines::new(received.fd).until("here");
}

fn the_process_has_a_terminal_of_its_own(w: &World) {
    let (_c, mut tty) =
        on_a_socket(w, &with_terminal(w, "test -t 0 -a -t 1 -a -t 2 && tty; echo ok >/dev/tty; sleep 1000"));
    tty.until("/dev/pts/0");
    tty.until("ok");
}

fn the_terminal_has_the_configured_size(w: &World) {
    let bundle = with_terminal(w, "stty size; sleep 1000");
    let (_c, mut tty) =
        on_a_socket(w, &bundle.set("/process/consoleSize", json!({"height": 37, "width": 141})));
    tty.until("37 141");
}

fn resizing_signals_the_process(w: &World) {
    let script = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.02; done";
    let (_c, mut tty) = on_a_socket(w, &with_terminal(w, script));
    tty.until("ready");
    set_size(tty.fd(), 91, 17);
    tty.until("17 91");
}

fn newlines_are_translated_as_runc_leaves_them(w: &World) {
    let (_c, mut tty) = on_a_socket(w, &with_terminal(w, "echo one; echo two; exec sleep 1000"));
    assert_eq!(tty.until("two"), "one\r\ntwo");
}

fn the_terminal_belongs_to_the_user_of_the_process(w: &World) {
    let bundle = with_terminal(w, "stat -c 'owner %u' $(tty); echo yes >/dev/tty; sleep 1000");
    let (_c, mut tty) = on_a_socket(w, &bundle.set("/process/user", json!({"uid": 1000, "gid": 1000})));
    tty.until("owner 1000");
    tty.until("yes");
}

fn dev_console_is_the_terminal(w: &World) {
    let (_c, mut tty) = on_a_socket(w, &with_terminal(w, "echo to the console >/dev/console; sleep 1000"));
    tty.until("to the console");
}

fn an_interactive_shell_in_the_foreground(w: &World) {
    let terminal = Terminal::open(80, 24);
    let bundle = w.bundle().args(&["/bin/sh"]).set("/process/terminal", json!(true)).env("PS1=prompt:");
    let mut run = in_front(w.run_call(&bundle, "shell", &[]), &terminal).spawn();
    let mut screen = terminal;
    screen.master.until("prompt:");
    screen.write("echo sum $((40+2))\n");
    screen.master.until("sum 42");
    screen.write("test -t 0 && exit 5\n");
    run.wait().code(5);
}

fn the_foreground_terminal_follows_the_size_of_the_callers(w: &World) {
    let mut terminal = Terminal::open(101, 31);
    let wait = |size: &str| {
        format!("until test \"$(stty size 2>/dev/null)\" = '{size}'; do sleep 0.02; done; echo size {size};")
    };
    let bundle = with_terminal(w, &format!("{} {} exit 6", wait("31 101"), wait("22 55")));
    let mut run = in_front(w.run_call(&bundle, "sized", &[]), &terminal).spawn();
    terminal.master.until("size 31 101");
    terminal.resize(55, 22);
    terminal.master.until("size 22 55");
    run.wait().code(6);
}

fn the_callers_terminal_is_restored(w: &World) {
    let terminal = Terminal::open(80, 24);
    let modes = || {
        let modes = rustix::termios::tcgetattr(terminal.master.fd()).unwrap();
        (modes.input_modes, modes.output_modes, modes.local_modes)
    };
    let before = modes();
    in_front(w.run_call(&with_terminal(w, "true"), "short", &[]), &terminal).spawn().wait().ok();
    assert_eq!(modes(), before);
    in_front(w.run_call(&with_terminal(w, "true").args(&["/no/such"]), "none", &[]), &terminal)
        .spawn()
        .wait();
    assert_eq!(modes(), before);
}

fn control_c_goes_to_the_container(w: &World) {
    let mut terminal = Terminal::open(80, 24);
    let script = "trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.02; done";
    let mut run = in_front(w.run_call(&with_terminal(w, script), "c", &[]), &terminal).spawn();
    terminal.master.until("ready");
    terminal.write("\x03");
    terminal.master.until("interrupted");
    run.wait().code(9);
}

fn exec_with_a_terminal_in_the_foreground(w: &World) {
    let c = w.idle();
    let mut terminal = Terminal::open(80, 24);
    let call = c.exec_with(&["--tty"], &["/bin/sh", "-c", "tty; read line; echo got $line; exit 8"]);
    let mut run = in_front(call, &terminal).spawn();
    terminal.master.until("/dev/pts/");
    terminal.write("typed\n");
    terminal.master.until("got typed");
    run.wait().code(8);
    assert_eq!(c.status(), "running");
}

/// However soon the program speaks: its terminal and the caller's do not both add a carriage return.
fn lines_of_exec_end_once(w: &World) {
    let c = w.idle();
    for _ in 0..40 {
        let mut terminal = Terminal::open(80, 24);
        in_front(c.exec_with(&["--tty"], &["/bin/echo", "said"]), &terminal).run().ok();
        assert_eq!(terminal.master.until("\n"), "said\r\n");
    }
}

fn exec_with_a_console_socket(w: &World) {
    let c = w.idle();
    let socket = FdSocket::bind(&w.path("tty.sock"));
    let words = ["--tty", "--detach", "--console-socket", socket.path()];
    c.exec_with(&words, &["/bin/sh", "-c", "read line; echo got $line; tty"]).run().ok();
    let received = socket.receive();
    write_all(&received.fd, "typed\n");
    let mut tty = Lines::new(received.fd);
    tty.until("got typed");
    tty.until("/dev/pts/");
}

fn exec_without_tty_has_none_though_init_has(w: &World) {
    let (c, _tty) = on_a_socket(w, &with_terminal(w, "sleep 1000"));
    c.sh("test -t 0 || test -t 1").code(1);
}

fn a_terminal_without_a_console_socket_is_refused(w: &World) {
    let bundle = with_terminal(w, "true");
    let text = "cannot allocate tty if runc will detach without setting console socket";
    w.create_call(&bundle, "c", &[]).run().code(1).fails(text);
    w.run_call(&bundle, "c", &["--detach"]).run().code(1).fails(text);
}

fn a_console_socket_without_a_terminal_is_refused(w: &World) {
    let socket = FdSocket::bind(&w.path("tty.sock"));
    let text = "cannot use console socket if runc will not detach or allocate tty";
    let options = ["--console-socket", socket.path()];
    w.create_call(&w.bundle(), "c", &options).run().code(1).fails(text);
    w.run_call(&with_terminal(w, "true"), "c", &options).run().code(1).fails(text);
}

fn a_console_socket_that_nobody_serves_is_an_error(w: &World) {
    let bundle = with_terminal(w, "true");
    let missing = w.path("missing.sock");
    w.create_call(&bundle, "c", &["--console-socket", missing.to_str().unwrap()]).run().fails("");
    drop(UnixListener::bind(w.path("dead.sock")).unwrap());
    let dead = w.path("dead.sock");
    w.create_call(&bundle, "c", &["--console-socket", dead.to_str().unwrap()]).run().fails("refused");
    w.call(&["state", "c"]).run().knows_nobody();
}

fn the_terminal_hangs_up_when_the_container_ends(w: &World) {
    let (c, mut tty) = on_a_socket(w, &with_terminal(w, "echo ready; sleep 1000"));
    tty.until("ready");
    c.kill_and_wait();
    tty.rest();
}
