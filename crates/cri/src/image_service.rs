//! The interface's ImageService.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures_util::{Stream, StreamExt as _, stream};
use images::{Auth, Image as Known, Progress, Reference, Step};
use tonic::{Request, Response, Status};
use tracing::Instrument as _;

use crate::clock;
use crate::daemon::{Daemon, blocking, to_the_end};
use crate::error::{Attempt as _, Error, Kind, Result, chain};
use crate::state::lock;
use crate::traces::step;
use crate::wire::v1::image_service_server::ImageService;
#[allow(clippy::wildcard_imports, reason = "nearly every message of the interface")]
use crate::wire::v1::*;

/// Serves the images' calls.
pub(crate) struct Images(pub(crate) Arc<Daemon>);

type Reply<T> = std::result::Result<Response<T>, Status>;

#[tonic::async_trait]
impl ImageService for Images {
    async fn list_images(&self, request: Request<ListImagesRequest>) -> Reply<ListImagesResponse> {
        let images = list(&self.0, request.into_inner().filter)?;
        Ok(Response::new(ListImagesResponse { images }))
    }

    type StreamImagesStream =
        Pin<Box<dyn Stream<Item = std::result::Result<StreamImagesResponse, Status>> + Send>>;

    async fn stream_images(&self, request: Request<StreamImagesRequest>) -> Reply<Self::StreamImagesStream> {
        let images = list(&self.0, request.into_inner().filter)?;
        let chunks: Vec<Vec<Image>> = images.chunks(64).map(<[Image]>::to_vec).collect();
        let messages = stream::iter(chunks).map(|images| Ok(StreamImagesResponse { images }));
        Ok(Response::new(Box::pin(messages)))
    }

    async fn image_status(&self, request: Request<ImageStatusRequest>) -> Reply<ImageStatusResponse> {
        let request = request.into_inner();
        let asked = name(&self.0, request.image.as_ref())?;
        let Some(found) = find(&self.0, asked)? else {
            return Ok(Response::new(ImageStatusResponse::default()));
        };
        let mut info = HashMap::new();
        if request.verbose {
            let shown = serde_json::json!({ "chainID": found.chain.as_str(), "imageSpec": *found.config });
            info.insert("info".to_owned(), shown.to_string());
        }
        Ok(Response::new(ImageStatusResponse { image: Some(image(&found)), info }))
    }

    async fn pull_image(&self, request: Request<PullImageRequest>) -> Reply<PullImageResponse> {
        let image_ref = to_the_end(pull(self.0.clone(), request.into_inner())).await?;
        Ok(Response::new(PullImageResponse { image_ref }))
    }

    async fn remove_image(&self, request: Request<RemoveImageRequest>) -> Reply<RemoveImageResponse> {
        let asked = name(&self.0, request.into_inner().image.as_ref())?.to_owned();
        let daemon = self.0.clone();
        to_the_end(blocking(move || remove(&daemon, &asked))).await?;
        Ok(Response::new(RemoveImageResponse {}))
    }

    async fn image_fs_info(&self, _: Request<ImageFsInfoRequest>) -> Reply<ImageFsInfoResponse> {
        let daemon = self.0.clone();
        let response = blocking(move || fs_info(&daemon)).await?;
        Ok(Response::new(response))
    }
}

fn name<'a>(daemon: &Daemon, asked: Option<&'a ImageSpec>) -> Result<&'a str> {
    let Some(asked) = asked.filter(|spec| !spec.image.is_empty()) else {
        return Err(Error::invalid("image.image is empty"));
    };
    daemon.check_image_handler(asked)?;
    Ok(&asked.image)
}

fn find(daemon: &Daemon, asked: &str) -> Result<Option<Known>> {
    daemon
        .images
        .find(asked)
        .map_err(|error| refused(&error, format!("look for image {asked:?}"), error.kind()))
        .or_else(|error| if error.kind() == Kind::NotFound { Ok(None) } else { Err(error) })
}

/// All images, or the one that the filter names.
fn list(daemon: &Daemon, filter: Option<ImageFilter>) -> Result<Vec<Image>> {
    let asked = filter.and_then(|filter| filter.image).unwrap_or_default();
    daemon.check_image_handler(&asked)?;
    if asked.image.is_empty() {
        return Ok(daemon.images.list().iter().map(image).collect());
    }
    Ok(find(daemon, &asked.image)?.iter().map(image).collect())
}

fn image(known: &Known) -> Image {
    let uid = known.uid().map(|value| Int64Value { value });
    Image {
        id: known.id.to_string(),
        repo_tags: known.tags.clone(),
        repo_digests: known.digests.clone(),
        size: known.size,
        username: if uid.is_some() { String::new() } else { known.user_name().to_owned() },
        uid,
        spec: None,
        pinned: known.pinned,
    }
}

/// Pulls an image; gives its id, by which all calls know it.
async fn pull(daemon: Arc<Daemon>, request: PullImageRequest) -> Result<String> {
    let asked = name(&daemon, request.image.as_ref())?;
    let reference = Reference::parse(asked).attempt_as(Kind::Invalid, || format!("pull image {asked:?}"))?;
    let auth = request.auth.map(|auth| Auth {
        username: auth.username,
        password: auth.password,
        auth: auth.auth,
        server_address: auth.server_address,
        identity_token: auth.identity_token,
        registry_token: auth.registry_token,
    });
    let begun = Instant::now();
    let received = Received::default();
    let note = |progress: Progress<'_>| received.note(&progress);
    let pulled = daemon.images.pull(&reference, auth, &note).instrument(step("image.pull")).await;
    daemon.figures.pull_ends(pulled.is_ok(), begun.elapsed(), received.bytes());
    let pulled = pulled.map_err(|error| {
        let kind = error.kind();
        // The kubelet looks for this word in the text.
        let word = if kind == images::Kind::Unavailable { "RegistryUnavailable: " } else { "" };
        refused(&error, format!("{word}pull image {asked:?}"), kind)
    })?;
    pin(&daemon, &pulled);
    Ok(pulled.id.to_string())
}

/// What has come of each layer; a layer tells again and again.
#[derive(Default)]
struct Received(Mutex<HashMap<String, u64>>);

impl Received {
    fn note(&self, progress: &Progress<'_>) {
        if progress.step != Step::Exists {
            lock(&self.0).insert(progress.layer.to_string(), progress.received);
        }
    }

    fn bytes(&self) -> u64 {
        lock(&self.0).values().sum()
    }
}

/// Protects the images that the configuration names.
fn pin(daemon: &Daemon, pulled: &Known) {
    let wanted = daemon.config.images.pinned.iter().filter_map(|name| Reference::parse(name).ok());
    if wanted
        .map(|name| name.to_string())
        .any(|name| pulled.tags.contains(&name) || pulled.digests.contains(&name))
        && let Err(error) = daemon.images.pin(pulled.id.as_str(), true)
    {
        tracing::warn!(image = pulled.id.as_str(), error = chain(&error), "pin an image");
    }
}

fn refused(error: &images::Error, attempted: String, kind: images::Kind) -> Error {
    let kind = match kind {
        images::Kind::Invalid => Kind::Invalid,
        images::Kind::NotFound => Kind::NotFound,
        images::Kind::Denied => Kind::Denied,
        images::Kind::Unavailable => Kind::Unavailable,
        images::Kind::Exhausted => Kind::Exhausted,
        images::Kind::Unsupported => Kind::Unsupported,
        images::Kind::Corrupt | images::Kind::Internal => Kind::Internal,
    };
    Error::new(kind, format!("{attempted}: {}", chain(error)))
}

/// By the interface an image goes with any of its names.
fn remove(daemon: &Daemon, asked: &str) -> Result<()> {
    let Some(found) = find(daemon, asked)? else { return Ok(()) };
    daemon.images.remove(found.id.as_str()).attempt(|| format!("remove image {asked:?}"))
}

/// What images take up, and where.
fn fs_info(daemon: &Daemon) -> Result<ImageFsInfoResponse> {
    let mountpoint = daemon.snapshots.root().to_string_lossy().into_owned();
    let usage = daemon.images.usage().attempt(|| "see what images take up".to_owned())?;
    let containers = daemon.registry.containers();
    let (bytes, inodes) = containers.iter().fold((0, 0), |(bytes, inodes), container| {
        let usage = daemon.snapshots.usage(&container.id).unwrap_or_default();
        (bytes + usage.bytes, inodes + usage.inodes)
    });
    let filesystem = |bytes, inodes| FilesystemUsage {
        timestamp: clock::now(),
        fs_id: Some(FilesystemIdentifier { mountpoint: mountpoint.clone() }),
        used_bytes: Some(UInt64Value { value: bytes }),
        inodes_used: Some(UInt64Value { value: inodes }),
    };
    Ok(ImageFsInfoResponse {
        image_filesystems: vec![filesystem(usage.bytes + bytes, usage.inodes + inodes)],
        container_filesystems: vec![filesystem(usage.bytes + bytes, usage.inodes + inodes)],
    })
}
