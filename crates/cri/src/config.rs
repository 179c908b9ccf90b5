//! The daemon's configuration: one TOML file, every key with a default.
//!
//! `cofferdam config default` prints exactly what stands here; an unknown key is an error that names it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use compute::backend::Isolation;
use serde::{Deserialize, Serialize};

use crate::error::{Attempt as _, Error, Kind, Result};

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What outlives a reboot: images, snapshots, records.
    pub root: PathBuf,
    /// What does not: bundles, sockets, pinned namespaces. Best on a tmpfs.
    pub state: PathBuf,
    /// The interface's socket.
    pub grpc: Grpc,
    /// How containers are run.
    pub runtime: Runtime,
    /// Images and registries.
    pub images: Images,
    /// Pod networks.
    pub network: Network,
    /// The server of exec, attach and port-forward.
    pub streaming: Streaming,
    /// Plugins of the Node Resource Interface.
    pub nri: Nri,
    /// Devices by the Container Device Interface.
    pub cdi: Cdi,
    /// Classes of quality of service.
    pub qos: Qos,
    /// What is logged.
    pub log: Log,
    /// Traces of calls.
    pub tracing: Tracing,
    /// The daemon's own figures.
    pub metrics: Metrics,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            root: "/var/lib/cofferdam".into(),
            state: "/run/cofferdam".into(),
            grpc: Grpc::default(),
            runtime: Runtime::default(),
            images: Images::default(),
            network: Network::default(),
            streaming: Streaming::default(),
            nri: Nri::default(),
            cdi: Cdi::default(),
            qos: Qos::default(),
            log: Log::default(),
            tracing: Tracing::default(),
            metrics: Metrics::default(),
        }
    }
}

/// The interface's socket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grpc {
    /// Its path.
    pub socket: PathBuf,
    /// The group that may use it, by number; its owner is the daemon's user.
    pub gid: u32,
    /// The longest message that is taken and given, in bytes.
    pub max_message_bytes: usize,
}

impl Default for Grpc {
    fn default() -> Self {
        Self { socket: "/run/cofferdam/cofferdam.sock".into(), gid: 0, max_message_bytes: 16 << 20 }
    }
}

/// Who manages control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupDriver {
    /// systemd where it runs, the file system elsewhere.
    Auto,
    /// systemd, over D-Bus.
    Systemd,
    /// The cgroup file system.
    Cgroupfs,
}

/// How containers are run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Runtime {
    /// The program of a pod, by path or by name.
    pub shim: PathBuf,
    /// The cgroup driver; the kubelet asks for it and uses the same.
    pub cgroup_driver: CgroupDriver,
    /// The handler of pods that name none.
    pub default_handler: String,
    /// What a pod may name as its runtime handler.
    pub handlers: BTreeMap<String, Handler>,
    /// A line of a container's output that is longer is written in parts, in bytes.
    pub max_log_line_bytes: usize,
    /// Lets a container listen on ports below 1024 and use ICMP sockets without a capability, unless its pod's
    /// network is the host's or has sysctls of its own.
    pub unprivileged_ports: bool,
    /// Where `localhost/` profiles of seccomp lie.
    pub seccomp_profiles: PathBuf,
    /// The seccomp profile of containers that name none: `unconfined`, or `default` for the built-in one.
    pub seccomp_unset: String,
    /// The AppArmor profile that stands for "runtime default". The host must have loaded it.
    pub apparmor_default: String,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            shim: "containerd-shim-runhcs-v1".into(),
            cgroup_driver: CgroupDriver::Auto,
            default_handler: "runhcs".to_owned(),
            handlers: BTreeMap::from([("runhcs".to_owned(), Handler::default())]),
            max_log_line_bytes: 16 << 10,
            unprivileged_ports: true,
            seccomp_profiles: "/var/lib/kubelet/seccomp".into(),
            seccomp_unset: "default".to_owned(),
            apparmor_default: "cofferdam-default".to_owned(),
        }
    }
}

/// What a runtime handler stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Handler {
    /// How its pods are kept apart from the host.
    pub isolation: Isolation,
    /// A privileged container sees the host's devices.
    pub privileged_has_host_devices: bool,
    /// Annotations of a pod that are passed on to its shim; a `*` at the end stands for anything.
    pub pod_annotations: Vec<String>,
}

impl Default for Handler {
    fn default() -> Self {
        Self { isolation: Isolation::Process, privileged_has_host_devices: true, pod_annotations: Vec::new() }
    }
}

/// Images and registries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Images {
    /// Folders with a `hosts.toml` for each registry.
    pub registry_folders: Vec<PathBuf>,
    /// Images that are never collected.
    pub pinned: Vec<String>,
    /// Layers of one image that are fetched at the same time.
    pub parallel_layers: usize,
    /// What one image may unpack to, in bytes; more is refused as a bomb.
    pub max_unpacked_bytes: u64,
    /// A pull that gets nothing for so long fails, in seconds.
    pub progress_timeout_secs: u64,
}

impl Default for Images {
    fn default() -> Self {
        Self {
            registry_folders: vec!["/etc/cofferdam/certs.d".into(), "/etc/containerd/certs.d".into()],
            pinned: Vec::new(),
            parallel_layers: 4,
            max_unpacked_bytes: 64 << 30,
            progress_timeout_secs: 60,
        }
    }
}

/// Which of a pod's addresses is its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpPreference {
    /// The first IPv4 address.
    Ipv4,
    /// The first IPv6 address.
    Ipv6,
    /// The one that the plugins name first.
    Cni,
}

/// Pod networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Where the network's configuration lies.
    pub conf_folders: Vec<PathBuf>,
    /// Where the plugins lie.
    pub bin_folders: Vec<PathBuf>,
    /// Which of a pod's addresses is its first.
    pub ip_preference: IpPreference,
    /// How long a chain of plugins may take, in seconds.
    pub timeout_secs: u64,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            conf_folders: vec!["/etc/cni/net.d".into()],
            bin_folders: vec!["/opt/cni/bin".into(), "/usr/lib/cni".into()],
            ip_preference: IpPreference::Ipv4,
            timeout_secs: 120,
        }
    }
}

/// The server of exec, attach and port-forward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Streaming {
    /// Where it listens; port 0 takes a free one.
    pub address: String,
    /// With both set it speaks TLS.
    pub tls_certificate: Option<PathBuf>,
    /// The certificate's key.
    pub tls_key: Option<PathBuf>,
    /// A stream without any traffic is closed after so long, in seconds.
    pub idle_timeout_secs: u64,
}

impl Default for Streaming {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:0".to_owned(),
            tls_certificate: None,
            tls_key: None,
            idle_timeout_secs: 4 * 3600,
        }
    }
}

/// Plugins of the Node Resource Interface, which see all pods and may adjust containers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Nri {
    /// Whether there are any.
    pub enabled: bool,
    /// Whether plugins may connect to the socket; without, there are only those that are installed.
    pub connections: bool,
    /// Where they connect. A socket that another runtime serves is left alone.
    pub socket: PathBuf,
    /// Plugins that are started with the daemon, in files named `INDEX-NAME`.
    pub plugin_folder: PathBuf,
    /// Their configuration, in files named `INDEX-NAME.conf` or `NAME.conf`.
    pub config_folder: PathBuf,
    /// How long a plugin may take to register, in milliseconds.
    pub registration_timeout_ms: u64,
    /// How long a plugin may take to look at what there is when it comes, in milliseconds. Verbs wait for it.
    pub synchronization_timeout_ms: u64,
    /// How long a plugin may take for any other answer, in milliseconds. One that takes longer is disconnected.
    pub request_timeout_ms: u64,
    /// Plugins, by name, without which no container is made.
    pub required_plugins: Vec<String>,
}

impl Default for Nri {
    fn default() -> Self {
        Self {
            enabled: true,
            connections: true,
            socket: "/var/run/nri/nri.sock".into(),
            plugin_folder: "/opt/nri/plugins".into(),
            config_folder: "/etc/nri/conf.d".into(),
            registration_timeout_ms: 5_000,
            synchronization_timeout_ms: 5_000,
            request_timeout_ms: 2_000,
            required_plugins: Vec::new(),
        }
    }
}

/// Devices by the Container Device Interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cdi {
    /// Where vendors describe devices, the last folder the most important; none of them turns CDI off.
    pub folders: Vec<PathBuf>,
}

impl Default for Cdi {
    fn default() -> Self {
        Self { folders: vec!["/etc/cdi".into(), "/var/run/cdi".into()] }
    }
}

/// Classes of quality of service, which annotations give to pods and containers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Qos {
    /// The classes of block I/O, in goresctrl's format; nothing turns them off.
    pub blockio_file: Option<PathBuf>,
    /// A container that asks for a class of block I/O while they are off is made without; otherwise it is refused.
    pub ignore_blockio_off: bool,
    /// The classes of RDT, in goresctrl's format; nothing turns them off.
    pub rdt_file: Option<PathBuf>,
    /// A container that asks for a class of RDT while they are off is made without; otherwise it is refused.
    pub ignore_rdt_off: bool,
}

/// How traces are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OtlpProtocol {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP as protobuf over HTTP.
    Http,
}

/// Traces of calls, by OpenTelemetry's protocol.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tracing {
    /// The collector, `http://host:4317`; empty for no traces. Without it the variable OTEL_EXPORTER_OTLP_ENDPOINT counts.
    pub endpoint: String,
    /// How it is spoken to.
    pub protocol: OtlpProtocol,
    /// How many of the calls that come without a decision of their client's are traced, from 0 to 1.
    pub sampling_ratio: f64,
}

impl Default for Tracing {
    fn default() -> Self {
        Self { endpoint: String::new(), protocol: OtlpProtocol::Grpc, sampling_ratio: 1.0 }
    }
}

/// The daemon's own figures, for Prometheus.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Where `/metrics` and `/healthz` are served, `127.0.0.1:9323` or the path of a socket; empty for nowhere.
    pub address: String,
    /// With cAdvisor's figures of pods and containers.
    pub pods: bool,
}

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives per part of the program.
    pub level: String,
    /// The form of a line.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// Where the file lies if nobody says otherwise. It need not exist.
pub const FILE: &str = "/etc/cofferdam/config.toml";

impl Config {
    /// Reads a file; without one that was named, the usual one if it is there, and the defaults otherwise.
    pub fn read(file: Option<&Path>) -> Result<Self> {
        let path = file.unwrap_or(Path::new(FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(error).attempt(|| format!("read the configuration {}", path.display()));
            }
        };
        let config: Self = toml::from_str(&text)
            .attempt_as(Kind::Invalid, || format!("read the configuration {}", path.display()))?;
        config.check()?;
        Ok(config)
    }

    /// What no type can say.
    pub fn check(&self) -> Result<()> {
        let default = &self.runtime.default_handler;
        if !self.runtime.handlers.contains_key(default) {
            return Err(Error::invalid(format!(
                "runtime.default_handler is {default:?}, which runtime.handlers lacks"
            )));
        }
        if let Some((name, _)) =
            self.runtime.handlers.iter().find(|(_, handler)| handler.isolation == Isolation::Hypervisor)
        {
            return Err(Error::invalid(format!(
                "runtime.handlers.{name}.isolation is \"hypervisor\", which this version cannot do"
            )));
        }
        for (key, folder) in [("root", &self.root), ("state", &self.state)] {
            if !folder.is_absolute() {
                return Err(Error::invalid(format!("{key} is {}, which is not absolute", folder.display())));
            }
        }
        let nri = &self.nri;
        for (key, time) in [
            ("registration", nri.registration_timeout_ms),
            ("synchronization", nri.synchronization_timeout_ms),
            ("request", nri.request_timeout_ms),
        ] {
            if time == 0 {
                return Err(Error::invalid(format!(
                    "nri.{key}_timeout_ms is 0: no plugin answers in no time"
                )));
            }
        }
        if self.streaming.tls_certificate.is_some() != self.streaming.tls_key.is_some() {
            return Err(Error::invalid("streaming.tls_certificate and streaming.tls_key belong together"));
        }
        if self.cdi.folders.iter().any(|folder| !folder.is_absolute()) {
            return Err(Error::invalid("cdi.folders: each has to be absolute"));
        }
        if !(0.0..=1.0).contains(&self.tracing.sampling_ratio) {
            return Err(Error::invalid(format!(
                "tracing.sampling_ratio is {}; 0 to 1 is possible",
                self.tracing.sampling_ratio
            )));
        }
        let metrics = &self.metrics.address;
        if !metrics.is_empty()
            && !metrics.starts_with('/')
            && metrics.parse::<std::net::SocketAddr>().is_err()
        {
            return Err(Error::invalid(format!(
                "metrics.address is {metrics:?}, which is neither ADDRESS:PORT nor an absolute path"
            )));
        }
        if !matches!(self.runtime.seccomp_unset.as_str(), "default" | "unconfined") {
            return Err(Error::invalid(format!(
                "runtime.seccomp_unset is {:?}: \"default\" and \"unconfined\" are possible",
                self.runtime.seccomp_unset
            )));
        }
        Ok(())
    }

    /// As a file would say it.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).attempt(|| "write the configuration".to_owned())
    }

    /// The cgroup driver of this host.
    pub fn uses_systemd(&self) -> bool {
        match self.runtime.cgroup_driver {
            CgroupDriver::Systemd => true,
            CgroupDriver::Cgroupfs => false,
            CgroupDriver::Auto => Path::new("/run/systemd/system").is_dir(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_read_back_as_they_are_printed() {
        let text = Config::default().to_toml().unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default());
    }

    #[test]
    fn an_unknown_key_and_an_impossible_value_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        for (text, says) in [
            ("[runtime]\nshimm = \"x\"\n", "unknown field `shimm`"),
            ("[runtime]\ndefault_handler = \"kata\"\n", "which runtime.handlers lacks"),
            ("root = \"var\"\n", "root is var, which is not absolute"),
            ("[streaming]\ntls_key = \"/k\"\n", "belong together"),
            ("[nri]\nrequest_timeout_ms = 0\n", "nri.request_timeout_ms is 0"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = Config::read(Some(&file)).unwrap_err();
            let line = crate::error::chain(&error);
            assert!(line.contains(says), "{line}");
        }
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        assert!(Config::read(Some(Path::new("/nowhere/config.toml"))).is_err());
    }
}
