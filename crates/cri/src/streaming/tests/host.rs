//! A host with containers that do a few simple things.

use crate::streaming::{AttachRequest, Connection, ExecRequest, Failure, Handler, Streams};
use async_trait::async_trait;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::sync::Notify;

/// What happens in containers.
pub(super) struct Host {
    /// Notified when a command has seen its client go.
    pub(super) seen_gone: Notify,
    /// Notified when an attachment or a forwarded connection is dropped.
    pub(super) dropped: Notify,
    /// Whoever waits is let go.
    pub(super) go: Notify,
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
        Arc::new(Self { seen_gone: Notify::new(), dropped: Notify::new(), go: Notify::new() })
    }
}

struct Tell<'a>(&'a Notify);

impl Drop for Tell<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
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
            ["ignores", "stdin"] => {
                self.go.notified().await;
                Ok(0)
            }
            ["until", "gone"] => {
                streams.hangup.wait().await;
                self.seen_gone.notify_one();
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
            self.go.notified().await;
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
                self.go.notified().await;
                Ok(())
            }
            _ => Err(Box::new(io::Error::from(io::ErrorKind::ConnectionRefused))),
        }
    }
}
