//! Images as their users see them: pulled from registries that work, that want to know who asks and that do things wrong;
//! named, found, removed; taken in from archives and written to them; kept through crashes.
//!
//! Layers are unpacked into a real snapshotter in a folder that the test makes, which needs root.

#![allow(clippy::unwrap_used, reason = "what a test cannot do is its failure")]

mod archives;
mod authorization;
mod content;
mod crash;
mod docker_registry;
mod faults;
mod names;
mod pulls;
mod server;

use images::{Auth, Config, Error, Image, Images, Network, Reference};
use snapshots::overlay::Overlay;
use snapshots::{SnapshotInfo, Snapshotter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A store with its snapshotter, in a folder that goes with it.
struct Host {
    folder: tempfile::TempDir,
    config: Config,
    images: Images,
    snapshotter: Arc<dyn Snapshotter>,
}

impl Host {
    /// `None`, with the reason printed, where layers cannot be unpacked.
    fn new() -> Option<Host> {
        Host::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Config)) -> Option<Host> {
        if !is_root() {
            println!("skipped: only root can unpack layers");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::new(folder.path().join("images"));
        config.network = Network {
            registry_config_dirs: vec![folder.path().join("certs.d")],
            first_pause: Duration::from_millis(5),
            idle_timeout: Duration::from_secs(20),
            ..Network::default()
        };
        change(&mut config);
        let snapshotter: Arc<dyn Snapshotter> =
            Arc::new(Overlay::open(&folder.path().join("snapshots")).unwrap());
        std::fs::create_dir_all(&config.root).unwrap();
        let images = Images::open(config.clone(), Arc::clone(&snapshotter)).unwrap();
        Some(Host { folder, config, images, snapshotter })
    }

    /// The same folders, as if the daemon had been started anew.
    fn again(self) -> Host {
        let Host { folder, config, images, snapshotter } = self;
        drop(images);
        drop(snapshotter);
        let snapshotter: Arc<dyn Snapshotter> =
            Arc::new(Overlay::open(&folder.path().join("snapshots")).unwrap());
        let images = Images::open(config.clone(), Arc::clone(&snapshotter)).unwrap();
        Host { folder, config, images, snapshotter }
    }

    async fn pull(&self, name: &str) -> Result<Image, Error> {
        self.pull_as(name, None).await
    }

    async fn pull_as(&self, name: &str, auth: Option<Auth>) -> Result<Image, Error> {
        self.images.pull(&Reference::parse(name).unwrap(), auth, &|_| ()).await
    }

    /// What a file of an image holds, looked up through its layers.
    fn read(&self, image: &Image, path: &str) -> Option<String> {
        let folders = self.snapshotter.layer_folders(&image.chain).unwrap();
        let found: PathBuf = folders.iter().map(|folder| folder.join(path)).find(|path| exists(path))?;
        // A whiteout is a device.
        found.is_file().then(|| std::fs::read_to_string(&found).unwrap())
    }

    fn layers(&self) -> usize {
        self.snapshotter.layers().unwrap().len()
    }

    fn snapshots(&self) -> Vec<SnapshotInfo> {
        self.snapshotter.snapshots().unwrap()
    }

    /// Nothing is left of anything: no image, no layer, no half of one.
    fn assert_empty(&self) {
        assert_eq!(self.images.list().len(), 0);
        assert_eq!(self.layers(), 0);
        assert_eq!(self.snapshots(), []);
        assert_eq!(files(&self.config.root.join("ingest")), [] as [PathBuf; 0]);
        assert_eq!(files(&self.config.root.join("blobs")), [] as [PathBuf; 0]);
    }

    /// After a pull that was cut off: its threads end on their own.
    async fn until_empty(&self) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while self.layers() > 0 || drafts(self.folder.path()) > 0 {
            assert!(tokio::time::Instant::now() < deadline, "something stays: {} layers", self.layers());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.assert_empty();
    }
}

/// How many files lie below the snapshotter's folder that hold an image's content.
fn drafts(folder: &Path) -> usize {
    files(&folder.join("snapshots")).iter().filter(|path| path.ends_with("hello")).count()
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// An error with its causes, as callers print it.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {pair}")
}
