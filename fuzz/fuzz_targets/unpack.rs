//! A layer of any bytes. Headers are given the checksum that they should have, or hardly any would be read; whatever they
//! say, nothing beside the layer's folder changes.
#![no_main]

use images::unpack::{Limits, Options, unpack};
use libfuzzer_sys::fuzz_target;
use std::fs;

fuzz_target!(|bytes: &[u8]| {
    let mut archive = bytes.to_vec();
    archive.chunks_exact_mut(512).for_each(checksum);
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("layer");
    fs::create_dir(&folder).expect("a folder");
    fs::write(root.path().join("beside"), "kept").expect("a file");
    // No device that a layer may make is of use to it, but this is a host.
    let limits = Limits { bytes: 1 << 20, entries: 200, depth: 20, path: 300, header: 4_096, ..Limits::default() };
    if let Ok(unpacked) = unpack(&archive[..], &folder, &Options { limits, ..Options::default() }) {
        let _ = unpacked.settle(&[]);
    }
    let beside = fs::read_to_string(root.path().join("beside")).expect("what was beside the layer");
    assert_eq!(beside, "kept");
    assert_eq!(fs::read_dir(root.path()).expect("the folder").count(), 2);
});

/// Blocks that do not look like a header stay as they are.
fn checksum(block: &mut [u8]) {
    if block[257..262] != *b"ustar" {
        return;
    }
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
