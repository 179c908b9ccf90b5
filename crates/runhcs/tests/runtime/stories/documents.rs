//! spec and features: documents that the runtime writes for people and for container managers.

use crate::runtime::Kind;
use crate::story::{Need, Story, story};
use crate::world::World;
use serde_json::{Value, json};
use std::fs;

pub(crate) const STORIES: &[Story] = &[
    story!(spec_writes_a_config_that_runs),
    story!(spec_refuses_to_overwrite, Need::NotCrun, Need::Anyone),
    story!(spec_writes_where_it_is_told, Need::Anyone),
    story!(spec_indents_by_tabs, Need::NotCrun, Need::Anyone),
    story!(spec_for_a_user_has_mappings, Need::NotCrun, Need::Anyone),
    story!(features_are_a_document, Need::NotCrun, Need::Anyone),
    story!(features_tell_the_truth, Need::Ours("runc 1.1 lists less"), Need::Anyone),
    story!(completion_is_written, Need::Ours("a verb of ours"), Need::Anyone),
    story!(checkpoint_without_criu_says_so, Need::NotCrun),
];

fn spec(w: &World, options: &[&str]) -> (std::path::PathBuf, Value) {
    let folder = w.path(&w.fresh("spec"));
    fs::create_dir(&folder).unwrap();
    let mut words = vec!["spec"];
    words.extend(options);
    w.call(&words).cwd(&folder).run().ok();
    let config = serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap();
    (folder, config)
}

fn spec_writes_a_config_that_runs(w: &World) {
    let (folder, mut config) = spec(w, &[]);
    assert_eq!(config["process"]["args"], json!(["sh"]));
    assert_eq!(config["process"]["terminal"], true);
    assert_eq!(config["root"]["path"], "rootfs");
    let bundle = w.bundle();
    fs::rename(bundle.rootfs(), folder.join("rootfs")).unwrap();
    // As it is, on a terminal.
    let mut terminal = crate::console::Terminal::open(80, 24);
    let call =
        w.call(&["run", "as-it-is"]).cwd(&folder).behind(&["setsid", "--ctty"]).stdio(terminal.stdio());
    let mut run = call.spawn();
    terminal.write("exit 4\n");
    run.wait().code(4);
    terminal.master.rest();
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["sh", "-c", "echo from spec"]);
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    assert_eq!(w.call(&["run", "quiet"]).cwd(&folder).run().ok().text(), "from spec");
}

fn spec_refuses_to_overwrite(w: &World) {
    let (folder, _) = spec(w, &[]);
    w.call(&["spec"]).cwd(&folder).run().code(1).fails("File config.json exists. Remove it first");
}

fn spec_writes_where_it_is_told(w: &World) {
    let folder = w.path("there");
    fs::create_dir(&folder).unwrap();
    w.call(&["spec", "--bundle", folder.to_str().unwrap()]).run().ok();
    assert!(folder.join("config.json").exists());
    let output = w.call(&["spec", "--bundle", "/no/such/folder"]).run();
    assert!(output.code.is_some_and(|code| code != 0), "{output}");
}

fn spec_indents_by_tabs(w: &World) {
    let (folder, _) = spec(w, &[]);
    let text = fs::read_to_string(folder.join("config.json")).unwrap();
    assert!(text.starts_with("{\n\t\"ociVersion\": \"1."), "{text}");
}

fn spec_for_a_user_has_mappings(w: &World) {
    let (_, config) = spec(w, &["--rootless"]);
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(config["linux"]["uidMappings"], json!([{"containerID": 0, "hostID": uid, "size": 1}]));
    let namespaces: Vec<&str> = config["linux"]["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["type"].as_str().unwrap())
        .collect();
    assert!(namespaces.contains(&"user") && !namespaces.contains(&"network"), "{namespaces:?}");
}

fn features_are_a_document(w: &World) {
    let output = w.call(&["features"]).run().ok();
    assert!(output.stdout.starts_with("{\n    \"ociVersionMin\": \"1.0.0\""), "{output}");
    let features = output.json();
    assert!(features["ociVersionMax"].as_str().unwrap().starts_with("1."));
    for hook in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
        assert!(features["hooks"].as_array().unwrap().contains(&json!(hook)), "{hook}");
    }
    for option in ["bind", "rbind", "ro", "rro", "tmpcopyup", "nosymfollow"] {
        assert!(features["mountOptions"].as_array().unwrap().contains(&json!(option)), "{option}");
    }
    let linux = &features["linux"];
    for namespace in ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"] {
        assert!(linux["namespaces"].as_array().unwrap().contains(&json!(namespace)), "{namespace}");
    }
    assert!(linux["capabilities"].as_array().unwrap().contains(&json!("CAP_SYS_ADMIN")));
    assert_eq!(linux["cgroup"]["v1"], true);
    assert_eq!(linux["cgroup"]["v2"], true);
    assert_eq!(linux["seccomp"]["enabled"], true);
    assert!(linux["seccomp"]["actions"].as_array().unwrap().contains(&json!("SCMP_ACT_NOTIFY")));
    assert!(linux["seccomp"]["operators"].as_array().unwrap().contains(&json!("SCMP_CMP_MASKED_EQ")));
}

fn features_tell_the_truth(w: &World) {
    let features = w.call(&["features"]).run().ok().json();
    assert_eq!(features["ociVersionMax"], "1.3.0");
    assert!(features["linux"]["namespaces"].as_array().unwrap().contains(&json!("time")));
    assert_eq!(features["linux"]["mountExtensions"]["idmap"]["enabled"], true);
    assert!(
        features["linux"]["cgroup"]["systemd"].is_boolean()
            && features["linux"]["cgroup"]["rdma"].is_boolean()
    );
    assert!(features["linux"]["intelRdt"].is_object() && features["linux"]["netDevices"].is_object());
    let unsafe_annotations = features["potentiallyUnsafeConfigAnnotations"].as_array().unwrap();
    assert!(unsafe_annotations.contains(&json!("bundle")));
    // Every mount option that is listed works.
    for option in features["mountOptions"].as_array().unwrap() {
        let option = option.as_str().unwrap();
        if option.contains("bind")
            || option.contains("idmap")
            || option == "remount"
            || option.contains("acl")
        {
            continue;
        }
        let output = w.run(&w.bundle().mount("/mnt", "tmpfs", "tmpfs", &[option]).sh("true"));
        assert_eq!(output.code, Some(0), "{option}: {output}");
    }
    for flag in features["linux"]["seccomp"]["supportedFlags"].as_array().unwrap() {
        let seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": [flag], "syscalls": [
            {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]});
        w.run(&w.bundle().set("/linux/seccomp", seccomp).sh("true")).ok();
    }
}

fn completion_is_written(w: &World) {
    for shell in ["bash", "zsh", "fish"] {
        let output = w.call(&["completion", shell]).run().ok();
        assert!(output.stdout.contains("runhcs") && output.stdout.contains("create"), "{output}");
    }
}

fn checkpoint_without_criu_says_so(w: &World) {
    let c = w.idle();
    // Whatever criu can do on this host, a folder that cannot be made is an error and the container goes on.
    let output = c.call(&["checkpoint", "--image-path", "/proc/no/such"]).env("PATH", "/nowhere").run();
    assert!(output.code.is_some_and(|code| code != 0), "{output}");
    assert_eq!(c.status(), "running");
    if w.kind() == Kind::Ours {
        let images = w.path("images");
        let call = c.call(&["checkpoint", "--image-path", images.to_str().unwrap()]).env("PATH", "/nowhere");
        call.run().code(1).fails("criu");
    }
}
