//! Intel RDT: shares of the last-level cache and of memory bandwidth, by the `resctrl` file system. A directory below
//! its mount is a class of service: its `schemata` says what the class gets, its `tasks` who is in it.
//!
//! A class that the bundle names (`closID`) belongs to others too and is never removed; without a name it is the
//! container's own and goes with it.

use super::error::{Error, Result};
use super::stats::{CmtNode, IntelRdt, L3CacheInfo, MbmNode, MemBwInfo};
use oci_spec::runtime::LinuxIntelRdt;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Where a container's class of service is; kept in its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    root: PathBuf,
    /// The directory of the class.
    pub path: PathBuf,
    /// The directory of the container's own monitoring group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<PathBuf>,
    /// The class has no name given by the bundle.
    own: bool,
}

/// Where `resctrl` is mounted.
pub fn mount_point() -> Result<PathBuf> {
    let path = Path::new("/proc/self/mountinfo");
    let text = std::fs::read_to_string(path).map_err(|cause| Error::on("read", path, cause))?;
    let mount = text.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        kind.starts_with("resctrl ").then(|| place.split(' ').nth(4)).flatten()
    });
    mount.map(PathBuf::from).ok_or_else(|| {
        Error::Unsupported(
            "intelRdt is specified in config, but Intel RDT is not supported or enabled".into(),
        )
    })
}

/// Decides; makes nothing.
pub fn plan(id: &str, rdt: &LinuxIntelRdt, root: &Path) -> Result<Class> {
    let name = rdt.clos_id().as_deref().filter(|name| !name.is_empty());
    if let Some(name) = name
        && (name == "." || name == ".." || name.contains(['/', '\n']))
    {
        return Err(Error::Invalid(format!("invalid intelRdt.ClosID {name:?}")));
    }
    // closID "" is not given, "/" would be the root class, which is refused with every other slash.
    let path = root.join(name.unwrap_or(id));
    let monitoring = monitors(rdt).then(|| path.join("mon_groups").join(id));
    Ok(Class { root: root.to_owned(), path, monitoring, own: name.is_none() })
}

fn monitors(rdt: &LinuxIntelRdt) -> bool {
    [rdt.enable_monitoring(), rdt.enable_cmt(), rdt.enable_mbm()].contains(&&Some(true))
}

fn schemata(rdt: &LinuxIntelRdt) -> Vec<&str> {
    let fields = [rdt.l3_cache_schema(), rdt.mem_bw_schema()];
    let lines = fields.into_iter().flatten().chain(rdt.schemata().iter().flatten());
    lines.map(String::as_str).filter(|line| !line.is_empty()).collect()
}

impl Class {
    /// Makes the class if it is not there, and puts a process into it.
    pub fn place(&self, pid: i32, rdt: &LinuxIntelRdt) -> Result<()> {
        if !self.own && schemata(rdt).is_empty() && !self.path.is_dir() {
            let cause = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(Error::on(
                "clos dir not accessible (must be pre-created when schemata, l3CacheSchema and memBwSchema are empty):",
                &self.path,
                cause,
            ));
        }
        for path in std::iter::once(&self.path).chain(&self.monitoring) {
            match std::fs::create_dir(path) {
                Err(cause) if cause.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(self.explain(Error::on("mkdir", path, cause)));
                }
                _ => self.write(path, "tasks", &pid.to_string())?,
            }
        }
        Ok(())
    }

    /// What the class gets.
    pub fn set(&self, rdt: &LinuxIntelRdt) -> Result<()> {
        let lines = schemata(rdt);
        if lines.is_empty() {
            return Ok(());
        }
        self.write(&self.path, "schemata", &(lines.join("\n") + "\n"))
    }

    fn write(&self, directory: &Path, file: &str, value: &str) -> Result<()> {
        let path = directory.join(file);
        std::fs::write(&path, value)
            .map_err(|cause| self.explain(Error::Write { value: value.trim().to_owned(), path, cause }))
    }

    /// The file system keeps the reason for its last refusal.
    fn explain(&self, error: Error) -> Error {
        let reason = std::fs::read_to_string(self.root.join("info/last_cmd_status")).unwrap_or_default();
        match reason.trim() {
            "" | "ok" => error,
            reason => error.context(format!("intelrdt, last kernel error: {reason}")),
        }
    }

    /// Removes what is the container's own. Done twice, it succeeds twice.
    pub fn destroy(&self) -> Result<()> {
        let own = self.own.then_some(&self.path);
        let mut errors = Vec::new();
        for path in self.monitoring.iter().chain(own) {
            match rustix::fs::rmdir(path) {
                Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                Err(errno) => errors.push(Error::on("remove", path, errno)),
            }
        }
        Error::collect(errors)
    }

    /// What the class gets and uses.
    pub fn stats(&self) -> IntelRdt {
        let info = |path: &str| std::fs::read_to_string(self.root.join("info").join(path)).ok();
        let text = |path: &str| info(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        let count = |path: &str| text(path).parse().unwrap_or_default();
        let schema = |directory: &Path, kind: &str| {
            let all = std::fs::read_to_string(directory.join("schemata")).unwrap_or_default();
            let line = all.lines().map(str::trim).find(|line| line.starts_with(kind));
            line.unwrap_or_default().to_owned()
        };
        let mut stats = IntelRdt::default();
        if info("L3/cbm_mask").is_some() {
            stats.l3_cache_info = Some(L3CacheInfo {
                cbm_mask: text("L3/cbm_mask"),
                min_cbm_bits: count("L3/min_cbm_bits"),
                num_closids: count("L3/num_closids"),
            });
            stats.l3_cache_schema_root = schema(&self.root, "L3:");
            stats.l3_cache_schema = schema(&self.path, "L3:");
        }
        if info("MB/min_bandwidth").is_some() {
            stats.mem_bw_info = Some(MemBwInfo {
                bandwidth_gran: count("MB/bandwidth_gran"),
                delay_linear: count("MB/delay_linear"),
                min_bandwidth: count("MB/min_bandwidth"),
                num_closids: count("MB/num_closids"),
            });
            stats.mem_bw_schema_root = schema(&self.root, "MB:");
            stats.mem_bw_schema = schema(&self.path, "MB:");
        }
        let features = text("L3_MON/mon_features");
        let has = |feature: &str| features.lines().any(|line| line.trim() == feature);
        let data = self.monitoring.as_ref().unwrap_or(&self.path).join("mon_data");
        if has("mbm_total_bytes") || has("mbm_local_bytes") {
            let node = |node: &Path| MbmNode {
                mbm_total_bytes: node_count(node, "mbm_total_bytes"),
                mbm_local_bytes: node_count(node, "mbm_local_bytes"),
            };
            stats.mbm_stats = Some(nodes(&data).iter().map(|path| node(path)).collect());
        }
        if has("llc_occupancy") {
            let node = |node: &Path| CmtNode { llc_occupancy: node_count(node, "llc_occupancy") };
            stats.cmt_stats = Some(nodes(&data).iter().map(|path| node(path)).collect());
        }
        stats
    }
}

fn node_count(node: &Path, file: &str) -> u64 {
    std::fs::read_to_string(node.join(file))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or_default()
}

fn nodes(data: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data).into_iter().flatten().flatten();
    let mut nodes: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    nodes.sort();
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rdt(json: &str) -> LinuxIntelRdt {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_class_without_a_name_is_the_containers_own_and_goes_with_it() {
        let root = tempfile::tempdir().unwrap();
        let spec = rdt(r#"{"l3CacheSchema":"L3:0=7f0","memBwSchema":"MB:0=70","schemata":["L2:0=f"]}"#);
        let class = plan("c1", &spec, root.path()).unwrap();
        class.place(42, &spec).unwrap();
        class.set(&spec).unwrap();
        let read = |file: &str| std::fs::read_to_string(class.path.join(file)).unwrap();
        assert_eq!(read("tasks"), "42");
        assert_eq!(read("schemata"), "L3:0=7f0\nMB:0=70\nL2:0=f\n");
        // In the real one the files go with the directory.
        std::fs::remove_file(class.path.join("tasks")).unwrap();
        std::fs::remove_file(class.path.join("schemata")).unwrap();
        class.destroy().unwrap();
        assert!(!class.path.exists());
        class.destroy().unwrap();
    }

    #[test]
    fn a_named_class_must_be_there_and_stays() {
        let root = tempfile::tempdir().unwrap();
        let spec = rdt(r#"{"closID":"gold","enableMonitoring":true}"#);
        let class = plan("c1", &spec, root.path()).unwrap();
        let error = compute::Error::from(class.place(42, &spec).unwrap_err());
        assert_eq!(error.kind(), compute::Kind::NotFound);
        assert!(error.to_string().contains("must be pre-created"), "{error}");

        std::fs::create_dir_all(root.path().join("gold/mon_groups")).unwrap();
        class.place(42, &spec).unwrap();
        let group = root.path().join("gold/mon_groups/c1");
        assert_eq!(class.monitoring.as_deref(), Some(group.as_path()));
        std::fs::remove_file(group.join("tasks")).unwrap();
        class.destroy().unwrap();
        assert!(class.path.exists() && !group.exists());
        assert!(plan("c1", &rdt(r#"{"closID":"../x"}"#), root.path()).is_err());
    }

    #[test]
    fn statistics_are_read() {
        let root = tempfile::tempdir().unwrap();
        for (file, content) in [
            ("info/L3/cbm_mask", "fffff\n"),
            ("info/L3/min_cbm_bits", "1\n"),
            ("info/L3/num_closids", "16\n"),
            ("info/L3_MON/mon_features", "llc_occupancy\nmbm_total_bytes\nmbm_local_bytes\n"),
            ("schemata", "    L3:0=fffff\n"),
            ("c1/schemata", "    L3:0=7f0\n"),
            ("c1/mon_data/mon_L3_00/llc_occupancy", "123\n"),
            ("c1/mon_data/mon_L3_00/mbm_total_bytes", "9\n"),
        ] {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let stats = plan("c1", &rdt("{}"), root.path()).unwrap().stats();
        assert_eq!(
            serde_json::to_string(&stats).unwrap(),
            concat!(
                r#"{"l3_cache_info":{"cbm_mask":"fffff","min_cbm_bits":1,"num_closids":16},"#,
                r#""l3_cache_schema_root":"L3:0=fffff","l3_cache_schema":"L3:0=7f0","#,
                r#""mbm_stats":[{"mbm_total_bytes":9}],"cmt_stats":[{"llc_occupancy":123}]}"#
            )
        );
    }

    #[test]
    fn without_resctrl_the_error_says_so() {
        if let Err(error) = mount_point() {
            assert!(error.to_string().contains("Intel RDT is not supported or enabled"), "{error}");
        }
    }
}
