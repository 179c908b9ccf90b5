//! A story: what a client does and sees, what it needs of the machine, and on whose runtimes it plays.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use libtest_mimic::{Completion, Failed, Trial};

use crate::node::{self, Kind, Node};
use crate::pod::World;
use crate::{cgroups, image, known, leftovers, recovery, stories};

/// One story.
#[derive(Clone, Copy)]
pub(crate) struct Story {
    pub(crate) module: &'static str,
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [Need],
    pub(crate) play: Play,
}

/// How it is played.
#[derive(Clone, Copy)]
pub(crate) enum Play {
    /// On a runtime that others use at the same time.
    With(fn(&World<'_>)),
    /// On one of its own, which it may kill.
    Alone(fn(&Node)),
}

/// What a story needs.
#[derive(Clone, Copy)]
pub(crate) enum Need {
    /// The network plugins of Debian.
    Plugins,
    /// Address translation in the kernel, and iptables.
    Nat,
    /// A cgroup controller.
    Controller(&'static str),
    /// Only version 2 of cgroups.
    CgroupV2,
    /// Counting of swap.
    Swap,
    /// Something that the kernel offers.
    Path(&'static str),
}

macro_rules! story {
    ($play:ident $(, $need:expr)* $(,)?) => {
        crate::story::Story {
            module: module_path!(),
            name: stringify!($play),
            needs: &[$($need),*],
            play: crate::story::Play::With($play),
        }
    };
}
pub(crate) use story;

macro_rules! alone {
    ($play:ident $(, $need:expr)* $(,)?) => {
        crate::story::Story {
            module: module_path!(),
            name: stringify!($play),
            needs: &[$($need),*],
            play: crate::story::Play::Alone($play),
        }
    };
}
pub(crate) use alone;

impl Need {
    /// Why it is not met here.
    fn missing(self) -> Option<String> {
        let unless = |met: bool, reason: &str| (!met).then(|| reason.to_owned());
        match self {
            Self::Plugins => unless(
                node::plugins().is_some(),
                "the plugins of containernetworking-plugins are not installed",
            ),
            Self::Nat => unless(has_nat(), "the kernel has no NAT, or iptables is not installed"),
            Self::Controller(name) => unless(cgroups::has(name), &format!("no cgroup controller {name}")),
            Self::CgroupV2 => unless(cgroups::is_v2(), "the kernel offers no cgroup v2 alone"),
            Self::Swap => unless(counts_swap(), "the kernel offers no accounting of swap"),
            Self::Path(path) => unless(Path::new(path).exists(), &format!("the kernel offers no {path}")),
        }
    }
}

fn has_nat() -> bool {
    static NAT: OnceLock<bool> = OnceLock::new();
    *NAT.get_or_init(|| {
        let list = std::process::Command::new("iptables").args(["-t", "nat", "-L", "-n"]).output();
        list.is_ok_and(|output| output.status.success())
    })
}

fn counts_swap() -> bool {
    let v1 = Path::new("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").exists();
    v1 || (cgroups::is_v2() && Path::new("/proc/swaps").exists())
}

fn find_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).exists())
}

/// Why the suite cannot play at all.
fn cannot() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root");
    }
    if image::busybox().is_none() {
        return Some("busybox-static is not installed");
    }
    if !["ip", "setpriv", "unshare"].iter().all(|program| find_program(program)) {
        return Some("iproute2 or util-linux is not installed");
    }
    if node::given_socket().is_none() && node::shim().is_none() {
        return Some(
            "no containerd-shim-runhcs-v1 beside cofferdam (`cargo build -p shim`), nor in COFFERDAM_SHIM",
        );
    }
    None
}

pub(crate) fn can_play() -> bool {
    cannot().is_none()
}

/// The runtimes on which stories are played in this run.
fn kinds() -> Vec<Kind> {
    if node::given_socket().is_some() {
        return vec![Kind::Given];
    }
    let mut kinds = vec![Kind::Ours];
    kinds.extend(node::containerd().map(|_| Kind::Containerd));
    kinds
}

/// The runtimes that stories share, each started when the first asks for it.
static NODES: Mutex<[Option<&'static Node>; 3]> = Mutex::new([None; 3]);

fn shared_by(kind: Kind) -> &'static Node {
    let mut nodes = NODES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    nodes[kind as usize].get_or_insert_with(|| Box::leak(Box::new(Node::start(kind))))
}

/// Ends the runtimes; what they have left behind.
pub(crate) fn end() -> Vec<String> {
    let nodes = *NODES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut left = Vec::new();
    for node in nodes.into_iter().flatten() {
        if node.kind == Kind::Ours {
            let kept = panic::catch_unwind(AssertUnwindSafe(|| leftovers::nothing_of(node)));
            left.extend(kept.err().map(|_| PANIC.with_borrow_mut(std::mem::take)));
        }
        if node.kind != Kind::Given {
            node.terminate();
            for pid in leftovers::processes(node) {
                let pid = rustix::process::Pid::from_raw(pid).unwrap();
                // It may have ended in the meantime.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        for mount in leftovers::mounts_below(node.folder()).iter().rev() {
            let _ = rustix::mount::unmount(mount.as_str(), rustix::mount::UnmountFlags::DETACH);
        }
        // The node is not dropped, because stories have borrowed it for ever.
        if let Err(error) = std::fs::remove_dir_all(node.folder()) {
            left.push(format!("{}: {error}", node.folder().display()));
        }
    }
    left
}

/// Every story on every runtime.
pub(crate) fn trials() -> Vec<Trial> {
    let all: Vec<Story> = stories::all().chain(recovery::all()).collect();
    let mut trials = Vec::new();
    for kind in kinds() {
        for story in all.iter().copied() {
            // What happens to a runtime of one's own is told of ours.
            if kind != Kind::Ours && matches!(story.play, Play::Alone(_)) {
                continue;
            }
            let name = format!("{}::{}::{}", kind.name(), story.area(), story.name);
            trials.push(Trial::ignorable_test(name, move || story.tell(kind)));
        }
    }
    if node::containerd().is_none() && node::given_socket().is_none() {
        let reason = "COFFERDAM_CONTAINERD names no containerd 2 on which the suite could prove itself";
        trials.push(Trial::ignorable_test("containerd", move || Ok(Completion::ignored_with(reason))));
    }
    trials
}

thread_local! {
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Panics go into the story's report, not between the lines of others.
pub(crate) fn keep_panics_for_the_report() {
    panic::set_hook(Box::new(|info| {
        let message = info.to_string();
        PANIC.with_borrow_mut(|last| *last = message);
    }));
}

struct Skip(String);

/// Leaves a story that found on its way that the machine cannot do it.
pub(crate) fn skip(reason: impl Into<String>) -> ! {
    panic::resume_unwind(Box::new(Skip(reason.into())))
}

impl Story {
    /// The file the story is in.
    fn area(&self) -> &'static str {
        self.module.rsplit("::").next().unwrap_or(self.module)
    }

    fn tell(&self, kind: Kind) -> Result<Completion, Failed> {
        if let Some(reason) = cannot() {
            return Ok(Completion::ignored_with(reason));
        }
        if let Some(reason) = self.needs.iter().find_map(|need| need.missing()) {
            return Ok(Completion::ignored_with(reason));
        }
        let known = (kind == Kind::Containerd).then(|| known::of_containerd(self.name)).flatten();
        let told = panic::catch_unwind(AssertUnwindSafe(|| self.play(kind)));
        match (told, known) {
            (Ok(()), Some(reason)) => {
                Err(format!("containerd is known to fail this, and did not: {reason}").into())
            }
            (Ok(()), None) => Ok(Completion::Completed),
            (Err(payload), _) if payload.is::<Skip>() => {
                let reason = payload.downcast::<Skip>().map(|skip| skip.0).unwrap_or_default();
                Ok(Completion::ignored_with(reason))
            }
            (Err(_), Some(_)) => Ok(Completion::Completed),
            (Err(_), None) => Err(PANIC.with_borrow_mut(std::mem::take).into()),
        }
    }

    fn play(&self, kind: Kind) {
        match self.play {
            Play::With(play) => play(&World::new(shared_by(kind), self.name)),
            Play::Alone(play) => {
                let node = Node::prepare(kind);
                let told = panic::catch_unwind(AssertUnwindSafe(|| play(&node)));
                recovery::clear(&node);
                if let Err(payload) = told {
                    panic::resume_unwind(payload);
                }
            }
        }
    }
}
