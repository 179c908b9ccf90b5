//! What the streaming server asks of whoever owns the containers.

use super::inbox::InboxReader;
use super::writer::StreamWriter;
use async_trait::async_trait;
use serde::Deserialize;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{mpsc, watch};

/// Why a session failed. The client is told its text with those of its causes.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Where a process reads from. It ends when the client says so, or goes away.
pub type Input = Box<dyn AsyncRead + Send + Unpin>;
/// Where a process writes to. Dropping it ends it, after all that was written; an error says that nobody reads.
pub type Output = Box<dyn AsyncWrite + Send + Unpin>;

/// A command to be run in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// The container's id.
    pub container: String,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// Whether the client sends input.
    pub stdin: bool,
    /// Whether the client wants output.
    pub stdout: bool,
    /// Whether the client wants errors; not with a terminal, which has one output.
    pub stderr: bool,
}

/// A container whose first process is to be joined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttachRequest {
    /// The container's id.
    pub container: String,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether the client sends input.
    pub stdin: bool,
    /// Whether the client wants output.
    pub stdout: bool,
    /// Whether the client wants errors.
    pub stderr: bool,
}

/// A pod to whose ports connections are to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortForwardRequest {
    /// The pod sandbox's id.
    pub pod: String,
    /// The ports, for clients that cannot name one for each connection. May be empty.
    pub ports: Vec<u16>,
}

/// The client's side of a process.
pub struct Streams {
    /// What the client sends, if it does.
    pub stdin: Option<Input>,
    /// Where output goes, if it is wanted.
    pub stdout: Option<Output>,
    /// Where errors go, if they are wanted.
    pub stderr: Option<Output>,
    /// The sizes of the client's terminal, as they change. Only the last counts. Ends with the session.
    pub resize: mpsc::Receiver<TerminalSize>,
    /// When the client goes away.
    pub hangup: Hangup,
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// Tells when the client has gone away.
#[derive(Debug, Clone)]
pub struct Hangup(pub(super) watch::Receiver<bool>);

impl Hangup {
    /// Waits until the client has gone away.
    pub async fn wait(&mut self) {
        // An error says that nobody watches the connection any more.
        let _ = self.0.wait_for(|gone| *gone).await;
    }

    /// Whether it has.
    pub fn is_gone(&self) -> bool {
        *self.0.borrow()
    }
}

/// A connection of a client to a port of a pod. Shutting it down ends one direction; dropping it ends both.
pub struct Connection {
    pub(super) reader: InboxReader,
    pub(super) writer: StreamWriter,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(context, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(context)
    }
}

/// Does what clients ask for.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Runs a command and returns its exit code, after all its output was written. Not dropped when the client goes
    /// away: [`Streams::hangup`] tells.
    async fn exec(&self, request: ExecRequest, streams: Streams) -> Result<i32, Failure>;

    /// Joins the first process of a container until it ends. Dropped when the client goes away.
    async fn attach(&self, request: AttachRequest, streams: Streams) -> Result<(), Failure>;

    /// Connects to a port of a pod and copies both ways until both have ended. Dropped when the client goes away.
    async fn port_forward(&self, pod: &str, port: u16, connection: Connection) -> Result<(), Failure>;
}
