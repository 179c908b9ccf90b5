//! A bundle: a root file system of busybox and a config.json that a story changes.

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// What a container manager writes for a plain container.
const CONFIG: &str = include_str!("data/config.json");

const APPLETS: &str = "sh cat echo ls sleep true false id env pwd ps kill mount umount stat touch mkdir mknod ln rm \
                       cp mv chmod chown head tail grep sed awk cut tr wc sort hostname head dd df stty tty \
                       readlink sync test printf date seq yes xargs find nice ip ifconfig unshare tee md5sum nproc \
                       setsid nohup usleep chroot ping nc ulimit ionice renice od sha256sum mkfifo seq stat uname \
                       who dirname basename cmp mountpoint losetup sysctl timeout";

/// The script of a container that says it is ready and then waits for its end.
pub(crate) const IDLE: &str = "echo ready; exec sleep 1000";

/// A bundle on disk whose config is still in hand.
pub(crate) struct Bundle {
    pub(crate) dir: PathBuf,
    pub(crate) config: Value,
}

impl Bundle {
    /// A new bundle in the folder. The marker goes into the environment of the process.
    pub(crate) fn make(dir: &Path, cgroup: &str, marker: &str) -> Self {
        let rootfs = dir.join("rootfs");
        fill(&rootfs);
        let mut config: Value = serde_json::from_str(CONFIG).expect("the base config");
        config["process"]["env"].as_array_mut().expect("an environment").push(json!(marker));
        config["linux"]["cgroupsPath"] = json!(cgroup);
        Self { dir: dir.to_owned(), config }.sh(IDLE)
    }

    /// The same for a user without privileges: one id mapped, the host's network, no cgroup.
    pub(crate) fn for_user(mut self, uid: u32, gid: u32) -> Self {
        let mounts = self.config["mounts"].as_array_mut().expect("mounts");
        mounts.retain(|mount| mount["destination"] != "/sys/fs/cgroup" && mount["destination"] != "/sys");
        for mount in mounts {
            if let Some(options) = mount["options"].as_array_mut() {
                options.retain(|option| option != "gid=5");
            }
        }
        self.config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": uid, "size": 1}]);
        self.config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": gid, "size": 1}]);
        self.remove("/linux/resources")
            .remove("/linux/cgroupsPath")
            .without_namespace("network")
            .namespace("user")
    }

    /// The root file system.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// What the process is.
    pub(crate) fn args(self, args: &[&str]) -> Self {
        self.set("/process/args", json!(args))
    }

    /// A shell script as the process.
    pub(crate) fn sh(self, script: &str) -> Self {
        self.args(&["/bin/sh", "-c", script])
    }

    /// Sets a value by its JSON pointer; what is missing on the way is made.
    pub(crate) fn set(mut self, pointer: &str, value: Value) -> Self {
        *at(&mut self.config, pointer) = value;
        self
    }

    /// Adds to a list.
    pub(crate) fn push(mut self, pointer: &str, value: Value) -> Self {
        let list = at(&mut self.config, pointer);
        if list.is_null() {
            *list = json!([]);
        }
        list.as_array_mut().unwrap_or_else(|| panic!("{pointer} is no list")).push(value);
        self
    }

    /// Takes a value away.
    pub(crate) fn remove(mut self, pointer: &str) -> Self {
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        if let Some(object) = self.config.pointer_mut(parent).and_then(Value::as_object_mut) {
            object.remove(name);
        }
        self
    }

    /// One variable more.
    pub(crate) fn env(self, variable: &str) -> Self {
        self.push("/process/env", json!(variable))
    }

    /// One mount more.
    pub(crate) fn mount(self, destination: &str, kind: &str, source: &str, options: &[&str]) -> Self {
        let mount = json!({"destination": destination, "type": kind, "source": source, "options": options});
        self.push("/mounts", mount)
    }

    /// Without a mount.
    pub(crate) fn without_mount(mut self, destination: &str) -> Self {
        let mounts = self.config["mounts"].as_array_mut().expect("mounts");
        mounts.retain(|mount| mount["destination"] != destination);
        self
    }

    /// One namespace more.
    pub(crate) fn namespace(self, kind: &str) -> Self {
        self.push("/linux/namespaces", json!({"type": kind}))
    }

    /// Without a namespace.
    pub(crate) fn without_namespace(mut self, kind: &str) -> Self {
        let namespaces = self.config["linux"]["namespaces"].as_array_mut().expect("namespaces");
        namespaces.retain(|namespace| namespace["type"] != kind);
        self
    }

    /// A namespace that exists.
    pub(crate) fn join(self, kind: &str, path: &str) -> Self {
        self.without_namespace(kind).push("/linux/namespaces", json!({"type": kind, "path": path}))
    }

    /// Maps the container's ids from this host id on.
    pub(crate) fn mapped(self, host: u32) -> Self {
        let mapping = json!([{"containerID": 0, "hostID": host, "size": 65536}]);
        self.namespace("user").set("/linux/uidMappings", mapping.clone()).set("/linux/gidMappings", mapping)
    }

    /// Grants a capability in the three sets that count.
    pub(crate) fn capability(self, name: &str) -> Self {
        ["bounding", "effective", "permitted"]
            .iter()
            .fold(self, |bundle, set| bundle.push(&format!("/process/capabilities/{set}"), json!(name)))
    }

    /// A file of the root file system.
    pub(crate) fn file(self, path: &str, content: &str) -> Self {
        let file = self.rootfs().join(path);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).expect("a folder of the root file system");
        }
        fs::write(&file, content).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a mode");
        self
    }

    /// A folder of the root file system.
    pub(crate) fn folder(self, path: &str) -> Self {
        fs::create_dir_all(self.rootfs().join(path)).expect("a folder of the root file system");
        self
    }

    /// Writes config.json.
    pub(crate) fn save(&self) {
        let text = serde_json::to_vec_pretty(&self.config).expect("a config");
        fs::write(self.dir.join("config.json"), text).expect("config.json");
    }
}

fn at<'a>(value: &'a mut Value, pointer: &str) -> &'a mut Value {
    pointer.split('/').skip(1).fold(value, |value, step| match step.parse::<usize>() {
        Ok(index) if value.is_array() => &mut value[index],
        _ => &mut value[step],
    })
}

fn fill(rootfs: &Path) {
    for folder in ["bin", "dev", "etc", "home", "mnt", "proc", "root", "run", "sys", "tmp", "var"] {
        fs::create_dir_all(rootfs.join(folder)).expect("a folder of the root file system");
    }
    fs::set_permissions(rootfs.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("a mode");
    let busybox =
        std::env::var_os("COFFERDAM_BUSYBOX").map_or_else(|| PathBuf::from("/bin/busybox"), PathBuf::from);
    fs::copy(&busybox, rootfs.join("bin/busybox"))
        .unwrap_or_else(|error| panic!("{}: {error}", busybox.display()));
    for applet in APPLETS.split_whitespace() {
        // Some are named twice above.
        let _ = symlink("busybox", rootfs.join("bin").join(applet));
    }
    fs::write(rootfs.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n")
        .expect("passwd");
    fs::write(rootfs.join("etc/group"), "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n").expect("group");
}
