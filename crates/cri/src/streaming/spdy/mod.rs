//! SPDY/3.1 as the clients of Kubernetes speak it: a connection with streams that the client opens. As they do, neither
//! side holds data back for flow control; whoever is slow is waited for by the connection.

mod frame;
mod headers;
mod session;

pub(super) use session::{Handle, Incoming, Session, Stream};

#[cfg(test)]
pub(super) mod client;
