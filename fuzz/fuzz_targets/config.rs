//! Any bytes as a `config.json`: refused or planned, never a crash.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linux::{process, rootfs};
use oci_spec::runtime::Spec;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let Ok(spec) = serde_json::from_slice::<Spec>(bytes) else { return };
    for rootless in [false, true] {
        if process::validate(&spec, rootless).is_err() {
            continue;
        }
        let _ = rootfs::plan(&rootfs::Request {
            spec: &spec,
            bundle: Path::new("/bundle"),
            no_pivot: false,
            rootless,
            cgroup: rootfs::CgroupView::V2 { fallback: "/sys/fs/cgroup".into() },
            selinux: false,
        });
        let Some(own) = spec.process().as_ref() else { continue };
        for first in [true, false] {
            let request =
                process::Request { container: "c", spec: &spec, process: own, first, rootless, keyring: true };
            if let Ok(mut plan) = process::plan(&request) {
                let _ = plan.compile(&spec, None);
            }
        }
    }
});
