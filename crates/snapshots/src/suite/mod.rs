//! What every [`Snapshotter`] must do, as tests that any implementation runs against itself.
//!
//! An implementation's test file is one line: `snapshots::suite::run(&MyFixture)`. The [second implementation](copies)
//! beside this file passes the suite too, which proves that the suite asks for nothing but the contract. Mounts are made
//! in a mount namespace of a process of its own; without root, the suite says so and does nothing.

pub mod copies;

use crate::{ChainId, Draft, Error, Mount, Prepare, Snapshotter, Usage};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;

/// How the suite gets at the implementation under test.
pub trait Fixture {
    /// Opens the implementation, always on the same folder, in which it finds what it left there.
    fn open(&self) -> Box<dyn Snapshotter>;
}

/// Runs all of it. Panics at the first thing that is not as it has to be.
///
/// # Panics
/// When the implementation breaks the contract.
pub fn run(fixture: &dyn Fixture) {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: mounting needs root");
        return;
    }
    drafts_are_gone_unless_committed(&*fixture.open());
    layers_come_from_the_bottom_up(&*fixture.open());
    roots_are_apart(&*fixture.open());
    names_are_checked(&*fixture.open());
    a_read_only_root_stays(&*fixture.open());
    views_are_of_what_the_image_has(&*fixture.open());
    what_is_below_stays(&*fixture.open());
    many_at_once(&*fixture.open());
    all_is_there_after_a_restart(fixture);
}

/// A chain id that is `digit`, 64 times.
///
/// # Panics
/// If it is no hexadecimal digit.
pub fn chain(digit: char) -> ChainId {
    ChainId::new(format!("sha256:{}", digit.to_string().repeat(64))).expect("a digit")
}

/// Commits a layer that `fill` makes.
///
/// # Panics
/// When that fails.
pub fn layer(
    snapshotter: &dyn Snapshotter,
    chain: &ChainId,
    parent: Option<&ChainId>,
    fill: impl FnOnce(&Draft),
) {
    let draft = snapshotter.begin_layer(chain).expect("begin a layer");
    fill(&draft);
    let usage = crate::measure(draft.folder()).expect("measure a draft");
    snapshotter.commit_layer(draft, parent, usage).expect("commit a layer");
}

/// What `script` prints in a folder where `mounts` are mounted, and whether it succeeds. Mount and script are in a mount
/// namespace that ends with it.
///
/// # Panics
/// When nothing can be mounted.
pub fn look(mounts: &[Mount], script: &str) -> Result<String, String> {
    let target = tempfile::tempdir().expect("a folder to mount at");
    // One file cannot be mounted on a folder.
    let (mut at, mut here) = (target.path().join("m"), "cd \"$1/m\"");
    let of_file = mounts.iter().any(|mount| mount.kind == "bind" && Path::new(&mount.source).is_file());
    if of_file {
        fs::write(&at, "").expect("a file to mount at");
        here = "cd \"$1\"";
    } else {
        fs::create_dir(&at).expect("a folder to mount at");
    }
    let mut commands = String::from("set -e; mount --make-rprivate /\n");
    for mount in mounts {
        if !mount.target.is_empty() {
            at.push(&mount.target);
        }
        let words = [mount.kind.as_str(), &mount.source, &mount.options.join(","), &at.to_string_lossy()];
        let [kind, source, options, at] = words.map(|word| format!("'{}'", word.replace('\'', r"'\''")));
        let kind = if kind == "'bind'" { String::new() } else { format!("-t {kind}") };
        commands += &format!("mount {kind} -o {options} {source} {at}\n");
    }
    commands += &format!("set +e; {here}\n{script}");
    let mut shell = Command::new("unshare");
    shell.args(["-m", "sh", "-c", &commands, "sh"]).arg(target.path());
    let output = shell.output().expect("run unshare");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Two layers: `a` below, `b` on it, which removes, hides and adds.
fn image(snapshotter: &dyn Snapshotter) -> (ChainId, ChainId) {
    let (base, top) = (chain('a'), chain('b'));
    layer(snapshotter, &base, None, |draft| {
        let at = |path: &str| draft.folder().join(path);
        for folder in ["etc", "opt/app", "srv"] {
            fs::create_dir_all(at(folder)).expect("a folder");
        }
        for file in ["etc/hosts", "etc/old", "opt/app/old"] {
            fs::write(at(file), "base").expect("a file");
        }
        symlink("/etc", at("srv/etc")).expect("a link");
    });
    layer(snapshotter, &top, Some(&base), |draft| {
        let at = |path: &str| draft.folder().join(path);
        for folder in ["etc", "opt/app"] {
            fs::create_dir_all(at(folder)).expect("a folder");
        }
        fs::write(at("etc/hosts"), "top").expect("a file");
        fs::write(at("opt/app/new"), "top").expect("a file");
        let removed = rustix::fs::mknodat(
            rustix::fs::CWD,
            at("etc/old"),
            rustix::fs::FileType::CharacterDevice,
            rustix::fs::Mode::empty(),
            0,
        );
        removed.expect("a whiteout");
        let empty = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(at("opt/app"), draft.attributes().opaque(), b"y", empty)
            .expect("an opaque folder");
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::RUSR).expect("a pipe");
    });
    (base, top)
}

fn clear(snapshotter: &dyn Snapshotter) {
    for snapshot in snapshotter.snapshots().expect("snapshots") {
        snapshotter.remove(&snapshot.key).expect("remove");
    }
    while let Some(layer) = snapshotter.layers().expect("layers").pop() {
        let mut top = layer.chain;
        while let Some(above) = snapshotter
            .layers()
            .expect("layers")
            .into_iter()
            .find(|layer| layer.parent.as_ref() == Some(&top))
        {
            top = above.chain;
        }
        snapshotter.remove_layer(&top).expect("remove a layer");
    }
}

fn drafts_are_gone_unless_committed(snapshotter: &dyn Snapshotter) {
    let chain = chain('a');
    let draft = snapshotter.begin_layer(&chain).expect("begin");
    let folder = draft.folder().to_owned();
    assert_eq!(fs::read_dir(&folder).expect("an empty folder").count(), 0);
    assert!(folder.starts_with(snapshotter.root()));
    let other = snapshotter.begin_layer(&chain).expect("begin again");
    assert_ne!(folder, other.folder());
    drop((draft, other));
    assert!(!snapshotter.has_layer(&chain).expect("has"));
    assert!(matches!(snapshotter.layer_folders(&chain), Err(Error::NoLayer(_))));
}

fn layers_come_from_the_bottom_up(snapshotter: &dyn Snapshotter) {
    let (base, top) = (chain('a'), chain('b'));
    let early = snapshotter.begin_layer(&top).expect("begin");
    let refused = snapshotter.commit_layer(early, Some(&base), Usage::default());
    assert!(matches!(refused, Err(Error::NoLayer(missing)) if missing == base));
    let usage = Usage { bytes: 4_096, inodes: 1 };
    // Several that unpacked the same: the first stays, the others are no error.
    let drafts = [(); 2].map(|()| snapshotter.begin_layer(&base).expect("begin"));
    for draft in drafts {
        snapshotter.commit_layer(draft, None, usage).expect("commit");
    }
    let draft = snapshotter.begin_layer(&top).expect("begin");
    fs::write(draft.folder().join("file"), "x").expect("write");
    snapshotter.commit_layer(draft, Some(&base), usage).expect("commit");
    assert!(snapshotter.has_layer(&base).expect("has"));
    let folders = snapshotter.layer_folders(&top).expect("folders");
    assert_eq!(folders.len(), 2);
    assert!(folders[0].join("file").exists(), "the layer itself is first");
    assert_eq!(snapshotter.layer_usage(&top).expect("usage"), usage);
    let mut layers = snapshotter.layers().expect("layers");
    layers.sort_by(|a, b| a.chain.cmp(&b.chain));
    assert_eq!(layers.iter().map(|layer| layer.parent.clone()).collect::<Vec<_>>(), [None, Some(base)]);
    clear(snapshotter);
    assert_eq!(snapshotter.layers().expect("layers"), []);
}

fn roots_are_apart(snapshotter: &dyn Snapshotter) {
    let (_, top) = image(snapshotter);
    let one = snapshotter.prepare("one", &top, &Prepare::default()).expect("prepare");
    let two = snapshotter.prepare("two", &top, &Prepare::default()).expect("prepare");
    assert_eq!(snapshotter.mounts("one").expect("mounts"), one);
    assert_eq!(snapshotter.snapshots().expect("snapshots").len(), 2);
    let before = snapshotter.usage("one").expect("usage");
    let seen =
        look(&one, "cat etc/hosts; echo; ls etc opt/app; head -c 100000 /dev/urandom > big; rm etc/hosts");
    assert_eq!(seen.expect("a root"), "top\netc:\nhosts\n\nopt/app:\nnew");
    assert_eq!(
        look(&two, "cat etc/hosts; ls big 2>&1 || :").expect("a root").lines().next(),
        Some("topls: cannot access 'big': No such file or directory")
    );
    let again = snapshotter.mounts("one").expect("mounts");
    assert_eq!(look(&again, "ls; ls etc").expect("a root again"), "big\netc\nopt\npipe\nsrv");
    snapshotter.prepare("three", &top, &Prepare::default()).expect("prepare");
    assert!(look(&snapshotter.mounts("three").expect("mounts"), "head -c 200000 /dev/zero > big").is_ok());
    let after = snapshotter.usage("three").expect("usage");
    assert!(after.bytes >= before.bytes + 200_000 && after.inodes > before.inodes, "{before:?} {after:?}");
    clear(snapshotter);
    assert!(matches!(snapshotter.mounts("one"), Err(Error::NoSnapshot(_))));
    assert!(matches!(snapshotter.usage("one"), Err(Error::NoSnapshot(_))));
}

fn names_are_checked(snapshotter: &dyn Snapshotter) {
    let (base, _) = image(snapshotter);
    let plain = Prepare::default();
    for key in ["", "a\nb", &"x".repeat(256)] {
        assert!(matches!(snapshotter.prepare(key, &base, &plain), Err(Error::InvalidKey(_))), "{key:?}");
    }
    for key in ["../../etc", "a/b", "."] {
        snapshotter.prepare(key, &base, &plain).expect("any other name is one");
        assert!(matches!(snapshotter.prepare(key, &base, &plain), Err(Error::SnapshotExists(_))));
    }
    assert!(matches!(snapshotter.prepare("x", &chain('f'), &plain), Err(Error::NoLayer(_))));
    let ids = Prepare { id_map: Some(crate::IdMaps::default()), ..plain };
    assert!(matches!(snapshotter.prepare("x", &base, &ids), Err(Error::InvalidIdMap { .. })));
    snapshotter.remove("x").expect("what is not there is removed");
    clear(snapshotter);
}

fn a_read_only_root_stays(snapshotter: &dyn Snapshotter) {
    let (base, top) = image(snapshotter);
    for (key, parent) in [("one", &base), ("two", &top)] {
        let options = Prepare { read_only: true, ..Prepare::default() };
        let mounts = snapshotter.prepare(key, parent, &options).expect("prepare");
        let refused = look(&mounts, "touch etc/hosts");
        assert!(refused.expect_err("it can be written").contains("Read-only"), "{key}");
        assert!(look(&mounts, "cat etc/hosts").is_ok());
        assert_eq!(snapshotter.usage(key).expect("usage"), Usage::default());
    }
    clear(snapshotter);
}

fn views_are_of_what_the_image_has(snapshotter: &dyn Snapshotter) {
    let (base, top) = image(snapshotter);
    let seen = |parent: &ChainId, path: &str| {
        look(&snapshotter.view(parent, path).expect(path), "ls -A; cat hosts 2>/dev/null || :")
    };
    for (path, expected) in [
        ("", "etc\nopt\npipe\nsrv"),
        ("/etc", "hosts\ntop"),
        ("srv/etc", "hosts\ntop"),
        ("srv/../srv/etc/", "hosts\ntop"),
        ("opt/app", "new"),
        ("opt", "app"),
    ] {
        assert_eq!(seen(&top, path).expect("a view"), expected, "{path}");
    }
    assert_eq!(seen(&base, "opt/app").expect("a view"), "old");
    let file = snapshotter.view(&top, "srv/etc/hosts").expect("a file");
    assert_eq!(look(&file, "cat m; ! touch m 2>/dev/null").expect("a file"), "top");
    assert!(look(&snapshotter.view(&top, "etc").expect("a view"), "touch x").is_err());
    for missing in ["none", "etc/old", "opt/app/old", "etc/none/x"] {
        assert!(matches!(snapshotter.view(&top, missing), Err(Error::NotInImage { .. })), "{missing}");
    }
    for never in ["pipe", "etc/hosts/x"] {
        assert!(matches!(snapshotter.view(&top, never), Err(Error::NotMountable { .. })), "{never}");
    }
    assert!(matches!(snapshotter.view(&chain('f'), ""), Err(Error::NoLayer(_))));
    assert_eq!(snapshotter.snapshots().expect("snapshots"), []);
    clear(snapshotter);
}

fn what_is_below_stays(snapshotter: &dyn Snapshotter) {
    let (base, top) = image(snapshotter);
    snapshotter.prepare("root", &top, &Prepare::default()).expect("prepare");
    let refused = snapshotter.remove_layer(&base);
    assert!(matches!(refused, Err(Error::LayerInUse { layers: 1, snapshots: 0, .. })), "{refused:?}");
    let refused = snapshotter.remove_layer(&top);
    assert!(matches!(refused, Err(Error::LayerInUse { layers: 0, snapshots: 1, .. })), "{refused:?}");
    snapshotter.remove("root").expect("remove");
    snapshotter.remove("root").expect("remove again");
    snapshotter.remove_layer(&top).expect("remove a layer");
    snapshotter.remove_layer(&top).expect("remove it again");
    assert!(!snapshotter.has_layer(&top).expect("has"));
    snapshotter.remove_layer(&base).expect("remove a layer");
    // And again from the start, with the same names.
    image(snapshotter);
    clear(snapshotter);
}

fn many_at_once(snapshotter: &dyn Snapshotter) {
    let (base, top) = image(snapshotter);
    let start = Barrier::new(8);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (start, base, top) = (&start, &base, &top);
            scope.spawn(move || {
                start.wait();
                for round in 0..20 {
                    let key = format!("{thread}-{round}");
                    snapshotter.prepare(&key, top, &Prepare::default()).expect("prepare");
                    // All threads make this one, and most try to remove it.
                    layer(snapshotter, &chain('c'), Some(base), |_| {});
                    match snapshotter.remove_layer(&chain('c')) {
                        Ok(()) | Err(Error::LayerInUse { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                    if round % 2 == 0 {
                        snapshotter.remove(&key).expect("remove");
                    }
                }
            });
        }
    });
    assert_eq!(snapshotter.snapshots().expect("snapshots").len(), 80);
    assert!(look(&snapshotter.mounts("7-19").expect("mounts"), "cat etc/hosts").is_ok());
    clear(snapshotter);
}

fn all_is_there_after_a_restart(fixture: &dyn Fixture) {
    let first = fixture.open();
    let (_, top) = image(&*first);
    let mounts = first.prepare("root", &top, &Prepare::default()).expect("prepare");
    look(&mounts, "echo kept > file").expect("a root");
    let draft = first.begin_layer(&chain('d')).expect("begin");
    let folder = draft.folder().to_owned();
    // As if the process ended here.
    std::mem::forget(draft);
    let mut layers = first.layers().expect("layers");
    drop(first);
    let second = fixture.open();
    let mut found = second.layers().expect("layers");
    let by_name = |a: &crate::LayerInfo, b: &crate::LayerInfo| a.chain.cmp(&b.chain);
    layers.sort_by(by_name);
    found.sort_by(by_name);
    assert_eq!(found, layers);
    assert_eq!(
        look(&second.mounts("root").expect("mounts"), "cat file etc/hosts").expect("a root"),
        "kept\ntop"
    );
    let fresh = second.begin_layer(&chain('d')).expect("begin");
    assert_ne!(fresh.folder(), folder);
    drop(fresh);
    clear(&*second);
}
