//! The commands that are clients of the daemon, or look at the host; one file each.

pub(crate) mod doctor;
pub(crate) mod gc;
pub(crate) mod images;
pub(crate) mod pods;
pub(crate) mod run;
pub(crate) mod support_bundle;
mod table;

use std::io::Write as _;
use std::path::Path;

use tonic::transport::{Channel, Endpoint};

use crate::error::{Attempt as _, Error, Kind, Result};
use crate::wire::v1::image_service_client::ImageServiceClient;
use crate::wire::v1::runtime_service_client::RuntimeServiceClient;

/// Both services of a daemon.
pub(crate) struct Client {
    pub(crate) runtime: RuntimeServiceClient<Channel>,
    pub(crate) images: ImageServiceClient<Channel>,
}

impl Client {
    /// Connects to the socket.
    pub(crate) async fn connect(socket: &Path) -> Result<Self> {
        let attempted = || format!("connect to the daemon at {}", socket.display());
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display())).attempt(attempted)?;
        let channel = endpoint.connect().await.attempt_as(Kind::Unavailable, attempted)?;
        Ok(Self {
            runtime: RuntimeServiceClient::new(channel.clone()),
            images: ImageServiceClient::new(channel).max_decoding_message_size(16 << 20),
        })
    }
}

/// What a call of the daemon came to, with what was asked.
pub(crate) fn answered<T>(
    answer: std::result::Result<tonic::Response<T>, tonic::Status>,
    asked: impl FnOnce() -> String,
) -> Result<T> {
    let refused =
        |status: tonic::Status| Error::new(Kind::Internal, format!("{}: {}", asked(), status.message()));
    answer.map(tonic::Response::into_inner).map_err(refused)
}

/// Writes to standard output; a reader that has gone away ends the command.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).attempt(|| "print".to_owned())
}

/// The beginning of an id, as people read it.
pub(crate) fn short(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..13).unwrap_or(digits)
}
