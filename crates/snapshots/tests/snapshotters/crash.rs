//! A process that commits, prepares and removes is killed at moments of no choice; the next one finds everything whole.

use snapshots::overlay::Overlay;
use snapshots::suite::chain;
use snapshots::{Prepare, Snapshotter, Usage};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const ROOT: &str = "SNAPSHOTS_TEST_ROOT";

/// Folders for roots to come lie where drafts do.
pub(super) const SPARES: usize = 4;

/// Files of each layer: a layer that lacks one is half a layer.
const FILES: usize = 5;

/// Not a test: what is killed. It says a word after each step.
#[test]
fn victim() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let overlay = Overlay::open(Path::new(&root)).unwrap();
    for round in std::process::id().. {
        for (digit, parent) in [('a', None), ('b', Some('a')), ('c', Some('b'))] {
            let draft = overlay.begin_layer(&chain(digit)).unwrap();
            for file in 0..FILES {
                fs::write(draft.folder().join(file.to_string()), digit.to_string()).unwrap();
            }
            println!("unpacked");
            overlay.commit_layer(draft, parent.map(chain).as_ref(), Usage { bytes: 1, inodes: 1 }).unwrap();
            println!("committed");
        }
        for key in ["x", "y"] {
            overlay.prepare(&format!("{key}{round}"), &chain('c'), &Prepare::default()).unwrap();
            println!("prepared");
        }
        for snapshot in overlay.snapshots().unwrap() {
            overlay.remove(&snapshot.key).unwrap();
            println!("removed");
        }
        for digit in ['c', 'b', 'a'] {
            overlay.remove_layer(&chain(digit)).unwrap();
            println!("gone");
        }
    }
}

#[test]
fn killed_at_any_moment_nothing_is_half_there() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: attributes of overlayfs need root");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let root = root.path().join("root");
    for words in 1..=60 {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "crash::victim", "--nocapture"]).env(ROOT, &root).stdout(Stdio::piped());
        let mut victim = command.spawn().unwrap();
        let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        let heard =
            lines.map_while(Result::ok).filter(|line| !line.is_empty() && !line.starts_with("running"));
        assert_eq!(heard.take(words).count(), words, "the victim ended by itself");
        victim.kill().unwrap();
        victim.wait().unwrap();
        whole(&root);
    }
}

fn whole(root: &Path) {
    let overlay = Overlay::open(root).unwrap();
    let layers = overlay.layers().unwrap();
    for layer in &layers {
        let folders = overlay.layer_folders(&layer.chain).unwrap();
        assert_eq!(fs::read_dir(&folders[0]).unwrap().count(), FILES, "{} is half a layer", layer.chain);
    }
    let snapshots = overlay.snapshots().unwrap();
    for snapshot in &snapshots {
        let mounts = overlay.mounts(&snapshot.key).unwrap();
        let upper = mounts[0].options.iter().find_map(|option| option.strip_prefix("upperdir=")).unwrap();
        assert!(Path::new(upper).is_dir());
    }
    let count = |folder: &str| fs::read_dir(root.join(folder)).unwrap().count();
    assert_eq!((count("l"), count("s")), (2 * layers.len(), snapshots.len()));
    overlay.wait_deleted();
    assert!(count("t") <= SPARES);
}
