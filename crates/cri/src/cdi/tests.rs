//! Files of vendors in folders of this test's own, and what containers become by them.

use std::fs;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDeviceType, Spec};

use super::Cdi;

/// Two folders, the second of them the more important.
struct Host {
    _folder: tempfile::TempDir,
    low: PathBuf,
    high: PathBuf,
    cdi: Cdi,
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (low, high) = (folder.path().join("etc"), folder.path().join("run"));
        fs::create_dir(&low).unwrap();
        let cdi = Cdi::new(&[low.clone(), high.clone()]);
        Self { _folder: folder, low, high, cdi }
    }

    fn inject(&self, names: &[&str]) -> Result<Spec, String> {
        let mut spec = Spec::default();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        self.cdi.inject(&mut spec, &names).map_err(|error| crate::error::chain(&error))?;
        Ok(spec)
    }
}

fn device_with_env(value: &str) -> String {
    format!(
        r#"{{"cdiVersion":"0.3.0","kind":"v.com/gpu","devices":[{{"name":"one","containerEdits":{{"env":["GPU={value}"]}}}}]}}"#
    )
}

fn variable(spec: &Spec, name: &str) -> Vec<String> {
    let env = spec.process().as_ref().and_then(|process| process.env().clone()).unwrap_or_default();
    let prefix = format!("{name}=");
    env.into_iter().filter_map(|variable| variable.strip_prefix(&prefix).map(str::to_owned)).collect()
}

const FULL: &str = "
cdiVersion: 1.1.0
kind: vendor.com/net
annotations: {made.by: a test}
containerEdits:
  env: [ALL=1, PATH=/vendor/bin]
  hooks:
    - {hookName: createContainer, path: /usr/bin/tool, args: [tool, x], env: [A=b], timeout: 5}
devices:
  - name: '0'
    containerEdits:
      deviceNodes:
        - {path: /dev/vendor0, hostPath: /dev/null}
        - {path: /dev/vendor1, type: c, major: 10, minor: 200, permissions: r, fileMode: 0o600, uid: 5, gid: 6}
        - {path: /dev/vendor2, hostPath: /dev/zero, permissions: none}
      mounts:
        - {hostPath: /usr/lib, containerPath: /a/b/c, options: [bind, ro]}
        - {hostPath: /run, containerPath: /a, type: bind}
      additionalGids: [0, 44]
      intelRdt: {closID: gold, schemata: ['L3:0=f'], enableMonitoring: true}
      netDevices: [{hostInterfaceName: eth7, name: fast0}]
  - name: one
    containerEdits: {env: [ONE=1]}
";

#[test]
fn everything_that_a_device_says_is_in_the_container() {
    let host = Host::new();
    fs::write(host.low.join("vendor.yaml"), FULL).unwrap();
    let spec = host.inject(&["vendor.com/net=0", "vendor.com/net=one"]).unwrap();
    assert_eq!(
        (variable(&spec, "ALL"), variable(&spec, "PATH")),
        (vec!["1".to_owned()], vec!["/vendor/bin".to_owned()])
    );
    assert_eq!(variable(&spec, "ONE"), ["1"]);
    let linux = spec.linux().clone().unwrap();
    let devices = linux.devices().clone().unwrap();
    let node = |path: &str| devices.iter().find(|node| node.path() == Path::new(path)).unwrap();
    let found = node("/dev/vendor0");
    assert_eq!((found.typ(), found.major(), found.minor()), (LinuxDeviceType::C, 1, 3));
    let told = node("/dev/vendor1");
    assert_eq!((told.major(), told.minor(), told.file_mode()), (10, 200, Some(0o600)));
    assert_eq!((told.uid(), told.gid()), (Some(5), Some(6)));
    let rules = linux.resources().clone().unwrap().devices().clone().unwrap();
    let access = |minor: i64| {
        rules.iter().find(|rule| rule.minor() == Some(minor)).and_then(|rule| rule.access().clone())
    };
    assert_eq!((access(3).as_deref(), access(200).as_deref(), access(5)), (Some("rwm"), Some("r"), None));
    let mounts = spec.mounts().clone().unwrap();
    let place = |path: &str| mounts.iter().position(|mount| mount.destination() == Path::new(path)).unwrap();
    assert!(place("/a") < place("/a/b/c"));
    let hooks = spec.hooks().clone().unwrap().create_container().clone().unwrap();
    assert_eq!((hooks.len(), hooks[0].timeout()), (1, Some(5)), "what the file says for all comes once");
    let groups = spec.process().clone().unwrap().user().additional_gids().clone().unwrap();
    assert!(groups.contains(&44) && !groups.contains(&0), "{groups:?}");
    let rdt = linux.intel_rdt().clone().unwrap();
    assert_eq!((rdt.clos_id().as_deref(), *rdt.enable_monitoring()), (Some("gold"), Some(true)));
    assert_eq!(linux.net_devices().clone().unwrap()["eth7"].name().as_deref(), Some("fast0"));
}

#[test]
fn the_more_important_folder_wins_and_changes_are_seen() {
    let host = Host::new();
    let gpu = || host.inject(&["v.com/gpu=one"]).map(|spec| variable(&spec, "GPU").concat());
    assert!(gpu().unwrap_err().contains("v.com/gpu=one; looked in"));
    fs::write(host.low.join("a.json"), device_with_env("low")).unwrap();
    assert_eq!(gpu().unwrap(), "low");
    fs::create_dir(&host.high).unwrap();
    fs::write(host.high.join("b.json"), device_with_env("high")).unwrap();
    assert_eq!(gpu().unwrap(), "high");
    fs::write(host.high.join("b.json"), device_with_env("higher")).unwrap();
    assert_eq!(gpu().unwrap(), "higher");
    fs::remove_file(host.high.join("b.json")).unwrap();
    assert_eq!(gpu().unwrap(), "low");
}

#[test]
fn a_device_that_two_files_of_a_folder_describe_is_nobodys() {
    let host = Host::new();
    fs::write(host.low.join("a.json"), device_with_env("a")).unwrap();
    fs::write(host.low.join("b.json"), device_with_env("b")).unwrap();
    let error = host.inject(&["v.com/gpu=one"]).unwrap_err();
    assert!(error.contains("a.json") && error.contains("b.json have it"), "{error}");
}

#[test]
fn a_file_that_breaks_the_specification_is_named_with_the_reason() {
    let host = Host::new();
    let device = |edits: &str| {
        format!("cdiVersion: 0.3.0\nkind: v/g\ndevices:\n- name: one\n  containerEdits: {edits}\n")
    };
    for (text, says) in [
        (device("{env: [A=1], colour: red}"), "colour"),
        (device("{env: ['=1']}"), "is not NAME=VALUE"),
        (device("{}"), "containerEdits is empty"),
        (device("{deviceNodes: [{path: /dev/x, type: z}]}"), "is none of b, c, u, p"),
        (device("{deviceNodes: [{path: /dev/x, permissions: rx}]}"), "r, w and m are possible"),
        (device("{deviceNodes: [{path: /dev/x, hostPath: /dev/y}]}"), "came with version 0.5.0"),
        (device("{mounts: [{hostPath: /a, containerPath: /b, type: bind}]}"), "came with version 0.4.0"),
        (device("{additionalGids: [1]}"), "came with version 0.7.0"),
        (device("{hooks: [{hookName: sometime, path: /x}]}"), "sometime"),
        (device("{hooks: [{hookName: poststop, path: x}]}"), "is not absolute"),
        ("cdiVersion: 9.0.0\nkind: v/g\ndevices: []\n".to_owned(), "cdiVersion \"9.0.0\" is not known"),
        ("cdiVersion: 0.3.0\nkind: g\ndevices: []\n".to_owned(), "a kind is vendor/class"),
        ("not even: [yaml".to_owned(), "bad.yaml: "),
    ] {
        fs::write(host.low.join("bad.yaml"), &text).unwrap();
        let error = host.inject(&["v/g=one"]).unwrap_err();
        assert!(error.contains("bad.yaml") && error.contains(says), "{says}: {error}");
    }
}

#[test]
fn a_device_node_has_to_be_a_device_and_of_the_type_that_is_said() {
    let host = Host::new();
    let with = |node: &str| {
        let text = format!(
            "cdiVersion: 0.5.0\nkind: v/g\ndevices:\n- {{name: one, containerEdits: {{deviceNodes: [{node}]}}}}\n"
        );
        fs::write(host.low.join("v.yaml"), text).unwrap();
        host.inject(&["v/g=one"]).unwrap_err()
    };
    assert!(with("{path: /dev/x, hostPath: /etc/passwd}").contains("/etc/passwd is no device"));
    assert!(with("{path: /dev/not-there}").contains("/dev/not-there"));
    assert!(with("{path: /dev/null, type: b}").contains("is of type c, its description says b"));
}

#[test]
fn without_folders_devices_are_refused_by_name() {
    let mut spec = Spec::default();
    let error = Cdi::new(&[]).inject(&mut spec, &["v/g=one".to_owned()]).unwrap_err();
    assert!(error.to_string().starts_with("CDI_devices: v/g=one: CDI is off"));
}
