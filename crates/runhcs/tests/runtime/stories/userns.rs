//! User namespaces: root inside, nobody outside.

use crate::runtime::Kind;
use crate::story::{Need, Story, story};
use crate::world::{World, give};
use serde_json::json;
use std::fs;
use std::os::unix::fs::MetadataExt;

pub(crate) const STORIES: &[Story] = &[
    story!(root_inside_is_somebody_else_outside),
    story!(the_mappings_are_those_of_the_config),
    story!(files_belong_to_mapped_owners),
    story!(another_user_inside),
    story!(all_usual_mounts_work_in_a_user_namespace),
    story!(devices_are_there_in_a_user_namespace),
    story!(exec_in_a_user_namespace),
    story!(a_terminal_in_a_user_namespace),
    story!(a_volume_of_another_owner_is_mapped, Need::NotRunc("runc has id-mapped mounts since 1.2")),
    story!(id_mapped_mounts_need_mappings, Need::Ours("texts")),
    story!(a_user_namespace_needs_mappings, Need::NotCrun),
    story!(mappings_need_a_user_namespace, Need::Ours("the others ignore or word it otherwise")),
    story!(a_bundle_that_the_mapped_user_cannot_reach_is_an_error_or_works),
    story!(read_only_binds_keep_locked_flags, Need::Ours("runc has it since 1.2, crun loses flags")),
];

const FIRST: u32 = 200_000;

fn root_inside_is_somebody_else_outside(w: &World) {
    let c = w.ready(&w.bundle().mapped(FIRST));
    assert_eq!(c.sh("id -u").ok().text(), "0");
    let words = crate::host::status_field(c.pid(), "Uid");
    assert_eq!(words.split(' ').next(), Some("200000"));
}

fn the_mappings_are_those_of_the_config(w: &World) {
    let uids = json!([{"containerID": 0, "hostID": 300_000, "size": 1000}, {"containerID": 1000, "hostID": 400_000, "size": 5}]);
    let gids = json!([{"containerID": 0, "hostID": 500_000, "size": 2000}]);
    let bundle = w.bundle().namespace("user").set("/linux/uidMappings", uids).set("/linux/gidMappings", gids);
    let output = w.output_of(bundle.sh("cat /proc/self/uid_map /proc/self/gid_map"));
    let words: Vec<&str> = output.split_whitespace().collect();
    assert_eq!(words, ["0", "300000", "1000", "1000", "400000", "5", "0", "500000", "2000"]);
}

fn files_belong_to_mapped_owners(w: &World) {
    let bundle = w.bundle().mapped(FIRST);
    give(&bundle.rootfs(), FIRST);
    w.run(&bundle.sh("touch /mine && chown 1000:1000 /mine && touch /roots")).ok();
    let folder = w
        .dir()
        .read_dir()
        .unwrap()
        .flatten()
        .find(|entry| entry.path().join("rootfs/mine").exists())
        .unwrap();
    assert_eq!(fs::metadata(folder.path().join("rootfs/mine")).unwrap().uid(), FIRST + 1000);
    assert_eq!(fs::metadata(folder.path().join("rootfs/roots")).unwrap().uid(), FIRST);
}

fn another_user_inside(w: &World) {
    let user = json!({"uid": 1000, "gid": 1000, "additionalGids": [2000, 3000]});
    let bundle = w.bundle().mapped(FIRST).set("/process/user", user);
    assert_eq!(w.output_of(bundle.sh("id -u; id -G")), "1000\n1000 2000 3000");
}

fn all_usual_mounts_work_in_a_user_namespace(w: &World) {
    let script = "for m in /proc /dev /dev/pts /dev/shm /dev/mqueue /sys; do grep -q \" $m \" /proc/self/mountinfo || echo $m is none; done; \
                  touch /dev/shm/x /dev/mqueue/x && echo written";
    assert_eq!(w.output_of(w.bundle().mapped(FIRST).sh(script)), "written");
}

fn devices_are_there_in_a_user_namespace(w: &World) {
    let script =
        "echo x >/dev/null && head -c 4 /dev/zero | wc -c && head -c 4 /dev/urandom | wc -c && ls /dev";
    let output = w.output_of(w.bundle().mapped(FIRST).sh(script));
    assert!(output.starts_with("4\n4\n"), "{output}");
}

fn exec_in_a_user_namespace(w: &World) {
    let c = w.ready(&w.bundle().mapped(FIRST));
    assert_eq!(c.exec_with(&["--user", "1000:1000"], &["/bin/id", "-u"]).run().ok().text(), "1000");
    let output = c.exec_with(&[], &["/bin/cat", "/proc/self/uid_map"]).run().ok();
    assert!(output.stdout.contains("200000"), "{output}");
}

fn a_terminal_in_a_user_namespace(w: &World) {
    let socket = crate::console::FdSocket::bind(&w.path("tty.sock"));
    let bundle =
        w.bundle().mapped(FIRST).sh("tty; id -u; exec sleep 1000").set("/process/terminal", json!(true));
    let call = w.create_call(&bundle, "c", &["--console-socket", socket.path()]);
    let c = w.adopt(call, "c".to_owned(), &bundle);
    c.created.clone().ok();
    let mut tty = crate::lines::Lines::new(socket.receive().fd);
    c.start();
    tty.until("/dev/pts/0");
}

fn a_volume_of_another_owner_is_mapped(w: &World) {
    let volume = w.path("volume");
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("file"), "x").unwrap();
    give(&volume, 0);
    let source = volume.to_str().unwrap();
    let bundle =
        w.bundle().folder("volume").mapped(FIRST).mount("/volume", "bind", source, &["bind", "idmap"]);
    let output = w.run(&bundle.sh("stat -c %u /volume/file; touch /volume/new"));
    if output.stderr.contains("mount_setattr") || output.stderr.contains("idmap") {
        crate::story::skip(format!("the file system does not map ids: {}", output.stderr));
    }
    assert_eq!(output.ok().text(), "0");
    assert_eq!(fs::metadata(volume.join("new")).unwrap().uid(), 0);
    if w.kind() == Kind::Ours {
        let mapping = json!([{"containerID": 0, "hostID": 1000, "size": 10}]);
        let mount = json!({"destination": "/volume", "type": "bind", "source": source, "options": ["bind", "idmap"],
                           "uidMappings": mapping, "gidMappings": mapping});
        let bundle = w.bundle().push("/mounts", mount);
        assert_eq!(w.output_of(bundle.sh("stat -c %u /volume/file")), "1000");
    }
}

fn id_mapped_mounts_need_mappings(w: &World) {
    let source = w.dir().to_str().unwrap();
    w.run(&w.bundle().mount("/volume", "bind", source, &["bind", "idmap"])).fails("mapping");
}

fn a_user_namespace_needs_mappings(w: &World) {
    w.run(&w.bundle().namespace("user")).code(1).fails("mapping");
}

fn mappings_need_a_user_namespace(w: &World) {
    let mapping = json!([{"containerID": 0, "hostID": 1000, "size": 10}]);
    w.run(&w.bundle().set("/linux/uidMappings", mapping)).code(1).fails("user namespace");
}

fn a_bundle_that_the_mapped_user_cannot_reach_is_an_error_or_works(w: &World) {
    use std::os::unix::fs::PermissionsExt;
    let closed = w.path("closed");
    fs::create_dir(&closed).unwrap();
    let bundle = w.bundle().mapped(FIRST);
    let moved = closed.join("bundle");
    fs::rename(&bundle.dir, &moved).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let bundle = crate::bundle::Bundle { dir: moved, config: bundle.config }.sh("echo reached");
    let output = w.run(&bundle);
    if output.code != Some(0) {
        output.fails("permission denied");
    }
}

fn read_only_binds_keep_locked_flags(w: &World) {
    let host = w.private_mounts(&format!(
        "mkdir {0}/vol; mount -t tmpfs -o nosuid,nodev,noexec,mode=755 vol {0}/vol; echo x >{0}/vol/x",
        w.dir().display()
    ));
    let source = w.path("vol");
    let bundle = w.bundle().folder("vol").mapped(FIRST).mount(
        "/vol",
        "bind",
        source.to_str().unwrap(),
        &["bind", "ro"],
    );
    let bundle = bundle.sh("cat /vol/x; grep ' /vol ' /proc/self/mountinfo; touch /vol/y");
    let output = w.run_call(&bundle, "c", &[]).behind(&host.enter()).run();
    assert!(output.stdout.starts_with("x\n"), "{output}");
    for flag in ["ro", "nosuid", "nodev", "noexec"] {
        assert!(output.stdout.contains(flag), "{flag}: {output}");
    }
    assert_ne!(output.code, Some(0), "{output}");
}
