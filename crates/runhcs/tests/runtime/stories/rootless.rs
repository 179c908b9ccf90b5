//! A user without privileges runs containers.

use crate::bundle::Bundle;
use crate::runtime::{Kind, Runtime};
use crate::story::{Need, Story, story};
use crate::world::{World, give};
use serde_json::json;
use std::fs;
use std::path::Path;

pub(crate) const STORIES: &[Story] = &[
    story!(a_user_runs_a_container, Need::NotCrun, Need::Program("setpriv")),
    story!(a_users_container_lives_its_whole_life, Need::NotCrun, Need::Program("setpriv")),
    story!(the_default_root_is_in_the_users_runtime_folder, Need::NotCrun, Need::Program("setpriv")),
    story!(a_user_needs_a_user_namespace, Need::NotCrun, Need::Program("setpriv")),
    story!(a_user_cannot_map_ids_of_others, Need::NotCrun, Need::Program("setpriv")),
    story!(granted_ids_are_mapped_by_newuidmap, Need::NotCrun, Need::Program("newuidmap")),
    story!(a_user_without_cgroups_still_runs, Need::NotCrun, Need::Program("setpriv")),
    story!(a_user_is_told_when_limits_cannot_be_set, Need::NotCrun, Need::Program("setpriv")),
    story!(a_user_cannot_touch_containers_of_root, Need::NotCrun, Need::Program("setpriv")),
    story!(the_bundle_of_spec_rootless_runs, Need::NotCrun, Need::Program("setpriv")),
    story!(root_in_a_user_namespace_runs_a_container, Need::Program("unshare"), Need::NotCrun),
];

const USER: u32 = 54_321;

fn at(bundle: &Bundle) -> &str {
    bundle.dir.to_str().unwrap()
}

fn run(runtime: &Runtime, bundle: &Bundle, id: &str) -> crate::runtime::Output {
    bundle.save();
    runtime.call(&["run", "--bundle", at(bundle), id]).run()
}

fn a_user_runs_a_container(w: &World) {
    let (runtime, _) = w.as_user(USER);
    let bundle = w.bundle_of_user(USER).sh("id -u; cat /proc/self/uid_map; touch /mine; exit 7");
    let output = run(&runtime, &bundle, "c").code(7);
    let words: Vec<&str> = output.stdout.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "54321", "1"]);
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(bundle.rootfs().join("mine")).unwrap());
    assert_eq!(owner, USER);
}

fn a_users_container_lives_its_whole_life(w: &World) {
    let (runtime, _) = w.as_user(USER);
    let bundle = w.bundle_of_user(USER);
    bundle.save();
    let call = |words: &[&str]| runtime.call(words).run();
    call(&["create", "--bundle", at(&bundle), "c"]).ok();
    assert_eq!(call(&["state", "c"]).ok().json()["status"], "created");
    call(&["start", "c"]).ok();
    assert_eq!(call(&["exec", "c", "/bin/echo", "inside"]).ok().text(), "inside");
    call(&["exec", "c", "/bin/sh", "-c", "exit 9"]).code(9);
    assert!(call(&["list"]).ok().stdout.contains("running"));
    call(&["kill", "c", "KILL"]).ok();
    let stopped = || call(&["state", "c"]).ok().json()["status"] == "stopped";
    assert!(crate::lines::eventually(crate::lines::PATIENCE, stopped));
    call(&["delete", "c"]).ok();
    call(&["state", "c"]).knows_nobody();
}

fn the_default_root_is_in_the_users_runtime_folder(w: &World) {
    let (runtime, home) = w.as_user(USER);
    let runtime = runtime.with_root(Path::new(""));
    let bundle = w.bundle_of_user(USER);
    bundle.save();
    runtime.call(&["create", "--bundle", at(&bundle), "c"]).run().ok();
    // Under its own name ours keeps its own folder.
    let made = ["runc", "runhcs"].iter().any(|name| home.join("run").join(name).join("c").exists());
    runtime.call(&["delete", "--force", "c"]).run().ok();
    assert!(made, "nothing in {}/run", home.display());
}

fn a_user_needs_a_user_namespace(w: &World) {
    let (runtime, _) = w.as_user(USER);
    let bundle = w.bundle_of_user(USER).without_namespace("user");
    let bundle = bundle.remove("/linux/uidMappings").remove("/linux/gidMappings");
    run(&runtime, &bundle, "c").code(1).fails("rootless container requires user namespaces");
}

fn a_user_cannot_map_ids_of_others(w: &World) {
    let (runtime, _) = w.as_user(USER);
    let bundle = w.bundle_of_user(USER);
    let bundle = bundle.set("/linux/uidMappings", json!([{"containerID": 0, "hostID": 0, "size": 10}]));
    let output = run(&runtime, &bundle, "c");
    assert!(output.code.is_some_and(|code| code != 0), "{output}");
}

fn granted_ids_are_mapped_by_newuidmap(w: &World) {
    // The host's lists of users and grants, with one more, where only this story sees them.
    for (name, line) in [
        ("passwd", format!("suite:x:{USER}:{USER}::/:/bin/sh\n")),
        ("group", format!("suite:x:{USER}:\n")),
        ("subuid", "suite:400000:70000\n".to_owned()),
        ("subgid", "suite:400000:70000\n".to_owned()),
    ] {
        let before = fs::read_to_string(format!("/etc/{name}")).unwrap_or_default();
        fs::write(w.path(name), before + &line).unwrap();
    }
    let dir = w.dir().display();
    let host = w.private_mounts(&format!(
        "for f in passwd group subuid subgid; do test -e /etc/$f || touch /etc/$f; mount --bind {dir}/$f /etc/$f; done"
    ));
    let (user, _) = w.as_user(USER);
    let runtime = user.behind(&host.enter());
    let mapping = json!([{"containerID": 0, "hostID": USER, "size": 1}, {"containerID": 1, "hostID": 400_000, "size": 65_535}]);
    let bundle =
        w.bundle_of_user(USER).set("/linux/uidMappings", mapping.clone()).set("/linux/gidMappings", mapping);
    let bundle = bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    let output = run(&runtime, &bundle.sh("id -u; id -G; wc -l </proc/self/uid_map"), "c").ok();
    assert_eq!(output.stdout, "1000\n1000\n2\n");
}

fn a_user_without_cgroups_still_runs(w: &World) {
    let (runtime, _) = w.as_user(USER);
    let bundle =
        w.bundle_of_user(USER).mount("/sys", "bind", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro"]);
    assert_eq!(run(&runtime, &bundle.sh("echo fine; ls /sys | grep -c fs"), "c").ok().stdout, "fine\n1\n");
}

fn a_user_is_told_when_limits_cannot_be_set(w: &World) {
    let (runtime, _) = w.as_user(USER);
    let bundle = w.bundle_of_user(USER).set("/linux/cgroupsPath", json!(format!("{}/x", w.cgroup())));
    let bundle = bundle.set("/linux/resources", json!({"pids": {"limit": 10}}));
    let output = run(&runtime, &bundle, "c");
    assert!(output.code.is_some_and(|code| code != 0), "{output}");
    assert!(output.said().contains("cgroup"), "{output}");
}

fn a_user_cannot_touch_containers_of_root(w: &World) {
    let c = w.idle();
    let (runtime, _) = w.as_user(USER);
    let runtime = runtime.with_root(&w.runtime().root);
    for words in [
        vec!["state", &c.id],
        vec!["kill", &c.id, "KILL"],
        vec!["delete", "--force", &c.id],
        vec!["exec", &c.id, "true"],
    ] {
        let output = runtime.call(&words).run();
        assert!(output.code.is_some_and(|code| code != 0) || words[0] == "delete", "{output}");
    }
    assert_eq!(c.status(), "running");
}

fn the_bundle_of_spec_rootless_runs(w: &World) {
    let (runtime, home) = w.as_user(USER);
    runtime.call(&["spec", "--rootless"]).cwd(&home).run().ok();
    let bundle = w.bundle_of_user(USER);
    fs::rename(bundle.rootfs(), home.join("rootfs")).unwrap();
    let text = fs::read_to_string(home.join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["/bin/sh", "-c", "echo from spec"]);
    fs::write(home.join("config.json"), config.to_string()).unwrap();
    give(&home, USER);
    assert_eq!(runtime.call(&["run", "c"]).cwd(&home).run().ok().text(), "from spec");
}

fn root_in_a_user_namespace_runs_a_container(w: &World) {
    // As in a development container: root, but not of the host.
    let (user, _) = w.as_user(USER);
    let mut runtime = user.clone();
    runtime.before.extend(["unshare", "--user", "--map-root-user", "--mount"].map(str::to_owned));
    let bundle = w
        .bundle_of_user(USER)
        .without_namespace("user")
        .remove("/linux/uidMappings")
        .remove("/linux/gidMappings");
    let output =
        run(&runtime, &bundle.without_mount("/dev/mqueue").without_namespace("ipc").sh("id -u"), "c");
    if w.kind() == Kind::Ours || output.code == Some(0) {
        assert_eq!(output.ok().text(), "0");
    }
}
