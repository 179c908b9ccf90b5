//! Every word there and back, with values drawn at random.

use super::*;
use crate::event::{Envelope, Event};
use crate::extension::runc;
use crate::metrics::{Blkio, BlkioEntry, CgroupVersion, Cpu, Hugetlb, Memory, MemoryEntry, Metrics, Pids};
use crate::sandbox::{NewSandbox, Platform, SandboxStarted, SandboxStatus};
use crate::streams::Streams;
use crate::task::{
    Checkpoint, Connected, Exited, NewProcess, NewTask, Options, ProcessEntry, Signal, TaskState,
};
use compute::Status;
use containerd_shim_protos::api::KillRequest;
use std::collections::BTreeMap;

/// A generator that repeats itself: a failure can be run again.
struct Draw(u64);

impl Draw {
    fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }

    fn yes(&mut self) -> bool {
        self.below(2) == 0
    }

    /// Small ones and zero are as likely as large ones.
    fn u64(&mut self) -> u64 {
        let bits = self.below(64);
        self.number() >> bits
    }

    fn i32(&mut self) -> i32 {
        self.below(1 << 31) as i32
    }

    fn text(&mut self) -> String {
        let letters = ['a', 'Z', '0', '/', ' ', 'ä', '%', '"', '\n'];
        (0..self.below(9)).map(|_| letters[self.below(9) as usize]).collect()
    }

    fn id(&mut self) -> String {
        format!("id{}", self.number())
    }

    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(4)).map(|_| one(self)).collect()
    }

    fn maybe<T>(&mut self, one: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.yes().then(|| one(self))
    }

    fn at(&mut self) -> SystemTime {
        UNIX_EPOCH + Duration::new(self.below(1 << 34), self.below(1_000_000_000) as u32)
    }

    fn mount(&mut self) -> Mount {
        let (kind, source, target) = (self.text(), self.text(), self.text());
        Mount { kind, source, target, options: self.list(Self::text) }
    }

    fn streams(&mut self) -> Streams {
        let (stdin, stdout, stderr) = (self.text(), self.text(), self.text());
        Streams { stdin, stdout, stderr, terminal: self.yes() }
    }

    fn options(&mut self) -> Options {
        Options {
            systemd_cgroup: self.yes(),
            no_pivot_root: self.yes(),
            no_new_keyring: self.yes(),
            io_owner: (self.i32() as u32, self.i32() as u32),
            criu_image_path: self.text(),
            criu_work_path: self.text(),
        }
    }

    fn exited(&mut self) -> Exited {
        Exited { pid: self.i32(), code: self.i32(), at: self.at() }
    }

    fn memory_entry(&mut self) -> MemoryEntry {
        MemoryEntry { limit: self.u64(), usage: self.u64(), max: self.u64(), failcnt: self.u64() }
    }

    fn blkio(&mut self) -> Vec<BlkioEntry> {
        self.list(|draw| BlkioEntry {
            major: draw.u64(),
            minor: draw.u64(),
            op: draw.text(),
            value: draw.u64(),
        })
    }

    fn hugetlb(&mut self) -> BTreeMap<String, Hugetlb> {
        let pages = self.list(|draw| {
            let pages = Hugetlb { usage: draw.u64(), max: draw.u64(), failcnt: draw.u64() };
            (draw.id(), pages)
        });
        pages.into_iter().collect()
    }
}

fn each(mut test: impl FnMut(&mut Draw)) {
    for seed in 1..=300u64 {
        test(&mut Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    }
}

#[test]
fn classes_have_codes_of_their_own() {
    let kinds = [
        Kind::InvalidArgument,
        Kind::NotFound,
        Kind::AlreadyExists,
        Kind::FailedPrecondition,
        Kind::PermissionDenied,
        Kind::ResourceExhausted,
        Kind::Unimplemented,
        Kind::DeadlineExceeded,
        Kind::Unavailable,
        Kind::Internal,
    ];
    for each in kinds {
        assert_eq!(kind(code(each)), each);
    }
}

#[test]
fn tasks_come_back() {
    each(|draw| {
        let new = NewTask {
            id: draw.id(),
            bundle: draw.text().into(),
            rootfs: draw.list(Draw::mount),
            streams: draw.streams(),
            checkpoint: draw.maybe(|draw| draw.id().into()),
            options: if draw.yes() { Options::default() } else { draw.options() },
        };
        assert_eq!(new_task(create_request(&new)).unwrap(), new);
        let process = serde_json::json!({"cwd": "/", "args": [draw.text()], "user": {"uid": 1, "gid": 2}});
        let new = NewProcess {
            id: draw.id(),
            exec_id: draw.id(),
            process: serde_json::from_value(process).unwrap(),
            streams: draw.streams(),
        };
        assert_eq!(new_process(exec_request(&new).unwrap()).unwrap(), new);
        let checkpoint_ = Checkpoint {
            path: draw.text().into(),
            work_path: draw.text().into(),
            exit: draw.yes(),
            open_tcp: draw.yes(),
            external_unix_sockets: draw.yes(),
            terminal: draw.yes(),
            file_locks: draw.yes(),
            empty_namespaces: draw.list(Draw::text),
            cgroups_mode: draw.text(),
        };
        let back = checkpoint(checkpoint_request("c", &checkpoint_).unwrap()).unwrap();
        assert_eq!(back, ("c".to_owned(), checkpoint_));
        let resources = serde_json::json!({"memory": {"limit": draw.u64() >> 1}, "pids": {"limit": 7}});
        let resources = serde_json::from_value(resources).unwrap();
        let back = update(update_request("c", &resources).unwrap()).unwrap();
        assert_eq!(back, ("c".to_owned(), resources));
    });
}

#[test]
fn answers_about_tasks_come_back() {
    each(|draw| {
        let exited = draw.exited();
        assert_eq!(exited_of_delete(&delete_response(exited)), exited);
        assert_eq!(exited_of_wait(&wait_response(exited)), Exited { pid: 0, ..exited });
        let printed = delete_response(exited).write_to_bytes().unwrap();
        assert_eq!(deleted(&printed).unwrap(), exited);
        for status in [Status::Created, Status::Running, Status::Paused, Status::Stopped] {
            let state = TaskState {
                id: draw.id(),
                exec: draw.maybe(Draw::id),
                bundle: draw.text().into(),
                pid: draw.i32(),
                status,
                streams: draw.streams(),
                exited: (status == Status::Stopped).then(|| (draw.i32(), draw.at())),
            };
            assert_eq!(task_state(state_response(&state)).unwrap(), state);
        }
        let entries = draw.list(|draw| ProcessEntry { pid: draw.i32(), exec: draw.maybe(Draw::id) });
        assert_eq!(process_entries(pids_response(&entries).unwrap()).unwrap(), entries);
        let who = Connected { shim_pid: draw.i32(), task_pid: draw.i32(), version: draw.text() };
        assert_eq!(connected(connect_response(who.clone())), who);
    });
}

#[test]
fn pods_come_back() {
    each(|draw| {
        let new = NewSandbox {
            id: draw.id(),
            bundle: draw.text().into(),
            netns: draw.maybe(|draw| draw.id().into()),
            options: draw.options(),
            annotations: draw.list(|draw| (draw.text(), draw.text())).into_iter().collect(),
        };
        assert_eq!(new_sandbox(create_sandbox_request(&new).unwrap()).unwrap(), new);
        let started = SandboxStarted { pid: draw.i32(), at: draw.at() };
        assert_eq!(sandbox_started(&start_sandbox_response(started)), started);
        let status = SandboxStatus {
            id: draw.id(),
            pid: draw.i32(),
            ready: draw.yes(),
            created_at: draw.maybe(Draw::at),
            exited_at: draw.maybe(Draw::at),
            info: draw.list(|draw| (draw.text(), draw.text())).into_iter().collect(),
        };
        assert_eq!(sandbox_status(sandbox_status_response(status.clone())), status);
        let (code, at) = (draw.i32(), draw.at());
        assert_eq!(sandbox_exit(&wait_sandbox_response(code, at)), (code, at));
        let words = Platform { os: draw.text(), architecture: draw.text() };
        assert_eq!(platform(platform_response(words.clone())), words);
        let streams = Streams { terminal: false, ..draw.streams() };
        assert_eq!(attach(attach_request("c", &streams)), ("c".to_owned(), streams));
    });
}

#[test]
fn events_come_back() {
    each(|draw| {
        let events = [
            Event::Created {
                id: draw.id(),
                bundle: draw.text().into(),
                rootfs: draw.list(Draw::mount),
                streams: draw.streams(),
                checkpoint: draw.text(),
                pid: draw.i32(),
            },
            Event::Started { id: draw.id(), pid: draw.i32() },
            Event::Exited {
                id: draw.id(),
                exec: draw.maybe(Draw::id),
                pid: draw.i32(),
                code: draw.i32(),
                at: draw.at(),
            },
            Event::Oom { id: draw.id() },
            Event::Deleted { id: draw.id(), pid: draw.i32(), code: draw.i32(), at: draw.at() },
            Event::ExecAdded { id: draw.id(), exec: draw.id() },
            Event::ExecStarted { id: draw.id(), exec: draw.id(), pid: draw.i32() },
            Event::Paused { id: draw.id() },
            Event::Resumed { id: draw.id() },
            Event::Checkpointed { id: draw.id(), path: draw.text().into() },
        ];
        for event in events {
            let one = Envelope { at: draw.at(), namespace: draw.text(), event };
            assert_eq!(envelope(forward_request(&one).unwrap()).unwrap(), one);
        }
    });
}

#[test]
fn metrics_of_both_interfaces_come_back() {
    each(|draw| {
        let v1 = Metrics {
            version: CgroupVersion::V1,
            at: Some(draw.at()),
            cpu: Cpu {
                total: draw.u64(),
                user: draw.u64(),
                kernel: draw.u64(),
                percpu: draw.list(Draw::u64),
                periods: draw.u64(),
                throttled_periods: draw.u64(),
                throttled: draw.u64(),
            },
            memory: Memory {
                usage: draw.memory_entry(),
                swap: draw.memory_entry(),
                kernel: draw.memory_entry(),
                kernel_tcp: draw.memory_entry(),
                stat: [("rss".to_owned(), 1 + draw.below(9)), ("total_pgpgin".to_owned(), 7)].into(),
                events: [("oom_kill".to_owned(), 3)].into(),
            },
            pids: Pids { current: draw.u64(), limit: draw.u64() },
            blkio: Blkio {
                service_bytes: draw.blkio(),
                serviced: draw.blkio(),
                queued: draw.blkio(),
                service_time: draw.blkio(),
                wait_time: draw.blkio(),
                merged: draw.blkio(),
                time: draw.blkio(),
                sectors: draw.blkio(),
            },
            hugetlb: draw.hugetlb(),
        };
        let unstamped = Metrics { at: None, ..v1.clone() };
        assert_eq!(metrics_of_stats(&stats_response(&v1).unwrap()).unwrap(), unstamped);
        assert_eq!(metrics_of_sandbox(&sandbox_metrics_response("p", &v1).unwrap()).unwrap(), v1);
        let entry = |op: &str, value| BlkioEntry { major: 8, minor: 0, op: op.into(), value };
        let microseconds = |draw: &mut Draw| (draw.u64() >> 11) * 1_000;
        let v2 = Metrics {
            version: CgroupVersion::V2,
            cpu: Cpu {
                total: microseconds(draw),
                user: microseconds(draw),
                kernel: microseconds(draw),
                percpu: Vec::new(),
                throttled: microseconds(draw),
                ..v1.cpu
            },
            memory: Memory {
                usage: MemoryEntry { failcnt: 0, ..v1.memory.usage },
                swap: MemoryEntry { failcnt: 0, ..v1.memory.swap },
                kernel: MemoryEntry::default(),
                kernel_tcp: MemoryEntry::default(),
                stat: [("anon".to_owned(), 1 + draw.below(9)), ("pgscan".to_owned(), 7)].into(),
                events: [("oom_kill".to_owned(), 3), ("max".to_owned(), 5)].into(),
            },
            blkio: Blkio {
                service_bytes: vec![entry("Read", draw.u64()), entry("Write", draw.u64())],
                serviced: vec![entry("Read", draw.u64()), entry("Write", draw.u64())],
                ..Blkio::default()
            },
            ..unstamped
        };
        assert_eq!(metrics_of_stats(&stats_response(&v2).unwrap()).unwrap(), v2);
    });
}

#[test]
fn what_has_no_meaning_is_refused() {
    let kill = |number| KillRequest { signal: number, ..KillRequest::default() };
    assert_eq!(signal(&kill(9)), Ok(Signal { number: 9, all: false }));
    assert_eq!(signal(&kill(65)), Err("65 is no signal".to_owned()));
    let odd = any("some.Options", vec![1, 2, 3]);
    assert_eq!(task::options(odd.as_ref()), Err("options of type some.Options mean nothing here".to_owned()));
    let generic = any("runtimeoptions.v1.Options", vec![0xff]);
    assert_eq!(task::options(generic.as_ref()), Ok(Options::default()));
    let broken = any("types.googleapis.com/containerd.runc.v1.Options", vec![0xff]);
    assert!(task::options(broken.as_ref()).unwrap_err().starts_with("types.googleapis.com/"));
    let error = envelope(containerd_shim_protos::shim::events::ForwardRequest::default()).unwrap_err();
    assert_eq!(error, "the envelope is missing");
}

#[test]
fn options_of_older_clients_are_understood() {
    let older = runc::CreateOptions {
        no_new_keyring: true,
        io_uid: 7,
        io_gid: 8,
        criu_work_path: "/w".into(),
        ..runc::CreateOptions::default()
    };
    let any = any_message("containerd.linux.runc.CreateOptions", &older).unwrap();
    let expected =
        Options { no_new_keyring: true, io_owner: (7, 8), criu_work_path: "/w".into(), ..Options::default() };
    assert_eq!(task::options(any.as_ref()), Ok(expected));
    let older = runc::CheckpointOptions { exit: true, image_path: "/i".into(), ..Default::default() };
    let request = containerd_shim_protos::api::CheckpointTaskRequest {
        path: "/p".into(),
        options: any_message("containerd.linux.runc.CheckpointOptions", &older).unwrap(),
        ..Default::default()
    };
    let (_, read) = checkpoint(request).unwrap();
    assert_eq!(read, Checkpoint { path: "/i".into(), exit: true, ..Checkpoint::default() });
}
