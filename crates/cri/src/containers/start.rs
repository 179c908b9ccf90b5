//! StartContainer, and what follows when the container ends.

use std::path::Path;
use std::sync::Arc;

use shim_api::outcome::Outcome;
use shim_api::{NewTask, Shim, Streams, cri_log, cri_stdin};
use tracing::Instrument as _;

use crate::clock;
use crate::daemon::Daemon;
use crate::error::{Attempt as _, Error, Kind, Result, chain};
use crate::events;
use crate::pods;
use crate::record::{ContainerRecord, End};
use crate::state::{Container, UNKNOWN};
use crate::traces::step;
use crate::wire::v1::{ContainerEventType, ContainerState};

/// The exit code of a container that never ran, as every runtime reports it.
const NEVER_RAN: i32 = 128;
/// The exit code of a container of whose end nobody knows.
const NOBODY_KNOWS: i32 = 255;

/// Runs a created container's program; returns when it has been executed.
pub(crate) async fn start(daemon: Arc<Daemon>, id: String) -> Result<()> {
    let container = daemon.registry.container(&id)?;
    let _turn = container.turn.lock().await;
    let state = container.state();
    if state != ContainerState::ContainerCreated {
        return Err(Error::new(
            Kind::Precondition,
            format!(
                "container {} is {}, only a created one can be started",
                container.id,
                state.as_str_name()
            ),
        ));
    }
    pods::ready(&container.pod)?;
    let shim = container.pod.shim()?;
    match run(&daemon, &container, &shim).await {
        Ok(pid) => {
            container.set_pid(pid);
            let record = container.change(|record| record.started_at = clock::now());
            tokio::spawn(watch(daemon.clone(), container.clone(), shim));
            if let Err(error) = daemon.store.put_container(&record).await {
                // A container that the client takes for one that failed must not go on.
                super::stop::kill(&daemon, &container).await?;
                return Err(error);
            }
            events::tell(&daemon, ContainerEventType::ContainerStartedEvent, &container.id, &container.pod);
            Ok(())
        }
        Err(error) => {
            never_ran(&daemon, &container, &shim, &error).await;
            Err(error)
        }
    }
}

async fn run(daemon: &Daemon, container: &Container, shim: &Shim) -> Result<i32> {
    let mounts = daemon
        .snapshots
        .mounts(&container.id)
        .attempt(|| format!("find the root of container {}", container.id))?;
    let task = NewTask {
        id: container.id.clone(),
        bundle: container.bundle.clone(),
        rootfs: mounts,
        streams: container.with(|record| streams(record, daemon.config.runtime.max_log_line_bytes)),
        checkpoint: None,
        options: daemon.shim_options(),
    };
    shim.create(&task)
        .instrument(step("shim.create"))
        .await
        .attempt(|| format!("create container {}", container.id))?;
    shim.start_task(&container.id)
        .instrument(step("shim.start"))
        .await
        .attempt(|| format!("start container {}", container.id))
}

/// Output goes to the log by the shim, which outlives this daemon; input comes from those who attach.
fn streams(record: &ContainerRecord, limit: usize) -> Streams {
    let config = &record.config;
    let log = match record.log_path.as_str() {
        // Nobody reads it later, but clients may attach.
        "" => cri_log(Path::new("/dev/null"), limit),
        path => cri_log(Path::new(path), limit),
    };
    Streams {
        stdin: if config.stdin { cri_stdin(config.stdin_once) } else { String::new() },
        stderr: if config.tty { String::new() } else { log.clone() },
        stdout: log,
        terminal: config.tty,
    }
}

/// Removes what there is of a container that could not be started, and notes why.
async fn never_ran(daemon: &Daemon, container: &Container, shim: &Shim, error: &Error) {
    if let Err(left) = shim.delete(&container.id, None).await {
        tracing::debug!(container = container.id, error = chain(&left), "nothing to remove in the shim");
    }
    let end = End {
        at: clock::now(),
        code: NEVER_RAN,
        oom_killed: false,
        message: chain(error),
        reason: "StartError".to_owned(),
    };
    ended(daemon, container, end).await;
}

/// Waits for the container's end, and notes it.
pub(crate) async fn watch(daemon: Arc<Daemon>, container: Arc<Container>, shim: Shim) {
    let answer = shim.wait(&container.id, None).await;
    let end = match (read_outcome(&container), answer) {
        (Some(end), _) => end,
        (None, Ok(exited)) => End {
            at: clock::nanoseconds(exited.at),
            code: exited.code,
            oom_killed: false,
            message: String::new(),
            reason: String::new(),
        },
        (None, Err(error)) => {
            reap(&daemon, &container).await;
            nobody_knows(&container, &error)
        }
    };
    ended(&daemon, &container, end).await;
}

/// What the shim has written down before it told anybody.
pub(crate) fn read_outcome(container: &Container) -> Option<End> {
    match Outcome::read(&container.bundle) {
        Ok(outcome) => outcome.map(|outcome| End {
            at: clock::nanoseconds(outcome.at),
            code: outcome.code,
            oom_killed: outcome.oom_killed,
            message: String::new(),
            reason: String::new(),
        }),
        Err(error) => {
            tracing::warn!(container = container.id, error = chain(&error), "the record of how it ended");
            None
        }
    }
}

/// The end of a container whose shim is gone without a word.
fn nobody_knows(container: &Container, error: &(dyn std::error::Error + 'static)) -> End {
    tracing::warn!(container = container.id, error = chain(error), "the shim of a container is gone");
    End {
        at: clock::now(),
        code: NOBODY_KNOWS,
        oom_killed: false,
        message: format!("the shim ended before the container: {}", chain(error)),
        reason: UNKNOWN.to_owned(),
    }
}

/// Ends what a shim that is gone has left running of a container.
pub(crate) async fn reap(daemon: &Daemon, container: &Container) {
    reap_leftovers(daemon, &container.id).await;
}

/// The same for one that is only known by its bundle.
pub(crate) async fn reap_leftovers(daemon: &Daemon, id: &str) {
    let bundle = daemon.container_bundle(id);
    if !bundle.join("config.json").exists() {
        return;
    }
    if let Err(error) = daemon.launch(id, &bundle).delete().await {
        tracing::warn!(container = id, error = chain(&error), "clean up behind its shim");
    }
}

/// Notes how a container ended, once, and tells.
pub(crate) async fn ended(daemon: &Daemon, container: &Container, end: End) {
    let Some(record) = container.end(end) else { return };
    if let Err(error) = daemon.store.put_container(&record).await {
        tracing::error!(
            container = container.id,
            error = chain(&error),
            "how it ended is known but not on disk"
        );
    }
    container.end_is_recorded();
    events::tell(daemon, ContainerEventType::ContainerStoppedEvent, &container.id, &container.pod);
}
