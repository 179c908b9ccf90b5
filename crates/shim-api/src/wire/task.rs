//! Containers and their processes.

use super::{
    Parsed, any, any_json, any_message, from_pid, is_type, moment, moment_or_epoch, mount, parse, parse_json,
    pid, text, timestamp, wire_mount,
};
use crate::extension::runc;
use crate::streams::Streams;
use crate::task::{
    Checkpoint, Connected, Exited, NewProcess, NewTask, Options, ProcessEntry, Signal, TaskState,
};
use compute::{Status, bundle};
use containerd_shim_protos::api::{
    CheckpointTaskRequest, ConnectResponse, CreateTaskRequest, DeleteResponse, ExecProcessRequest,
    KillRequest, PidsResponse, ProcessInfo, StateResponse, Status as WireStatus, UpdateTaskRequest,
    WaitResponse,
};
use containerd_shim_protos::shim::oci;
use oci_spec::runtime::{LinuxResources, Process};
use protobuf::well_known_types::any::Any;
use protobuf::{EnumOrUnknown, Message, MessageField};

const OPTIONS: &str = "containerd.runc.v1.Options";
/// What clients of containerd 1 send for a runtime that is not containerd's.
const OLDER_OPTIONS: &str = "containerd.linux.runc.CreateOptions";
const OLDER_CHECKPOINT_OPTIONS: &str = "containerd.linux.runc.CheckpointOptions";
const CHECKPOINT_OPTIONS: &str = "containerd.runc.v1.CheckpointOptions";
const PROCESS_DETAILS: &str = "containerd.runc.v1.ProcessDetails";
/// Options of a runtime that containerd knows nothing of: a file and its text. None of ours are in a file.
const GENERIC_OPTIONS: &str = "runtimeoptions.v1.Options";
const PROCESS: &str = "types.containerd.io/opencontainers/runtime-spec/1/Process";
const RESOURCES: &str = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";

pub(crate) fn create_request(new: &NewTask) -> CreateTaskRequest {
    CreateTaskRequest {
        id: new.id.clone(),
        bundle: text(&new.bundle),
        rootfs: new.rootfs.iter().map(wire_mount).collect(),
        terminal: new.streams.terminal,
        stdin: new.streams.stdin.clone(),
        stdout: new.streams.stdout.clone(),
        stderr: new.streams.stderr.clone(),
        checkpoint: new.checkpoint.as_deref().map(text).unwrap_or_default(),
        options: wire_options(&new.options),
        ..CreateTaskRequest::default()
    }
}

pub(crate) fn new_task(request: CreateTaskRequest) -> Parsed<NewTask> {
    Ok(NewTask {
        id: request.id,
        bundle: request.bundle.into(),
        rootfs: request.rootfs.into_iter().map(mount).collect(),
        streams: streams(request.stdin, request.stdout, request.stderr, request.terminal),
        checkpoint: (!request.checkpoint.is_empty()).then(|| request.checkpoint.into()),
        options: options(request.options.as_ref())?,
    })
}

fn streams(stdin: String, stdout: String, stderr: String, terminal: bool) -> Streams {
    Streams { stdin, stdout, stderr, terminal }
}

/// Nothing but defaults is no message.
pub(super) fn wire_options(options: &Options) -> MessageField<Any> {
    if *options == Options::default() {
        return MessageField::none();
    }
    let message = oci::Options {
        no_pivot_root: options.no_pivot_root,
        no_new_keyring: options.no_new_keyring,
        io_uid: options.io_owner.0,
        io_gid: options.io_owner.1,
        systemd_cgroup: options.systemd_cgroup,
        criu_image_path: options.criu_image_path.clone(),
        criu_work_path: options.criu_work_path.clone(),
        ..oci::Options::default()
    };
    // Encoding fails for messages beyond 2 GiB only.
    any(OPTIONS, message.write_to_bytes().unwrap_or_default())
}

/// `binary_name` and `root` are about the runtime that a shim executes, `shim_cgroup` and the task API about its start;
/// ours executes none and is started by then.
pub(super) fn options(given: Option<&Any>) -> Parsed<Options> {
    let Some(given) = given.filter(|given| !given.type_url.is_empty()) else {
        return Ok(Options::default());
    };
    if is_type(given, GENERIC_OPTIONS) {
        return Ok(Options::default());
    }
    if is_type(given, OLDER_OPTIONS) {
        let message: runc::CreateOptions = parse(given)?;
        return Ok(Options {
            systemd_cgroup: false,
            no_pivot_root: message.no_pivot_root,
            no_new_keyring: message.no_new_keyring,
            io_owner: (message.io_uid, message.io_gid),
            criu_image_path: message.criu_image_path,
            criu_work_path: message.criu_work_path,
        });
    }
    if !is_type(given, OPTIONS) {
        return Err(format!("options of type {} mean nothing here", given.type_url));
    }
    let message: oci::Options = parse(given)?;
    Ok(Options {
        systemd_cgroup: message.systemd_cgroup,
        no_pivot_root: message.no_pivot_root,
        no_new_keyring: message.no_new_keyring,
        io_owner: (message.io_uid, message.io_gid),
        criu_image_path: message.criu_image_path,
        criu_work_path: message.criu_work_path,
    })
}

pub(crate) fn exec_request(new: &NewProcess) -> Parsed<ExecProcessRequest> {
    Ok(ExecProcessRequest {
        id: new.id.clone(),
        exec_id: new.exec_id.clone(),
        terminal: new.streams.terminal,
        stdin: new.streams.stdin.clone(),
        stdout: new.streams.stdout.clone(),
        stderr: new.streams.stderr.clone(),
        spec: any_json(PROCESS, &new.process)?,
        ..ExecProcessRequest::default()
    })
}

pub(crate) fn new_process(request: ExecProcessRequest) -> Parsed<NewProcess> {
    if request.exec_id.is_empty() {
        return Err("the process has no id".to_owned());
    }
    Ok(NewProcess {
        id: request.id,
        exec_id: request.exec_id,
        process: process(request.spec.as_ref())?,
        streams: streams(request.stdin, request.stdout, request.stderr, request.terminal),
    })
}

/// By the rules for bundles: what other programs leave out has their zero value.
fn process(spec: Option<&Any>) -> Parsed<Process> {
    let spec = spec.ok_or("the process is missing")?;
    bundle::parse_process("process", &spec.value).map_err(|error| error.to_string())
}

pub(crate) fn signal(request: &KillRequest) -> Parsed<Signal> {
    let number = i32::try_from(request.signal).ok().filter(|number| (0..=64).contains(number));
    let number = number.ok_or_else(|| format!("{} is no signal", request.signal))?;
    Ok(Signal { number, all: request.all })
}

pub(crate) fn delete_response(exited: Exited) -> DeleteResponse {
    DeleteResponse {
        pid: pid(exited.pid),
        exit_status: pid(exited.code),
        exited_at: timestamp(exited.at),
        ..DeleteResponse::default()
    }
}

pub(crate) fn exited_of_delete(response: &DeleteResponse) -> Exited {
    Exited {
        pid: from_pid(response.pid),
        code: from_pid(response.exit_status),
        at: moment_or_epoch(&response.exited_at),
    }
}

/// The answer that the `delete` command prints.
pub(crate) fn deleted(output: &[u8]) -> Parsed<Exited> {
    let response = DeleteResponse::parse_from_bytes(output).map_err(|error| error.to_string())?;
    Ok(exited_of_delete(&response))
}

pub(crate) fn wait_response(exited: Exited) -> WaitResponse {
    WaitResponse { exit_status: pid(exited.code), exited_at: timestamp(exited.at), ..WaitResponse::default() }
}

/// This message does not say which process it was.
pub(crate) fn exited_of_wait(response: &WaitResponse) -> Exited {
    Exited { pid: 0, code: from_pid(response.exit_status), at: moment_or_epoch(&response.exited_at) }
}

pub(crate) fn state_response(state: &TaskState) -> StateResponse {
    let status = match state.status {
        Status::Created => WireStatus::CREATED,
        Status::Running => WireStatus::RUNNING,
        Status::Paused => WireStatus::PAUSED,
        Status::Stopped => WireStatus::STOPPED,
    };
    StateResponse {
        id: state.id.clone(),
        exec_id: state.exec.clone().unwrap_or_default(),
        bundle: text(&state.bundle),
        pid: pid(state.pid),
        status: EnumOrUnknown::new(status),
        stdin: state.streams.stdin.clone(),
        stdout: state.streams.stdout.clone(),
        stderr: state.streams.stderr.clone(),
        terminal: state.streams.terminal,
        exit_status: state.exited.map_or(0, |(code, _)| pid(code)),
        exited_at: state.exited.map_or_else(MessageField::none, |(_, at)| timestamp(at)),
        ..StateResponse::default()
    }
}

pub(crate) fn task_state(response: StateResponse) -> Parsed<TaskState> {
    let status = match response.status.enum_value() {
        Ok(WireStatus::CREATED) => Status::Created,
        Ok(WireStatus::RUNNING) => Status::Running,
        Ok(WireStatus::PAUSED | WireStatus::PAUSING) => Status::Paused,
        Ok(WireStatus::STOPPED) => Status::Stopped,
        Ok(WireStatus::UNKNOWN) => return Err("its status is not known".to_owned()),
        Err(number) => return Err(format!("status {number} means nothing here")),
    };
    let exited = moment(&response.exited_at).map(|at| (from_pid(response.exit_status), at));
    Ok(TaskState {
        id: response.id,
        exec: (!response.exec_id.is_empty()).then_some(response.exec_id),
        bundle: response.bundle.into(),
        pid: from_pid(response.pid),
        status,
        streams: streams(response.stdin, response.stdout, response.stderr, response.terminal),
        exited: exited.filter(|_| status == Status::Stopped),
    })
}

pub(crate) fn pids_response(entries: &[ProcessEntry]) -> Parsed<PidsResponse> {
    let entry = |entry: &ProcessEntry| {
        let info = match &entry.exec {
            None => MessageField::none(),
            Some(exec) => {
                let details = oci::ProcessDetails { exec_id: exec.clone(), ..oci::ProcessDetails::default() };
                any_message(PROCESS_DETAILS, &details)?
            }
        };
        Ok(ProcessInfo { pid: pid(entry.pid), info, ..ProcessInfo::default() })
    };
    let processes = entries.iter().map(entry).collect::<Parsed<Vec<_>>>()?;
    Ok(PidsResponse { processes, ..PidsResponse::default() })
}

pub(crate) fn process_entries(response: PidsResponse) -> Parsed<Vec<ProcessEntry>> {
    let entry = |info: ProcessInfo| {
        let details = info.info.as_ref().filter(|any| is_type(any, PROCESS_DETAILS));
        let details = details.map(parse::<oci::ProcessDetails>).transpose()?;
        let exec = details.map(|details| details.exec_id).filter(|exec| !exec.is_empty());
        Ok(ProcessEntry { pid: from_pid(info.pid), exec })
    };
    response.processes.into_iter().map(entry).collect()
}

pub(crate) fn checkpoint_request(id: &str, checkpoint: &Checkpoint) -> Parsed<CheckpointTaskRequest> {
    let options = oci::CheckpointOptions {
        exit: checkpoint.exit,
        open_tcp: checkpoint.open_tcp,
        external_unix_sockets: checkpoint.external_unix_sockets,
        terminal: checkpoint.terminal,
        file_locks: checkpoint.file_locks,
        empty_namespaces: checkpoint.empty_namespaces.clone(),
        cgroups_mode: checkpoint.cgroups_mode.clone(),
        work_path: text(&checkpoint.work_path),
        ..oci::CheckpointOptions::default()
    };
    Ok(CheckpointTaskRequest {
        id: id.to_owned(),
        path: text(&checkpoint.path),
        options: any_message(CHECKPOINT_OPTIONS, &options)?,
        ..CheckpointTaskRequest::default()
    })
}

/// A path in the options takes the place of the request's, as in containerd's shim.
pub(crate) fn checkpoint(request: CheckpointTaskRequest) -> Parsed<(String, Checkpoint)> {
    let options = match request.options.as_ref().filter(|any| !any.type_url.is_empty()) {
        None => oci::CheckpointOptions::default(),
        Some(any) if is_type(any, CHECKPOINT_OPTIONS) => parse(any)?,
        Some(any) if is_type(any, OLDER_CHECKPOINT_OPTIONS) => {
            let older: runc::CheckpointOptions = parse(any)?;
            oci::CheckpointOptions {
                exit: older.exit,
                open_tcp: older.open_tcp,
                external_unix_sockets: older.external_unix_sockets,
                terminal: older.terminal,
                file_locks: older.file_locks,
                empty_namespaces: older.empty_namespaces,
                cgroups_mode: older.cgroups_mode,
                image_path: older.image_path,
                work_path: older.work_path,
                ..oci::CheckpointOptions::default()
            }
        }
        Some(any) => return Err(format!("options of type {} mean nothing here", any.type_url)),
    };
    let path = if options.image_path.is_empty() { request.path } else { options.image_path };
    let checkpoint = Checkpoint {
        path: path.into(),
        work_path: options.work_path.into(),
        exit: options.exit,
        open_tcp: options.open_tcp,
        external_unix_sockets: options.external_unix_sockets,
        terminal: options.terminal,
        file_locks: options.file_locks,
        empty_namespaces: options.empty_namespaces,
        cgroups_mode: options.cgroups_mode,
    };
    Ok((request.id, checkpoint))
}

pub(crate) fn update_request(id: &str, resources: &LinuxResources) -> Parsed<UpdateTaskRequest> {
    Ok(UpdateTaskRequest {
        id: id.to_owned(),
        resources: any_json(RESOURCES, resources)?,
        ..UpdateTaskRequest::default()
    })
}

pub(crate) fn update(request: UpdateTaskRequest) -> Parsed<(String, LinuxResources)> {
    Ok((request.id, parse_json("resources", request.resources.as_ref())?))
}

pub(crate) fn connect_response(connected: Connected) -> ConnectResponse {
    ConnectResponse {
        shim_pid: pid(connected.shim_pid),
        task_pid: pid(connected.task_pid),
        version: connected.version,
        ..ConnectResponse::default()
    }
}

pub(crate) fn connected(response: ConnectResponse) -> Connected {
    Connected {
        shim_pid: from_pid(response.shim_pid),
        task_pid: from_pid(response.task_pid),
        version: response.version,
    }
}
