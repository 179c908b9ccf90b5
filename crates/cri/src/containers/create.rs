//! CreateContainer.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use compute::Mount;
use images::{Image, Images};
use oci_spec::runtime::Spec;
use snapshots::{ChainId, IdMap, IdMaps, Prepare};

use crate::cdi;
use crate::clock;
use crate::daemon::{Daemon, blocking};
use crate::error::{Attempt as _, Error, Kind, Result};
use crate::events;
use crate::id;
use crate::plugins::{self, ContainerEvent};
use crate::pods;
use crate::record::{ContainerRecord, VERSION};
use crate::spec::{
    Accounts, ContainerRequest, Mappings, Namespaces, container_spec, of_container, pod_mappings, resolve,
    signal_of_name, signal_of_wire,
};
use crate::state::{Container, Pod};
use crate::traces::step;
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
    plugins::check_required(&daemon)?;
    let _block = daemon.plugins.verb().await;
    pods::ready(&pod)?;
    daemon.registry.reserve(&name, &id)?;
    match make(&daemon, &pod, &id, config).await {
        Ok(container) => {
            events::tell(&daemon, ContainerEventType::ContainerCreatedEvent, &id, &pod);
            let told = plugins::tell_container(&daemon, ContainerEvent::PostCreate, &container).await;
            plugins::note("a container has been made", &id, told);
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
            daemon.registry.release(&id);
            Err(error)
        }
    }
}

async fn make(
    daemon: &Arc<Daemon>,
    pod: &Arc<Pod>,
    id: &str,
    config: ContainerConfig,
) -> Result<Arc<Container>> {
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
    let (record, spec, volumes) = blocking(move || {
        let (daemon, pod, id, image) = work;
        let volumes = ImageVolumes::find(&daemon, &config)?;
        let (record, spec) = write(&daemon, &pod, &id, &image, config, target, &volumes)?;
        Ok((record, spec, volumes))
    })
    .await?;
    let container = Arc::new(Container::new(record, pod.clone(), daemon.container_bundle(id)));
    match announce(daemon, &container, spec).await {
        Ok(()) => {
            volumes.keep();
            Ok(container)
        }
        Err(error) => {
            plugins::undo_container(daemon, &container).await;
            Err(error)
        }
    }
}

/// Plugins may change or refuse it; what they have agreed to goes to disk, and is there for everybody.
async fn announce(daemon: &Arc<Daemon>, container: &Arc<Container>, spec: Spec) -> Result<()> {
    plugins::create(daemon, container, spec).await?;
    // Whoever stops or removes the pod has its turn, and must find every container of it.
    let _turn = container.pod.turn.lock().await;
    pods::ready(&container.pod)?;
    daemon.store.put_container(&container.record()).await?;
    daemon.registry.add_container(container.clone());
    Ok(())
}

/// The image that a container or a mount names.
fn find_image(daemon: &Daemon, asked: &ImageSpec) -> Result<Image> {
    let names = [asked.image.as_str(), asked.image_ref.as_str()];
    let Some(name) = names.into_iter().find(|name| !name.is_empty()) else {
        return Err(Error::invalid("config.image is missing"));
    };
    daemon.check_image_handler(asked)?;
    if Path::new(name).is_absolute() {
        return Err(Error::new(
            Kind::Unsupported,
            format!("config.image {name:?} names a checkpoint: containers are not made from checkpoints"),
        ));
    }
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

/// Makes the root and writes the bundle; the record that describes them, and the configuration.
fn write(
    daemon: &Daemon,
    pod: &Pod,
    id: &str,
    image: &Image,
    config: ContainerConfig,
    target_pid: Option<i32>,
    image_volumes: &ImageVolumes,
) -> Result<(ContainerRecord, Spec)> {
    let pod_record = pod.record();
    let security = security(&config);
    let bundle = daemon.container_bundle(id);
    let rootfs = bundle.join("rootfs");
    std::fs::create_dir_all(&rootfs).attempt(|| format!("make {}", rootfs.display()))?;
    let options = Prepare { id_map: id_maps(pod_mappings(&pod_record.config)?), read_only: false };
    step("snapshot.prepare")
        .in_scope(|| daemon.snapshots.prepare(id, &image.chain, &options))
        .attempt(|| format!("make the root of container {id}"))?;
    let user = resolve(&security, image.user(), &accounts(daemon, &image.chain)?)?;
    let volumes = volumes(daemon, id, image, options.id_map.as_ref())?;
    let handler = daemon.handler(&pod_record.handler)?;
    let namespaces = Namespaces::of(&pod_record.config)?;
    let log_path = log_path(&pod_record.config.log_directory, &config.log_path)?;
    let mut spec = container_spec(&ContainerRequest {
        id,
        config: &config,
        pod: &pod_record,
        pins: &pod.pins(),
        shared: &pods::shared(&pod.bundle, namespaces),
        image: Some(&image.config),
        user: &user,
        image_mounts: &image_volumes.mounts,
        volumes: &volumes,
        target_pid,
        annotations: of_container(&pod_record, &config, handler, &name_of(image)),
        host: &daemon.host,
        runtime: &daemon.config.runtime,
        handler,
        systemd: daemon.systemd,
    })?;
    super::relabel::relabel_mounts(daemon, &config)?;
    daemon.cdi.inject(&mut spec, &cdi::asked(&config)?)?;
    daemon.qos.apply(&mut spec, &config, &pod_record.config)?;
    let file = bundle.join("config.json");
    let text = serde_json::to_vec(&spec).attempt(|| format!("write {}", file.display()))?;
    std::fs::write(&file, text).attempt(|| format!("write {}", file.display()))?;
    let resources = config.linux.as_ref().and_then(|linux| linux.resources.clone());
    let record = ContainerRecord {
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
        image_volumes: image_volumes.used.clone(),
        user: user.reported(),
    };
    Ok((record, spec))
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
        [Mount { source, .. }] if Path::new(source).is_file() => {
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

/// The images that are asked for as volumes. Their layers stay, whatever becomes of the images, until this is dropped
/// or the container that keeps them is removed.
struct ImageVolumes {
    images: Images,
    used: Vec<ChainId>,
    /// By the number of the request's mount.
    mounts: Vec<(usize, Vec<Mount>)>,
}

impl ImageVolumes {
    fn find(daemon: &Daemon, config: &ContainerConfig) -> Result<Self> {
        let mut volumes = Self { images: daemon.images.clone(), used: Vec::new(), mounts: Vec::new() };
        for (index, mount) in config.mounts.iter().enumerate() {
            let Some(asked) = mount.image.as_ref().filter(|image| !image.image.is_empty()) else { continue };
            let failed = || {
                format!("ImageVolumeMountFailed: mount image {:?} on {}", asked.image, mount.container_path)
            };
            let image = find_image(daemon, asked)?;
            // First held, then looked at: an image that is removed at this moment either stays whole or is missed.
            volumes.images.begin_use(&image.chain);
            volumes.used.push(image.chain.clone());
            let view = daemon.snapshots.view(&image.chain, &mount.image_sub_path).attempt(failed)?;
            volumes.mounts.push((index, view));
        }
        Ok(volumes)
    }

    /// Leaves them to the container that is on record.
    fn keep(mut self) {
        self.used.clear();
    }
}

impl Drop for ImageVolumes {
    fn drop(&mut self) {
        self.used.iter().for_each(|chain| self.images.end_use(chain));
    }
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
