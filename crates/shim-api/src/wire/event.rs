//! Events. Each has a topic, by which containerd's subscribers choose, and a message of its own.

use super::{
    Parsed, any, from_pid, is_type, moment_or_epoch, mount, parse, pid, text, timestamp, wire_mount,
};
use crate::event::{Envelope, Event};
use crate::streams::Streams;
use containerd_shim_protos::events::task as wire;
use containerd_shim_protos::shim::event::Envelope as WireEnvelope;
use containerd_shim_protos::shim::events::ForwardRequest;
use containerd_shim_protos::topics;
use protobuf::well_known_types::any::Any;
use protobuf::{Message, MessageField};

pub(crate) fn forward_request(envelope: &Envelope) -> Parsed<ForwardRequest> {
    let (topic, name, value) = message(&envelope.event)?;
    let envelope = WireEnvelope {
        timestamp: timestamp(envelope.at),
        namespace: envelope.namespace.clone(),
        topic: topic.to_owned(),
        event: any(name, value),
        ..WireEnvelope::default()
    };
    Ok(ForwardRequest { envelope: MessageField::some(envelope), ..ForwardRequest::default() })
}

pub(crate) fn envelope(request: ForwardRequest) -> Parsed<Envelope> {
    let envelope = request.envelope.into_option().ok_or("the envelope is missing")?;
    let event = envelope.event.as_ref().ok_or("the event is missing")?;
    Ok(Envelope {
        at: moment_or_epoch(&envelope.timestamp),
        event: event_of(event)?,
        namespace: envelope.namespace,
    })
}

/// The topic, and the message packed as containerd's `publish` command takes it.
pub(crate) fn published(event: &Event) -> Parsed<(&'static str, Vec<u8>)> {
    let (topic, name, value) = message(event)?;
    let packed = Any { type_url: name.to_owned(), value, ..Any::default() };
    Ok((topic, packed.write_to_bytes().map_err(|error| error.to_string())?))
}

fn message(event: &Event) -> Parsed<(&'static str, &'static str, Vec<u8>)> {
    let (topic, name, bytes) = match event {
        Event::Created { id, bundle, rootfs, streams, checkpoint, pid: number } => {
            let io = wire::TaskIO {
                stdin: streams.stdin.clone(),
                stdout: streams.stdout.clone(),
                stderr: streams.stderr.clone(),
                terminal: streams.terminal,
                ..Default::default()
            };
            let message = wire::TaskCreate {
                container_id: id.clone(),
                bundle: text(bundle),
                rootfs: rootfs.iter().map(wire_mount).collect(),
                io: MessageField::some(io),
                checkpoint: checkpoint.clone(),
                pid: pid(*number),
                ..Default::default()
            };
            (topics::TASK_CREATE_EVENT_TOPIC, "containerd.events.TaskCreate", message.write_to_bytes())
        }
        Event::Started { id, pid: number } => {
            let message =
                wire::TaskStart { container_id: id.clone(), pid: pid(*number), ..Default::default() };
            (topics::TASK_START_EVENT_TOPIC, "containerd.events.TaskStart", message.write_to_bytes())
        }
        Event::Exited { id, exec, pid: number, code, at } => {
            let message = wire::TaskExit {
                container_id: id.clone(),
                id: exec.as_ref().unwrap_or(id).clone(),
                pid: pid(*number),
                exit_status: pid(*code),
                exited_at: timestamp(*at),
                ..Default::default()
            };
            (topics::TASK_EXIT_EVENT_TOPIC, "containerd.events.TaskExit", message.write_to_bytes())
        }
        Event::Oom { id } => {
            let message = wire::TaskOOM { container_id: id.clone(), ..Default::default() };
            (topics::TASK_OOM_EVENT_TOPIC, "containerd.events.TaskOOM", message.write_to_bytes())
        }
        Event::Deleted { id, pid: number, code, at } => {
            let message = wire::TaskDelete {
                container_id: id.clone(),
                pid: pid(*number),
                exit_status: pid(*code),
                exited_at: timestamp(*at),
                ..Default::default()
            };
            (topics::TASK_DELETE_EVENT_TOPIC, "containerd.events.TaskDelete", message.write_to_bytes())
        }
        Event::ExecAdded { id, exec } => {
            let message =
                wire::TaskExecAdded { container_id: id.clone(), exec_id: exec.clone(), ..Default::default() };
            let name = "containerd.events.TaskExecAdded";
            (topics::TASK_EXEC_ADDED_EVENT_TOPIC, name, message.write_to_bytes())
        }
        Event::ExecStarted { id, exec, pid: number } => {
            let message = wire::TaskExecStarted {
                container_id: id.clone(),
                exec_id: exec.clone(),
                pid: pid(*number),
                ..Default::default()
            };
            let name = "containerd.events.TaskExecStarted";
            (topics::TASK_EXEC_STARTED_EVENT_TOPIC, name, message.write_to_bytes())
        }
        Event::Paused { id } => {
            let message = wire::TaskPaused { container_id: id.clone(), ..Default::default() };
            (topics::TASK_PAUSED_EVENT_TOPIC, "containerd.events.TaskPaused", message.write_to_bytes())
        }
        Event::Resumed { id } => {
            let message = wire::TaskResumed { container_id: id.clone(), ..Default::default() };
            (topics::TASK_RESUMED_EVENT_TOPIC, "containerd.events.TaskResumed", message.write_to_bytes())
        }
        Event::Checkpointed { id, path } => {
            let message = wire::TaskCheckpointed {
                container_id: id.clone(),
                checkpoint: text(path),
                ..Default::default()
            };
            let name = "containerd.events.TaskCheckpointed";
            (topics::TASK_CHECKPOINTED_EVENT_TOPIC, name, message.write_to_bytes())
        }
    };
    Ok((topic, name, bytes.map_err(|error| error.to_string())?))
}

fn event_of(any: &Any) -> Parsed<Event> {
    let is = |name: &str| is_type(any, &format!("containerd.events.{name}"));
    if is("TaskCreate") {
        let message: wire::TaskCreate = parse(any)?;
        let io = message.io.unwrap_or_default();
        return Ok(Event::Created {
            id: message.container_id,
            bundle: message.bundle.into(),
            rootfs: message.rootfs.into_iter().map(mount).collect(),
            streams: Streams { stdin: io.stdin, stdout: io.stdout, stderr: io.stderr, terminal: io.terminal },
            checkpoint: message.checkpoint,
            pid: from_pid(message.pid),
        });
    }
    if is("TaskStart") {
        let message: wire::TaskStart = parse(any)?;
        return Ok(Event::Started { id: message.container_id, pid: from_pid(message.pid) });
    }
    if is("TaskExit") {
        let message: wire::TaskExit = parse(any)?;
        let first = message.id.is_empty() || message.id == message.container_id;
        return Ok(Event::Exited {
            exec: (!first).then_some(message.id),
            id: message.container_id,
            pid: from_pid(message.pid),
            code: from_pid(message.exit_status),
            at: moment_or_epoch(&message.exited_at),
        });
    }
    if is("TaskOOM") {
        return Ok(Event::Oom { id: parse::<wire::TaskOOM>(any)?.container_id });
    }
    if is("TaskDelete") {
        let message: wire::TaskDelete = parse(any)?;
        return Ok(Event::Deleted {
            id: message.container_id,
            pid: from_pid(message.pid),
            code: from_pid(message.exit_status),
            at: moment_or_epoch(&message.exited_at),
        });
    }
    if is("TaskExecAdded") {
        let message: wire::TaskExecAdded = parse(any)?;
        return Ok(Event::ExecAdded { id: message.container_id, exec: message.exec_id });
    }
    if is("TaskExecStarted") {
        let message: wire::TaskExecStarted = parse(any)?;
        let (id, exec) = (message.container_id, message.exec_id);
        return Ok(Event::ExecStarted { id, exec, pid: from_pid(message.pid) });
    }
    if is("TaskPaused") {
        return Ok(Event::Paused { id: parse::<wire::TaskPaused>(any)?.container_id });
    }
    if is("TaskResumed") {
        return Ok(Event::Resumed { id: parse::<wire::TaskResumed>(any)?.container_id });
    }
    if is("TaskCheckpointed") {
        let message: wire::TaskCheckpointed = parse(any)?;
        return Ok(Event::Checkpointed { id: message.container_id, path: message.checkpoint.into() });
    }
    Err(format!("an event of type {} means nothing here", any.type_url))
}
