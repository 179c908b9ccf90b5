//! A story: what a user does and sees, what it needs of the host, and how it is told.

use crate::cgroups;
use crate::runtime::{Kind, Runtime};
use crate::world::World;
use libtest_mimic::{Completion, Failed};
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::{OnceLock, RwLock};

/// One story.
#[derive(Clone, Copy)]
pub(crate) struct Story {
    pub(crate) module: &'static str,
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [Need],
    pub(crate) run: fn(&World),
}

/// What a story needs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Need {
    /// Not root: any user can live this story. All others need root.
    Anyone,
    /// A promise that only our runtime makes; the text says what the others do.
    Ours(&'static str),
    /// What runc does and its callers rely on, and crun does otherwise.
    NotCrun,
    /// Newer than the runc that distributions have.
    NotRunc(&'static str),
    /// Nothing else may run beside it: it counts what the whole host has, or needs its quiet.
    Alone,
    /// A program on the host.
    Program(&'static str),
    /// A CRIU that works on this kernel.
    Criu,
    /// A cgroup v1 or hybrid host.
    CgroupV1,
    /// A pure cgroup v2 host.
    CgroupV2,
    /// A cgroup controller, of either version.
    Controller(&'static str),
    /// A running systemd.
    Systemd,
    /// A path that the kernel offers.
    Path(&'static str),
    /// The capability of that number, of the one who runs the suite.
    Capability(u32),
}

/// Stories that need the host alone take this for writing.
static HOST: RwLock<()> = RwLock::new(());

thread_local! {
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Names a story after its function.
macro_rules! story {
    ($run:ident $(, $need:expr)* $(,)?) => {
        crate::story::Story {
            module: module_path!(),
            name: stringify!($run),
            needs: &[$($need),*],
            run: $run,
        }
    };
}
pub(crate) use story;

/// Panics go into the story's report, not between the lines of others. Threads that a story starts keep theirs on
/// standard error.
pub(crate) fn keep_panics_for_the_report() {
    panic::set_hook(Box::new(|info| {
        let message = info.to_string();
        PANIC.with_borrow_mut(|last| *last = message);
    }));
}

impl Story {
    /// The file the story is in.
    pub(crate) fn area(&self) -> &'static str {
        self.module.rsplit("::").next().unwrap_or(self.module)
    }

    /// Runs the story in a new world and looks at what is left of it.
    pub(crate) fn tell(&self) -> Result<Completion, Failed> {
        let runtime = Runtime::under_test();
        if let Some(reason) = self.needs.iter().find_map(|need| need.missing(&runtime)) {
            return Ok(Completion::ignored_with(reason));
        }
        if !self.needs.iter().any(|need| matches!(need, Need::Anyone))
            && !rustix::process::geteuid().is_root()
        {
            return Ok(Completion::ignored_with("needs root"));
        }
        let alone = self.needs.iter().any(|need| matches!(need, Need::Alone));
        let (_shared, _exclusive);
        if alone {
            _exclusive = HOST.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        } else {
            _shared = HOST.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        }

        let world = World::new(runtime, self.name);
        let told = panic::catch_unwind(AssertUnwindSafe(|| (self.run)(&world)));
        let transcript = world.transcript();
        let left = world.end();
        match told {
            Err(payload) if payload.is::<Skip>() => {
                let reason = payload.downcast::<Skip>().map(|skip| skip.0).unwrap_or_default();
                Ok(Completion::ignored_with(reason))
            }
            Err(_) => {
                let message = PANIC.with_borrow_mut(std::mem::take);
                Err(Failed::from(format!("{message}\n{transcript}{}", left_text(&left))))
            }
            Ok(()) if left.is_empty() => Ok(Completion::Completed),
            Ok(()) => Err(Failed::from(format!("{}{transcript}", left_text(&left)))),
        }
    }
}

fn left_text(left: &[String]) -> String {
    if left.is_empty() { String::new() } else { format!("left behind:\n  {}\n", left.join("\n  ")) }
}

struct Skip(String);

/// Leaves a story that found on its way that the host cannot do it.
pub(crate) fn skip(reason: impl Into<String>) -> ! {
    panic::resume_unwind(Box::new(Skip(reason.into())))
}

impl Need {
    /// Whether the host lacks it, for stories that go two ways.
    pub(crate) fn missing_here(self) -> bool {
        self.missing(&Runtime::under_test()).is_some()
    }

    /// Why this need is not met here.
    fn missing(self, runtime: &Runtime) -> Option<String> {
        let unless = |met: bool, reason: String| (!met).then_some(reason);
        match self {
            Need::Anyone | Need::Alone => None,
            Need::Ours(why) => unless(runtime.kind() == Kind::Ours, format!("only ours: {why}")),
            Need::NotCrun => unless(runtime.kind() != Kind::Crun, "crun does otherwise".to_owned()),
            Need::NotRunc(why) => unless(runtime.kind() != Kind::Runc, format!("not this runc: {why}")),
            Need::Program(name) => unless(find_program(name), format!("{name} is not installed")),
            Need::Criu => unless(criu_works(), "needs a CRIU that works here".to_owned()),
            Need::CgroupV1 => unless(!cgroups::is_v2(), "needs cgroup v1".to_owned()),
            Need::CgroupV2 => unless(cgroups::is_v2(), "needs pure cgroup v2".to_owned()),
            Need::Controller(name) => unless(cgroups::has(name), format!("no cgroup controller {name}")),
            Need::Systemd => unless(Path::new("/run/systemd/system").exists(), "needs systemd".to_owned()),
            Need::Path(path) => unless(Path::new(path).exists(), format!("the kernel offers no {path}")),
            Need::Capability(number) => unless(has_capability(number), format!("needs capability {number}")),
        }
    }
}

/// Whether a program is in the usual places.
pub(crate) fn find_program(name: &str) -> bool {
    std::env::var("PATH")
        .unwrap_or_default()
        .split(':')
        .chain(["/usr/sbin", "/sbin"])
        .any(|folder| Path::new(folder).join(name).exists())
}

fn criu_works() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| {
        std::process::Command::new("criu").arg("check").output().is_ok_and(|output| output.status.success())
    })
}

fn has_capability(number: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
    u64::from_str_radix(effective.trim(), 16).is_ok_and(|set| set & (1 << number) != 0)
}
