//! The daemon as a whole: what its verbs share.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use images::Images;
use network::Cni;
use shim_api::{Launch, Options};
use snapshots::{ChainId, Snapshotter};
use tracing::Instrument as _;

use crate::cdi::Cdi;
use crate::config::{Config, Handler, IpPreference};
use crate::error::{Attempt as _, Error, Kind, Result};
use crate::events::Events;
use crate::figures::Figures;
use crate::host::Host;
use crate::qos::Qos;
use crate::state::Registry;
use crate::store::{Contents, Store};
use crate::streaming::Server;
use crate::wire::v1::ImageSpec;

/// The name of the daemon's containers among others that a shim may have.
const NAMESPACE: &str = "cri";

/// Everything that verbs share; one per process.
pub(crate) struct Daemon {
    pub(crate) config: Config,
    pub(crate) host: Host,
    /// Control groups are systemd's.
    pub(crate) systemd: bool,
    pub(crate) registry: Registry,
    pub(crate) store: Store,
    pub(crate) images: Images,
    pub(crate) snapshots: Arc<dyn Snapshotter>,
    pub(crate) cni: Cni,
    pub(crate) cdi: Cdi,
    pub(crate) qos: Qos,
    pub(crate) events: Events,
    pub(crate) plugins: Arc<::nri::Plugins>,
    pub(crate) figures: Arc<Figures>,
    streaming: OnceLock<Server>,
    /// The shim's program, found.
    shim: PathBuf,
}

impl Daemon {
    /// Opens everything that is on disk; touches nothing that runs.
    pub(crate) async fn open(config: Config) -> Result<(Arc<Self>, Contents)> {
        for folder in [&config.root, &config.state] {
            std::fs::create_dir_all(folder).attempt(|| format!("make {}", folder.display()))?;
        }
        let shim = find_program(&config.runtime.shim)?;
        let figures = Arc::new(Figures::default());
        let (store, contents) =
            Store::open(&config.root.join("records.redb"), &config.state, figures.clone())?;
        let snapshots = open_snapshots(&config.root.join("layers"))?;
        let used = contents.containers.iter().flat_map(|record| record.image_volumes.clone()).collect();
        let images = open_images(&config, snapshots.clone(), used)?;
        let cni = Cni::new(cni_config(&config));
        let systemd = config.uses_systemd();
        let daemon = Self {
            host: Host::look(),
            systemd,
            registry: Registry::default(),
            store,
            images,
            snapshots,
            cni,
            cdi: Cdi::new(&config.cdi.folders),
            qos: Qos::read(&config.qos)?,
            events: Events::default(),
            plugins: Arc::new(::nri::Plugins::new(&crate::plugins::config(&config.nri))),
            figures,
            streaming: OnceLock::new(),
            shim,
            config,
        };
        Ok((Arc::new(daemon), contents))
    }

    /// The server of exec, attach and port-forward.
    pub(crate) fn streaming(&self) -> Result<&Server> {
        let starting = || Error::new(Kind::Unavailable, "the streaming server has not started yet");
        self.streaming.get().ok_or_else(starting)
    }

    /// Hands over the server, once.
    pub(crate) fn set_streaming(&self, server: Server) {
        self.streaming.get_or_init(|| server);
    }

    /// The handler that a pod asks for; empty for the default.
    pub(crate) fn handler(&self, name: &str) -> Result<&Handler> {
        let name = if name.is_empty() { &self.config.runtime.default_handler } else { name };
        let handlers = &self.config.runtime.handlers;
        handlers.get(name).ok_or_else(|| {
            let known: Vec<&str> = handlers.keys().map(String::as_str).collect();
            Error::invalid(format!("no runtime handler {name:?}; there are: {}", known.join(", ")))
        })
    }

    /// All handlers have the same images; one that does not exist has none.
    pub(crate) fn check_image_handler(&self, asked: &ImageSpec) -> Result<()> {
        match self.handler(&asked.runtime_handler) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::caused(Kind::Invalid, "use image.runtime_handler", error)),
        }
    }

    /// Where a pod's bundle lies.
    pub(crate) fn pod_bundle(&self, id: &str) -> PathBuf {
        self.config.state.join("pods").join(id)
    }

    /// Where a container's bundle lies.
    pub(crate) fn container_bundle(&self, id: &str) -> PathBuf {
        self.config.state.join("containers").join(id)
    }

    /// Where the volumes of a container lie that its image declares.
    pub(crate) fn volumes(&self, id: &str) -> PathBuf {
        self.config.root.join("volumes").join(id)
    }

    /// How the shim of a pod is started, or what a dead one left is removed.
    pub(crate) fn launch(&self, id: &str, bundle: &Path) -> Launch {
        Launch {
            program: self.shim.clone(),
            id: id.to_owned(),
            bundle: bundle.to_owned(),
            namespace: NAMESPACE.to_owned(),
            events: self.events_socket(),
            socket_dir: Some(self.config.state.join("s")),
            debug: self.config.log.level.contains("debug") || self.config.log.level.contains("trace"),
        }
    }

    /// Where shims send what they have to tell.
    pub(crate) fn events_socket(&self) -> PathBuf {
        self.config.state.join("events.sock")
    }

    /// How shims make containers and control groups.
    pub(crate) fn shim_options(&self) -> Options {
        Options { systemd_cgroup: self.systemd, ..Options::default() }
    }
}

/// Runs a verb to its end even if the client goes away: half a pod helps nobody.
pub(crate) async fn to_the_end<T: Send + 'static>(
    verb: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    tokio::spawn(verb.in_current_span()).await.attempt(|| "finish the call".to_owned())?
}

/// Runs what blocks where it does no harm.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work)).await.attempt(|| "finish the call".to_owned())?
}

fn find_program(program: &Path) -> Result<PathBuf> {
    if program.components().count() > 1 {
        return Ok(program.to_owned());
    }
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(program)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).map(|folder| folder.join(program));
    beside.into_iter().chain(places).find(|place| place.is_file()).ok_or_else(|| {
        Error::invalid(format!(
            "runtime.shim: {} is neither beside this program nor on PATH",
            program.display()
        ))
    })
}

fn open_snapshots(root: &Path) -> Result<Arc<dyn Snapshotter>> {
    let overlay = snapshots::overlay::Overlay::open(root)
        .attempt(|| format!("open the snapshots in {}", root.display()))?;
    Ok(Arc::new(overlay))
}

fn open_images(config: &Config, snapshots: Arc<dyn Snapshotter>, used: Vec<ChainId>) -> Result<Images> {
    let root = config.root.join("images");
    let mut images = images::Config::new(&root);
    images.network.registry_config_dirs.clone_from(&config.images.registry_folders);
    images.network.idle_timeout = Duration::from_secs(config.images.progress_timeout_secs);
    images.parallel = config.images.parallel_layers;
    images.used = used;
    images.limits.bytes = config.images.max_unpacked_bytes;
    Images::open(images, snapshots).attempt(|| format!("open the images in {}", root.display()))
}

fn cni_config(config: &Config) -> network::Config {
    let network = &config.network;
    network::Config {
        conf_dirs: network.conf_folders.clone(),
        bin_dirs: network.bin_folders.clone(),
        cache_dir: config.root.join("cni"),
        timeout: Duration::from_secs(network.timeout_secs),
        ip_preference: match network.ip_preference {
            IpPreference::Ipv4 => network::IpPreference::Ipv4,
            IpPreference::Ipv6 => network::IpPreference::Ipv6,
            IpPreference::Cni => network::IpPreference::Cni,
        },
        ..network::Config::default()
    }
}
