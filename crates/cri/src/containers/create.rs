//! CreateContainer.

use std::path::PathBuf;
use std::sync::Arc;

use compute::Mount;
use images::Image;
use snapshots::{ChainId, IdMap, IdMaps, Prepare};

use crate::clock;
use crate::daemon::{Daemon, blocking};
use crate::error::{Attempt as _, Error, Kind, Result};
use crate::events;
use crate::id;
use crate::pods;
use crate::record::{ContainerRecord, VERSION};
use crate::spec::{
    Accounts, ContainerRequest, Mappings, Namespaces, container_spec, of_container, pod_mappings, resolve,
    signal_of_name, signal_of_wire,
};
use crate::state::{Container, Pod};
use crate::wire::v1::{
    ContainerConfig, ContainerEventType, CreateContainerRequest, IdMapping, ImageSpec,
    LinuxContainerSecurityContext, NamespaceMode,
};

/// SIGTERM.
const STOP_SIGNAL: i32 = 15;

/// Makes a container up to created: its root, its configuration, its record. Nothing of it runs.
pub(crate) async fn create(daemon: Arc<Daemon>, request: CreateContainerRequest) -> Result<String> {
    let pod = daemon.registry.pod(&request.pod_sandbox_id)?;
    pods::ready(&pod)?;
    let config = request.config.ok_or_else(|| Error::invalid("config is missing"))?;
    let metadata = config.metadata.as_ref().ok_or_else(|| Error::invalid("config.metadata is missing"))?;
    if metadata.name.is_empty() {
        return Err(Error::invalid("config.metadata needs a name"));
    }
    let name = format!("container {}_{} of pod {}", metadata.name, metadata.attempt, pod.id);
    let id = id::new()?;
    daemon.registry.reserve(&name, &id)?;
    match make(&daemon, &pod, &id, config).await {
        Ok(()) => {
            events::tell(&daemon, ContainerEventType::ContainerCreatedEvent, &id, &pod);
            Ok(id)
        }
        Err(error) => {
            if let Err(left) = super::remove::remove_leftovers(&daemon, &id).await {
                tracing::warn!(
                    container = id,
                    error = crate::error::chain(&left),
                    "a container that failed left something behind"
                );
            }
            daemon.registry.remove_container(&id);
            Err(error)
        }
    }
}

async fn make(daemon: &Arc<Daemon>, pod: &Arc<Pod>, id: &str, config: ContainerConfig) -> Result<()> {
    let asked = config.image.clone().unwrap_or_default();
    let image = find_image(daemon, &asked)?;
    if let Some(kind) = &image.artifact_type {
        return Err(Error::invalid(format!(
            "{:?} is an artifact of type {kind:?}, not an image",
            asked.image
        )));
    }
    let target = target(daemon, pod, &config)?;
    let work = (daemon.clone(), pod.clone(), id.to_owned(), image);
    let record = blocking(move || {
        let (daemon, pod, id, image) = work;
        write(&daemon, &pod, &id, &image, config, target)
    })
    .await?;
    // Whoever stops or removes the pod has its turn, and must find every container of it.
    let _turn = pod.turn.lock().await;
    pods::ready(pod)?;
    daemon.store.put_container(&record).await?;
    let bundle = daemon.container_bundle(id);
    daemon.registry.add_container(Arc::new(Container::new(record, pod.clone(), bundle)));
    Ok(())
}

/// The image that a container or a mount names.
fn find_image(daemon: &Daemon, asked: &ImageSpec) -> Result<Image> {
    let names = [asked.image.as_str(), asked.image_ref.as_str()];
    let Some(name) = names.into_iter().find(|name| !name.is_empty()) else {
        return Err(Error::invalid("config.image is missing"));
    };
    let found = daemon.images.find(name).attempt(|| format!("look for image {name:?}"))?;
    found.ok_or_else(|| Error::not_found("image", name))
}

/// The process whose PID namespace is joined.
fn target(daemon: &Daemon, pod: &Pod, config: &ContainerConfig) -> Result<Option<i32>> {
    let options = security(config).namespace_options.unwrap_or_default();
    if options.pid() != NamespaceMode::Target {
        return Ok(None);
    }
    let target = daemon.registry.container(&options.target_id)?;
    if target.pod.id != pod.id {
        return Err(Error::invalid(format!("target_id {} is a container of another pod", options.target_id)));
    }
    if !target.is_running() {
        return Err(Error::new(
            Kind::Precondition,
            format!("the target container {} does not run", target.id),
        ));
    }
    Ok(Some(target.pid()))
}

fn security(config: &ContainerConfig) -> LinuxContainerSecurityContext {
    config.linux.as_ref().and_then(|linux| linux.security_context.clone()).unwrap_or_default()
}

/// Makes the root and writes the bundle; the record that describes them.
fn write(
    daemon: &Daemon,
    pod: &Pod,
    id: &str,
    image: &Image,
    config: ContainerConfig,
    target_pid: Option<i32>,
) -> Result<ContainerRecord> {
    let pod_record = pod.record();
    let security = security(&config);
    let bundle = daemon.container_bundle(id);
    let rootfs = bundle.join("rootfs");
    std::fs::create_dir_all(&rootfs).attempt(|| format!("make {}", rootfs.display()))?;
    let options = Prepare { id_map: id_maps(pod_mappings(&pod_record.config)?), read_only: false };
    daemon
        .snapshots
        .prepare(id, &image.chain, &options)
        .attempt(|| format!("make the root of container {id}"))?;
    let user = resolve(&security, image.user(), &accounts(daemon, &image.chain)?)?;
    let image_mounts = image_mounts(daemon, &config)?;
    let volumes = volumes(daemon, id, image, options.id_map.as_ref())?;
    let handler = daemon.handler(&pod_record.handler)?;
    let namespaces = Namespaces::of(&pod_record.config)?;
    let log_path = log_path(&pod_record.config.log_directory, &config.log_path)?;
    let spec = container_spec(&ContainerRequest {
        id,
        config: &config,
        pod: &pod_record,
        pins: &pod.pins(),
        shared: &pods::shared(&pod.bundle, namespaces),
        image: Some(&image.config),
        user: &user,
        image_mounts: &image_mounts,
        volumes: &volumes,
        target_pid,
        annotations: of_container(&pod_record, &config, handler, &name_of(image)),
        host: &daemon.host,
        runtime: &daemon.config.runtime,
        handler,
        systemd: daemon.systemd,
    })?;
    let file = bundle.join("config.json");
    let text = serde_json::to_vec(&spec).attempt(|| format!("write {}", file.display()))?;
    std::fs::write(&file, text).attempt(|| format!("write {}", file.display()))?;
    let resources = config.linux.as_ref().and_then(|linux| linux.resources.clone());
    Ok(ContainerRecord {
        version: VERSION,
        id: id.to_owned(),
        pod: pod.id.clone(),
        stop_signal: stop_signal(&config, image)?,
        config,
        image_id: image.id.to_string(),
        image_ref: reference(image),
        log_path,
        created_at: clock::now(),
        started_at: 0,
        end: None,
        resources,
        user: user.reported(),
    })
}

/// The request's signal, the image's, or the usual one.
fn stop_signal(config: &ContainerConfig, image: &Image) -> Result<i32> {
    if let Some(signal) = signal_of_wire(config.stop_signal())? {
        return Ok(signal);
    }
    let image = image.config.config().as_ref().and_then(|config| config.stop_signal().clone());
    match image.as_deref() {
        None | Some("") => Ok(STOP_SIGNAL),
        Some(name) => signal_of_name(name),
    }
}

/// A name with a tag, else one with a digest, else the id.
pub(super) fn name_of(image: &Image) -> String {
    image.tags.iter().chain(&image.digests).next().cloned().unwrap_or_else(|| image.id.to_string())
}

/// A name with a digest, else the id: what stays the same whatever a tag is moved to.
pub(super) fn reference(image: &Image) -> String {
    image.digests.first().cloned().unwrap_or_else(|| image.id.to_string())
}

/// Where the log goes; empty for nowhere.
fn log_path(folder: &str, name: &str) -> Result<String> {
    if folder.is_empty() || name.is_empty() {
        return Ok(String::new());
    }
    let path = PathBuf::from(folder).join(name);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).attempt(|| format!("make {}", parent.display()))?;
    }
    Ok(path.to_string_lossy().into_owned())
}

/// The image's account files, read from its layers.
fn accounts(daemon: &Daemon, chain: &ChainId) -> Result<Accounts> {
    Ok(Accounts {
        passwd: image_file(daemon, chain, "etc/passwd")?,
        group: image_file(daemon, chain, "etc/group")?,
    })
}

/// A small file of an image; empty where it has none.
fn image_file(daemon: &Daemon, chain: &ChainId, path: &str) -> Result<String> {
    let attempted = || format!("read /{path} of the image");
    let mounts = match daemon.snapshots.view(chain, path) {
        Err(snapshots::Error::NotInImage { .. }) => return Ok(String::new()),
        mounts => mounts.attempt(attempted)?,
    };
    match mounts.as_slice() {
        [Mount { source, .. }] if std::path::Path::new(source).is_file() => {
            let text = std::fs::read(source).attempt(attempted)?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        }
        _ => Ok(String::new()),
    }
}

/// A folder of the host for each volume that the image declares and has nothing at. What it has stays where it is, in the
/// container's own root, and is as writable there.
fn volumes(
    daemon: &Daemon,
    id: &str,
    image: &Image,
    maps: Option<&IdMaps>,
) -> Result<Vec<(String, PathBuf)>> {
    let declared =
        image.config.config().as_ref().and_then(|config| config.volumes().clone()).unwrap_or_default();
    let mut volumes = Vec::new();
    for (number, path) in declared.into_iter().enumerate() {
        let attempted = || format!("make the volume {path} of container {id}");
        if !path.starts_with('/') {
            return Err(Error::invalid(format!("the image's volume {path:?} is not absolute")));
        }
        match daemon.snapshots.view(&image.chain, path.trim_start_matches('/')) {
            Err(snapshots::Error::NotInImage { .. }) => {}
            view => {
                view.attempt(attempted)?;
                continue;
            }
        }
        let folder = daemon.volumes(id).join(number.to_string());
        std::fs::create_dir_all(&folder).attempt(attempted)?;
        if let Some((uid, gid)) = maps.and_then(|maps| maps.root().ok()) {
            std::os::unix::fs::chown(&folder, Some(uid), Some(gid)).attempt(attempted)?;
        }
        volumes.push((path, folder));
    }
    Ok(volumes)
}

/// How the images that are asked for as volumes are mounted.
fn image_mounts(daemon: &Daemon, config: &ContainerConfig) -> Result<Vec<(usize, Vec<Mount>)>> {
    let mut mounts = Vec::new();
    for (index, mount) in config.mounts.iter().enumerate() {
        let Some(asked) = mount.image.as_ref().filter(|image| !image.image.is_empty()) else { continue };
        let failed =
            || format!("ImageVolumeMountFailed: mount image {:?} on {}", asked.image, mount.container_path);
        let image = find_image(daemon, asked)?;
        let view = daemon.snapshots.view(&image.chain, &mount.image_sub_path).attempt(failed)?;
        mounts.push((index, view));
    }
    Ok(mounts)
}

fn id_maps(mappings: Option<Mappings<'_>>) -> Option<IdMaps> {
    let (uids, gids) = mappings?;
    let maps = |ranges: &[IdMapping]| {
        let map = |range: &IdMapping| IdMap {
            container: range.container_id,
            host: range.host_id,
            size: range.length,
        };
        ranges.iter().map(map).collect()
    };
    Some(IdMaps { uids: maps(uids), gids: maps(gids) })
}
