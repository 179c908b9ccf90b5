//! `serve`: the shim itself, from its first step to its last.

use crate::backends::signals::Signals;
use crate::flags::Flags;
use crate::io::Logger;
use crate::pod::Pod;
use crate::publish::{Events, Way};
use crate::ready;
use crate::task::{Exec, Task};
use crate::{children, lend, logging};
use anyhow::{Context as _, bail};
use rustix::fd::AsFd;
use shim_api::bootstrap::TTRPC_ADDRESS;
use shim_api::{Kind, Refusal};
use std::collections::{BTreeMap, HashMap};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::Interest;
use tokio::sync::Notify;

/// How long the last events may take to the daemon.
const LAST_EVENTS: Duration = Duration::from_secs(2);
/// The highest there is: killed first.
const MOST_OOM_SCORE: i32 = 1000;

/// What all parts of the shim share.
pub(crate) struct Shim {
    pub(crate) namespace: String,
    pub(crate) events: Events,
    pub(crate) logger: Mutex<Logger>,
    /// The end was asked for.
    pub(crate) end: Notify,
    tasks: Mutex<Tasks>,
}

/// What there is.
#[derive(Default)]
pub(crate) struct Tasks {
    pub(crate) pod: Option<Pod>,
    containers: BTreeMap<String, Task>,
    processes: HashMap<i32, (String, Option<String>)>,
}

impl Shim {
    /// Holds everything while something is done to it; nothing is waited for meanwhile.
    pub(crate) fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tasks {
    pub(crate) fn contains(&self, id: &str) -> bool {
        self.containers.contains_key(id)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Result<&mut Task, Refusal> {
        self.containers
            .get_mut(id)
            .ok_or_else(|| Refusal::new(Kind::NotFound, format!("container {id} does not exist")))
    }

    pub(crate) fn insert(&mut self, task: Task) {
        let id = task.id.to_string();
        self.know(task.first.pid(), &id, None);
        self.containers.insert(id, task);
    }

    pub(crate) fn remove(&mut self, id: &str) {
        self.containers.remove(id);
        if self.containers.is_empty() {
            // What a burst needed goes back.
            self.processes = HashMap::new();
        }
    }

    /// From here on the end of this process is that of a container's.
    pub(crate) fn know(&mut self, pid: i32, id: &str, exec: Exec<'_>) {
        if pid != 0 {
            self.processes.insert(pid, (id.to_owned(), exec.map(ToOwned::to_owned)));
        }
    }

    /// Whose process this was.
    pub(crate) fn forget(&mut self, pid: i32) -> Option<(String, Option<String>)> {
        self.processes.remove(&pid)
    }

    /// All containers.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.containers.keys().cloned().collect()
    }

    /// Whether nobody would miss this shim.
    pub(crate) fn is_idle(&self) -> bool {
        self.containers.is_empty() && self.pod.as_ref().is_none_or(Pod::is_stopped)
    }
}

/// See the module's text.
pub(crate) fn serve(flags: &Flags) -> anyhow::Result<()> {
    // Before anything else is opened.
    let logger = Logger::reserve().context("keep descriptors free")?;
    let listener = listener().context("take the socket from standard input")?;
    let log = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3).context("keep the log")?;
    logging::open(&flags.id, log, flags.debug);
    lend::take_back().context("free the standard streams")?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).context("become a subreaper")?;
    if let Err(error) = be_expendable() {
        log::debug!("raise the shim's OOM score: {error}");
    }
    let signals = Signals::block().context("block signals")?;
    let socket = listener.local_addr().ok().and_then(|address| address.as_pathname().map(PathBuf::from));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .context("start the event loop")?;
    let served = runtime.block_on(run(flags, logger, listener, signals));
    if let Some(socket) = socket {
        // The next shim of this name takes it over, if it cannot be removed.
        let _ = std::fs::remove_file(socket);
    }
    served.inspect_err(|error| log::error!("{error:#}"))
}

async fn run(flags: &Flags, logger: Logger, listener: UnixListener, signals: Signals) -> anyhow::Result<()> {
    let shim = Arc::new(Shim {
        namespace: flags.namespace.clone(),
        events: Events::new(&flags.namespace),
        logger: Mutex::new(logger),
        end: Notify::new(),
        tasks: Mutex::default(),
    });
    let arrived = signals.as_fd().try_clone_to_owned().context("duplicate a descriptor")?;
    let arrived = ready::watch(arrived, Interest::READABLE).context("watch signals")?;
    tokio::spawn(children::watch(shim.clone(), signals, arrived));
    let (way, publishing) = (way(flags), shim.clone());
    tokio::spawn(async move { publishing.events.publish(way).await });
    let service = Arc::new(crate::service::Requests(shim.clone()));
    shim_api::serve(service, listener, shim.end.notified()).await.context("serve requests")?;
    shim.events.settle(LAST_EVENTS).await;
    Ok(())
}

fn way(flags: &Flags) -> Way {
    match std::env::var(TTRPC_ADDRESS) {
        Ok(address) if !address.is_empty() => Way::Socket(address),
        _ if !flags.publish_binary.as_os_str().is_empty() => {
            Way::Program { program: flags.publish_binary.clone(), address: flags.address.clone() }
        }
        _ => Way::Nowhere,
    }
}

/// Standard input is the socket that `start` made.
fn listener() -> anyhow::Result<UnixListener> {
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    if !rustix::net::sockopt::socket_acceptconn(&socket).unwrap_or(false) {
        bail!("it is no socket that listens: `start` runs this program with one");
    }
    Ok(socket.into())
}

/// When memory runs out, a shim goes before the daemon that started it.
fn be_expendable() -> std::io::Result<()> {
    let path = "/proc/self/oom_score_adj";
    let text = std::fs::read_to_string(path)?;
    let score: i32 = text.trim().parse().map_err(std::io::Error::other)?;
    std::fs::write(path, score.saturating_add(1).min(MOST_OOM_SCORE).to_string())
}
