//! Bind mounts: what is bound, with which attributes, and where a change of it reaches.

use super::isolate::ROOT;
use super::{Bundle, config, isolated, mounted, own_proc, proc};
use serde_json::{Value, json};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

fn bind(source: &Path, destination: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "source": source, "options": options })
}

/// A folder with a file, another mount below it, and a file beside it.
fn sources(dir: &Path) {
    std::fs::create_dir_all(dir.join("data/below")).unwrap();
    std::fs::write(dir.join("data/file"), "data").unwrap();
    std::fs::write(dir.join("single"), "single").unwrap();
    let flags = rustix::mount::MountFlags::NODEV | rustix::mount::MountFlags::NOATIME;
    rustix::mount::mount("below", dir.join("data/below"), "tmpfs", flags, None).unwrap();
    std::fs::write(dir.join("data/below/inner"), "inner").unwrap();
}

#[test]
fn attributes_are_exactly_those_asked_for() {
    isolated(attributes_are_exactly_those_asked_for, ROOT, |dir| {
        sources(dir);
        let bundle = Bundle::new(dir);
        let (data, single) = (dir.join("data"), dir.join("single"));
        let below = data.join("below");
        bundle
            .run(config(json!([
                proc(),
                bind(&data, "/plain", &["bind"]),
                bind(&data, "/tree", &["rbind", "ro", "nosuid"]),
                bind(&data, "/alltree", &["rbind", "rro", "rnoexec"]),
                bind(&below, "/kept", &["bind"]),
                bind(&below, "/replaced", &["bind", "noexec"]),
                bind(&below, "/relatime", &["bind", "relatime"]),
                bind(&single, "/a/new/file", &["bind", "ro"]),
                { "destination": "/typed", "type": "bind", "source": data },
            ])))
            .unwrap();
        assert_eq!(std::fs::read_to_string("/plain/file").unwrap(), "data");
        assert!(!Path::new("/plain/below/inner").exists(), "bind is not recursive");
        assert!(Path::new("/tree/below/inner").exists());
        let tree = mounted("/tree").unwrap();
        assert!(tree.has("ro") && tree.has("nosuid"), "{tree:?}");
        assert!(mounted("/tree/below").unwrap().has("rw"), "ro is for the top only");
        let inner = mounted("/alltree/below").unwrap();
        assert!(inner.has("ro") && inner.has("noexec") && inner.has("nodev"), "{inner:?}");
        let kept = mounted("/kept").unwrap();
        assert!(kept.has("nodev") && kept.has("noatime"), "no option, nothing changed: {kept:?}");
        let replaced = mounted("/replaced").unwrap();
        assert!(replaced.has("noexec") && !replaced.has("nodev") && replaced.has("noatime"), "{replaced:?}");
        let relatime = mounted("/relatime").unwrap();
        assert!(relatime.has("relatime") && !relatime.has("noatime"), "{relatime:?}");
        assert_eq!(std::fs::read_to_string("/a/new/file").unwrap(), "single");
        assert!(mounted("/a/new/file").unwrap().has("ro"));
        assert!(mounted("/typed").is_some());
    });
}

#[test]
fn classic_mounts_give_the_same_attributes() {
    isolated(classic_mounts_give_the_same_attributes, ROOT, |dir| {
        sources(dir);
        let bundle = Bundle { classic: true, ..Bundle::new(dir) };
        bundle
            .run(config(json!([
                proc(),
                bind(&dir.join("data"), "/tree", &["rbind", "ro", "nosuid", "rslave"]),
                bind(&dir.join("single"), "/a/new/file", &["bind", "ro"]),
            ])))
            .unwrap();
        assert!(mounted("/tree").unwrap().has("ro") && mounted("/tree/below").unwrap().has("rw"));
        assert!(mounted("/a/new/file").unwrap().has("ro"));
    });
}

#[test]
fn propagation_is_as_asked_for() {
    isolated(propagation_is_as_asked_for, ROOT, |dir| {
        sources(dir);
        let bundle = Bundle::new(dir);
        let data = dir.join("data");
        rustix::mount::mount_bind(&data, &data).unwrap();
        let shared = rustix::mount::MountPropagationFlags::SHARED;
        rustix::mount::mount_change(&data, shared).unwrap();
        let config = config(json!([
            proc(),
            bind(&data, "/default", &["rbind"]),
            bind(&data, "/private", &["rbind", "rprivate"]),
            bind(&data, "/shared", &["rbind", "rshared"]),
            bind(&data, "/unbindable", &["rbind", "unbindable"]),
        ]));
        bundle.run(config).unwrap();
        assert!(!mounted("/").unwrap().propagation.contains("shared"));
        assert!(!mounted("/default").unwrap().propagation.contains("shared"));
        assert_eq!(mounted("/private").unwrap().propagation, "");
        assert!(mounted("/shared").unwrap().propagation.contains("shared"));
        assert!(mounted("/unbindable").unwrap().propagation.contains("unbindable"));
    });
}

#[test]
fn a_shared_root_is_shared_only_inside() {
    isolated(a_shared_root_is_shared_only_inside, ROOT, |dir| {
        for_propagation(dir, "rshared");
        assert!(mounted("/").unwrap().propagation.contains("shared"));
        assert!(mounted("/tmp").is_some());
    });
}

#[test]
fn a_private_root_is_private() {
    isolated(a_private_root_is_private, ROOT, |dir| {
        for_propagation(dir, "private");
        assert_eq!(mounted("/").unwrap().propagation, "");
    });
}

fn for_propagation(dir: &Path, word: &str) {
    let bundle = Bundle::new(dir);
    let mut config = config(json!([proc(), { "destination": "/tmp", "type": "tmpfs", "source": "tmpfs" }]));
    config["linux"]["rootfsPropagation"] = json!(word);
    bundle.run(config).unwrap();
}

#[test]
fn links_in_destinations_lead_inside() {
    isolated(links_in_destinations_lead_inside, ROOT, |dir| {
        sources(dir);
        let bundle = Bundle::new(dir);
        let root = bundle.root();
        symlink("/etc/real", root.join("absolute")).unwrap();
        symlink("../../../../../../etc/real", root.join("etc/relative")).unwrap();
        symlink("/run", root.join("var")).unwrap();
        std::fs::create_dir(root.join("etc/real")).unwrap();
        let data = dir.join("data");
        let on_host = root.join("prefixed");
        bundle
            .run(config(json!([
                proc(),
                bind(&data, "/absolute", &["bind"]),
                bind(&data, "/etc/relative/sub", &["bind"]),
                bind(&dir.join("single"), "/var/lock/../dangling/file", &["bind"]),
                bind(&data, "relative/to/root", &["bind"]),
                bind(&data, "/x/../../../dotted", &["bind"]),
                bind(&data, on_host.to_str().unwrap(), &["bind"]),
            ])))
            .unwrap();
        for at in ["/etc/real", "/run/dangling/file", "/relative/to/root", "/dotted", "/prefixed"] {
            assert!(mounted(at).is_some(), "{at}");
        }
        // The second is on what the first mounted.
        assert!(mounted("/etc/real/sub").is_some());
    });
}

#[test]
fn ids_are_mapped() {
    isolated(ids_are_mapped, ROOT, |dir| {
        own_proc();
        sources(dir);
        let bundle = Bundle::new(dir);
        std::os::unix::fs::chown(dir.join("data/file"), Some(1), Some(2)).unwrap();
        let mapping = |host: u32| json!([{ "containerID": 0, "hostID": host, "size": 100 }]);
        let mapped = |destination: &str, options: &[&str]| {
            let mut mount = bind(&dir.join("data"), destination, options);
            mount["uidMappings"] = mapping(100_000);
            mount["gidMappings"] = mapping(200_000);
            mount
        };
        let config = config(json!([
            proc(),
            mapped("/mapped", &["bind", "ro"]),
            mapped("/top", &["rbind", "idmap"]),
            mapped("/tree", &["rbind", "ridmap"]),
        ]));
        let plan = bundle.plan(config).unwrap();
        assert_eq!(plan.sources(), 3);
        let sources = match super::super::open_sources(&plan, None) {
            Ok(sources) => sources,
            Err(error) => {
                let error = compute::Error::from(error).to_string();
                assert!(error.contains("doesn't support idmap mounts"), "{error}");
                println!("skipped: {error}");
                return;
            }
        };
        let rootfs = super::Rootfs::prepare(&plan, sources).unwrap();
        rootfs.enter().unwrap();
        rootfs.finish().unwrap();
        let file = std::fs::metadata("/mapped/file").unwrap();
        assert_eq!((file.uid(), file.gid()), (100_001, 200_002));
        assert!(mounted("/mapped").unwrap().has("ro"));
        assert_eq!(std::fs::metadata("/top/below/inner").unwrap().uid(), 0);
        assert_eq!(std::fs::metadata("/tree/below/inner").unwrap().uid(), 100_000);
    });
}

#[test]
fn what_contradicts_itself_is_refused() {
    let bundle = Bundle {
        dir: "/nowhere".into(),
        cgroup: super::CgroupView::V2 { fallback: "/".into() },
        no_pivot: false,
        rootless: true,
        classic: false,
    };
    let refusal = |mount: Value| {
        let error = bundle.plan(config(json!([mount]))).unwrap_err();
        compute::Error::from(error).to_string()
    };
    let with = |key: &str, value: Value| {
        let mut mount = bind(Path::new("/x"), "/d", &["bind"]);
        mount[key] = value;
        mount
    };
    assert_eq!(
        refusal(with("options", json!(["rbind", "z"]))),
        "invalid mount /d: bind mounts cannot have any filesystem-specific options applied"
    );
    assert!(refusal(with("source", json!("a\0b"))).ends_with("mount field contains null byte"));
    assert!(
        refusal(with("options", json!(["bind", "idmap"]))).ends_with("not supported for rootless containers")
    );
    assert!(refusal(with("options", json!([]))).ends_with("neither a type nor the option bind"));
    let bundle = Bundle { rootless: false, no_pivot: true, ..bundle };
    let refusal = |config: Value| bundle.plan(config).unwrap_err().to_string();
    assert!(
        refusal(config(json!([{ "destination": "/d", "type": "tmpfs", "options": ["idmap"],
            "uidMappings": [{ "containerID": 0, "hostID": 0, "size": 1 }],
            "gidMappings": [{ "containerID": 0, "hostID": 0, "size": 1 }] }])))
        .ends_with("only supported for bind-mounts")
    );
    assert!(
        refusal(config(json!([with("options", json!(["bind", "idmap"]))]))).ends_with("mappings specified")
    );
    let mut propagation = config(json!([]));
    propagation["linux"]["rootfsPropagation"] = json!("rprivate");
    assert_eq!(
        refusal(propagation.clone()),
        "rootfsPropagation of [r]private is not safe without pivot_root"
    );
    propagation["linux"]["rootfsPropagation"] = json!("bogus");
    assert_eq!(refusal(propagation), "rootfsPropagation=bogus is not supported");
    let masked = json!({ "ociVersion": "1.2.0", "root": { "path": "rootfs" },
        "linux": { "maskedPaths": ["/proc/kcore"], "namespaces": [] } });
    assert_eq!(refusal(masked), "unable to restrict sys entries without a private MNT namespace");
    assert_eq!(refusal(json!({ "ociVersion": "1.2.0" })), "root must be specified");
}
