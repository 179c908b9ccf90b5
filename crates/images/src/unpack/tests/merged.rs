//! An image's layers, unpacked at once and committed from the bottom up, are seen as one tree.

use super::writing::Tar;
use super::{Options, is_root, run};
use crate::unpack::unpack_draft;
use snapshots::overlay::Overlay;
use snapshots::{ChainId, Prepare, Snapshotter as _};
use std::process::Command;

fn layers() -> [Vec<u8>; 3] {
    let base = Tar::new()
        .folder("./")
        .folder("etc")
        .file("etc/hosts", "base")
        .file("etc/old", "base")
        .folder("opt")
        .file("opt/a", "base")
        .pax(b'x', &[("uid", "33"), ("gid", "34")])
        .folder("srv")
        .file("srv/data", "data")
        .symlink("lib", "usr/lib");
    let middle = Tar::new()
        .file("etc/.wh.old", "")
        .file("opt/.wh..wh..opq", "")
        .file("opt/b", "middle")
        .hard_link("srv/link", "srv/data")
        .file("usr/lib/x", "middle");
    let top = Tar::new().file("etc/hosts", "top").file("srv/more", "top").file(".wh.lib", "").folder("lib");
    [base.end(), middle.end(), top.end()]
}

#[test]
fn layers_unpacked_at_once_make_one_tree() {
    if !is_root() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let overlay = Overlay::open(root.path()).unwrap();
    let chains = ["a", "b", "c"].map(|digit| ChainId::new(format!("sha256:{}", digit.repeat(64))).unwrap());
    let archives = layers();
    let drafts = std::thread::scope(|scope| {
        let overlay = &overlay;
        // The top one first: in the end, the order does not matter.
        let running: Vec<_> = chains
            .iter()
            .zip(&archives)
            .rev()
            .map(|(chain, archive)| {
                scope.spawn(move || {
                    let draft = overlay.begin_layer(chain).unwrap();
                    let unpacked = unpack_draft(&archive[..], &draft, &Options::default()).unwrap();
                    (draft, unpacked)
                })
            })
            .collect();
        running.into_iter().rev().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let mut parent: Option<&ChainId> = None;
    for ((draft, unpacked), chain) in drafts.into_iter().zip(&chains) {
        let lower = parent.map_or(Ok(Vec::new()), |parent| overlay.layer_folders(parent)).unwrap();
        let usage = unpacked.settle(&lower).unwrap();
        overlay.commit_layer(draft, parent, usage).unwrap();
        parent = Some(chain);
    }
    let mounts = overlay.prepare("web", &chains[2], &Prepare::default()).unwrap();
    let script = "mount --make-rprivate / && mkdir $1/m && mount -t overlay -o \"$2\" overlay $1/m && cd $1/m \
                  && find . -printf '%P %y %U:%G\\n' | sort && cat etc/hosts srv/link && stat -c %i srv/data srv/link | uniq | wc -l";
    let mut look = Command::new("unshare");
    look.args(["-m", "sh", "-c", script, "sh"]).arg(root.path()).arg(mounts[0].options.join(","));
    let seen = String::from_utf8(run(&mut look)).unwrap();
    let expected = [
        " d 0:0",
        "etc d 0:0",
        "etc/hosts f 0:0",
        "lib d 0:0",
        "opt d 0:0",
        "opt/b f 0:0",
        "srv d 33:34",
        "srv/data f 0:0",
        "srv/link f 0:0",
        "srv/more f 0:0",
        "usr d 0:0",
        "usr/lib d 0:0",
        "usr/lib/x f 0:0",
        "topdata1",
    ];
    let seen: Vec<&str> = seen.lines().collect();
    assert_eq!(seen, expected);
}
