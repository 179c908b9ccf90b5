//! The one mapping between the messages of the protocol and our words.
//!
//! Each word has a function to its message and one from it, side by side; a property test sends every word there and
//! back. Messages come from anywhere: what has no meaning is an error with its reason, never a default.

mod event;
mod metrics;
mod sandbox;
mod task;

pub(crate) use event::{envelope, forward_request, published};
pub(crate) use metrics::{metrics_of_sandbox, metrics_of_stats, sandbox_metrics_response, stats_response};
pub(crate) use sandbox::{
    attach, attach_request, create_sandbox_request, new_sandbox, platform, platform_response,
    reopen_log_request, sandbox_exit, sandbox_started, sandbox_status, sandbox_status_response,
    start_sandbox_response, wait_sandbox_response,
};
pub(crate) use task::{
    checkpoint, checkpoint_request, connect_response, connected, create_request, delete_response, deleted,
    exec_request, exited_of_delete, exited_of_wait, new_process, new_task, pids_response, process_entries,
    signal, state_response, task_state, update, update_request, wait_response,
};

use crate::error::Kind;
use compute::Mount;
use containerd_shim_protos::types::introspection::{RuntimeInfo, RuntimeVersion};
use containerd_shim_protos::types::mount::Mount as WireMount;
use protobuf::well_known_types::any::Any;
use protobuf::well_known_types::timestamp::Timestamp;
use protobuf::{Message, MessageField};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use ttrpc::Code;

const FEATURES: &str = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

/// What a message has that our words do not.
pub(crate) type Parsed<T> = Result<T, String>;

/// The code for a class.
pub(crate) fn code(kind: Kind) -> Code {
    match kind {
        Kind::InvalidArgument => Code::INVALID_ARGUMENT,
        Kind::NotFound => Code::NOT_FOUND,
        Kind::AlreadyExists => Code::ALREADY_EXISTS,
        Kind::FailedPrecondition => Code::FAILED_PRECONDITION,
        Kind::PermissionDenied => Code::PERMISSION_DENIED,
        Kind::ResourceExhausted => Code::RESOURCE_EXHAUSTED,
        Kind::Unimplemented => Code::UNIMPLEMENTED,
        Kind::DeadlineExceeded => Code::DEADLINE_EXCEEDED,
        Kind::Unavailable => Code::UNAVAILABLE,
        Kind::Internal => Code::INTERNAL,
    }
}

/// The class for a code.
pub(crate) fn kind(code: Code) -> Kind {
    match code {
        Code::INVALID_ARGUMENT | Code::OUT_OF_RANGE => Kind::InvalidArgument,
        Code::NOT_FOUND => Kind::NotFound,
        Code::ALREADY_EXISTS => Kind::AlreadyExists,
        Code::FAILED_PRECONDITION | Code::ABORTED => Kind::FailedPrecondition,
        Code::PERMISSION_DENIED | Code::UNAUTHENTICATED => Kind::PermissionDenied,
        Code::RESOURCE_EXHAUSTED => Kind::ResourceExhausted,
        Code::UNIMPLEMENTED => Kind::Unimplemented,
        Code::DEADLINE_EXCEEDED | Code::CANCELLED => Kind::DeadlineExceeded,
        Code::UNAVAILABLE => Kind::Unavailable,
        Code::OK | Code::UNKNOWN | Code::INTERNAL | Code::DATA_LOSS => Kind::Internal,
    }
}

/// Process ids, exit codes and signals are unsigned on the wire; none of ours is negative.
pub(crate) fn pid(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// Back.
pub(crate) fn from_pid(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn timestamp(at: SystemTime) -> MessageField<Timestamp> {
    let (seconds, nanos) = match at.duration_since(UNIX_EPOCH) {
        Ok(since) => (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos()),
        Err(_) => (0, 0),
    };
    let nanos = i32::try_from(nanos).unwrap_or(0);
    MessageField::some(Timestamp { seconds, nanos, ..Timestamp::default() })
}

/// Containerd sends the zero of Go's time, the year 1, for a moment that is not known.
fn moment(timestamp: &MessageField<Timestamp>) -> Option<SystemTime> {
    let timestamp = timestamp.as_ref()?;
    let seconds = u64::try_from(timestamp.seconds).ok()?;
    let nanos = u32::try_from(timestamp.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
}

fn moment_or_epoch(timestamp: &MessageField<Timestamp>) -> SystemTime {
    moment(timestamp).unwrap_or(UNIX_EPOCH)
}

fn any(type_url: &str, value: Vec<u8>) -> MessageField<Any> {
    MessageField::some(Any { type_url: type_url.to_owned(), value, ..Any::default() })
}

fn any_message(type_url: &str, message: &impl Message) -> Parsed<MessageField<Any>> {
    Ok(any(type_url, message.write_to_bytes().map_err(|error| error.to_string())?))
}

fn any_json(type_url: &str, value: &impl serde::Serialize) -> Parsed<MessageField<Any>> {
    Ok(any(type_url, serde_json::to_vec(value).map_err(|error| error.to_string())?))
}

/// The last part of a type's address is its name.
fn is_type(any: &Any, name: &str) -> bool {
    any.type_url == name || any.type_url.strip_suffix(name).is_some_and(|rest| rest.ends_with('/'))
}

fn parse<T: Message>(any: &Any) -> Parsed<T> {
    T::parse_from_bytes(&any.value).map_err(|error| format!("{}: {error}", any.type_url))
}

fn parse_json<T: for<'de> serde::Deserialize<'de>>(what: &str, any: Option<&Any>) -> Parsed<T> {
    let any = any.ok_or_else(|| format!("the {what} is missing"))?;
    serde_json::from_slice(&any.value).map_err(|error| format!("{what} ({}): {error}", any.type_url))
}

fn wire_mount(mount: &Mount) -> WireMount {
    WireMount {
        type_: mount.kind.clone(),
        source: mount.source.clone(),
        target: mount.target.clone(),
        options: mount.options.clone(),
        ..WireMount::default()
    }
}

fn mount(mount: WireMount) -> Mount {
    Mount { kind: mount.type_, source: mount.source, target: mount.target, options: mount.options }
}

/// Encoding fails for messages beyond 2 GiB only.
pub(crate) fn encoded(message: &impl Message) -> Vec<u8> {
    message.write_to_bytes().unwrap_or_default()
}

/// Who a shim is.
pub(crate) fn runtime_info(name: &str, version: &str, features: Vec<u8>) -> RuntimeInfo {
    let version = RuntimeVersion { version: version.to_owned(), ..RuntimeVersion::default() };
    RuntimeInfo {
        name: name.to_owned(),
        version: MessageField::some(version),
        features: any(FEATURES, features),
        ..RuntimeInfo::default()
    }
}

/// Paths are UTF-8 on the wire.
fn text(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
