//! The streaming server: exec, attach and port forwarding, over HTTP upgrades that the API has promised in a call.
//!
//! ```text
//! the API      Server::exec(request) → URL with a token
//! the client   GET|POST /exec/TOKEN, Upgrade: SPDY/3.1 or websocket
//!                → streams of bytes → Handler::exec → its exit code on the stream of errors → end
//! ```
//! A token is good once and for a minute. The server knows nothing of containers: a [`Handler`] does the work, and what
//! it gets are streams.
//!
//! | upgrade | sub-protocols | exec, attach | port forwarding |
//! |---|---|---|---|
//! | `SPDY/3.1` | `channel.k8s.io`, `v2` – `v4.channel.k8s.io` | streams named by `streamType` | – |
//! | `SPDY/3.1` | `portforward.k8s.io` | – | pairs of streams, joined by `requestID` |
//! | `websocket` | `channel.k8s.io`, `v4`, `v5`, their `base64` forms, none | channels by number | channels by number |
//! | `websocket` | `v2.portforward.k8s.io`, `SPDY/3.1+portforward.k8s.io` | – | SPDY/3.1 inside of messages |
//!
//! | module | what it holds |
//! |---|---|
//! | `server` | the listener, tokens and URLs, what a request asks for |
//! | `handler` | what is asked of whoever owns the containers |
//! | `remote_command`, `port_forward` | one session, whatever it is carried by |
//! | `spdy`, `websocket`, `tunnel` | what it is carried by |
//! | `inbox`, `outbox`, `writer`, `link` | how streams share a connection |

mod handler;
mod inbox;
mod link;
mod outbox;
mod port_forward;
mod protocol;
mod remote_command;
mod server;
mod spdy;
mod status;
#[cfg(test)]
mod tests;
mod tls;
mod tokens;
mod tunnel;
mod websocket;
mod writer;

pub use handler::{
    AttachRequest, Connection, ExecRequest, Failure, Handler, Hangup, Input, Output, PortForwardRequest,
    Streams, TerminalSize,
};
pub use server::{BindError, Config, Server};
pub use tls::{Tls, TlsError};
pub use tokens::RequestError;
