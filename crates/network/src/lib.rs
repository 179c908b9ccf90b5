//! Pod network namespaces and the Container Network Interface.
//!
//! [`netns`] makes, pins and removes network namespaces. [`Cni`] joins them to the networks that an administrator has
//! configured, as specification 1.1 of the Container Network Interface says; configurations and plugins of all older
//! versions work too. Nothing here knows of containers or pods beyond the names that plugins are told.
//!
//! | module | what it holds |
//! |---|---|
//! | [`netns`] | namespaces, pinned by a bind mount |
//! | `cni` | the verbs: add, delete, check, collect garbage, status |
//! | `conf_dir`, `network_list` | the administrator's files, and what one of them says |
//! | `chain`, `plugin`, `versions` | a list of plugins run in order, one run of one plugin, what versions it speaks |
//! | `attachment`, `bandwidth` | what is asked for |
//! | `result` | what plugins answer, in all versions of the specification |
//! | `turns` | who works on what, one at a time |
//! | `record` | what must be known to undo an attachment, on disk |

mod attachment;
mod bandwidth;
mod chain;
mod cni;
mod conf_dir;
mod error;
mod loopback;
pub mod netns;
mod network_list;
mod plugin;
mod record;
mod result;
mod spec_version;
mod sys;
mod turns;
mod versions;

pub use attachment::{Attachment, DnsConfig, PortMapping, Protocol};
pub use bandwidth::{Bandwidth, BandwidthError, EGRESS_ANNOTATION, INGRESS_ANNOTATION};
pub use cni::{Attached, AttachedNetwork, Cni, Config, Configured, IpPreference, NotReady};
pub use conf_dir::Broken;
pub use error::{Cause, Error, Failure, Kind, Result};
pub use plugin::PluginError;
pub use record::RecordError;
pub use result::{AddResult, Dns, Interface, IpConfig, Route};
pub use spec_version::SpecVersion;
