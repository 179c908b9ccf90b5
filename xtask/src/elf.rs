//! As much of an ELF file as it takes to see whether it runs without a dynamic loader.

use anyhow::{Context as _, Result, ensure};

const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;

/// Fails unless `file` is a 64-bit little-endian program that is complete in itself.
pub(crate) fn ensure_static(file: &[u8]) -> Result<()> {
    ensure!(file.starts_with(b"\x7fELF\x02\x01"), "not a 64-bit little-endian ELF file");
    let table =
        usize::try_from(u64::from_le_bytes(bytes(file, 32)?)).context("offset of the program headers")?;
    let size = usize::from(u16::from_le_bytes(bytes(file, 54)?));
    let count = usize::from(u16::from_le_bytes(bytes(file, 56)?));
    for header in 0..count {
        let kind = u32::from_le_bytes(bytes(file, table + header * size)?);
        ensure!(kind != PT_INTERP, "it asks for a dynamic loader");
        ensure!(kind != PT_DYNAMIC, "it is linked dynamically");
    }
    Ok(())
}

fn bytes<const N: usize>(file: &[u8], at: usize) -> Result<[u8; N]> {
    let bytes = file.get(at..).and_then(<[u8]>::first_chunk);
    bytes.copied().with_context(|| format!("the file ends before byte {}", at.saturating_add(N)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_headers(kinds: &[u32]) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32] = 64;
        file[54] = 56;
        file[56] = u8::try_from(kinds.len()).unwrap();
        for kind in kinds {
            file.extend(kind.to_le_bytes());
            file.extend([0; 52]);
        }
        file
    }

    #[test]
    fn an_interpreter_or_a_dynamic_section_is_found() {
        assert!(ensure_static(&with_headers(&[1, 1])).is_ok());
        assert!(ensure_static(&with_headers(&[1, PT_INTERP])).is_err());
        assert!(ensure_static(&with_headers(&[PT_DYNAMIC])).is_err());
    }

    #[test]
    fn a_cut_file_is_an_error() {
        let file = with_headers(&[1]);
        assert!(ensure_static(&file[..60]).is_err() && ensure_static(&file[..64]).is_err());
        assert!(ensure_static(b"#!/bin/sh").is_err());
    }

    #[test]
    fn this_program_is_static() {
        let file = std::fs::read("/proc/self/exe").unwrap();
        ensure_static(&file).unwrap();
    }
}
