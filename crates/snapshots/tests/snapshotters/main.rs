//! Both snapshotters keep the contract; and what overlay promises beyond it: it survives being killed at any moment.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod crash;
mod leftovers;
mod mounted;

use snapshots::Snapshotter;
use snapshots::overlay::Overlay;
use snapshots::suite::copies::Copies;
use snapshots::suite::{self, Fixture};
use std::path::PathBuf;

struct Of(PathBuf, fn(&PathBuf) -> Box<dyn Snapshotter>);

impl Fixture for Of {
    fn open(&self) -> Box<dyn Snapshotter> {
        self.1(&self.0)
    }
}

#[test]
fn overlay_keeps_the_contract() {
    let root = tempfile::tempdir().unwrap();
    suite::run(&Of(root.path().join("deep/root"), |root| Box::new(Overlay::open(root).unwrap())));
}

#[test]
fn copies_keep_the_contract() {
    let root = tempfile::tempdir().unwrap();
    suite::run(&Of(root.path().join("root"), |root| Box::new(Copies::open(root).unwrap())));
}
