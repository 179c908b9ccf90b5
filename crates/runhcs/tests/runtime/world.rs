//! The world of one story: a folder, a state root, a cgroup of its own, and a mark by which its processes are known.

use crate::bundle::Bundle;
use crate::cgroups;
use crate::container::Container;
use crate::host;
use crate::lines::{Lines, eventually};
use crate::runtime::{Call, Kind, Output, Runtime};
use std::cell::Cell;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// The variable that marks what belongs to a story.
const MARK: &str = "COFFERDAM_STORY";

/// The cgroup that holds those of all stories.
const CGROUP: &str = "/cofferdam-suite";

/// Where one story happens.
pub(crate) struct World {
    folder: TempDir,
    name: String,
    runtime: Runtime,
    mark: String,
    next: AtomicU32,
}

static WORLDS: AtomicU32 = AtomicU32::new(0);

impl World {
    /// An empty world.
    pub(crate) fn new(mut runtime: Runtime, story: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("cofferdam-").tempdir().expect("a folder for a story");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", std::process::id());
        runtime.root = folder.path().join("state");
        runtime.outputs = folder.path().join("outputs");
        fs::create_dir(&runtime.outputs).expect("a folder for outputs");
        let value = format!("{name}-{story}");
        runtime.env.push((MARK.to_owned(), value.clone()));
        Self { folder, name, runtime, mark: format!("{MARK}={value}"), next: AtomicU32::new(0) }
    }

    /// The runtime, with this world's state root.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Whose runtime it is.
    pub(crate) fn kind(&self) -> Kind {
        self.runtime.kind()
    }

    /// The folder of the story.
    pub(crate) fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// The processes of this story: containers' and runtimes', but for those of a user whom we may not look at.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let mut processes = host::marked(&self.mark);
        processes.extend(host::writing_below(self.dir()));
        processes.sort_unstable();
        processes.dedup();
        processes
    }

    /// The mark of the story's processes.
    pub(crate) fn mark(&self) -> &str {
        &self.mark
    }

    /// A path in the folder of the story.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The cgroup above those of this story's containers.
    pub(crate) fn cgroup(&self) -> String {
        format!("{CGROUP}/{}", self.name)
    }

    /// A name not used before in this world, fit for an id.
    pub(crate) fn fresh(&self, what: &str) -> String {
        format!("{what}-{}-{}", self.name, self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// A new bundle that idles.
    pub(crate) fn bundle(&self) -> Bundle {
        let name = self.fresh("b");
        let cgroup = format!("{}/{name}", self.cgroup());
        let bundle = Bundle::make(&self.path(&name), &cgroup, &self.mark);
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        if uid.is_root() { bundle } else { bundle.for_user(uid.as_raw(), gid.as_raw()) }
    }

    /// A call of the runtime.
    pub(crate) fn call(&self, args: &[&str]) -> Call {
        self.runtime.call(args)
    }

    /// Creates a container; it must succeed.
    #[track_caller]
    pub(crate) fn created(&self, bundle: &Bundle) -> Container {
        let id = self.fresh("c");
        let call = self.create_call(bundle, &id, &[]);
        let container = self.adopt(call, id, bundle);
        container.created.clone().ok();
        container
    }

    /// The call that creates a container.
    pub(crate) fn create_call(&self, bundle: &Bundle, id: &str, options: &[&str]) -> Call {
        self.bundle_call("create", bundle, id, options)
    }

    /// The call that runs a container.
    pub(crate) fn run_call(&self, bundle: &Bundle, id: &str, options: &[&str]) -> Call {
        self.bundle_call("run", bundle, id, options)
    }

    /// The call that restores a container.
    pub(crate) fn restore_call(&self, bundle: &Bundle, id: &str, options: &[&str]) -> Call {
        self.bundle_call("restore", bundle, id, options)
    }

    fn bundle_call(&self, verb: &str, bundle: &Bundle, id: &str, options: &[&str]) -> Call {
        bundle.save();
        let dir = bundle.dir.to_string_lossy().into_owned();
        let mut words = vec![verb, "--bundle", &dir];
        words.extend(options);
        words.push(id);
        self.call(&words)
    }

    /// Runs a call that creates a container and takes the container, whether it succeeded or not.
    pub(crate) fn adopt(&self, call: Call, id: String, bundle: &Bundle) -> Container {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let errors = self.path(&self.fresh("stderr"));
        let stderr = fs::File::create(&errors).expect("a file");
        let mut created = call.stdio([Stdio::null(), writer.into(), stderr.into()]).run();
        created.stderr = fs::read_to_string(&errors).unwrap_or_default();
        Container {
            id,
            runtime: self.runtime.clone(),
            bundle: bundle.dir.clone(),
            out: Lines::new(reader.into()),
            created,
            deleted: Cell::new(false),
        }
    }

    /// Creates and starts a container.
    #[track_caller]
    pub(crate) fn started(&self, bundle: &Bundle) -> Container {
        let container = self.created(bundle);
        container.start();
        container
    }

    /// A container that idles and has said that it does.
    #[track_caller]
    pub(crate) fn idle(&self) -> Container {
        self.ready(&self.bundle())
    }

    /// A container of this bundle, after it said `ready`.
    #[track_caller]
    pub(crate) fn ready(&self, bundle: &Bundle) -> Container {
        let mut container = self.started(bundle);
        container.out.expect("ready");
        container
    }

    /// Runs a container in the foreground to its end.
    pub(crate) fn run(&self, bundle: &Bundle) -> Output {
        let id = self.fresh("r");
        self.run_call(bundle, &id, &[]).run()
    }

    /// Runs a script in a container and gives what it wrote; it must succeed.
    #[track_caller]
    pub(crate) fn output_of(&self, bundle: Bundle) -> String {
        self.run(&bundle).ok().text().to_owned()
    }

    /// The last calls, for the report.
    pub(crate) fn transcript(&self) -> String {
        self.runtime.transcript()
    }

    /// Ends the world and says what the story left in it.
    pub(crate) fn end(self) -> Vec<String> {
        let mut left = Vec::new();
        if let Ok(entries) = fs::read_dir(&self.runtime.root) {
            // crun keeps a folder of locks of its own here.
            let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
            for name in names.filter(|name| name != ".cache") {
                // A story that failed on its way did not come to this.
                let _ = std::panic::catch_unwind(|| self.call(&["delete", "--force", &name]).run());
                left.push(format!("state of {name}"));
            }
        }
        if !eventually(Duration::from_secs(10), || self.processes().is_empty()) {
            for pid in self.processes() {
                let name = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                left.push(format!("process {pid} {}", name.replace('\0', " ")));
                if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                }
            }
        }
        let cgroup = self.cgroup();
        // crun leaves them when create fails.
        if self.kind() != Kind::Crun
            && !eventually(Duration::from_secs(2), || cgroups::below(&cgroup).is_empty())
        {
            left.extend(cgroups::below(&cgroup).iter().map(|folder| format!("cgroup {}", folder.display())));
        }
        cgroups::remove(&cgroup);
        let mounts = host::mounts_below(self.dir());
        for point in mounts.iter().rev() {
            left.push(format!("mount {point}"));
            let _ = rustix::mount::unmount(point.as_str(), rustix::mount::UnmountFlags::DETACH);
        }
        left
    }

    /// A mount namespace of its own, in which the script ran. Calls behind it see what it mounted.
    pub(crate) fn private_mounts(&self, script: &str) -> PrivateMounts {
        let script = format!("{{ {script}\n}} >&2 && echo ready && exec cat");
        let mut holder = Command::new("unshare")
            .args(["-m", "--propagation", "private", "sh", "-e", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let stdout = holder.stdout.take().expect("a pipe");
        let mut lines = Lines::new(stdout.into());
        lines.expect("ready");
        PrivateMounts { holder, _lines: lines }
    }

    /// A user without privileges who owns a folder of this world: the runtime as that user calls it, and the folder.
    pub(crate) fn as_user(&self, uid: u32) -> (Runtime, PathBuf) {
        let home = self.path(&self.fresh("home"));
        let run = home.join("run");
        fs::create_dir_all(&run).expect("a folder");
        for folder in [&home, &run] {
            chown(folder, Some(uid), Some(uid)).expect("chown");
        }
        let id = uid.to_string();
        let mut runtime = self.runtime.behind(&[
            "setpriv",
            "--reuid",
            &id,
            "--regid",
            &id,
            "--clear-groups",
            "--inh-caps=-all",
        ]);
        runtime.root = home.join("state");
        runtime.env.push(("XDG_RUNTIME_DIR".to_owned(), run.to_string_lossy().into_owned()));
        runtime.env.push(("HOME".to_owned(), home.to_string_lossy().into_owned()));
        (runtime, home)
    }

    /// A bundle that such a user owns and can run.
    pub(crate) fn bundle_of_user(&self, uid: u32) -> Bundle {
        let bundle = self.bundle().for_user(uid, uid);
        give(&bundle.dir, uid);
        bundle
    }
}

/// Removes the cgroup above those of all worlds, unless another run of the suite is in it.
pub(crate) fn remove_the_cgroup_of_all() {
    for folder in cgroups::folders(CGROUP) {
        let _ = fs::remove_dir(folder);
    }
}

/// Gives a tree to a user.
pub(crate) fn give(path: &Path, uid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(uid)).expect("chown");
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).expect("a folder").flatten() {
            give(&entry.path(), uid);
        }
    }
}

/// A mount namespace that lives as long as this value.
pub(crate) struct PrivateMounts {
    holder: Child,
    _lines: Lines,
}

impl PrivateMounts {
    /// Words that put a program into it.
    pub(crate) fn enter(&self) -> Vec<String> {
        ["nsenter", "-t", &self.holder.id().to_string(), "-m", "--"].map(str::to_owned).to_vec()
    }

    /// A path as it is in there.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        let root = format!("/proc/{}/root", self.holder.id());
        Path::new(&root).join(path.strip_prefix("/").unwrap_or(path))
    }
}

impl Drop for PrivateMounts {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
