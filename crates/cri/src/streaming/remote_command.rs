//! One session of exec or attach.
//!
//! ```text
//! streams are there → handler → its output is written and ended → how it went, on the stream of errors → end
//! ```

use super::handler::{AttachRequest, ExecRequest, Handler, Hangup, Output, Streams, TerminalSize};
use super::inbox::InboxReader;
use super::protocol::Protocol;
use super::spdy::{Incoming, Session, Stream};
use super::status::{Outcome, StatusFormat};
use super::websocket::Channels;
use super::writer::StreamWriter;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::WebSocketStream;

/// Clients open the stream of the terminal's size last; one that never does is not waited for any longer.
const RESIZE_GRACE: Duration = Duration::from_secs(1);
/// No client writes a size in so many bytes.
const MAX_SIZE: usize = 4096;

/// What is to be run.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Exec(ExecRequest),
    Attach(AttachRequest),
}

/// Which streams there are.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    resize: bool,
}

/// The client's side of the session.
struct Ends {
    stdin: Option<InboxReader>,
    stdout: Option<StreamWriter>,
    stderr: Option<StreamWriter>,
    error: Option<StreamWriter>,
    resize: Option<InboxReader>,
    /// What nobody writes to, but is finished only at the end: a client takes it for the end of its input.
    held: Vec<StreamWriter>,
}

impl Target {
    fn wanted(&self, protocol: &Protocol) -> Wanted {
        let (tty, stdin, stdout, stderr) = match self {
            Self::Exec(of) => (of.tty, of.stdin, of.stdout, of.stderr),
            Self::Attach(of) => (of.tty, of.stdin, of.stdout, of.stderr),
        };
        Wanted { stdin, stdout, stderr, resize: tty && protocol.resize }
    }
}

/// Over SPDY, where the client opens a stream for each.
pub(super) async fn over_spdy<T>(
    handler: &dyn Handler,
    target: Target,
    protocol: Protocol,
    connection: T,
    idle: Duration,
    creation: Duration,
) where
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut session = Session::start(connection, idle);
    let mut ends =
        Ends { stdin: None, stdout: None, stderr: None, error: None, resize: None, held: Vec::new() };
    let hangup = session.link.hangup();
    match ends.collect(&mut session, target.wanted(&protocol), creation).await {
        Ok(()) => run(handler, target, ends, protocol.status, hangup).await,
        Err(why) => {
            log::info!("a streaming session has not begun: {why}");
            if let Some(mut error) = ends.error.take() {
                // It hears it or has gone.
                let _ = error.write_all(&Outcome::Failed(why.to_owned()).write(protocol.status)).await;
            }
            drop(ends);
        }
    }
    session.finish().await;
}

/// Over a WebSocket, where channels are numbered.
pub(super) async fn over_websocket<T>(
    handler: &dyn Handler,
    target: Target,
    protocol: Protocol,
    (base64, close): (bool, bool),
    socket: WebSocketStream<T>,
    idle: Duration,
) where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Wanted { stdin, stdout, stderr, .. } = target.wanted(&protocol);
    let (channels, readers) =
        Channels::start(socket, base64, close, &[stdin, false, false, false, true], idle);
    let mut readers = readers.into_iter();
    let ends = Ends {
        stdin: readers.next().flatten(),
        stdout: stdout.then(|| channels.writer(1)),
        stderr: stderr.then(|| channels.writer(2)),
        error: Some(channels.writer(3)),
        resize: readers.next_back().flatten(),
        held: Vec::new(),
    };
    // An empty message tells the client that it can begin.
    ends.stdout.iter().chain(&ends.stderr).chain(&ends.error).take(1).for_each(StreamWriter::announce);
    let hangup = channels.link.hangup();
    run(handler, target, ends, protocol.status, hangup).await;
    channels.link.finish().await;
}

impl Ends {
    /// Waits until all streams that are wanted are open.
    async fn collect(
        &mut self,
        session: &mut Session,
        wanted: Wanted,
        creation: Duration,
    ) -> Result<(), &'static str> {
        let deadline = Instant::now() + creation;
        let lacks = |ends: &Self| {
            ends.error.is_none()
                || (wanted.stdin && ends.stdin.is_none())
                || (wanted.stdout && ends.stdout.is_none())
                || (wanted.stderr && ends.stderr.is_none())
        };
        while lacks(self) {
            match timeout_at(deadline, session.incoming.recv()).await {
                Ok(Some(stream)) => self.take(stream),
                Ok(None) => return Err("the client went away before all streams were open"),
                Err(_) => return Err("timed out waiting for client to create streams"),
            }
        }
        let grace = deadline.min(Instant::now() + RESIZE_GRACE);
        while wanted.resize && self.resize.is_none() {
            match timeout_at(grace, session.incoming.recv()).await {
                Ok(Some(stream)) => self.take(stream),
                Ok(None) | Err(_) => break,
            }
        }
        Ok(())
    }

    /// Accepts a stream. One that is not wanted is accepted too, and nothing is made of it.
    fn take(&mut self, stream: Incoming) {
        let kind = stream.header("streamtype").unwrap_or_default().to_owned();
        let occupied = match kind.as_str() {
            "error" => self.error.is_some(),
            "stdin" => self.stdin.is_some(),
            "stdout" => self.stdout.is_some(),
            "stderr" => self.stderr.is_some(),
            "resize" => self.resize.is_some(),
            _ => true,
        };
        if occupied {
            return stream.refuse();
        }
        let Stream { reader, writer } = stream.accept();
        match kind.as_str() {
            "error" => self.error = Some(writer),
            "stdout" => self.stdout = Some(writer),
            "stderr" => self.stderr = Some(writer),
            "stdin" => {
                self.stdin = Some(reader);
                self.held.push(writer);
            }
            _ => {
                self.resize = Some(reader);
                self.held.push(writer);
            }
        }
    }
}

async fn run(handler: &dyn Handler, target: Target, ends: Ends, format: StatusFormat, hangup: Hangup) {
    let Ends { stdin, stdout, stderr, error, resize, held } = ends;
    let (sizes, changes) = mpsc::channel(1);
    let resizing = resize.map(|from| tokio::spawn(tell_sizes(from, sizes)));
    let mut gone = hangup.clone();
    let streams = Streams {
        stdin: stdin.map(|stdin| Box::new(stdin) as _),
        stdout: stdout.map(|stdout| Box::new(stdout) as Output),
        stderr: stderr.map(|stderr| Box::new(stderr) as Output),
        resize: changes,
        hangup,
    };
    let outcome = match target {
        Target::Exec(request) => match handler.exec(request, streams).await {
            Ok(0) => Outcome::Success,
            Ok(code) => Outcome::ExitCode(code),
            Err(failure) => Outcome::failed("error executing command in container", &failure),
        },
        Target::Attach(request) => tokio::select! {
            ended = handler.attach(request, streams) => match ended {
                Ok(()) => Outcome::Success,
                Err(failure) => Outcome::failed("error attaching to container", &failure),
            },
            () = gone.wait() => return,
        },
    };
    if let Some(resizing) = resizing {
        resizing.abort();
    }
    if let Some(mut error) = error {
        // Whoever has gone does not hear it.
        let _ = error.write_all(&outcome.write(format)).await;
    }
    drop(held);
}

/// Reads sizes, one JSON object after the other, and tells them on. While one is not taken, newer ones replace it.
async fn tell_sizes(mut from: InboxReader, sizes: mpsc::Sender<TerminalSize>) {
    let mut text = Vec::new();
    let mut newest = None;
    loop {
        tokio::select! {
            room = sizes.reserve(), if newest.is_some() => match (room, newest.take()) {
                (Ok(room), Some(size)) => room.send(size),
                _ => return,
            },
            read = from.read_buf(&mut text) => {
                if !matches!(read, Ok(1..)) {
                    break;
                }
                newest = last_size(&mut text).or(newest);
                if text.len() > MAX_SIZE {
                    log::info!("a streaming client sent what is no size of a terminal");
                    break;
                }
            }
        }
    }
    if let Some(size) = newest {
        // The session may be over.
        let _ = sizes.send(size).await;
    }
}

/// The last whole size in the text, which is cut off up to its end.
fn last_size(text: &mut Vec<u8>) -> Option<TerminalSize> {
    let mut sizes = serde_json::Deserializer::from_slice(text).into_iter::<TerminalSize>();
    let (mut last, mut read) = (None, 0);
    loop {
        match sizes.next() {
            Some(Ok(size)) => {
                last = Some(size);
                read = sizes.byte_offset();
            }
            Some(Err(error)) if !error.is_eof() => {
                // What is no size is skipped, as a whole: there is no telling where the next begins.
                read = text.len();
                break;
            }
            Some(Err(_)) | None => break,
        }
    }
    text.drain(..read);
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_may_come_in_pieces_and_together() {
        let mut text = br#"{"Width":80,"Height":24}{"Width":100,"Height":30}{"Wid"#.to_vec();
        assert_eq!(last_size(&mut text), Some(TerminalSize { width: 100, height: 30 }));
        assert_eq!(last_size(&mut text), None);
        text.extend_from_slice(br#"th":1,"Height":2}"#);
        assert_eq!(last_size(&mut text), Some(TerminalSize { width: 1, height: 2 }));
        assert!(text.is_empty());
        let mut text = br#"{"Width":-1,"Height":2}"#.to_vec();
        assert_eq!(last_size(&mut text), None);
        assert!(text.is_empty());
    }
}
