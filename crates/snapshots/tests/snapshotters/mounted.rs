//! What overlay's roots look like when they are mounted, beyond what every snapshotter's do.

use snapshots::overlay::{Overlay, Settings};
use snapshots::suite::{chain, layer, look};
use snapshots::{ChainId, IdMap, IdMaps, Prepare, Snapshotter as _};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: mounting needs root");
    }
    root
}

/// The root folder of a container is the image's: owner, mode, attributes.
#[test]
fn the_root_folder_is_the_images() {
    if !is_root() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let overlay = Overlay::open(root.path()).unwrap();
    layer(&overlay, &chain('a'), None, |draft| {
        fs::set_permissions(draft.folder(), fs::Permissions::from_mode(0o2751)).unwrap();
        std::os::unix::fs::chown(draft.folder(), Some(3), Some(4)).unwrap();
        fs::set_permissions(draft.folder(), fs::Permissions::from_mode(0o2751)).unwrap();
        let empty = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(draft.folder(), "user.k", b"v", empty).unwrap();
    });
    let mounts = overlay.prepare("web", &chain('a'), &Prepare::default()).unwrap();
    assert_eq!(look(&mounts, "stat -c '%a %u %g' .").unwrap(), "2751 3 4");
    let upper = option(&mounts[0].options, "upperdir=");
    let mut value = [0; 8];
    assert_eq!(rustix::fs::getxattr(&upper, "user.k", &mut value), Ok(1));
}

fn option(options: &[String], word: &str) -> PathBuf {
    PathBuf::from(options.iter().find_map(|option| option.strip_prefix(word)).unwrap())
}

#[test]
fn a_user_namespace_gets_its_own_folders_and_the_images_files_unchanged() {
    if !is_root() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let overlay = Overlay::open(root.path()).unwrap();
    layer(&overlay, &chain('a'), None, |draft| fs::write(draft.folder().join("f"), "").unwrap());
    let map = vec![IdMap { container: 0, host: 100_000, size: 65_536 }];
    let id_map = Some(IdMaps { uids: map.clone(), gids: map });
    let mounts = overlay.prepare("web", &chain('a'), &Prepare { id_map, read_only: false }).unwrap();
    let options = &mounts[0].options;
    assert!(options.contains(&"uidmap=0:100000:65536".to_owned()), "{options:?}");
    assert!(options.contains(&"gidmap=0:100000:65536".to_owned()), "{options:?}");
    for word in ["upperdir=", "workdir="] {
        let found = fs::metadata(option(options, word)).unwrap();
        assert_eq!((found.uid(), found.gid()), (100_000, 100_000));
    }
    assert_eq!(fs::metadata(option(options, "lowerdir=").join("f")).unwrap().uid(), 0);
    drop(overlay);
    let again = Overlay::open(root.path()).unwrap();
    assert_eq!(again.mounts("web").unwrap(), mounts);
}

#[test]
fn metacopy_leaves_the_data_where_it_is() {
    if !is_root() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let overlay =
        Overlay::open_with(root.path(), Settings { metacopy: true, ..Settings::default() }).unwrap();
    layer(&overlay, &chain('a'), None, |draft| {
        fs::write(draft.folder().join("f"), vec![1; 1 << 20]).unwrap();
    });
    let mounts = overlay.prepare("web", &chain('a'), &Prepare::default()).unwrap();
    look(&mounts, "chmod 600 f").unwrap();
    assert!(overlay.usage("web").unwrap().bytes < 1 << 20);
}

/// As deep as Docker builds, mounted by mount(2) with its page of options.
#[test]
fn an_image_of_127_layers_is_mounted() {
    if !is_root() {
        return;
    }
    // As long as the root may be.
    let root = Path::new("/var/tmp").join(format!("snapshots-{:06}", std::process::id() % 1_000_000));
    assert_eq!(root.as_os_str().len(), 25);
    let overlay = Overlay::open(&root).unwrap();
    let mut parent: Option<ChainId> = None;
    for number in 0..127 {
        let chain = ChainId::new(format!("sha256:{number:064x}")).unwrap();
        layer(&overlay, &chain, parent.as_ref(), |draft| {
            fs::write(draft.folder().join(number.to_string()), "").unwrap();
        });
        parent = Some(chain);
    }
    let mounts = overlay.prepare("web", &parent.unwrap(), &Prepare::default()).unwrap();
    let seen = look(&mounts, "ls | wc -l");
    drop(overlay);
    fs::remove_dir_all(&root).unwrap();
    assert_eq!(seen.unwrap(), "127");
}

/// Making a root waits for no disk: the kernel is asked for a few folders and one small file.
#[test]
fn preparing_is_fast_and_counting_is_kept() {
    if !is_root() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let overlay = Overlay::open(root.path()).unwrap();
    layer(&overlay, &chain('a'), None, |_| {});
    let begun = std::time::Instant::now();
    for number in 0..200 {
        overlay.prepare(&number.to_string(), &chain('a'), &Prepare::default()).unwrap();
    }
    println!("prepare: {:?} each", begun.elapsed() / 200);
    let begun = std::time::Instant::now();
    for number in 0..200 {
        overlay.usage(&number.to_string()).unwrap();
    }
    println!("usage of an empty root: {:?} each", begun.elapsed() / 200);
    let mounts = overlay.mounts("7").unwrap();
    let before = overlay.usage("7").unwrap();
    fs::write(option(&mounts[0].options, "upperdir=").join("new"), vec![1; 100_000]).unwrap();
    assert_eq!(overlay.usage("7").unwrap(), before, "it was counted again within seconds");
    let begun = std::time::Instant::now();
    for number in 0..200 {
        overlay.remove(&number.to_string()).unwrap();
    }
    println!("remove: {:?} each", begun.elapsed() / 200);
}
