//! Where a container's control groups are: decided by [`plan`], which makes nothing, and kept in the container's
//! record, so that any later process finds the same cgroups again.

use super::error::{Error, Result};
use super::layout::{Kind, Layout, Membership, Mount, Version, clean};
use super::systemd;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Who makes the cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// We do, in the file system.
    Cgroupfs,
    /// systemd does, as a transient unit.
    Systemd,
}

/// What a placement is decided from.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The container's id, the name of its cgroup unless a path is given.
    pub id: &'a str,
    /// `linux.cgroupsPath`: absolute from the mount of each hierarchy, relative from the caller's own cgroup, or
    /// `slice:prefix:name` for systemd.
    pub cgroups_path: Option<&'a Path>,
    /// Who makes them.
    pub driver: Driver,
    /// The caller may not be allowed to make cgroups, and a container without limits works without: runc's
    /// `--rootless`. With systemd it also means the user's manager.
    pub rootless: bool,
    /// The spec's annotations, of which `org.systemd.property.X` are for systemd.
    pub annotations: Option<&'a HashMap<String, String>>,
    /// The host user that the cgroup is handed to (cgroup2 only): root of a container that has a user and a cgroup
    /// namespace of its own and a writable cgroup mount.
    pub owner: Option<u32>,
}

/// One cgroup of the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hierarchy {
    /// The interface it speaks.
    pub version: Version,
    /// The controllers of its hierarchy.
    pub controllers: Vec<String>,
    /// Where the hierarchy is mounted.
    pub mount: PathBuf,
    /// The container's cgroup.
    pub path: PathBuf,
}

/// Where a container's control groups are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The host's layout, which decides how resources are read.
    pub layout: Kind,
    /// One for each hierarchy; cgroup2, if any, is the last.
    pub hierarchies: Vec<Hierarchy>,
    /// The systemd unit, with that driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<systemd::Unit>,
    /// Go without a hierarchy that we may not write to.
    pub may_go_without: bool,
    /// Permission errors of the device rules do not count.
    pub rootless: bool,
    /// Whom the cgroup2 directory is handed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
}

/// Decides; makes nothing.
pub fn plan(request: &Request<'_>) -> Result<Placement> {
    let layout = Layout::detect()?;
    match request.driver {
        Driver::Cgroupfs => {
            let own = if is_absolute(request) { None } else { Some(Membership::of("self")?) };
            Ok(in_file_system(request, &layout, own.as_ref()))
        }
        Driver::Systemd => by_systemd(request, &layout),
    }
}

fn given(request: &Request<'_>) -> Option<PathBuf> {
    request.cgroups_path.filter(|path| !path.as_os_str().is_empty()).map(Path::to_owned)
}

fn is_absolute(request: &Request<'_>) -> bool {
    given(request).is_some_and(|path| path.is_absolute())
}

fn in_file_system(request: &Request<'_>, layout: &Layout, own: Option<&Membership>) -> Placement {
    let kind = layout.kind();
    let name = clean(&given(request).unwrap_or_else(|| PathBuf::from(request.id)));
    let place = |mount: &Mount| {
        let base = own.map(|own| own.below(mount)).unwrap_or_default();
        // The caller's own cgroup2 cgroup has processes in it, so controllers cannot be enabled for its children;
        // its parent's can.
        let base = match kind {
            Kind::V2 => base.parent().unwrap_or(Path::new("")).to_owned(),
            Kind::V1 | Kind::Hybrid => base,
        };
        hierarchy(mount, &base.join(&name))
    };
    Placement {
        layout: kind,
        hierarchies: layout.mounts.iter().map(place).collect(),
        unit: None,
        may_go_without: request.rootless && given(request).is_none(),
        rootless: request.rootless,
        owner: request.owner,
    }
}

fn by_systemd(request: &Request<'_>, layout: &Layout) -> Result<Placement> {
    let kind = layout.kind();
    if request.rootless && kind != Kind::V2 {
        return Err(Error::Unsupported("the systemd user manager needs cgroup v2".into()));
    }
    let path = given(request);
    let path = match path.as_deref() {
        None => None,
        Some(path) => {
            Some(path.to_str().ok_or_else(|| Error::Invalid("cgroupsPath is not valid UTF-8".into()))?)
        }
    };
    let unit = systemd::Unit::plan(request.id, path, request.rootless, request.annotations)?;
    let below_manager = clean(Path::new(&unit.path()?));
    let manager =
        if request.rootless { PathBuf::from(systemd::manager_cgroup(true)?) } else { PathBuf::new() };
    // Inside a container that runs systemd, its root is where PID 1 is, less the scope systemd moved itself to.
    let first = if request.rootless { None } else { Membership::of("1").ok() };
    let place = |mount: &Mount| {
        let root = first.as_ref().map(|first| first.below(mount)).unwrap_or_default();
        let root =
            if root.ends_with("init.scope") { root.parent().unwrap_or(Path::new("")).into() } else { root };
        hierarchy(mount, &root.join(clean(&manager)).join(&below_manager))
    };
    Ok(Placement {
        layout: kind,
        hierarchies: layout.mounts.iter().map(place).collect(),
        unit: Some(unit),
        may_go_without: false,
        rootless: request.rootless,
        owner: request.owner,
    })
}

fn hierarchy(mount: &Mount, path: &Path) -> Hierarchy {
    Hierarchy {
        version: mount.version,
        controllers: mount.controllers.clone(),
        mount: mount.point.clone(),
        path: mount.point.join(path),
    }
}

impl Placement {
    /// Controller → cgroup, with runc's key `""` for cgroup2.
    pub fn paths(&self) -> BTreeMap<String, PathBuf> {
        let mut paths = BTreeMap::new();
        for hierarchy in &self.hierarchies {
            match hierarchy.version {
                Version::V1 => {
                    for controller in &hierarchy.controllers {
                        paths.insert(controller.clone(), hierarchy.path.clone());
                    }
                }
                Version::V2 => {
                    paths.insert(String::new(), hierarchy.path.clone());
                }
            }
        }
        paths
    }
}

impl Hierarchy {
    /// Whether the container's cgroup is the hierarchy's root, which nobody may freeze, limit or remove.
    pub(crate) fn is_root(&self) -> bool {
        self.path == self.mount
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(v1: &[&str], v2: bool) -> Layout {
        let mut mounts: Vec<Mount> = v1
            .iter()
            .map(|c| Mount {
                version: Version::V1,
                controllers: vec![(*c).into()],
                point: format!("/c/{c}").into(),
                root: "/".into(),
            })
            .collect();
        if v2 {
            let point = if v1.is_empty() { "/c" } else { "/c/unified" };
            mounts.push(Mount {
                version: Version::V2,
                controllers: vec!["hugetlb".into()],
                point: point.into(),
                root: "/".into(),
            });
        }
        Layout { mounts }
    }

    fn request(path: Option<&str>) -> Request<'_> {
        Request {
            id: "c1",
            cgroups_path: path.map(Path::new),
            driver: Driver::Cgroupfs,
            rootless: false,
            annotations: None,
            owner: None,
        }
    }

    fn paths(request: &Request<'_>, layout: &Layout, own: &[(&[&str], &str)]) -> Vec<String> {
        let text: String = own.iter().map(|(c, p)| format!("1:{}:{p}\n", c.join(","))).collect();
        let own = Membership::parse(&text);
        let own = (!is_absolute(request)).then_some(&own);
        in_file_system(request, layout, own)
            .hierarchies
            .iter()
            .map(|h| h.path.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn paths_follow_the_rules_of_the_specification_and_of_runc() {
        let own: &[(&[&str], &str)] = &[(&["memory"], "/own/m"), (&[], "/own/u")];
        let v1 = layout(&["cpu", "memory"], false);
        let hybrid = layout(&["memory"], true);
        let v2 = layout(&[], true);
        for (path, layout, expected) in [
            (None, &v1, vec!["/c/cpu/c1", "/c/memory/own/m/c1"]),
            (Some(""), &v1, vec!["/c/cpu/c1", "/c/memory/own/m/c1"]),
            (Some("/a/b"), &v1, vec!["/c/cpu/a/b", "/c/memory/a/b"]),
            (Some("/../a"), &v1, vec!["/c/cpu/a", "/c/memory/a"]),
            (Some("x/../../y"), &v1, vec!["/c/cpu/y", "/c/memory/own/m/y"]),
            (None, &hybrid, vec!["/c/memory/own/m/c1", "/c/unified/own/u/c1"]),
            (None, &v2, vec!["/c/own/c1"]),
            (Some("/a"), &v2, vec!["/c/a"]),
            (Some("a"), &v2, vec!["/c/own/a"]),
        ] {
            assert_eq!(paths(&request(path), layout, own), expected, "{path:?}");
        }
    }

    #[test]
    fn a_given_path_is_never_gone_without() {
        let rootless = |path| Request { rootless: true, ..request(path) };
        assert!(in_file_system(&rootless(None), &layout(&[], true), None).may_go_without);
        assert!(!in_file_system(&rootless(Some("/x")), &layout(&[], true), None).may_go_without);
    }

    #[test]
    fn the_record_keeps_its_form() {
        let placement = in_file_system(&request(Some("/x")), &layout(&["memory"], true), None);
        let json = serde_json::to_string(&placement).unwrap();
        assert_eq!(
            json,
            concat!(
                r#"{"layout":"hybrid","hierarchies":[{"version":"v1","controllers":["memory"],"mount":"/c/memory","#,
                r#""path":"/c/memory/x"},{"version":"v2","controllers":["hugetlb"],"mount":"/c/unified","#,
                r#""path":"/c/unified/x"}],"may_go_without":false,"rootless":false}"#
            )
        );
        assert_eq!(serde_json::from_str::<Placement>(&json).unwrap(), placement);
        let keys: Vec<String> = placement.paths().into_keys().collect();
        assert_eq!(keys, ["", "memory"]);
    }
}
