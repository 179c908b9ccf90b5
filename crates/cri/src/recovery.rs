//! After a start: the records are compared with what runs, and what runs is right.
//!
//! | record        | shim                | what becomes of it                                               |
//! |---------------|---------------------|------------------------------------------------------------------|
//! | pod           | answers             | as the shim says; it is watched again                            |
//! | pod           | gone, or a reboot   | not ready; what the shim left is removed                         |
//! | container     | runs it             | running; it is watched again                                     |
//! | container     | does not know it    | created, or exited as its `exit.json` or the record says         |
//! | none          | whatever            | the rest of a call that was cut off: removed, its shim with it   |

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::join_all;
use shim_api::Shim;

use crate::clock;
use crate::containers;
use crate::daemon::Daemon;
use crate::error::{Result, chain};
use crate::pods;
use crate::record::{ContainerRecord, End, PodRecord};
use crate::state::{Container, Pod, UNKNOWN};
use crate::store::Contents;

/// Takes up every pod and container again, then removes what belongs to none.
pub(crate) async fn recover(daemon: &Arc<Daemon>, contents: Contents) -> Result<()> {
    for (key, reason) in &contents.unreadable {
        tracing::error!(
            record = key,
            reason,
            "a record cannot be read; it is left as it is, and so is what belongs to it"
        );
    }
    join_all(contents.pods.into_iter().map(|record| take_up_pod(daemon, record))).await;
    join_all(contents.containers.into_iter().map(|record| take_up_container(daemon, record))).await;
    let unreadable: HashSet<String> = contents.unreadable.into_iter().map(|(key, _)| key).collect();
    sweep(daemon, &unreadable).await;
    Ok(())
}

async fn take_up_pod(daemon: &Arc<Daemon>, record: PodRecord) {
    let pod = Arc::new(Pod::new(record.clone(), daemon.pod_bundle(&record.id)));
    // Two records cannot have one name: each was reserved when it was written.
    if let Ok(name) = pods::name(&record.config) {
        let _ = daemon.registry.reserve(&name, &pod.id);
    }
    daemon.registry.add_pod(pod.clone());
    let Some(shim) = reach(&record).await else {
        if !record.stopped {
            tracing::warn!(pod = pod.id, "its shim is gone");
        }
        return;
    };
    let ready = shim.sandbox_status(&pod.id, false).await.is_ok_and(|status| status.ready);
    pod.set_shim(Some(shim));
    if ready && !record.stopped {
        pod.set_ready(true);
        tokio::spawn(pods::watch(daemon.clone(), pod));
    }
}

async fn reach(record: &PodRecord) -> Option<Shim> {
    if record.shim.is_empty() {
        return None;
    }
    let shim = Shim::connect(&record.shim).await.ok()?;
    shim.ping_sandbox(&record.id).await.ok()?;
    Some(shim)
}

async fn take_up_container(daemon: &Arc<Daemon>, record: ContainerRecord) {
    let Ok(pod) = daemon.registry.pod(&record.pod) else {
        tracing::warn!(container = record.id, pod = record.pod, "a container of a pod that has no record");
        return;
    };
    if let Some(metadata) = &record.config.metadata {
        let name = format!("container {}_{} of pod {}", metadata.name, metadata.attempt, pod.id);
        let _ = daemon.registry.reserve(&name, &record.id);
    }
    let bundle = daemon.container_bundle(&record.id);
    let container = Arc::new(Container::new(record.clone(), pod.clone(), bundle));
    daemon.registry.add_container(container.clone());
    if record.end.is_some() {
        return;
    }
    let shim = pod.shim().ok();
    let state = match &shim {
        Some(shim) => shim.state(&container.id, None).await.ok(),
        None => None,
    };
    match (shim, state) {
        (Some(shim), Some(state)) if state.pid > 0 && state.exited.is_none() => {
            container.set_pid(state.pid);
            if record.started_at == 0 {
                // The daemon died between the start and its record.
                container.change(|record| record.started_at = clock::now());
            }
            tokio::spawn(containers::watch(daemon.clone(), container, shim));
        }
        _ => conclude(daemon, &container, record.started_at).await,
    }
}

/// Notes the end of a container that does not run.
async fn conclude(daemon: &Arc<Daemon>, container: &Container, started_at: i64) {
    if let Some(end) = containers::read_outcome(container) {
        containers::ended(daemon, container, end).await;
    } else if started_at != 0 {
        containers::reap(daemon, container).await;
        let end = End {
            at: clock::now(),
            code: 255,
            oom_killed: false,
            message: "its shim was gone when the daemon started".to_owned(),
            reason: UNKNOWN.to_owned(),
        };
        containers::ended(daemon, container, end).await;
    }
}

/// Removes what has no record: bundles, roots, fifos, network attachments.
async fn sweep(daemon: &Arc<Daemon>, unreadable: &HashSet<String>) {
    let pods: HashSet<String> = daemon.registry.pods().iter().map(|pod| pod.id.clone()).collect();
    let containers: HashSet<String> =
        daemon.registry.containers().iter().map(|container| container.id.clone()).collect();
    let known = |id: &String| pods.contains(id) || containers.contains(id) || unreadable.contains(id);
    let mut orphans: HashSet<String> = names_in(&daemon.config.state.join("containers"));
    orphans.extend(names_in(&daemon.config.root.join("volumes")));
    match daemon.snapshots.snapshots() {
        Ok(snapshots) => orphans.extend(snapshots.into_iter().map(|snapshot| snapshot.key)),
        Err(error) => tracing::error!(error = chain(&error), "list the roots of containers"),
    }
    for id in orphans.iter().filter(|id| !known(id)) {
        tracing::info!(container = id, "removing what a call that was cut off has left");
        containers::reap_leftovers(daemon, id).await;
        if let Err(error) = containers::remove_leftovers(daemon, id).await {
            tracing::error!(container = id, error = chain(&error), "remove what is left of a container");
        }
    }
    for id in names_in(&daemon.config.state.join("pods")).iter().filter(|id| !known(id)) {
        tracing::info!(pod = id, "removing what a call that was cut off has left");
        if let Err(error) = pods::remove_leftovers(daemon, id).await {
            tracing::error!(pod = id, error = chain(&error), "remove what is left of a pod");
        }
    }
    for id in names_in(&daemon.config.state.join("io")) {
        let folder = daemon.config.state.join("io").join(id);
        if let Err(error) = std::fs::remove_dir_all(&folder) {
            tracing::warn!(folder = %folder.display(), error = chain(&error), "remove fifos");
        }
    }
    let valid: Vec<String> = pods.into_iter().chain(unreadable.iter().cloned()).collect();
    if let Err(error) = daemon.cni.gc(&valid).await {
        tracing::warn!(error = chain(&error), "have the network plugins forget pods that are gone");
    }
}

/// The entries of a folder; of one that is not there, none.
fn names_in(folder: &Path) -> HashSet<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return HashSet::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
