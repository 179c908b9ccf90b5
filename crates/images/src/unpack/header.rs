//! One block of 512 bytes that describes an entry: V7, POSIX (ustar) and GNU tar lay it out alike.

/// The size of everything in a tar archive.
pub(super) const BLOCK: usize = 512;

/// A block.
pub(super) type Block = [u8; BLOCK];

/// A point in time: seconds since 1970, and nanoseconds on top.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Time {
    pub seconds: i64,
    pub nanos: u32,
}

/// The fields of a block, as they are.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub size: u64,
    pub mtime: Time,
    pub kind: u8,
    pub device: (u32, u32),
}

/// The fields, or what is wrong with them.
pub(super) fn parse(block: &Block) -> Result<Header, &'static str> {
    if !checksum_is_right(block) {
        return Err("the checksum of a header is wrong");
    }
    let field = |from: usize, length: usize| block.get(from..from + length).unwrap_or_default();
    let natural = |from, length| number(field(from, length)).and_then(|number| u64::try_from(number).ok());
    let kind = field(156, 1).first().copied().unwrap_or(0);
    let mut path = text(field(0, 100)).to_vec();
    // GNU tar uses what POSIX calls the prefix for something else.
    if field(257, 6) == b"ustar\0" && block.get(345).is_some_and(|byte| *byte != 0) {
        path = [text(field(345, 155)), b"/", &path].concat();
    }
    let device = |from| if matches!(kind, b'3' | b'4') { natural(from, 8) } else { Some(0) };
    Ok(Header {
        path,
        link: text(field(157, 100)).to_vec(),
        // More than permissions is in the field with some; the type is elsewhere.
        mode: (natural(100, 8).ok_or("a header's mode is no number")? & 0o7777) as u32,
        uid: natural(108, 8).ok_or("a header's user id is no number")?,
        gid: natural(116, 8).ok_or("a header's group id is no number")?,
        size: natural(124, 12).ok_or("a header's size is no number, or negative")?,
        mtime: Time { seconds: number(field(136, 12)).ok_or("a header's time is no number")?, nanos: 0 },
        kind,
        device: match (device(329).map(u32::try_from), device(337).map(u32::try_from)) {
            (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
            _ => return Err("a header's device number is none"),
        },
    })
}

/// A field of text ends at its first zero.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits between spaces and zeros, or, after a first byte with its highest bit set, a number of 256 in two's
/// complement. A field of nothing is 0.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    match field {
        [first, rest @ ..] if first & 0x80 != 0 => {
            let start = if first & 0x40 != 0 { -1_i128 } else { 0 };
            let first = i128::from(first & 0x3f) | (start << 6);
            let value = rest.iter().try_fold(first, |value, byte| {
                value.checked_mul(256).map(|value| value | i128::from(*byte))
            })?;
            i64::try_from(value).ok()
        }
        _ => {
            let field = text(field).trim_ascii();
            let octal = |byte: &u8| (b'0'..=b'7').contains(byte).then(|| i64::from(byte - b'0'));
            field.iter().try_fold(0_i64, |value, byte| value.checked_mul(8)?.checked_add(octal(byte)?))
        }
    }
}

/// The sum of all bytes, those of the sum itself taken for spaces. Some old programs added up signed bytes.
fn checksum_is_right(block: &Block) -> bool {
    let Some(expected) = block.get(148..156).and_then(number) else { return false };
    let bytes =
        || block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte });
    let unsigned: i64 = bytes().map(i64::from).sum();
    unsigned == expected || bytes().map(|byte| i64::from(byte.cast_signed())).sum::<i64>() == expected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b" 644 \0\0\0"), Some(0o644));
        assert_eq!(number(b"77777777777 "), Some(0o77_777_777_777));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\x02\0\0\0\0"), Some(1 << 33));
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), Some(-1));
        for bad in [b"9", b"-", b"x"] {
            assert_eq!(number(bad), None);
        }
        assert_eq!(number(b"-1"), None);
        assert_eq!(number(b"777777777777777777777777"), None);
        assert_eq!(number(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
    }

    #[test]
    fn a_header_without_its_checksum_is_none() {
        assert!(parse(&[b'x'; BLOCK]).is_err());
    }
}
