//! ExecSync: commands in a container, to their end.

use std::time::{Duration, Instant};

use cri::wire::v1::ExecSyncRequest;
use tonic::Code;

use crate::client::meanwhile;
use crate::leftovers::eventually;
use crate::pod::{World, security};
use crate::story::{Story, story};

pub(crate) const STORIES: &[Story] = &[
    story!(a_command_has_output_errors_and_a_code),
    story!(a_command_that_takes_too_long_is_killed),
    story!(a_command_that_nobody_waits_for_is_killed),
    story!(much_output_is_kept),
    story!(a_command_that_is_not_there_is_told),
    story!(a_container_that_does_not_run_takes_none),
    story!(a_command_runs_as_the_container_does),
    story!(commands_run_at_the_same_time),
    story!(what_a_command_leaves_running_does_not_hold_it_up),
    story!(no_command_is_refused),
];

fn a_command_has_output_errors_and_a_code(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    let done = container.exec(&["sh", "-c", "echo out; echo err >&2; exit 5"], 10).unwrap();
    assert_eq!((done.stdout.as_slice(), done.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(done.exit_code, 5);
    assert_eq!(container.exec(&["sh", "-c", "kill -9 $$"], 0).unwrap().exit_code, 137);
}

fn a_command_that_takes_too_long_is_killed(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    let begin = Instant::now();
    let late = container.exec(&["sleep", "1234"], 1).unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded, "{late:?}");
    assert!(begin.elapsed() < Duration::from_secs(20));
    eventually("the end of the command", || !container.sh("ps").contains("sleep 1234"));
}

fn a_command_that_nobody_waits_for_is_killed(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    let cmd = ["sleep", "2345"].map(str::to_owned).to_vec();
    let request = ExecSyncRequest { container_id: container.id.clone(), cmd, timeout: 0 };
    let mut client = world.client.runtime.clone();
    let call = meanwhile(async move { client.exec_sync(request).await });
    eventually("the command", || container.sh("ps").contains("sleep 2345"));
    call.abort();
    eventually("the end of the command", || !container.sh("ps").contains("sleep 2345"));
}

fn much_output_is_kept(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    let done = container.exec(&["sh", "-c", "head -c 3000000 /dev/zero; head -c 1000000 /dev/zero >&2"], 30);
    let done = done.unwrap();
    assert_eq!((done.stdout.len(), done.stderr.len()), (3_000_000, 1_000_000));
}

fn a_command_that_is_not_there_is_told(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    let refused = container.exec(&["/no/such/program"], 10).unwrap_err();
    assert!(refused.message().contains("/no/such/program"), "{}", refused.message());
    assert_eq!(container.sh("echo here"), "here");
}

fn a_container_that_does_not_run_takes_none(world: &World<'_>) {
    let pod = world.pod();
    let created = pod.create("true", |_| {});
    created.exec(&["true"], 5).unwrap_err();
    let request =
        ExecSyncRequest { container_id: "none".to_owned(), cmd: vec!["true".to_owned()], timeout: 5 };
    assert_eq!(world.client.exec_sync(request).unwrap_err().code(), Code::NotFound);
}

fn a_command_runs_as_the_container_does(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle_with(|config| {
        security(config).run_as_user = Some(cri::wire::v1::Int64Value { value: 1000 });
        config.working_dir = "/tmp".to_owned();
        config.envs =
            vec![cri::wire::v1::KeyValue { key: "GIVEN".to_owned(), value: b"to the container".to_vec() }];
    });
    assert_eq!(container.sh("id -u; pwd; echo $GIVEN"), "1000\n/tmp\nto the container");
    let of = |file: &str| {
        let own = format!("/proc/self/{file}");
        (container.sh(&format!("readlink {own}")), container.sh(&format!("readlink /proc/1/{file}")))
    };
    let (command, first) = of("ns/mnt");
    assert_eq!(command, first);
    let caps = "grep -h ^Cap /proc/self/status; echo; grep -h ^Cap /proc/1/status";
    let caps = container.sh(caps);
    let (command, first) = caps.split_once("\n\n").unwrap();
    assert_eq!(command, first);
}

fn commands_run_at_the_same_time(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let container = &container;
            scope.spawn(move || {
                let said = container.sh(&format!("sleep 1; echo {number}"));
                assert_eq!(said, number.to_string());
            });
        }
    });
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
}

fn what_a_command_leaves_running_does_not_hold_it_up(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    let begin = Instant::now();
    let done = container.exec(&["sh", "-c", "sleep 1235 >/dev/null 2>&1 & echo done"], 20).unwrap();
    assert_eq!(done.stdout, b"done\n");
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert!(container.sh("ps").contains("sleep 1235"));
}

fn no_command_is_refused(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    container.exec(&[], 5).unwrap_err();
    assert_eq!(container.sh("echo here"), "here");
}
