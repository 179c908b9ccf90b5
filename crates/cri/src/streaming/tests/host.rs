//! A host with containers that do a few simple things.

use crate::streaming::{AttachRequest, Connection, ExecRequest, Failure, Handler, Streams};
use async_trait::async_trait;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::sync::Semaphore;

/// What happens in containers.
pub(super) struct Host {
    /// When a command has seen its client go.
    pub(super) seen_gone: Event,
    /// When an attachment or a forwarded connection is over or dropped.
    pub(super) dropped: Event,
    /// Whoever waits is let go.
    pub(super) go: Event,
}

/// Something that happens, and is counted until somebody waits for it.
pub(super) struct Event(Semaphore);

impl Event {
    fn new() -> Self {
        Self(Semaphore::new(0))
    }

    pub(super) fn happen(&self) {
        self.0.add_permits(1);
    }

    pub(super) async fn wait(&self) {
        self.0.acquire().await.unwrap().forget();
    }
}

/// All streams but the terminal's.
pub(super) fn command(words: &[&str]) -> ExecRequest {
    ExecRequest {
        container: "c".to_owned(),
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        tty: false,
        stdin: true,
        stdout: true,
        stderr: true,
    }
}

impl Host {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { seen_gone: Event::new(), dropped: Event::new(), go: Event::new() })
    }
}

struct Tell<'a>(&'a Event);

impl Drop for Tell<'_> {
    fn drop(&mut self) {
        self.0.happen();
    }
}

#[async_trait]
impl Handler for Host {
    async fn exec(&self, request: ExecRequest, mut streams: Streams) -> Result<i32, Failure> {
        let words: Vec<&str> = request.command.iter().map(String::as_str).collect();
        match words[..] {
            ["true"] => Ok(0),
            ["exit", code] => Ok(code.parse()?),
            ["fail"] => Err(Box::new(io::Error::other("there is no such program"))),
            ["cat"] => {
                copy(&mut streams.stdin.unwrap(), &mut streams.stdout.unwrap()).await?;
                Ok(0)
            }
            // So many bytes of output, and half as many of errors at its end.
            ["spew", bytes] => {
                let bytes: usize = bytes.parse()?;
                let line: Vec<u8> = (0..=255).collect();
                let (mut stdout, mut stderr) = (streams.stdout.unwrap(), streams.stderr.unwrap());
                let mut left = bytes;
                while left > 0 {
                    let size = left.min(line.len());
                    stdout.write_all(&line[..size]).await?;
                    left -= size;
                }
                stderr.write_all(&vec![b'e'; bytes / 2]).await?;
                Ok(3)
            }
            ["sizes", until] => {
                let mut stdout = streams.stdout.unwrap();
                while let Some(size) = streams.resize.recv().await {
                    let text = format!("{}x{}", size.width, size.height);
                    stdout.write_all(format!("{text}\n").as_bytes()).await?;
                    if text == until {
                        return Ok(0);
                    }
                }
                Err(Box::new(io::Error::other("the sizes ended")))
            }
            // As a program does that writes as fast as it can.
            ["flood", bytes] => {
                let (piece, bytes): (_, usize) = (vec![b'x'; 64 << 10], bytes.parse()?);
                let mut stdout = streams.stdout.unwrap();
                for _ in 0..bytes / piece.len() {
                    stdout.write_all(&piece).await?;
                }
                Ok(0)
            }
            ["ignores", "stdin"] => {
                self.go.wait().await;
                Ok(0)
            }
            ["until", "gone"] => {
                // It may have gone already.
                let _ = streams.stdout.as_mut().unwrap().write_all(b"begun").await;
                streams.hangup.wait().await;
                self.seen_gone.happen();
                Ok(0)
            }
            ref other => panic!("{other:?}"),
        }
    }

    async fn attach(&self, request: AttachRequest, streams: Streams) -> Result<(), Failure> {
        let _tell = Tell(&self.dropped);
        assert_eq!(request.container, "c");
        let (mut stdin, mut stdout) = (streams.stdin.unwrap(), streams.stdout.unwrap());
        copy(&mut stdin, &mut stdout).await?;
        if request.tty {
            // Its output goes on when its input has ended.
            self.go.wait().await;
        }
        Ok(())
    }

    async fn port_forward(&self, pod: &str, port: u16, mut connection: Connection) -> Result<(), Failure> {
        let _tell = Tell(&self.dropped);
        assert_eq!(pod, "p");
        match port {
            80 => {
                let mut all = Vec::new();
                connection.read_to_end(&mut all).await?;
                connection.write_all(b"heard ").await?;
                connection.write_all(&all).await?;
                connection.shutdown().await?;
                Ok(())
            }
            // It does not wait for the end of what it is told.
            81 => Ok(connection.write_all(&vec![b'x'; 1 << 20]).await?),
            // It reads nothing until it is let go.
            82 => {
                self.go.wait().await;
                Ok(())
            }
            _ => Err(Box::new(io::Error::from(io::ErrorKind::ConnectionRefused))),
        }
    }
}
