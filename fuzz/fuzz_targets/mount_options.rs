//! A mount whose destination, type, source and options are any lines of text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linux::rootfs;
use oci_spec::runtime::Spec;
use std::path::Path;

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (destination, kind, source) = (line(), line(), line());
    let options: Vec<&str> = lines.collect();
    let spec = serde_json::json!({
        "ociVersion": "1.3.0",
        "root": {"path": "rootfs"},
        "mounts": [{"destination": destination, "type": kind, "source": source, "options": options}],
        "linux": {"namespaces": [{"type": "mount"}]},
    });
    let Ok(spec) = serde_json::from_value::<Spec>(spec) else { return };
    let _ = rootfs::plan(&rootfs::Request {
        spec: &spec,
        bundle: Path::new("/bundle"),
        no_pivot: false,
        rootless: false,
        cgroup: rootfs::CgroupView::V2 { fallback: "/sys/fs/cgroup".into() },
        selinux: true,
    });
});
