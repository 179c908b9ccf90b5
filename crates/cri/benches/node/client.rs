//! A client of the interface, with a limit on every call: a daemon that is stuck ends the run.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use cri::wire::v1::image_service_client::ImageServiceClient;
use cri::wire::v1::runtime_service_client::RuntimeServiceClient;
use cri::wire::v1::{ImageSpec, PullImageRequest, RemoveImageRequest, VersionRequest};
use tonic::transport::{Channel, Endpoint};

const PATIENCE: Duration = Duration::from_secs(240);

/// Both services of one daemon. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) runtime: RuntimeServiceClient<Channel>,
    pub(crate) images: ImageServiceClient<Channel>,
}

impl Client {
    /// Connects as soon as the daemon answers.
    pub(crate) async fn connect(socket: &Path) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()))
            .context("a socket's address")?
            .timeout(PATIENCE);
        let begun = Instant::now();
        loop {
            if let Ok(channel) = endpoint.connect().await {
                let mut client = Self {
                    runtime: RuntimeServiceClient::new(channel.clone()).max_decoding_message_size(64 << 20),
                    images: ImageServiceClient::new(channel).max_decoding_message_size(64 << 20),
                };
                if client.runtime.version(VersionRequest::default()).await.is_ok() {
                    return Ok(client);
                }
            }
            ensure!(begun.elapsed() < Duration::from_secs(30), "nobody answers at {}", socket.display());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn pull(&self, image: &str) -> Result<()> {
        let request = PullImageRequest { image: spec(image), ..PullImageRequest::default() };
        self.images.clone().pull_image(request).await.with_context(|| format!("pull {image}"))?;
        Ok(())
    }

    pub(crate) async fn remove_image(&self, image: &str) -> Result<()> {
        let request = RemoveImageRequest { image: spec(image) };
        self.images.clone().remove_image(request).await.with_context(|| format!("remove {image}"))?;
        Ok(())
    }
}

fn spec(image: &str) -> Option<ImageSpec> {
    Some(ImageSpec { image: image.to_owned(), ..ImageSpec::default() })
}
