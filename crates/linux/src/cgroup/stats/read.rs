//! The forms in which the kernel writes numbers.

use super::{BlkioEntry, Psi, PsiData};
use crate::cgroup::dir::Dir;
use crate::cgroup::error::Result;
use rustix::io::Errno;
use std::collections::BTreeMap;

/// `key value` on each line.
pub(super) fn flat(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

pub(super) fn flat_file(dir: &Dir, file: &str) -> Result<BTreeMap<String, u64>> {
    Ok(flat(&dir.read_optional(file)?.unwrap_or_default()))
}

pub(super) fn number(dir: &Dir, file: &str) -> Result<u64> {
    Ok(dir.number(file)?.unwrap_or_default())
}

/// Numbers with spaces between them.
pub(super) fn row(dir: &Dir, file: &str) -> Result<Vec<u64>> {
    let text = dir.read_optional(file)?.unwrap_or_default();
    Ok(text.split_whitespace().filter_map(|number| number.parse().ok()).collect())
}

/// `0-2,4`.
pub(super) fn ranges(text: &str) -> Vec<u16> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse::<u16>().ok()?..=last.trim().parse().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

/// Pressure; a kernel may have it switched off, and says so when the file is read.
pub(super) fn pressure(dir: &Dir, file: &str) -> Result<Option<Psi>> {
    match dir.read_optional(file) {
        Ok(text) => Ok(text.map(|text| parse_pressure(&text))),
        Err(error) if error.is_errno(Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`.
fn parse_pressure(text: &str) -> Psi {
    let mut psi = Psi::default();
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        let data = match fields.next() {
            Some("some") => &mut psi.some,
            Some("full") => &mut psi.full,
            _ => continue,
        };
        *data = fields.filter_map(|field| field.split_once('=')).fold(
            PsiData::default(),
            |mut data, (key, value)| {
                match key {
                    "avg10" => data.avg10 = value.parse().unwrap_or_default(),
                    "avg60" => data.avg60 = value.parse().unwrap_or_default(),
                    "avg300" => data.avg300 = value.parse().unwrap_or_default(),
                    "total" => data.total = value.parse().unwrap_or_default(),
                    _ => {}
                }
                data
            },
        );
    }
    psi
}

/// `8:0 Read 100` or `8:0 100`; the sums that follow have no device.
pub(super) fn blkio(text: &str) -> Vec<BlkioEntry> {
    let entry = |line: &str| {
        let mut fields = line.split_whitespace();
        let (major, minor) = fields.next()?.split_once(':')?;
        let rest: Vec<&str> = fields.collect();
        let (op, value) = match rest.as_slice() {
            [value] => ("", value),
            [op, value] => (*op, value),
            _ => return None,
        };
        Some(BlkioEntry {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
            op: op.to_owned(),
            value: value.parse().ok()?,
        })
    };
    text.lines().filter_map(entry).collect()
}

/// The sizes of huge pages, as the cgroup's files name them.
pub(super) fn hugepage_sizes() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/sys/kernel/mm/hugepages") else { return vec![] };
    let size = |name: &str| {
        let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        Some(match kib {
            kib if kib.is_multiple_of(1 << 20) => format!("{}GB", kib >> 20),
            kib if kib.is_multiple_of(1 << 10) => format!("{}MB", kib >> 10),
            kib => format!("{kib}KB"),
        })
    };
    let mut sizes: Vec<String> =
        entries.flatten().filter_map(|entry| size(entry.file_name().to_str()?)).collect();
    sizes.sort();
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        assert_eq!(flat("cache 7\nrss 8\nbad\n"), BTreeMap::from([("cache".into(), 7), ("rss".into(), 8)]));
        assert_eq!(ranges("0-2,4\n"), [0, 1, 2, 4]);
        assert_eq!(ranges("\n"), [] as [u16; 0]);
        let entries = blkio("8:0 Read 1\n8:0 Sync 2\n8:16 77\nTotal 3\n");
        let shown: Vec<_> = entries.iter().map(|e| (e.major, e.minor, e.op.as_str(), e.value)).collect();
        assert_eq!(shown, [(8, 0, "Read", 1), (8, 0, "Sync", 2), (8, 16, "", 77)]);
        let psi = parse_pressure(
            "some avg10=1.71 avg60=2.36 avg300=2.57 total=230548833\nfull avg10=1.00 avg60=0 avg300=0 total=9\n",
        );
        assert_eq!(psi.some, PsiData { avg10: 1.71, avg60: 2.36, avg300: 2.57, total: 230_548_833 });
        assert_eq!(psi.full.total, 9);
    }
}
