//! Upgrades of HTTP, and the agreement on what is spoken after them.

use super::status::StatusFormat;
use hyper::header::{
    ALLOW, CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Request, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

const SPDY: &str = "SPDY/3.1";
const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");
const ACCEPTED_PROTOCOLS: HeaderName = HeaderName::from_static("x-accepted-stream-protocol-versions");

/// How a session is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// SPDY over the connection.
    Spdy,
    /// SPDY in messages of a WebSocket.
    SpdyInWebSocket,
    /// Messages of a WebSocket that begin with a channel's number.
    Channels {
        /// As text.
        base64: bool,
        /// The client says when a channel ends.
        close: bool,
    },
}

/// A protocol that can be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Protocol {
    name: &'static str,
    pub(super) transport: Transport,
    /// How the end of a command is told.
    pub(super) status: StatusFormat,
    /// Whether there is a stream for the terminal's size.
    pub(super) resize: bool,
}

const fn spdy(name: &'static str, status: StatusFormat, resize: bool) -> Protocol {
    Protocol { name, transport: Transport::Spdy, status, resize }
}

const fn channels(name: &'static str, status: StatusFormat, base64: bool, close: bool) -> Protocol {
    Protocol { name, transport: Transport::Channels { base64, close }, status, resize: true }
}

const fn tunnel(name: &'static str) -> Protocol {
    Protocol { name, transport: Transport::SpdyInWebSocket, status: StatusFormat::Text, resize: false }
}

/// For exec and attach. The last is spoken with clients that name none.
pub(super) const COMMAND_OVER_SPDY: [Protocol; 4] = [
    spdy("v4.channel.k8s.io", StatusFormat::Json, true),
    spdy("v3.channel.k8s.io", StatusFormat::Text, true),
    spdy("v2.channel.k8s.io", StatusFormat::Text, false),
    spdy("channel.k8s.io", StatusFormat::Text, false),
];

/// For exec and attach.
pub(super) const COMMAND_OVER_WEBSOCKET: [Protocol; 5] = [
    channels("v5.channel.k8s.io", StatusFormat::Json, false, true),
    channels("v4.channel.k8s.io", StatusFormat::Json, false, false),
    channels("v4.base64.channel.k8s.io", StatusFormat::Json, true, false),
    channels("base64.channel.k8s.io", StatusFormat::Text, true, false),
    channels("channel.k8s.io", StatusFormat::Text, false, false),
];

/// For port forwarding.
pub(super) const FORWARD_OVER_SPDY: [Protocol; 1] = [spdy("portforward.k8s.io", StatusFormat::Text, false)];

/// For port forwarding.
pub(super) const FORWARD_OVER_WEBSOCKET: [Protocol; 5] = [
    tunnel("v2.portforward.k8s.io"),
    tunnel("SPDY/3.1+portforward.k8s.io"),
    channels("v4.base64.channel.k8s.io", StatusFormat::Text, true, false),
    channels("v4.channel.k8s.io", StatusFormat::Text, false, false),
    channels("portforward.k8s.io", StatusFormat::Text, false, false),
];

/// A request that is not upgraded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: StatusCode,
    pub(super) headers: Vec<(HeaderName, &'static str)>,
    pub(super) why: String,
}

impl Refused {
    pub(super) fn new(code: StatusCode, why: impl Into<String>) -> Self {
        Self { code, headers: Vec::new(), why: why.into() }
    }

    pub(super) fn method() -> Self {
        let mut refused = Self::new(StatusCode::METHOD_NOT_ALLOWED, "only GET and POST");
        refused.headers.push((ALLOW, "GET, POST"));
        refused
    }
}

/// Agrees on a protocol: the first of the client's that we speak. Returns the headers that say so.
pub(super) fn agree<B>(
    request: &Request<B>,
    over_spdy: &[Protocol],
    over_websocket: &[Protocol],
) -> Result<(Protocol, HeaderMap), Refused> {
    if !has_word(request.headers(), &CONNECTION, "upgrade") {
        return Err(Refused::new(StatusCode::BAD_REQUEST, "the connection is not to be upgraded"));
    }
    if has_word(request.headers(), &UPGRADE, "websocket") {
        return agree_on_websocket(request, over_websocket);
    }
    if has_word(request.headers(), &UPGRADE, SPDY) {
        return agree_on_spdy(request.headers(), over_spdy);
    }
    Err(Refused::new(
        StatusCode::BAD_REQUEST,
        "upgrades to SPDY/3.1 and to websocket are understood, no others",
    ))
}

fn agree_on_spdy(headers: &HeaderMap, ours: &[Protocol]) -> Result<(Protocol, HeaderMap), Refused> {
    let mut answer = HeaderMap::new();
    let protocol = match choose(headers, &STREAM_PROTOCOL, ours) {
        Choice::Agreed(protocol) => {
            answer.insert(STREAM_PROTOCOL, HeaderValue::from_static(protocol.name));
            protocol
        }
        Choice::NoneNamed(oldest) => oldest,
        Choice::NoneInCommon(theirs) => {
            let why = format!("unable to negotiate protocol: client supports {theirs}");
            let mut refused = Refused::new(StatusCode::FORBIDDEN, why);
            refused.headers.extend(ours.iter().map(|protocol| (ACCEPTED_PROTOCOLS, protocol.name)));
            return Err(refused);
        }
    };
    answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(UPGRADE, HeaderValue::from_static(SPDY));
    Ok((protocol, answer))
}

fn agree_on_websocket<B>(request: &Request<B>, ours: &[Protocol]) -> Result<(Protocol, HeaderMap), Refused> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(Refused::method());
    }
    if !has_word(headers, &SEC_WEBSOCKET_VERSION, "13") {
        let mut refused = Refused::new(StatusCode::UPGRADE_REQUIRED, "WebSocket version 13 is spoken");
        refused.headers.push((SEC_WEBSOCKET_VERSION, "13"));
        return Err(refused);
    }
    let Some(key) = headers.get(SEC_WEBSOCKET_KEY) else {
        return Err(Refused::new(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing"));
    };
    let mut answer = HeaderMap::new();
    let protocol = match choose(headers, &SEC_WEBSOCKET_PROTOCOL, ours) {
        Choice::Agreed(protocol) => {
            answer.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol.name));
            protocol
        }
        Choice::NoneNamed(oldest) => oldest,
        Choice::NoneInCommon(theirs) => {
            let spoken: Vec<&str> = ours.iter().map(|protocol| protocol.name).collect();
            let why = format!("none of {theirs} is spoken, only {}", spoken.join(", "));
            return Err(Refused::new(StatusCode::FORBIDDEN, why));
        }
    };
    answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()));
    answer.insert(SEC_WEBSOCKET_ACCEPT, accept.unwrap_or_else(|_| HeaderValue::from_static("")));
    Ok((protocol, answer))
}

enum Choice {
    Agreed(Protocol),
    NoneNamed(Protocol),
    NoneInCommon(String),
}

fn choose(headers: &HeaderMap, name: &HeaderName, ours: &[Protocol]) -> Choice {
    let theirs: Vec<&str> = words(headers, name).collect();
    let agreed = theirs.iter().find_map(|theirs| ours.iter().find(|protocol| protocol.name == *theirs));
    match (agreed, ours.last()) {
        (Some(protocol), _) => Choice::Agreed(*protocol),
        (None, Some(oldest)) if theirs.is_empty() => Choice::NoneNamed(*oldest),
        (None, _) => Choice::NoneInCommon(theirs.join(", ")),
    }
}

fn words<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|word| !word.is_empty())
}

fn has_word(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    words(headers, name).any(|found| found.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        headers
            .iter()
            .fold(Request::get("/"), |request, (name, value)| request.header(*name, *value))
            .body(())
            .unwrap()
    }

    fn agreed(headers: &[(&str, &str)]) -> Result<(Protocol, HeaderMap), Refused> {
        agree(&request(headers), &COMMAND_OVER_SPDY, &COMMAND_OVER_WEBSOCKET)
    }

    #[test]
    fn the_clients_first_choice_that_we_speak_is_taken() {
        let spdy = [("connection", "keep-alive, Upgrade"), ("upgrade", "SPDY/3.1")];
        let with = |versions: &[&'static str]| {
            let named = versions.iter().map(|version| ("x-stream-protocol-version", *version));
            agreed(&spdy.into_iter().chain(named).collect::<Vec<_>>())
        };
        let (protocol, headers) =
            with(&["v9.channel.k8s.io", "v3.channel.k8s.io, v4.channel.k8s.io"]).unwrap();
        assert_eq!((protocol.name, protocol.status), ("v3.channel.k8s.io", StatusFormat::Text));
        assert_eq!(headers["x-stream-protocol-version"], "v3.channel.k8s.io");
        let (protocol, headers) = with(&[]).unwrap();
        assert_eq!(protocol.name, "channel.k8s.io");
        assert!(!headers.contains_key("x-stream-protocol-version"));
        let refused = with(&["v9.channel.k8s.io"]).unwrap_err();
        assert_eq!(refused.code, StatusCode::FORBIDDEN);
        let accepted = refused.headers.iter().map(|(name, version)| (name.as_str(), *version));
        let ours = COMMAND_OVER_SPDY.iter().map(|ours| ("x-accepted-stream-protocol-versions", ours.name));
        assert!(accepted.eq(ours));
    }

    /// The key and its answer are those of RFC 6455.
    #[test]
    fn a_websocket_is_answered_with_its_key() {
        let base = [
            ("connection", "upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let (protocol, headers) = agreed(&base).unwrap();
        assert_eq!(headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(protocol.name, "channel.k8s.io");
        let mut old = base;
        old[2].1 = "8";
        assert_eq!(agreed(&old).unwrap_err().code, StatusCode::UPGRADE_REQUIRED);
        assert_eq!(agreed(&base[..1]).unwrap_err().code, StatusCode::BAD_REQUEST);
        assert_eq!(agreed(&[]).unwrap_err().code, StatusCode::BAD_REQUEST);
        assert_eq!(agreed(&base[..3]).unwrap_err().code, StatusCode::BAD_REQUEST);
    }
}
