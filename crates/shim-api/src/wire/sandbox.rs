//! Pods, and the extension.

use super::task::{options, wire_options};
use super::{Parsed, from_pid, moment, moment_or_epoch, pid, text, timestamp};
use crate::extension::{AttachRequest, ReopenLogRequest};
use crate::sandbox::{NewSandbox, Platform, SandboxStarted, SandboxStatus};
use crate::streams::Streams;
use containerd_shim_protos::sandbox_api::{
    CreateSandboxRequest, PlatformResponse, SandboxStatusResponse, StartSandboxResponse, WaitSandboxResponse,
};
use containerd_shim_protos::types::platform::Platform as WirePlatform;
use protobuf::MessageField;
use std::time::SystemTime;

const READY: &str = "SANDBOX_READY";
const NOT_READY: &str = "SANDBOX_NOTREADY";

pub(crate) fn create_sandbox_request(new: &NewSandbox) -> Parsed<CreateSandboxRequest> {
    Ok(CreateSandboxRequest {
        sandbox_id: new.id.clone(),
        bundle_path: text(&new.bundle),
        options: wire_options(&new.options),
        netns_path: new.netns.as_deref().map(text).unwrap_or_default(),
        annotations: new.annotations.clone().into_iter().collect(),
        ..CreateSandboxRequest::default()
    })
}

pub(crate) fn new_sandbox(request: CreateSandboxRequest) -> Parsed<NewSandbox> {
    if !request.rootfs.is_empty() {
        return Err("a sandbox has no root file system here".to_owned());
    }
    Ok(NewSandbox {
        id: request.sandbox_id,
        bundle: request.bundle_path.into(),
        netns: (!request.netns_path.is_empty()).then(|| request.netns_path.into()),
        options: options(request.options.as_ref())?,
        annotations: request.annotations.into_iter().collect(),
    })
}

pub(crate) fn start_sandbox_response(started: SandboxStarted) -> StartSandboxResponse {
    StartSandboxResponse {
        pid: pid(started.pid),
        created_at: timestamp(started.at),
        ..StartSandboxResponse::default()
    }
}

pub(crate) fn sandbox_started(response: &StartSandboxResponse) -> SandboxStarted {
    SandboxStarted { pid: from_pid(response.pid), at: moment_or_epoch(&response.created_at) }
}

pub(crate) fn platform_response(platform: Platform) -> PlatformResponse {
    let platform =
        WirePlatform { os: platform.os, architecture: platform.architecture, ..WirePlatform::default() };
    PlatformResponse { platform: MessageField::some(platform), ..PlatformResponse::default() }
}

pub(crate) fn platform(response: PlatformResponse) -> Platform {
    let platform = response.platform.unwrap_or_default();
    Platform { os: platform.os, architecture: platform.architecture }
}

pub(crate) fn wait_sandbox_response(code: i32, at: SystemTime) -> WaitSandboxResponse {
    WaitSandboxResponse { exit_status: pid(code), exited_at: timestamp(at), ..Default::default() }
}

pub(crate) fn sandbox_exit(response: &WaitSandboxResponse) -> (i32, SystemTime) {
    (from_pid(response.exit_status), moment_or_epoch(&response.exited_at))
}

pub(crate) fn sandbox_status_response(status: SandboxStatus) -> SandboxStatusResponse {
    SandboxStatusResponse {
        sandbox_id: status.id,
        pid: pid(status.pid),
        state: if status.ready { READY } else { NOT_READY }.to_owned(),
        info: status.info.into_iter().collect(),
        created_at: status.created_at.map_or_else(MessageField::none, timestamp),
        exited_at: status.exited_at.map_or_else(MessageField::none, timestamp),
        ..SandboxStatusResponse::default()
    }
}

pub(crate) fn sandbox_status(response: SandboxStatusResponse) -> SandboxStatus {
    SandboxStatus {
        id: response.sandbox_id,
        pid: from_pid(response.pid),
        ready: response.state == READY,
        created_at: moment(&response.created_at),
        exited_at: moment(&response.exited_at),
        info: response.info.into_iter().collect(),
    }
}

pub(crate) fn attach_request(id: &str, streams: &Streams) -> AttachRequest {
    AttachRequest {
        id: id.to_owned(),
        stdin: streams.stdin.clone(),
        stdout: streams.stdout.clone(),
        stderr: streams.stderr.clone(),
        ..AttachRequest::default()
    }
}

/// Whether there is a terminal, the container knows.
pub(crate) fn attach(request: AttachRequest) -> (String, Streams) {
    let AttachRequest { id, stdin, stdout, stderr, .. } = request;
    (id, Streams { stdin, stdout, stderr, terminal: false })
}

pub(crate) fn reopen_log_request(id: &str) -> ReopenLogRequest {
    ReopenLogRequest { id: id.to_owned(), ..ReopenLogRequest::default() }
}
