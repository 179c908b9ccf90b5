//! What passes between a daemon and the program that starts its shim, before there is a socket between them.
//!
//! Three generations are in use. The daemon always gives flags and environment; the newest (containerd 2.3) also writes
//! [`Params`] to the program's standard input, where older ones write the runtime's options or nothing. The program
//! answers on standard output:
//!
//! | `MAX_SHIM_VERSION` | the daemon                | the answer                                                    |
//! |--------------------|---------------------------|---------------------------------------------------------------|
//! | not set            | containerd up to 1.6      | the address alone                                             |
//! | 2                  | containerd 1.7            | `{"version":2,"address":"unix://…","protocol":"ttrpc"}`       |
//! | 3 and more         | containerd 2, this daemon | the same with `"version":3`: task v3 and sandbox v1 are there |

use crate::{Exited, wire};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The variable with the newest protocol that the daemon knows.
pub const MAX_VERSION: &str = "MAX_SHIM_VERSION";
/// The variable with the address at which the daemon takes events.
pub const TTRPC_ADDRESS: &str = "TTRPC_ADDRESS";
/// The newest protocol that this code knows.
pub const VERSION: u32 = 3;

/// What the daemon writes to standard input; the JSON form of containerd's `BootstrapParams`. What is not read here is
/// left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Params {
    /// The container or sandbox.
    #[serde(alias = "instance_id")]
    pub instance_id: String,
    /// The daemon's namespace.
    pub namespace: String,
    /// A name (`LOG_LEVEL_DEBUG`) or a number; verbose ones are negative.
    #[serde(alias = "log_level", skip_serializing_if = "serde_json::Value::is_null")]
    pub log_level: serde_json::Value,
    /// Where it takes events.
    #[serde(alias = "containerd_ttrpc_address")]
    pub containerd_ttrpc_address: String,
    /// Where it takes requests.
    #[serde(alias = "containerd_grpc_address")]
    pub containerd_grpc_address: String,
    /// The program that publishes events.
    #[serde(alias = "containerd_binary")]
    pub containerd_binary: String,
    /// Where the shim's socket is made.
    #[serde(alias = "socket_dir", skip_serializing_if = "Option::is_none")]
    pub socket_dir: Option<PathBuf>,
}

impl Params {
    /// What was written to standard input, if it is of this kind.
    pub fn read(input: &[u8]) -> Option<Self> {
        input.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(input).ok()).flatten()
    }

    /// Whether more is to be told.
    pub fn is_verbose(&self) -> bool {
        match &self.log_level {
            serde_json::Value::Number(level) => level.as_i64().is_some_and(|level| level < 0),
            serde_json::Value::String(level) => level == "LOG_LEVEL_DEBUG" || level == "LOG_LEVEL_TRACE",
            _ => false,
        }
    }
}

/// Where the shim listens, and what it speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// 2 has the task service of containerd 1, 3 that of containerd 2 and the sandbox service.
    pub version: u32,
    /// `unix:///path`
    pub address: String,
    /// `ttrpc`
    pub protocol: String,
}

impl Answer {
    /// The answer for a daemon that knows protocols up to `max_version`, as far as it says.
    pub fn print(address: &str, max_version: Option<u32>) -> String {
        match max_version {
            None | Some(0 | 1) => address.to_owned(),
            Some(max) => {
                let version = max.min(VERSION);
                format!(
                    "{{\"version\":{version},\"address\":{},\"protocol\":\"ttrpc\"}}",
                    serde_json::Value::from(address)
                )
            }
        }
    }

    /// Understands an answer of any generation.
    pub fn read(output: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(output).map_err(|_| "it is not text".to_owned())?.trim();
        if !text.starts_with('{') {
            return if text.contains('\n') || text.is_empty() {
                Err(format!("{text:?} is no address"))
            } else {
                Ok(Self { version: 2, address: text.to_owned(), protocol: "ttrpc".to_owned() })
            };
        }
        let answer: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if answer.protocol != "ttrpc" {
            return Err(format!("protocol {:?} is not known here", answer.protocol));
        }
        if !(2..=VERSION).contains(&answer.version) {
            return Err(format!("version {} is not known here", answer.version));
        }
        Ok(answer)
    }
}

/// What a shim prints for `delete`.
pub fn deleted(exited: Exited) -> Vec<u8> {
    wire::encoded(&wire::delete_response(exited))
}

/// What a shim prints for `-info`: who it is, and what it can do as JSON of the OCI runtime specification. It takes no
/// options that could be told of.
pub fn runtime_info(name: &str, version: &str, features: Vec<u8>) -> Vec<u8> {
    wire::encoded(&wire::runtime_info(name, version, features))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_generation_of_daemons_gets_its_answer() {
        let answers = include_str!("../tests/data/bootstrap-answers.txt");
        let ours: Vec<String> = [None, Some(2), Some(3), Some(9)]
            .into_iter()
            .map(|version| Answer::print("unix:///run/s/a", version))
            .collect();
        assert_eq!(ours.join("\n"), answers.trim_end());
        let read: Vec<u32> =
            answers.lines().map(|line| Answer::read(line.as_bytes()).unwrap().version).collect();
        assert_eq!(read, [2, 2, 3, 3]);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for wrong in ["", "panic: x\n y", "{}", r#"{"version":4,"address":"unix:///a","protocol":"ttrpc"}"#] {
            Answer::read(wrong.as_bytes()).unwrap_err();
        }
        let grpc = r#"{"version":3,"address":"unix:///a","protocol":"grpc"}"#;
        assert_eq!(Answer::read(grpc.as_bytes()).unwrap_err(), "protocol \"grpc\" is not known here");
    }

    /// Both spellings of the names that protobuf's JSON allows, and fields that are not ours.
    #[test]
    fn params_are_read_in_both_spellings() {
        let camel = Params::read(br#"{"instanceId":"a","socketDir":"/s","logLevel":-4,"extensions":[{}]}"#);
        let snake = Params::read(br#"{"instance_id":"a","socket_dir":"/s","log_level":-4}"#);
        assert_eq!(camel, snake);
        let params = camel.unwrap();
        assert_eq!(params.socket_dir.as_deref(), Some("/s".as_ref()));
        assert!(params.is_verbose());
        assert!(Params::read(br#"{"logLevel":"LOG_LEVEL_DEBUG"}"#).unwrap().is_verbose());
        assert!(!Params::read(b"{}").unwrap().is_verbose());
        assert_eq!(Params::read(b"\x0a\x05hello"), None);
        assert_eq!(Params::read(b""), None);
    }
}
