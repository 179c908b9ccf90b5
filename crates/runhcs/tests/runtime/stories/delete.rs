//! delete: everything goes, or it says why not.

use crate::cgroups;
use crate::runtime::Kind;
use crate::story::{Need, Story, story};
use crate::world::World;
use std::fs;

pub(crate) const STORIES: &[Story] = &[
    story!(delete_refuses_a_running_container, Need::NotCrun, Need::Anyone),
    story!(delete_with_force_ends_a_running_container, Need::Anyone),
    story!(delete_with_force_of_nobody_succeeds, Need::Anyone),
    story!(delete_of_nobody_fails, Need::Anyone),
    story!(delete_with_force_removes_a_leftover_folder, Need::NotCrun, Need::Anyone),
    story!(delete_with_force_ends_a_paused_container, Need::Controller("freezer")),
    story!(delete_removes_the_cgroup_in_every_hierarchy),
    story!(delete_removes_cgroups_that_the_container_made, Need::NotCrun),
    story!(delete_with_force_kills_what_has_no_pid_namespace),
    story!(delete_of_a_stopped_container_kills_what_it_left),
    story!(delete_works_when_the_bundle_is_gone, Need::Anyone),
    story!(delete_twice_at_once_is_safe, Need::Anyone),
    story!(delete_leaves_other_containers_alone, Need::Anyone),
];

fn delete_refuses_a_running_container(w: &World) {
    let c = w.idle();
    let text = format!("cannot delete container {} that is not stopped: running", c.id);
    c.verb(&["delete"]).code(1).fails(&text);
    assert_eq!(c.status(), "running");
}

fn delete_with_force_ends_a_running_container(w: &World) {
    let c = w.idle();
    c.delete();
    c.verb(&["state"]).knows_nobody();
}

fn delete_with_force_of_nobody_succeeds(w: &World) {
    w.call(&["delete", "--force", "nobody"]).run().ok();
    w.call(&["delete", "-f", "nobody"]).run().ok();
}

fn delete_of_nobody_fails(w: &World) {
    w.call(&["delete", "nobody"]).run().knows_nobody();
}

fn delete_with_force_removes_a_leftover_folder(w: &World) {
    let left = w.runtime().root.join("left");
    fs::create_dir_all(&left).unwrap();
    w.call(&["delete", "--force", "left"]).run().ok();
    assert!(!left.exists());
}

fn delete_with_force_ends_a_paused_container(w: &World) {
    let c = w.idle();
    c.verb(&["pause"]).ok();
    c.delete();
}

fn delete_removes_the_cgroup_in_every_hierarchy(w: &World) {
    let bundle = w.bundle();
    let path = bundle.config["linux"]["cgroupsPath"].as_str().unwrap().to_owned();
    let c = w.ready(&bundle);
    assert!(cgroups::folders(&path).iter().any(|folder| folder.exists()));
    c.delete();
    let left: Vec<_> = cgroups::folders(&path).into_iter().filter(|folder| folder.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn delete_removes_cgroups_that_the_container_made(w: &World) {
    let bundle = w.bundle();
    let path = bundle.config["linux"]["cgroupsPath"].as_str().unwrap().to_owned();
    let c = w.ready(&bundle);
    for folder in cgroups::folders(&path).into_iter().filter(|folder| folder.exists()) {
        fs::create_dir_all(folder.join("inner/innermost")).unwrap();
    }
    c.kill_and_wait();
    c.verb(&["delete"]).ok();
    c.deleted.set(true);
    let left: Vec<_> = cgroups::folders(&path).into_iter().filter(|folder| folder.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn delete_with_force_kills_what_has_no_pid_namespace(w: &World) {
    let bundle = w.bundle().without_namespace("pid").sh("sleep 1000 & sleep 1000 & echo ready; wait");
    let c = w.ready(&bundle);
    c.delete();
}

fn delete_of_a_stopped_container_kills_what_it_left(w: &World) {
    let bundle = w.bundle().without_namespace("pid").sh("setsid sleep 1000 & echo ready; sleep 1000");
    let c = w.ready(&bundle);
    let pid = rustix::process::Pid::from_raw(c.pid()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    c.wait_stopped();
    c.delete();
}

fn delete_works_when_the_bundle_is_gone(w: &World) {
    let c = w.idle();
    fs::remove_dir_all(&c.bundle).unwrap();
    assert_eq!(c.status(), "running");
    c.kill_and_wait();
    c.verb(&["delete"]).ok();
    c.deleted.set(true);
}

fn delete_twice_at_once_is_safe(w: &World) {
    for _ in 0..5 {
        let c = w.idle();
        let mut calls: Vec<_> = (0..4).map(|_| c.call(&["delete", "--force"]).spawn()).collect();
        let outputs: Vec<_> = calls.iter_mut().map(crate::runtime::Running::wait).collect();
        if w.kind() == Kind::Ours {
            for output in outputs {
                output.ok();
            }
        }
        c.verb(&["state"]).knows_nobody();
    }
}

fn delete_leaves_other_containers_alone(w: &World) {
    let other = w.idle();
    let c = w.idle();
    c.delete();
    assert_eq!(other.status(), "running");
    assert_eq!(other.sh("echo alive").ok().text(), "alive");
}
