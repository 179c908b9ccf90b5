//! The in-memory backend passes the suite.

#[test]
fn suite() {
    let root = tempfile::tempdir().unwrap();
    compute::suite::run(&compute::suite::memory::MemoryFixture::new(root.path().into()));
}
