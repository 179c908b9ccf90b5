//! Folders and files of the host in a container.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use cri::wire::v1::{IdMapping, Mount, MountPropagation, NamespaceMode, UserNamespace};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};

use crate::pod::{Container, Pod, World, fresh, namespaces, pod_security, security};
use crate::story::{Story, story};

pub(crate) const STORIES: &[Story] = &[
    story!(a_folder_is_shared_with_the_host),
    story!(a_folder_may_be_read_only),
    story!(a_file_is_shared_with_the_host),
    story!(a_link_on_the_host_is_followed),
    story!(a_folder_that_is_missing_on_the_host_is_made),
    story!(containers_share_a_volume),
    story!(a_mount_hides_what_lies_below),
    story!(a_private_mount_sees_nothing_new),
    story!(a_mount_may_see_what_the_host_mounts),
    story!(a_mount_may_show_the_host_what_is_mounted),
    story!(propagation_needs_a_shared_mount),
    story!(read_only_may_mean_all_below),
    story!(recursively_read_only_goes_with_read_only_and_private),
    story!(ids_of_a_mount_are_mapped),
    story!(a_mount_without_a_path_is_refused),
    story!(mounts_are_told),
];

/// A folder of the story, in a mount that can be shared, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(world: &World<'_>) -> Self {
        let path = world.node.path("logs").join(fresh("mount"));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A tmpfs whose mounts can be seen elsewhere.
    fn shared(world: &World<'_>) -> Self {
        let folder = Self::new(world);
        mount("suite", &folder.0, "tmpfs", MountFlags::empty(), None).unwrap();
        mount_change(&folder.0, MountPropagationFlags::SHARED).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn mounted(&self) -> Mount {
        Mount {
            host_path: self.0.display().to_string(),
            container_path: "/mnt".to_owned(),
            ..Mount::default()
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for below in crate::leftovers::mounts_below(&self.0).iter().rev() {
            // Whatever it is, nothing of it is wanted.
            let _ = unmount(below.as_str(), UnmountFlags::DETACH);
        }
    }
}

fn idle<'p>(pod: &'p Pod<'_>, mount: Mount) -> Container<'p> {
    pod.idle_with(|config| config.mounts = vec![mount])
}

fn a_folder_is_shared_with_the_host(world: &World<'_>) {
    let folder = Folder::new(world);
    fs::write(folder.path("host"), "from the host").unwrap();
    let pod = world.pod();
    let container = idle(&pod, folder.mounted());
    assert_eq!(container.sh("cat /mnt/host; echo -n back > /mnt/container"), "from the host");
    assert_eq!(fs::read_to_string(folder.path("container")).unwrap(), "back");
}

fn a_folder_may_be_read_only(world: &World<'_>) {
    let folder = Folder::new(world);
    let pod = world.pod();
    let container = idle(&pod, Mount { readonly: true, ..folder.mounted() });
    assert!(!container.succeeds("echo x > /mnt/x"));
    fs::write(folder.path("x"), "seen").unwrap();
    assert_eq!(container.sh("cat /mnt/x"), "seen");
}

fn a_file_is_shared_with_the_host(world: &World<'_>) {
    let folder = Folder::new(world);
    let file = folder.path("file");
    fs::write(&file, "one").unwrap();
    let pod = world.pod();
    let mounted = Mount {
        host_path: file.display().to_string(),
        container_path: "/etc/made/for/it".to_owned(),
        ..Mount::default()
    };
    let container = idle(&pod, mounted);
    assert_eq!(container.sh("cat /etc/made/for/it; echo -n two > /etc/made/for/it"), "one");
    assert_eq!(fs::read_to_string(file).unwrap(), "two");
}

fn a_link_on_the_host_is_followed(world: &World<'_>) {
    let folder = Folder::new(world);
    fs::create_dir(folder.path("real")).unwrap();
    fs::write(folder.path("real/file"), "behind the link").unwrap();
    symlink(folder.path("real"), folder.path("link")).unwrap();
    let pod = world.pod();
    let mounted = Mount { host_path: folder.path("link").display().to_string(), ..folder.mounted() };
    assert_eq!(idle(&pod, mounted).sh("cat /mnt/file"), "behind the link");
}

fn a_folder_that_is_missing_on_the_host_is_made(world: &World<'_>) {
    let folder = Folder::new(world);
    let missing = folder.path("not/there/yet");
    let pod = world.pod();
    let container = idle(&pod, Mount { host_path: missing.display().to_string(), ..folder.mounted() });
    container.sh("echo x > /mnt/x");
    assert!(missing.join("x").exists());
}

fn containers_share_a_volume(world: &World<'_>) {
    let folder = Folder::new(world);
    let pod = world.pod();
    let [one, other] = [idle(&pod, folder.mounted()), idle(&pod, folder.mounted())];
    one.sh("echo told > /mnt/file");
    assert_eq!(other.sh("cat /mnt/file"), "told");
}

fn a_mount_hides_what_lies_below(world: &World<'_>) {
    let (outer, inner) = (Folder::new(world), Folder::new(world));
    fs::create_dir(outer.path("inner")).unwrap();
    fs::write(outer.path("inner/hidden"), "").unwrap();
    fs::write(inner.path("shown"), "").unwrap();
    let pod = world.pod();
    // In whatever order they are asked for.
    let container = pod.idle_with(|config| {
        config.mounts =
            vec![Mount { container_path: "/mnt/inner".to_owned(), ..inner.mounted() }, outer.mounted()];
    });
    assert_eq!(container.sh("ls /mnt/inner"), "shown");
}

fn propagating(world: &World<'_>, folder: &Folder, how: MountPropagation, rest: impl FnOnce(&Container<'_>)) {
    let pod = world.pod_with(|config| pod_security(config).privileged = true);
    let container = pod.idle_with(|config| {
        security(config).privileged = true;
        config.mounts = vec![Mount { propagation: how.into(), ..folder.mounted() }];
    });
    rest(&container);
}

/// Mounts something in a folder of the host after the container has started.
fn mount_later(folder: &Folder) {
    let later = folder.path("later");
    fs::create_dir_all(&later).unwrap();
    mount("suite", &later, "tmpfs", MountFlags::empty(), None).unwrap();
    fs::write(later.join("file"), "").unwrap();
}

fn a_private_mount_sees_nothing_new(world: &World<'_>) {
    let folder = Folder::shared(world);
    propagating(world, &folder, MountPropagation::PropagationPrivate, |container| {
        mount_later(&folder);
        assert_eq!(container.sh("ls /mnt/later"), "");
        container.sh("mkdir -p /mnt/inside && mount -t tmpfs none /mnt/inside && touch /mnt/inside/file");
        assert!(!folder.path("inside/file").exists());
    });
}

fn a_mount_may_see_what_the_host_mounts(world: &World<'_>) {
    let folder = Folder::shared(world);
    propagating(world, &folder, MountPropagation::PropagationHostToContainer, |container| {
        mount_later(&folder);
        assert_eq!(container.sh("ls /mnt/later"), "file");
        container.sh("mkdir -p /mnt/inside && mount -t tmpfs none /mnt/inside && touch /mnt/inside/file");
        assert!(!folder.path("inside/file").exists());
    });
}

fn a_mount_may_show_the_host_what_is_mounted(world: &World<'_>) {
    let folder = Folder::shared(world);
    propagating(world, &folder, MountPropagation::PropagationBidirectional, |container| {
        mount_later(&folder);
        assert_eq!(container.sh("ls /mnt/later"), "file");
        container.sh("mkdir -p /mnt/inside && mount -t tmpfs none /mnt/inside && touch /mnt/inside/file");
        assert!(folder.path("inside/file").exists());
    });
}

fn propagation_needs_a_shared_mount(world: &World<'_>) {
    let folder = Folder::shared(world);
    mount_change(&folder.0, MountPropagationFlags::PRIVATE).unwrap();
    let pod = world.pod_with(|config| pod_security(config).privileged = true);
    let made = pod.try_create("true", |config| {
        security(config).privileged = true;
        let propagation = MountPropagation::PropagationBidirectional.into();
        config.mounts = vec![Mount { propagation, ..folder.mounted() }];
    });
    assert!(made.and_then(|container| container.start()).is_err());
}

fn read_only_may_mean_all_below(world: &World<'_>) {
    let folder = Folder::shared(world);
    mount_later(&folder);
    let pod = world.pod();
    let read_only = Mount { readonly: true, ..folder.mounted() };
    let container = idle(&pod, read_only.clone());
    assert!(!container.succeeds("echo x > /mnt/x") && container.succeeds("echo x > /mnt/later/x"));
    let container = idle(&pod, Mount { recursive_read_only: true, ..read_only });
    assert!(!container.succeeds("echo x > /mnt/x") && !container.succeeds("echo x > /mnt/later/x"));
    let told = container.status().mounts;
    assert!(told.iter().any(|mount| mount.container_path == "/mnt" && mount.recursive_read_only), "{told:?}");
}

fn recursively_read_only_goes_with_read_only_and_private(world: &World<'_>) {
    let folder = Folder::shared(world);
    let pod = world.pod();
    let recursive = Mount { recursive_read_only: true, ..folder.mounted() };
    let host_to_container = MountPropagation::PropagationHostToContainer.into();
    for wrong in [
        recursive.clone(),
        Mount { readonly: true, propagation: host_to_container, ..recursive.clone() },
        Mount {
            readonly: true,
            propagation: MountPropagation::PropagationBidirectional.into(),
            ..recursive.clone()
        },
    ] {
        assert!(pod.try_create("true", |config| config.mounts = vec![wrong.clone()]).is_err(), "{wrong:?}");
    }
}

fn ids_of_a_mount_are_mapped(world: &World<'_>) {
    let folder = Folder::new(world);
    fs::write(folder.path("root-s"), "").unwrap();
    let mapping = vec![IdMapping { host_id: 200_000, container_id: 0, length: 65_536 }];
    let pod = world.pod_with(|config| {
        namespaces(config).network = NamespaceMode::Pod.into();
        namespaces(config).userns_options = Some(UserNamespace {
            mode: NamespaceMode::Pod.into(),
            uids: mapping.clone(),
            gids: mapping.clone(),
        });
    });
    let mapped = Mount { uid_mappings: mapping.clone(), gid_mappings: mapping.clone(), ..folder.mounted() };
    let container = idle(&pod, mapped);
    assert_eq!(container.sh("stat -c %u /mnt/root-s; touch /mnt/new; stat -c %u /mnt/new"), "0\n0");
    assert_eq!(fs::metadata(folder.path("new")).unwrap().uid(), 0);
}

fn a_mount_without_a_path_is_refused(world: &World<'_>) {
    let folder = Folder::new(world);
    let pod = world.pod();
    let wrong = Mount { container_path: String::new(), ..folder.mounted() };
    assert!(pod.try_create("true", |config| config.mounts = vec![wrong]).is_err());
}

fn mounts_are_told(world: &World<'_>) {
    let folder = Folder::new(world);
    let pod = world.pod();
    let asked = Mount { readonly: true, ..folder.mounted() };
    let status = idle(&pod, asked.clone()).status();
    assert!(status.mounts.contains(&asked), "{:?}", status.mounts);
    assert!(Path::new(&asked.host_path).exists());
}
