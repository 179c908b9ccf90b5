//! What a filter does to a process.

use crate::{Story, Told, become_container, inside, plan, spec, told};
use linux::process::{self, seccomp};
use oci_spec::runtime::{LinuxSeccomp, State};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::Instant;

pub(crate) fn stories() -> Vec<Story> {
    vec![
        Story("every_action_does_what_it_says", actions, actions_inside),
        Story(OWN_CALLS, own_calls, own_calls_inside),
        Story("a_system_call_newer_than_the_profile_is_unknown", newer, newer_inside),
        Story("whoever_listens_answers_a_notification", notification, notification_inside),
        Story("a_compiled_filter_is_found_again", cached, || {}),
    ]
}

fn filter(rules: Value) -> Value {
    json!({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}}})
}

const ACTIONS: &str = "every_action_does_what_it_says";

/// The rule, what a shell that makes directories prints, and the signal that ends `mkdir`.
fn actions() -> Told {
    for (action, text) in [
        (json!({"action": "SCMP_ACT_ERRNO"}), "Operation not permitted"),
        (json!({"action": "SCMP_ACT_ERRNO", "errnoRet": 28}), "No space left on device"),
        (json!({"action": "SCMP_ACT_KILL_PROCESS"}), "status 159"),
        (json!({"action": "SCMP_ACT_KILL"}), "status 159"),
        (json!({"action": "SCMP_ACT_TRAP"}), "status 159"),
        // Nobody traces, so the call does not exist.
        (json!({"action": "SCMP_ACT_TRACE"}), "Function not implemented"),
        (json!({"action": "SCMP_ACT_LOG"}), "File exists"),
        (
            json!({"action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 0o700, "op": "SCMP_CMP_EQ"}]}),
            "File exists",
        ),
        (
            json!({"action": "SCMP_ACT_ERRNO", "args": [
                {"index": 1, "value": 0o070, "valueTwo": 0o070, "op": "SCMP_CMP_MASKED_EQ"}
            ]}),
            "Operation not permitted",
        ),
    ] {
        let mut command = inside(ACTIONS, &[]);
        command.env("RULE", action.to_string()).stderr(Stdio::piped());
        let said = told(command);
        assert!(said.contains(text), "{action}: {said}");
    }
    Told::True
}

fn actions_inside() {
    let mut rule: Value = serde_json::from_str(&std::env::var("RULE").unwrap()).unwrap();
    rule["names"] = json!(["mkdir", "no_such_call_in_any_kernel"]);
    become_container(&spec("mkdir /tmp 2>&1; echo status $?", filter(json!([rule]))));
}

const OWN_CALLS: &str = "a_profile_need_not_allow_what_init_does";

/// With no_new_privs and without: the filter is loaded late and early.
fn own_calls() -> Told {
    for no_new_privileges in ["true", "false"] {
        let mut command = inside(OWN_CALLS, &[]);
        command.env("NO_NEW_PRIVILEGES", no_new_privileges);
        assert_eq!(told(command), "fine\n");
    }
    Told::True
}

fn own_calls_inside() {
    let no_new_privileges = std::env::var("NO_NEW_PRIVILEGES").unwrap() == "true";
    let calls = ["close_range", "openat2", "seccomp", "socket", "sendmsg"];
    let mut more = filter(json!([{"names": calls, "action": "SCMP_ACT_KILL_PROCESS"}]));
    more["process"] = json!({"noNewPrivileges": no_new_privileges});
    become_container(&spec("echo fine", more));
}

const NEWER: &str = "a_system_call_newer_than_the_profile_is_unknown";

fn newer() -> Told {
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        return Told::Skipped("python3 is not installed");
    }
    // 165 is mount, which the profile leaves out; 1000 is above everything that it names.
    assert_eq!(told(inside(NEWER, &[])), "[1, 38]\n");
    Told::True
}

fn newer_inside() {
    let script = "exec python3 -c 'import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def errno(number):
    libc.syscall(number, 0, 0, 0, 0, 0)
    return ctypes.get_errno()
print([errno(165), errno(1000)])'";
    let profile: Value = serde_json::from_str(include_str!("../data/seccomp.json")).unwrap();
    become_container(&spec(
        script,
        json!({"linux": {"seccomp": profile}, "process": {"noNewPrivileges": true}}),
    ));
}

const NOTIFICATION: &str = "whoever_listens_answers_a_notification";

fn notification() -> Told {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("listener");
    let listener = UnixListener::bind(&path).unwrap();
    let mut command = inside(NOTIFICATION, &[]);
    let child = command.env("LISTENER", &path).stdout(Stdio::piped()).spawn().unwrap();

    let (socket, _) = listener.accept().unwrap();
    let mut data = [0; 4096];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got =
        recvmsg(&socket, &mut [IoSliceMut::new(&mut data)], &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    let fds: Vec<OwnedFd> = control
        .drain()
        .flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => fds.collect::<Vec<_>>(),
            _ => Vec::new(),
        })
        .collect();
    let [notifications] = &fds[..] else { panic!("{} descriptors", fds.len()) };
    let state: Value = serde_json::from_slice(&data[..got.bytes]).unwrap();
    assert_eq!(state["fds"], json!(["seccompFd"]));
    assert_eq!(state["metadata"], "about us");
    assert_eq!(state["state"]["id"], "story");

    let fd = notifications.as_fd().as_raw_fd();
    let request = libseccomp::ScmpNotifReq::receive(fd).unwrap();
    libseccomp::ScmpNotifResp::new_error(request.id, -28, libseccomp::ScmpNotifRespFlags::empty())
        .respond(fd)
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("No space left on device"), "{output:?}");
    Told::True
}

fn notification_inside() {
    let path = std::env::var("LISTENER").unwrap();
    let spec = spec(
        "mkdir /tmp/x 2>&1; true",
        json!({"linux": {"seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "listenerMetadata": "about us",
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]
        }}}),
    );
    let plan = plan(&spec);
    let listener = plan.seccomp.as_ref().unwrap().listener().unwrap().clone();
    let mut state = State::default();
    state.set_id("story".to_owned());
    let pid = std::process::id() as i32;
    process::before_root(&plan).unwrap();
    process::after_root(&plan, None, None).unwrap();
    // In a container the runtime sends it; here the filter leaves us what that takes.
    let image = process::settle(&plan, None, 3, &[], &mut |fd| {
        seccomp::notify::send(&listener, fd.as_fd(), pid, state.clone())
    })
    .unwrap();
    panic!("{}", process::become_program(&plan, &image, Vec::new(), &mut |_| Ok(())));
}

fn cached() -> Told {
    let profile: LinuxSeccomp = serde_json::from_str(include_str!("../data/seccomp.json")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("seccomp");
    let time = |cache| {
        let start = Instant::now();
        let filter = seccomp::filter(&profile, cache).unwrap();
        (start.elapsed(), filter)
    };
    let (compiled_in, compiled) = time(None);
    let (_, kept) = time(Some(folder.as_path()));
    let found: Vec<_> = (0..20).map(|_| time(Some(folder.as_path()))).collect();
    let found_in = found.iter().map(|(elapsed, _)| *elapsed).min().unwrap();
    assert!(found.iter().all(|(_, filter)| *filter == compiled) && kept == compiled);
    println!(
        "a filter of {} instructions: compiled in {compiled_in:?}, found in {found_in:?}",
        compiled.program.len() / 8
    );
    assert!(found_in < compiled_in);
    Told::True
}
