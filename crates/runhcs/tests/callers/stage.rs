//! Who plays, and the engines on which they play.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, anyhow};

use crate::caller::Caller;
use crate::containerd::{Containerd, UnderTest};
use crate::docker::Docker;
use crate::image;
use crate::podman::Podman;
use crate::stories::{Needs, Story};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Podman,
    Docker,
    Containerd,
    /// containerd again, with our shim in place of its own.
    Shim,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Podman, Self::Docker, Self::Containerd, Self::Shim];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::Shim => "shim",
        }
    }

    pub(crate) fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Podman => &["podman", "conmon"],
            Self::Docker => &["dockerd", "docker", "containerd"],
            Self::Containerd => &["containerd", "ctr", "containerd-shim-runc-v2"],
            Self::Shim => &["containerd", "ctr", "containerd-shim-runhcs-v1"],
        }
    }

    /// Why this caller cannot play this story, whatever the runtime.
    pub(crate) fn cannot(self, story: &str) -> Option<&'static str> {
        match (self, story) {
            (Self::Podman, "restart") => Some("podman has no engine that could be restarted"),
            (Self::Containerd | Self::Shim, "init") => Some("ctr has no --init"),
            (Self::Podman | Self::Docker, "shim_killed") => Some("it is told of containerd only"),
            (Self::Podman | Self::Docker | Self::Containerd | Self::Shim, _) => None,
        }
    }
}

/// The engines: each started when the first story asks for it, ended after the last.
pub(crate) struct Stage {
    directory: PathBuf,
    runtime: PathBuf,
    image: PathBuf,
    shared: [OnceLock<Result<Arc<dyn Caller>, String>>; Kind::ALL.len()],
}

impl Stage {
    pub(crate) fn set(directory: &Path, runtime: PathBuf) -> Result<Self> {
        let image = directory.join("image");
        std::fs::create_dir(&image)?;
        let image = image::build(&image).context("build the image")?;
        Ok(Self { directory: directory.to_owned(), runtime, image, shared: Default::default() })
    }

    pub(crate) fn caller(&self, kind: Kind, story: &Story) -> Result<Arc<dyn Caller>> {
        // Only Docker decides on user namespaces for a whole engine.
        let remap = kind == Kind::Docker && story.needs == Needs::UserNamespaces;
        if remap || story.needs == Needs::Own {
            return self.start(kind, story.name, remap);
        }
        let shared = self.shared.get(kind as usize).context("every kind has its place")?;
        let caller =
            shared.get_or_init(|| self.start(kind, "shared", false).map_err(|error| format!("{error:#}")));
        caller.clone().map_err(|error| anyhow!("{} does not start: {error}", kind.name()))
    }

    fn start(&self, kind: Kind, name: &str, remap: bool) -> Result<Arc<dyn Caller>> {
        let directory = self.directory.join(format!("{}-{name}", kind.name()));
        std::fs::create_dir(&directory)?;
        Ok(match kind {
            Kind::Podman => Arc::new(Podman::start(&directory, &self.runtime, &self.image)?),
            Kind::Docker => Arc::new(Docker::start(&directory, &self.runtime, &self.image, remap)?),
            Kind::Containerd => {
                let runtime = UnderTest::Runtime(self.runtime.clone());
                Arc::new(Containerd::start(&directory, runtime, &self.image)?)
            }
            Kind::Shim => {
                let shim = UnderTest::Shim("io.containerd.runhcs.v1");
                Arc::new(Containerd::start(&directory, shim, &self.image)?)
            }
        })
    }
}

/// A program by its path or along `PATH`.
pub(crate) fn find(program: &Path) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file());
    found.with_context(|| format!("{} is not installed", program.display()))
}
