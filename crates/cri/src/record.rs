//! What the daemon remembers of a pod and of a container.
//!
//! What runs is not written here: the shims hold that, and after a crash the truth is what they say. A record has
//! what cannot be asked of anybody: what was requested, what was given out, and how it ended.

use serde::{Deserialize, Serialize};
use snapshots::ChainId;

use crate::wire::v1;

/// The version of the records; a reader refuses a newer one.
pub(crate) const VERSION: u32 = 1;

/// A pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PodRecord {
    pub(crate) version: u32,
    pub(crate) id: String,
    /// What was asked for.
    pub(crate) config: v1::PodSandboxConfig,
    /// The runtime handler that was asked for; empty for the default.
    #[serde(default)]
    pub(crate) handler: String,
    /// Nanoseconds since 1970.
    pub(crate) created_at: i64,
    /// The addresses that the network gave, the primary one first.
    #[serde(default)]
    pub(crate) ips: Vec<String>,
    /// Where its shim listens.
    #[serde(default)]
    pub(crate) shim: String,
    /// Whether it has been stopped; a stopped pod never starts again.
    #[serde(default)]
    pub(crate) stopped: bool,
    /// Whether it has once been ready; otherwise it is the rest of a start that was cut off.
    #[serde(default)]
    pub(crate) ready: bool,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ContainerRecord {
    pub(crate) version: u32,
    pub(crate) id: String,
    pub(crate) pod: String,
    pub(crate) config: v1::ContainerConfig,
    /// The image's id, the digest of its configuration.
    pub(crate) image_id: String,
    /// The image as clients refer to it: a name with a digest where there is one.
    pub(crate) image_ref: String,
    /// Where its lines go; empty for nowhere.
    #[serde(default)]
    pub(crate) log_path: String,
    /// The signal that asks it to end.
    pub(crate) stop_signal: i32,
    /// Nanoseconds since 1970.
    pub(crate) created_at: i64,
    /// When its program was started; 0 before.
    #[serde(default)]
    pub(crate) started_at: i64,
    /// How it ended.
    #[serde(default)]
    pub(crate) end: Option<End>,
    /// The limits it has now; those of the configuration until they are changed.
    #[serde(default)]
    pub(crate) resources: Option<v1::LinuxContainerResources>,
    /// The topmost layers of the images that it has as volumes: these stay while it is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) image_volumes: Vec<ChainId>,
    /// Its user, as the image's files resolve it.
    #[serde(default)]
    pub(crate) user: v1::LinuxContainerUser,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    /// Nanoseconds since 1970.
    pub(crate) at: i64,
    pub(crate) code: i32,
    /// The kernel ended it for its use of memory.
    #[serde(default)]
    pub(crate) oom_killed: bool,
    /// Why it never ran, or why nobody knows how it ended.
    #[serde(default)]
    pub(crate) message: String,
    /// A word instead of the usual one: `StartError`, `ContainerStatusUnknown`.
    #[serde(default)]
    pub(crate) reason: String,
}

impl End {
    /// The word that the kubelet shows.
    pub(crate) fn reason(&self) -> &str {
        match self {
            _ if !self.reason.is_empty() => &self.reason,
            _ if self.oom_killed => "OOMKilled",
            End { code: 0, .. } => "Completed",
            _ => "Error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What version 1 has on disk. It does not change: a change is version 2.
    const POD: &str = include_str!("../tests/fixtures/pod-1.json");
    const CONTAINER: &str = include_str!("../tests/fixtures/container-1.json");

    fn json(text: &str) -> serde_json::Value {
        serde_json::from_str(text).unwrap()
    }

    fn pod() -> PodRecord {
        let metadata = v1::PodSandboxMetadata { name: "web".to_owned(), ..Default::default() };
        PodRecord {
            version: VERSION,
            id: "0123".to_owned(),
            config: v1::PodSandboxConfig { metadata: Some(metadata), ..Default::default() },
            handler: "runhcs".to_owned(),
            created_at: 1,
            ips: vec!["10.0.0.1".to_owned()],
            shim: "unix:///s".to_owned(),
            stopped: true,
            ready: true,
        }
    }

    fn container() -> ContainerRecord {
        ContainerRecord {
            version: VERSION,
            id: "4567".to_owned(),
            pod: "0123".to_owned(),
            config: v1::ContainerConfig { command: vec!["true".to_owned()], ..Default::default() },
            image_id: "sha256:1".to_owned(),
            image_ref: "a@sha256:2".to_owned(),
            log_path: "/log".to_owned(),
            stop_signal: 15,
            created_at: 2,
            started_at: 3,
            end: Some(End {
                at: 4,
                code: 137,
                oom_killed: true,
                message: String::new(),
                reason: String::new(),
            }),
            resources: Some(v1::LinuxContainerResources { cpu_shares: 2, ..Default::default() }),
            image_volumes: Vec::new(),
            user: v1::LinuxContainerUser { uid: 5, gid: 6, supplemental_groups: vec![7] },
        }
    }

    #[test]
    fn a_pod_of_version_1_is_read_and_written_as_it_was() {
        assert_eq!(serde_json::to_value(pod()).unwrap(), json(POD));
        assert_eq!(serde_json::from_str::<PodRecord>(POD).unwrap(), pod());
    }

    #[test]
    fn a_container_of_version_1_is_read_and_written_as_it_was() {
        assert_eq!(serde_json::to_value(container()).unwrap(), json(CONTAINER));
        assert_eq!(serde_json::from_str::<ContainerRecord>(CONTAINER).unwrap(), container());
    }

    #[test]
    fn the_kubelet_reads_why_a_container_ended() {
        let mut end = container().end.unwrap();
        assert_eq!(end.reason(), "OOMKilled");
        (end.oom_killed, end.code) = (false, 0);
        assert_eq!(end.reason(), "Completed");
        end.code = 1;
        assert_eq!(end.reason(), "Error");
    }
}
