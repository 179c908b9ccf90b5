//! A kernel image as distributions ship it (bzImage), unpacked to the ELF file inside.
//!
//! QEMU starts that one by its PVH entry. Under emulation it saves a second: the guest need not decompress.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

/// Offsets in the setup header: Documentation/arch/x86/boot.rst of the kernel.
const SETUP_SECTORS: usize = 0x1f1;
const MAGIC: usize = 0x202;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;

const SECTOR: usize = 512;

pub(super) fn unpack(image: &[u8]) -> Result<Vec<u8>> {
    ensure!(image.get(MAGIC..MAGIC + 4) == Some(b"HdrS"), "not a bzImage");
    let sectors = match image.get(SETUP_SECTORS) {
        Some(0) | None => 4,
        Some(sectors) => usize::from(*sectors),
    };
    let start = (sectors + 1) * SECTOR + word(image, PAYLOAD_OFFSET)?;
    let length = word(image, PAYLOAD_LENGTH)?;
    let payload = image.get(start..start + length).context("the payload lies beyond the image's end")?;
    // The build appends the unpacked size, four bytes that are none of the decompressor's business.
    let packed = payload.get(..length.saturating_sub(4)).unwrap_or_default();
    let kernel = match payload {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => decompress("zstd", packed)?,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => decompress("xz", packed)?,
        [0x1f, 0x8b, ..] => decompress("gzip", packed)?,
        [0x7f, b'E', b'L', b'F', ..] => payload.to_vec(),
        _ => bail!("the kernel is packed in a way not known here: {:02x?}", payload.get(..6)),
    };
    ensure!(kernel.starts_with(b"\x7fELF"), "the unpacked kernel is no ELF file");
    Ok(kernel)
}

fn word(image: &[u8], offset: usize) -> Result<usize> {
    let bytes = image.get(offset..offset + 4).context("the image ends in its header")?;
    Ok(u32::from_le_bytes(bytes.try_into()?) as usize)
}

/// Through the program of that name: a decoder as a dependency would be used for these two files alone.
pub(super) fn decompress(program: &str, packed: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new(program)
        .args(["--decompress", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("run {program} (`cargo xtask setup` installs it)"))?;
    let mut stdin = child.stdin.take().context("its stdin")?;
    let mut stdout = child.stdout.take().context("its stdout")?;
    let mut unpacked = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(packed));
        stdout.read_to_end(&mut unpacked)
    })
    .with_context(|| format!("read from {program}"))?;
    let status = child.wait()?;
    ensure!(status.success(), "{program}: {status}");
    Ok(unpacked)
}
