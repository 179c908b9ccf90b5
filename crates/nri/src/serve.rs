//! How plugins come: started from a folder, or by a socket.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use prost::Message as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::error::{Error, Failure, Result};
use crate::launch::{installed, launch};
use crate::link::{Incoming, UNIMPLEMENTED, UNKNOWN};
use crate::plugin::{Candidate, Plugin};
use crate::plugins::{Plugins, Runtime};
use crate::wire::api::{UpdateContainersRequest, UpdateContainersResponse};
use crate::wire::ttrpc::Status;

/// Starts the plugins that are installed, waits until each of them has been synchronised or has failed, and then takes
/// those that connect. A plugin that fails is named in the log, and is no error.
pub async fn serve(config: Config, plugins: Arc<Plugins>, runtime: Arc<dyn Runtime>) -> Result<()> {
    let config = Arc::new(config);
    let mut starting = JoinSet::new();
    for program in installed(&config)? {
        match launch(program) {
            Ok(candidate) => {
                starting.spawn(admit(candidate, config.clone(), plugins.clone(), runtime.clone()));
            }
            Err(error) => log(&error),
        }
    }
    starting.join_all().await;
    let Some(socket) = &config.socket else { return Ok(()) };
    let listener = listen(socket).await.map_err(|cause| Error::Listen { socket: socket.clone(), cause })?;
    tokio::spawn(accept(listener, config, plugins, runtime));
    Ok(())
}

/// Opens the socket. One that another runtime serves is left alone.
async fn listen(socket: &Path) -> std::io::Result<UnixListener> {
    if UnixStream::connect(socket).await.is_ok() {
        return Err(ErrorKind::AddrInUse.into());
    }
    if let Some(folder) = socket.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    // Whoever may write to it decides what containers are.
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn accept(
    listener: UnixListener,
    config: Arc<Config>,
    plugins: Arc<Plugins>,
    runtime: Arc<dyn Runtime>,
) {
    loop {
        match listener.accept().await {
            // Each by itself: one that says nothing keeps no other out.
            Ok((socket, _)) => {
                let candidate = Candidate { socket, identity: None, settings: String::new(), program: None };
                tokio::spawn(admit(candidate, config.clone(), plugins.clone(), runtime.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "take the connection of an NRI plugin");
                // Most likely there are no descriptors left; there is nothing to wait for but time.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

/// Makes a plugin of a candidate, and takes it out again when it goes.
async fn admit(candidate: Candidate, config: Arc<Config>, plugins: Arc<Plugins>, runtime: Arc<dyn Runtime>) {
    let (plugin, calls) = match Plugin::register(candidate, &config).await {
        Ok((plugin, calls)) => (Arc::new(plugin), calls),
        Err(error) => return log(&error),
    };
    let updates = match synchronize(&plugin, &plugins, &*runtime).await {
        Ok(updates) => updates,
        Err(error) => {
            plugin.link.close(Failure::Closed);
            return log(&error);
        }
    };
    let events = plugin.events;
    tracing::info!(plugin = plugin.identity.full(), %events, "an NRI plugin is synchronised");
    tokio::spawn(follow(plugin, plugins, runtime.clone(), calls));
    if !updates.is_empty() {
        runtime.update(updates).await;
    }
}

/// Between what the plugin is shown and what it is told of nothing happens.
async fn synchronize(
    plugin: &Arc<Plugin>,
    plugins: &Plugins,
    runtime: &dyn Runtime,
) -> Result<Vec<crate::wire::api::ContainerUpdate>> {
    let _verbs = plugins.verbs.write().await;
    let _endings = plugins.endings.write().await;
    let (pods, containers) = runtime.everything().await;
    let updates = plugin.synchronize(&pods, &containers).await?;
    plugins.add(plugin.clone());
    Ok(updates)
}

/// Serves the plugin's calls until it goes.
async fn follow(
    plugin: Arc<Plugin>,
    plugins: Arc<Plugins>,
    runtime: Arc<dyn Runtime>,
    mut calls: mpsc::Receiver<Incoming>,
) {
    let serving = async {
        while let Some(call) = calls.recv().await {
            plugin.link.answer(&call, answer(&call, &*runtime).await).await;
        }
        plugin.link.closed().await
    };
    // A call may take long; the plugin's end is seen at once.
    let why = tokio::select! {
        why = serving => why,
        why = plugin.link.closed() => why,
    };
    plugins.remove(&plugin);
    match why {
        Failure::Closed => tracing::info!(plugin = plugin.identity.full(), "an NRI plugin has gone"),
        why => tracing::error!(
            plugin = plugin.identity.full(),
            error = chain(&why),
            "an NRI plugin is disconnected"
        ),
    }
}

async fn answer(call: &Incoming, runtime: &dyn Runtime) -> Result<Vec<u8>, Status> {
    if call.method != "UpdateContainers" {
        let message = format!("{} is not to be called now", call.method);
        return Err(Status { code: UNIMPLEMENTED, message });
    }
    let request = UpdateContainersRequest::decode(call.payload.clone())
        .map_err(|error| Status { code: UNKNOWN, message: error.to_string() })?;
    let failed = runtime.update(request.update).await;
    if !request.evict.is_empty() {
        runtime.evict(request.evict).await;
    }
    Ok(UpdateContainersResponse { failed }.encode_to_vec())
}

fn log(error: &Error) {
    tracing::error!(error = chain(error), "an NRI plugin is not taken");
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        line = format!("{line}: {cause}");
        next = cause.source();
    }
    line
}
