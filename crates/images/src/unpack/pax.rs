//! Extended headers (pax): lines of `LENGTH KEY=VALUE` that take the place of fields of the header that follows.

use super::header::Time;

/// The attributes of one extended header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Extended {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub mtime: Option<Time>,
    /// Extended attributes, in their order.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: Sparse,
}

/// What GNU tar says of a file with holes, in its three ways of doing so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sparse {
    /// 1.0 names its version; the map is in front of the data.
    pub version: Option<(u64, u64)>,
    pub name: Option<Vec<u8>>,
    /// With the holes.
    pub size: Option<u64>,
    /// 0.0 has a pair of keys for each piece, 0.1 a list: offsets and lengths in turns.
    pub map: Option<Vec<u64>>,
}

/// Why lines are no extended header.
pub(super) type Problem = &'static str;

impl Extended {
    /// Reads the lines.
    pub(super) fn parse(mut lines: &[u8]) -> Result<Self, Problem> {
        let mut extended = Self::default();
        while !lines.is_empty() {
            // What is left of the last block of some writers.
            if lines.iter().all(|byte| *byte == 0) {
                break;
            }
            let (line, rest) = line(lines).ok_or("a line of an extended header has a wrong length")?;
            let (key, value) = split_at_byte(line, b'=').ok_or("a line of an extended header has no '='")?;
            extended.set(key, value)?;
            lines = rest;
        }
        Ok(extended)
    }

    /// What a global header says for all entries that do not say it themselves.
    pub(super) fn over(mut self, global: &Extended) -> Self {
        self.uid = self.uid.or(global.uid);
        self.gid = self.gid.or(global.gid);
        self.mtime = self.mtime.or(global.mtime);
        for xattr in &global.xattrs {
            if !self.xattrs.iter().any(|(name, _)| *name == xattr.0) {
                self.xattrs.push(xattr.clone());
            }
        }
        self
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Problem> {
        let natural = || natural(value).ok_or("an extended header has a number that is none");
        let bytes = || if value.is_empty() { None } else { Some(value.to_vec()) };
        match key {
            b"path" => self.path = no_zero(bytes())?,
            b"linkpath" => self.link = no_zero(bytes())?,
            // An empty value takes back what was said before.
            b"size" | b"uid" | b"gid" | b"mtime" if value.is_empty() => {}
            b"size" => self.size = Some(natural()?),
            b"uid" => self.uid = Some(natural()?),
            b"gid" => self.gid = Some(natural()?),
            b"mtime" => self.mtime = Some(time(value).ok_or("an extended header has a time that is none")?),
            b"GNU.sparse.major" => {
                self.sparse.version = Some((natural()?, self.sparse.version.unwrap_or_default().1));
            }
            b"GNU.sparse.minor" => {
                self.sparse.version = Some((self.sparse.version.unwrap_or_default().0, natural()?));
            }
            b"GNU.sparse.name" => self.sparse.name = no_zero(bytes())?,
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.size = Some(natural()?),
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                let map = self.sparse.map.get_or_insert_default();
                // They come in pairs.
                if map.len().is_multiple_of(2) != (key == b"GNU.sparse.offset") {
                    return Err("an extended header has a map of holes that is none");
                }
                map.push(natural()?);
            }
            b"GNU.sparse.map" => {
                let numbers = value.split(|byte| *byte == b',').filter(|number| !number.is_empty());
                let map: Option<Vec<u64>> = numbers.map(self::natural).collect();
                self.sparse.map = Some(map.ok_or("an extended header has a map of holes that is none")?);
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.retain(|(known, _)| known != name);
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

/// The first line without its length and its end, and the lines after it.
fn line(lines: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, _) = split_at_byte(lines.get(..lines.len().min(21))?, b' ')?;
    let total = usize::try_from(natural(length)?).ok()?;
    let line = lines.get(..total)?.strip_suffix(b"\n")?;
    Some((line.get(length.len() + 1..)?, lines.get(total..)?))
}

fn split_at_byte(bytes: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|found| *found == byte)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

/// Decimal digits, at least one.
pub(super) fn natural(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Seconds, with a fraction of any length; what is finer than a nanosecond is dropped.
fn time(value: &[u8]) -> Option<Time> {
    let (negative, value) = value.strip_prefix(b"-").map_or((false, value), |value| (true, value));
    let (whole, fraction) = split_at_byte(value, b'.').unwrap_or((value, b""));
    let mut seconds = i64::try_from(natural(whole)?).ok()?;
    let mut nanos = 0;
    for at in 0..9 {
        let digit =
            fraction.get(at).map_or(Some(0), |byte| byte.is_ascii_digit().then(|| u32::from(byte - b'0')))?;
        nanos = nanos * 10 + digit;
    }
    if negative {
        seconds = -seconds;
        if nanos > 0 {
            seconds -= 1;
            nanos = 1_000_000_000 - nanos;
        }
    }
    Some(Time { seconds, nanos })
}

fn no_zero(name: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, Problem> {
    match name {
        Some(name) if name.contains(&0) => Err("an extended header has a name with a zero in it"),
        name => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[u8]) -> Extended {
        Extended::parse(lines).unwrap()
    }

    #[test]
    fn keys_take_the_place_of_fields() {
        let extended =
            parse(b"11 path=\xc3\xa4\n20 mtime=1700000000\n11 uid=123\n28 SCHILY.xattr.user.a=1\n=\0\n");
        assert_eq!(extended.path.as_deref(), Some("ä".as_bytes()));
        assert_eq!(extended.mtime, Some(Time { seconds: 1_700_000_000, nanos: 0 }));
        assert_eq!(extended.uid, Some(123));
        assert_eq!(extended.xattrs, [(b"user.a".to_vec(), b"1\n=\0".to_vec())]);
    }

    #[test]
    fn times_have_nanoseconds_and_may_be_before_1970() {
        for (text, seconds, nanos) in [
            ("1.5", 1, 500_000_000),
            ("-1.25", -2, 750_000_000),
            ("-1", -1, 0),
            ("7.1234567891", 7, 123_456_789),
        ] {
            assert_eq!(time(text.as_bytes()), Some(Time { seconds, nanos }), "{text}");
        }
        for bad in ["", "-", "x", "1.x", "99999999999999999999"] {
            assert_eq!(time(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn broken_lines_are_refused() {
        for bad in [
            &b"11 path=a\n"[..],
            b"x path=a\n",
            b"9 patha\n",
            b"99999999999999999999999 a=b\n",
            b"10 size=-1\n",
        ] {
            assert!(Extended::parse(bad).is_err(), "{}", bad.escape_ascii());
        }
        assert!(Extended::parse(b"26 GNU.sparse.numbytes=12\n").is_err());
        assert!(Extended::parse(b"11 path=a\0\n").is_err());
    }

    #[test]
    fn an_entry_says_more_than_all_entries_do() {
        let global = parse(b"10 gid=12\n10 uid=12\n");
        let entry = parse(b"10 uid=34\n").over(&global);
        assert_eq!((entry.uid, entry.gid), (Some(34), Some(12)));
    }
}
