//! Mounts: every kind, every option, and where they may go.

use crate::runtime::Kind;
use crate::story::{Need, Story, story};
use crate::world::World;
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

pub(crate) const STORIES: &[Story] = &[
    story!(a_folder_is_bound, Need::Anyone),
    story!(a_file_is_bound, Need::Anyone),
    story!(a_read_only_bind_cannot_be_written, Need::Anyone),
    story!(a_relative_source_is_of_the_bundle, Need::NotCrun, Need::Anyone),
    story!(a_bind_without_its_type_is_a_bind, Need::Anyone),
    story!(a_tmpfs_has_its_size_and_mode, Need::Anyone),
    story!(a_tmpfs_can_start_with_what_was_below),
    story!(flags_are_set),
    story!(time_options_are_set, Need::NotCrun),
    story!(opposite_options_undo_each_other, Need::NotCrun),
    story!(recursive_options_reach_mounts_below, Need::NotCrun),
    story!(plain_options_do_not_reach_mounts_below, Need::NotCrun),
    story!(a_recursive_bind_brings_mounts_below),
    story!(a_plain_bind_does_not),
    story!(propagation_of_a_mount_is_as_asked, Need::NotCrun),
    story!(a_slave_mount_receives_from_the_host, Need::NotCrun),
    story!(missing_destinations_are_made, Need::Anyone),
    story!(a_destination_through_a_symlink_stays_inside, Need::NotCrun),
    story!(an_absolute_symlink_as_destination_stays_inside),
    story!(a_dangling_symlink_as_destination_stays_inside, Need::NotCrun),
    story!(a_source_that_is_a_symlink_is_followed, Need::Anyone),
    story!(a_missing_source_is_named, Need::Anyone),
    story!(mounts_over_proc_are_refused, Need::Ours("runc refuses all of them since 1.2")),
    story!(some_files_of_proc_may_be_covered),
    story!(an_unknown_file_system_is_named),
    story!(mounts_are_made_in_order, Need::Anyone),
    story!(a_mount_over_a_mount, Need::Anyone),
    story!(many_mounts),
    story!(cgroups_are_mounted_read_only),
    story!(a_writable_cgroup_mount),
    story!(the_hosts_cgroups_are_not_seen),
    story!(an_overlay_of_the_config),
    story!(data_options_are_passed_on),
    story!(a_socket_and_a_device_are_bound),
    story!(destinations_without_a_slash, Need::NotCrun),
    story!(a_source_of_a_proc_file_is_taken_as_it_is, Need::Anyone),
    story!(sub_paths_with_odd_names, Need::Anyone),
];

/// A folder of the host with a file in it.
fn volume(w: &World) -> String {
    let folder = w.path(&w.fresh("volume"));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("file"), "of the host\n").unwrap();
    folder.to_str().unwrap().to_owned()
}

/// The options of the mount at this place as the container sees them.
const OPTIONS_OF: &str = "awk -v at=$AT '$5 == at { o = $6 \" \" $7 } END { print o }' /proc/self/mountinfo";

fn options(w: &World, kind: &str, source: &str, options: &[&str]) -> Vec<String> {
    let bundle = w.bundle().folder("at").mount("/at", kind, source, options).env("AT=/at");
    let output = w.run(&bundle.sh(OPTIONS_OF)).ok();
    output.text().split([',', ' ']).map(str::to_owned).collect()
}

fn a_folder_is_bound(w: &World) {
    let source = volume(w);
    let bundle = w.bundle().mount("/data", "bind", &source, &["bind", "rw"]);
    assert_eq!(w.output_of(bundle.sh("cat /data/file; echo back >/data/new")), "of the host");
    assert_eq!(fs::read_to_string(format!("{source}/new")).unwrap(), "back\n");
}

fn a_file_is_bound(w: &World) {
    let source = format!("{}/file", volume(w));
    let bundle = w.bundle().mount("/etc/hosts", "bind", &source, &["rbind", "rw"]);
    assert_eq!(w.output_of(bundle.sh("cat /etc/hosts; echo more >>/etc/hosts")), "of the host");
    assert_eq!(fs::read_to_string(source).unwrap(), "of the host\nmore\n");
}

fn a_read_only_bind_cannot_be_written(w: &World) {
    let source = volume(w);
    for kind in ["bind", "rbind"] {
        let bundle = w.bundle().mount("/data", "bind", &source, &[kind, "ro"]);
        let output = w.run(&bundle.sh("cat /data/file; touch /data/new"));
        assert!(output.code != Some(0) && output.stderr.contains("Read-only file system"), "{output}");
    }
}

fn a_relative_source_is_of_the_bundle(w: &World) {
    let bundle = w.bundle();
    fs::create_dir(bundle.dir.join("own")).unwrap();
    fs::write(bundle.dir.join("own/file"), "of the bundle").unwrap();
    assert_eq!(
        w.output_of(bundle.mount("/data", "bind", "own", &["bind"]).sh("cat /data/file")),
        "of the bundle"
    );
}

fn a_bind_without_its_type_is_a_bind(w: &World) {
    let source = volume(w);
    for option in ["bind", "rbind"] {
        let mount = json!({"destination": "/data", "source": source, "options": [option]});
        assert_eq!(w.output_of(w.bundle().push("/mounts", mount).sh("cat /data/file")), "of the host");
    }
    let bundle = w.bundle().mount("/data", "none", &source, &["bind", "nodev"]);
    assert_eq!(w.output_of(bundle.sh("cat /data/file")), "of the host");
}

fn a_tmpfs_has_its_size_and_mode(w: &World) {
    let bundle = w.bundle().mount("/at", "tmpfs", "tmpfs", &["nosuid", "size=1m", "mode=1750"]).env("AT=/at");
    let output = w.run(&bundle.sh("stat -c %a /at; head -c 2m /dev/zero >/at/big || echo full")).ok();
    assert_eq!(output.stdout, "1750\nfull\n");
}

fn a_tmpfs_can_start_with_what_was_below(w: &World) {
    let bundle =
        w.bundle().file("etc/deep/conf", "from the image").mount("/etc", "tmpfs", "tmpfs", &["tmpcopyup"]);
    let rootfs = bundle.rootfs();
    assert_eq!(w.output_of(bundle.sh("cat /etc/deep/conf && echo more >/etc/new")), "from the image");
    assert!(!rootfs.join("etc/new").exists());
}

fn flags_are_set(w: &World) {
    let source = volume(w);
    for (option, seen) in [
        ("nosuid", "nosuid"),
        ("nodev", "nodev"),
        ("noexec", "noexec"),
        ("ro", "ro"),
        ("nosymfollow", "nosymfollow"),
        ("noatime", "noatime"),
        ("nodiratime", "nodiratime"),
    ] {
        if option == "nosymfollow" && w.kind() == Kind::Crun {
            continue;
        }
        for (kind, source, more) in
            [("tmpfs", "tmpfs", vec![option]), ("bind", source.as_str(), vec!["bind", option])]
        {
            let have = options(w, kind, source, &more);
            assert!(have.iter().any(|word| word == seen), "{kind} {option}: {have:?}");
        }
    }
    let have = options(w, "tmpfs", "tmpfs", &["sync"]);
    assert!(
        !have.iter().any(|word| ["nosuid", "nodev", "noexec", "ro"].contains(&word.as_str())),
        "{have:?}"
    );
}

fn time_options_are_set(w: &World) {
    assert!(options(w, "tmpfs", "tmpfs", &["relatime"]).contains(&"relatime".to_owned()));
    if w.kind() == Kind::Ours {
        options(w, "tmpfs", "tmpfs", &["defaults"]);
    }
    let strict = options(w, "tmpfs", "tmpfs", &["strictatime"]);
    assert!(!strict.iter().any(|word| word == "relatime" || word == "noatime"), "{strict:?}");
    assert!(options(w, "tmpfs", "tmpfs", &["noatime"]).contains(&"noatime".to_owned()));
    for harmless in ["lazytime", "nolazytime", "iversion", "noiversion", "silent", "loud", "mand", "nomand"] {
        options(w, "tmpfs", "tmpfs", &[harmless]);
    }
    for harmless in ["atime", "diratime", "norelatime", "nostrictatime", "async", "dirsync", "symfollow"] {
        if harmless != "symfollow" || w.kind() == Kind::Ours {
            options(w, "tmpfs", "tmpfs", &[harmless]);
        }
    }
}

fn opposite_options_undo_each_other(w: &World) {
    let have =
        options(w, "tmpfs", "tmpfs", &["ro", "rw", "nosuid", "suid", "noexec", "exec", "nodev", "dev"]);
    assert!(
        !have.iter().any(|word| ["ro", "nosuid", "noexec", "nodev"].contains(&word.as_str())),
        "{have:?}"
    );
}

/// A host with a folder `vol` that has a mount `below` of its own.
fn nested(w: &World) -> (crate::world::PrivateMounts, String) {
    let at = w.path("vol").to_str().unwrap().to_owned();
    let script = format!(
        "mkdir {at}; mount -t tmpfs a {at}; mkdir {at}/below; mount -t tmpfs b {at}/below; echo deep >{at}/below/file"
    );
    (w.private_mounts(&script), at)
}

fn recursive_options_reach_mounts_below(w: &World) {
    let (host, source) = nested(w);
    let pairs = [
        ("rro", "ro"),
        ("rnosuid", "nosuid"),
        ("rnodev", "nodev"),
        ("rnoexec", "noexec"),
        ("rnoatime", "noatime"),
        ("rnodiratime", "nodiratime"),
        ("rnosymfollow", "nosymfollow"),
    ];
    for (option, seen) in pairs {
        if option == "rnosymfollow" && w.kind() == Kind::Crun {
            continue;
        }
        let bundle = w.bundle().mount("/at", "bind", &source, &["rbind", option]).env("AT=/at/below");
        let output = w.run_call(&bundle.sh(OPTIONS_OF), "c", &[]).behind(&host.enter()).run().ok();
        let have: Vec<&str> = output.text().split([',', ' ']).collect();
        assert!(have.contains(&seen), "{option}: {have:?}");
    }
}

fn plain_options_do_not_reach_mounts_below(w: &World) {
    let (host, source) = nested(w);
    let bundle = w.bundle().mount("/at", "bind", &source, &["rbind", "ro"]);
    let bundle = bundle.sh("touch /at/below/x && echo below can; touch /at/x || echo top cannot");
    let output = w.run_call(&bundle, "c", &[]).behind(&host.enter()).run().ok();
    assert_eq!(output.stdout, "below can\ntop cannot\n");
}

fn a_recursive_bind_brings_mounts_below(w: &World) {
    let (host, source) = nested(w);
    let bundle = w.bundle().mount("/at", "bind", &source, &["rbind"]).sh("cat /at/below/file");
    assert_eq!(w.run_call(&bundle, "c", &[]).behind(&host.enter()).run().ok().text(), "deep");
}

fn a_plain_bind_does_not(w: &World) {
    let (host, source) = nested(w);
    let bundle = w.bundle().mount("/at", "bind", &source, &["bind"]).sh("test ! -e /at/below/file");
    w.run_call(&bundle, "c", &[]).behind(&host.enter()).run().ok();
}

fn propagation_of_a_mount_is_as_asked(w: &World) {
    let source = volume(w);
    let of = |propagation: &str| options(w, "bind", &source, &["bind", propagation]).join(" ");
    assert!(of("shared").contains("shared:"));
    assert!(of("rshared").contains("shared:"));
    assert!(!of("private").contains("shared:"));
    assert!(!of("rslave").contains("shared:"));
    assert!(of("unbindable").contains("unbindable"));
}

fn a_slave_mount_receives_from_the_host(w: &World) {
    let at = w.path("vol").to_str().unwrap().to_owned();
    let host = w.private_mounts(&format!(
        "mkdir {at}; mount -t tmpfs a {at}; mount --make-shared {at}; mkdir {at}/later"
    ));
    let bundle = w.bundle().set("/linux/rootfsPropagation", json!("rslave"));
    let bundle = bundle.mount("/at", "bind", &at, &["rbind", "rslave"]);
    let id = w.fresh("c");
    let mut c = w.adopt(w.create_call(&bundle, &id, &[]).behind(&host.enter()), id, &bundle);
    c.created.clone().ok();
    c.start();
    c.out.expect("ready");
    let mut mount = host.enter();
    mount.extend(["mount", "-t", "tmpfs", "new", &format!("{at}/later")].map(str::to_owned));
    assert!(std::process::Command::new(&mount[0]).args(&mount[1..]).status().unwrap().success());
    c.sh("grep -q ' /at/later ' /proc/self/mountinfo").ok();
}

fn missing_destinations_are_made(w: &World) {
    let source = volume(w);
    let bundle = w.bundle().mount("/deep/er/folder", "bind", &source, &["bind"]);
    let bundle = bundle.mount("/an/other/file", "bind", &format!("{source}/file"), &["bind"]);
    assert_eq!(w.output_of(bundle.sh("cat /deep/er/folder/file /an/other/file")), "of the host\nof the host");
}

fn a_destination_through_a_symlink_stays_inside(w: &World) {
    let source = volume(w);
    let outside = w.path("outside");
    fs::create_dir(&outside).unwrap();
    let bundle = w.bundle();
    symlink(&outside, bundle.rootfs().join("exit")).unwrap();
    symlink("../../../../../..", bundle.rootfs().join("up")).unwrap();
    let dots = format!("/up{}/dots", outside.display());
    let bundle =
        bundle.mount("/exit/data", "bind", &source, &["bind"]).mount(&dots, "bind", &source, &["bind"]);
    assert_eq!(w.output_of(bundle.sh("cat /exit/data/file")), "of the host");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "nothing was made outside");
}

fn an_absolute_symlink_as_destination_stays_inside(w: &World) {
    let source = volume(w);
    let bundle = w.bundle().folder("real");
    symlink("/real", bundle.rootfs().join("link")).unwrap();
    symlink("/run", bundle.rootfs().join("var/run")).unwrap();
    let bundle = bundle.mount("/link", "bind", &source, &["bind"]).mount("/var/run/x", "tmpfs", "tmpfs", &[]);
    let script = "cat /real/file; grep -q ' /run/x tmpfs\\| /run/x ' /proc/self/mountinfo && echo run";
    assert_eq!(w.output_of(bundle.sh(script)), "of the host\nrun");
}

fn a_dangling_symlink_as_destination_stays_inside(w: &World) {
    let source = volume(w);
    let target = w.path("not-there");
    let bundle = w.bundle();
    symlink(&target, bundle.rootfs().join("dangling")).unwrap();
    let output = w.run(&bundle.mount("/dangling", "bind", &source, &["bind"]).sh("cat /dangling/file"));
    assert!(!target.exists(), "nothing was made outside: {output}");
}

fn a_source_that_is_a_symlink_is_followed(w: &World) {
    let source = volume(w);
    let link = w.path("link");
    symlink(&source, &link).unwrap();
    let bundle = w.bundle().mount("/data", "bind", link.to_str().unwrap(), &["bind"]);
    assert_eq!(w.output_of(bundle.sh("cat /data/file")), "of the host");
}

fn a_missing_source_is_named(w: &World) {
    w.run(&w.bundle().mount("/data", "bind", "/no/such/source", &["bind"])).fails("/no/such/source");
}

fn mounts_over_proc_are_refused(w: &World) {
    for destination in ["/proc/sys", "/proc/1", "/proc/self/attr", "/proc/../proc/fs"] {
        let output = w.run(&w.bundle().mount(destination, "tmpfs", "tmpfs", &[]));
        assert_ne!(output.code, Some(0), "{output}");
        assert!(output.said().contains("/proc"), "{output}");
    }
    let bundle = w.bundle().folder("x");
    symlink("/proc", bundle.rootfs().join("x/link")).unwrap();
    let output = w.run(&bundle.mount("/x/link/sys", "tmpfs", "tmpfs", &[]));
    assert_ne!(output.code, Some(0), "{output}");
}

fn some_files_of_proc_may_be_covered(w: &World) {
    let source = format!("{}/file", volume(w));
    for file in ["cpuinfo", "meminfo", "stat", "uptime", "loadavg", "diskstats", "swaps"] {
        let bundle = w.bundle().mount(&format!("/proc/{file}"), "bind", &source, &["bind"]);
        assert_eq!(w.output_of(bundle.sh(&format!("cat /proc/{file}"))), "of the host", "{file}");
    }
}

fn an_unknown_file_system_is_named(w: &World) {
    let output = w.run(&w.bundle().mount("/x", "nosuchfs", "none", &[])).fails("no such device");
    assert!(
        output.said().contains("x`") || output.said().contains("/x") || output.said().contains("nosuchfs"),
        "{output}"
    );
}

fn mounts_are_made_in_order(w: &World) {
    let source = volume(w);
    let bundle = w.bundle().mount("/a", "tmpfs", "tmpfs", &[]).mount("/a/b", "tmpfs", "tmpfs", &[]);
    let bundle = bundle.mount("/a/b/c", "bind", &source, &["bind"]);
    assert_eq!(w.output_of(bundle.sh("cat /a/b/c/file")), "of the host");
}

fn a_mount_over_a_mount(w: &World) {
    let source = volume(w);
    let bundle = w.bundle().mount("/a", "bind", &source, &["bind"]).mount("/a", "tmpfs", "tmpfs", &[]);
    assert_eq!(w.output_of(bundle.sh("ls -A /a; echo empty")), "empty");
}

fn many_mounts(w: &World) {
    let source = volume(w);
    let bundle = (0..200)
        .fold(w.bundle(), |bundle, n| bundle.mount(&format!("/m/{n}"), "bind", &source, &["rbind", "ro"]));
    assert_eq!(w.output_of(bundle.sh("cat /m/199/file; ls /m | wc -l")), "of the host\n200");
}

fn cgroups_are_mounted_read_only(w: &World) {
    let output =
        w.output_of(w.bundle().sh("ls /sys/fs/cgroup; find /sys/fs/cgroup -name cgroup.procs | head -1"));
    if crate::cgroups::is_v2() {
        assert!(output.contains("cgroup.procs"), "{output}");
    } else {
        assert!(output.contains("memory") && output.contains("pids"), "{output}");
    }
    let script = "for f in $(find /sys/fs/cgroup -name cgroup.procs); do (echo 1 >$f) 2>/dev/null && echo wrote $f; done; echo end";
    assert_eq!(w.output_of(w.bundle().sh(script)), "end");
}

fn a_writable_cgroup_mount(w: &World) {
    let bundle = w.bundle().without_mount("/sys/fs/cgroup").namespace("cgroup");
    let bundle = bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "rw"]);
    let at = if crate::cgroups::is_v2() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/memory" };
    w.run(&bundle.sh(&format!("mkdir {at}/own && rmdir {at}/own"))).ok();
}

fn the_hosts_cgroups_are_not_seen(w: &World) {
    let bundle = w.bundle().namespace("cgroup");
    let at = if crate::cgroups::is_v2() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/memory" };
    let output = w.output_of(
        bundle.sh(&format!("wc -l <{at}/cgroup.procs; test ! -e {at}/cofferdam-suite && echo own")),
    );
    assert!(output.ends_with("own") && !output.starts_with('0'), "{output}");
}

fn an_overlay_of_the_config(w: &World) {
    let lower = volume(w);
    for folder in ["upper", "work"] {
        fs::create_dir(w.path(folder)).unwrap();
    }
    let data = format!("lowerdir={lower},upperdir={0}/upper,workdir={0}/work", w.dir().display());
    let bundle = w.bundle().mount("/over", "overlay", "overlay", &[&data]);
    let output = w.run(&bundle.sh("cat /over/file; echo new >/over/new"));
    if output.said().to_lowercase().contains("no such device") {
        crate::story::skip("this kernel has no overlay");
    }
    assert_eq!(output.ok().text(), "of the host");
    assert!(w.path("upper/new").exists());
}

fn data_options_are_passed_on(w: &World) {
    let bundle = w.bundle().mount("/x", "tmpfs", "tmpfs", &["nr_inodes=3", "uid=1000", "gid=2000"]);
    let script = "stat -c '%u %g' /x; touch /x/a /x/b 2>/dev/null; touch /x/c 2>/dev/null || echo full";
    assert_eq!(w.output_of(bundle.sh(script)), "1000 2000\nfull");
    let output = w.run(&w.bundle().mount("/x", "tmpfs", "tmpfs", &["no_such_option=1"]));
    assert_ne!(output.code, Some(0), "{output}");
}

fn a_socket_and_a_device_are_bound(w: &World) {
    let socket = w.path("s.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let bundle = w.bundle().mount("/run/s.sock", "bind", socket.to_str().unwrap(), &["bind"]);
    let bundle = bundle.mount("/dev/zero2", "bind", "/dev/zero", &["bind"]);
    assert_eq!(w.output_of(bundle.sh("test -S /run/s.sock && head -c 3 /dev/zero2 | wc -c")), "3");
}

fn destinations_without_a_slash(w: &World) {
    let source = volume(w);
    let output = w.run(&w.bundle().mount("data", "bind", &source, &["bind"]).sh("cat /data/file"));
    if output.code == Some(0) {
        assert_eq!(output.text(), "of the host");
    } else {
        output.fails("data");
    }
}

fn a_source_of_a_proc_file_is_taken_as_it_is(w: &World) {
    let bundle = w.bundle().mount("/host-version", "bind", "/proc/version", &["bind"]);
    assert!(w.output_of(bundle.sh("cat /host-version")).contains("Linux"));
}

fn sub_paths_with_odd_names(w: &World) {
    let source = volume(w);
    for name in ["/with space", "/back\\slash", "/new\nline", "/ünïcode", "/com,ma", "/#hash", "/a:b"] {
        let bundle = w.bundle().env(&format!("AT={name}")).mount(name, "bind", &source, &["bind"]);
        assert_eq!(w.output_of(bundle.sh("cat \"$AT/file\"")), "of the host", "{name:?}");
    }
}
