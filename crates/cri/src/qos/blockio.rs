//! Classes of block I/O: weights and limits of block devices.
//!
//! Of the entries of a class that match one device the last counts. Devices are looked for when a container is made, so
//! that one that was plugged in meanwhile is limited too.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    LinuxBlockIo, LinuxBlockIoBuilder, LinuxThrottleDevice, LinuxThrottleDeviceBuilder, LinuxWeightDevice,
    LinuxWeightDeviceBuilder,
};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use crate::error::{Attempt as _, Error, Result};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Classes {
    #[serde(rename = "Classes")]
    classes: BTreeMap<String, Vec<Entry>>,
}

/// What some devices, or without `Devices` all others, get.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
struct Entry {
    devices: Option<Vec<String>>,
    throttle_read_bps: Option<Quantity>,
    throttle_write_bps: Option<Quantity>,
    #[serde(rename = "ThrottleReadIOPS")]
    throttle_read_iops: Option<Quantity>,
    #[serde(rename = "ThrottleWriteIOPS")]
    throttle_write_iops: Option<Quantity>,
    weight: Option<Quantity>,
}

/// A number with a suffix of Kubernetes: `50M`, `10k`, `1Gi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Quantity(u64);

/// A device's numbers, to what it gets.
type PerDevice = BTreeMap<(i64, i64), u64>;

impl Classes {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let classes: Self = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        for (name, entries) in &classes.classes {
            for entry in entries {
                entry.check().map_err(|why| format!("class {name:?}: {why}"))?;
            }
        }
        Ok(classes)
    }

    /// What a container of this class gets.
    pub(super) fn parameters(&self, class: &str) -> Result<LinuxBlockIo> {
        let entries = self
            .classes
            .get(class)
            .ok_or_else(|| Error::invalid(format!("there is no class {class:?} of block I/O")))?;
        let mut default_weight = None;
        let (mut weights, mut limits) = (PerDevice::new(), [const { PerDevice::new() }; 4]);
        for entry in entries {
            let Some(patterns) = &entry.devices else {
                default_weight = entry.weight.or(default_weight);
                continue;
            };
            let devices = devices(patterns)?;
            if devices.is_empty() {
                tracing::warn!(class, ?patterns, "no block device of this host is one of these");
            }
            let note = |of: &mut PerDevice, quantity: Option<Quantity>| {
                if let Some(Quantity(value)) = quantity {
                    of.extend(devices.iter().map(|device| (*device, value)));
                }
            };
            note(&mut weights, entry.weight);
            for (of, quantity) in limits.iter_mut().zip(entry.limits()) {
                note(of, quantity);
            }
        }
        oci(default_weight, &weights, &limits)
    }
}

impl Entry {
    fn check(&self) -> Result<(), String> {
        if let Some(Quantity(weight)) = self.weight
            && !(10..=1000).contains(&weight)
        {
            return Err(format!("Weight {weight} is not from 10 to 1000"));
        }
        if self.devices.is_none() && self.limits().iter().any(Option::is_some) {
            return Err("limits need Devices".to_owned());
        }
        for pattern in self.devices.iter().flatten() {
            glob::Pattern::new(pattern).map_err(|error| format!("Devices: {pattern:?}: {error}"))?;
        }
        Ok(())
    }

    /// Bytes read and written, operations read and written.
    fn limits(&self) -> [Option<Quantity>; 4] {
        [self.throttle_read_bps, self.throttle_write_bps, self.throttle_read_iops, self.throttle_write_iops]
    }
}

/// The block devices that patterns match, links resolved. A partition has no limits of its own in the kernel.
fn devices(patterns: &[String]) -> Result<Vec<(i64, i64)>> {
    let mut found = Vec::new();
    for pattern in patterns {
        let attempted = || format!("look for the block devices {pattern:?}");
        for path in glob::glob(pattern).attempt(attempted)? {
            // What cannot be read is no device that can be limited.
            let Some(device) = path.ok().and_then(|path| whole_device(&path)) else { continue };
            if !found.contains(&device) {
                found.push(device);
            }
        }
    }
    Ok(found)
}

fn whole_device(path: &Path) -> Option<(i64, i64)> {
    let data = fs::metadata(path).ok().filter(|data| data.file_type().is_block_device())?;
    let (major, minor) = (rustix::fs::major(data.rdev()), rustix::fs::minor(data.rdev()));
    let partition = PathBuf::from(format!("/sys/dev/block/{major}:{minor}/partition"));
    (!partition.exists()).then(|| (i64::from(major), i64::from(minor)))
}

fn oci(weight: Option<Quantity>, weights: &PerDevice, limits: &[PerDevice; 4]) -> Result<LinuxBlockIo> {
    let wrong = || "put the limits of block I/O together".to_owned();
    let weight_of = |(&(major, minor), value): (&(i64, i64), &u64)| -> Result<LinuxWeightDevice> {
        let weight = u16::try_from(*value).attempt(wrong)?;
        LinuxWeightDeviceBuilder::default().major(major).minor(minor).weight(weight).build().attempt(wrong)
    };
    let limit_of = |(&(major, minor), rate): (&(i64, i64), &u64)| -> Result<LinuxThrottleDevice> {
        LinuxThrottleDeviceBuilder::default().major(major).minor(minor).rate(*rate).build().attempt(wrong)
    };
    let [read_bps, write_bps, read_iops, write_iops] = limits;
    let mut all = LinuxBlockIoBuilder::default();
    if let Some(Quantity(weight)) = weight {
        all = all.weight(u16::try_from(weight).attempt(wrong)?);
    }
    if !weights.is_empty() {
        all = all.weight_device(weights.iter().map(weight_of).collect::<Result<Vec<_>>>()?);
    }
    let list = |of: &PerDevice| of.iter().map(limit_of).collect::<Result<Vec<_>>>();
    if !read_bps.is_empty() {
        all = all.throttle_read_bps_device(list(read_bps)?);
    }
    if !write_bps.is_empty() {
        all = all.throttle_write_bps_device(list(write_bps)?);
    }
    if !read_iops.is_empty() {
        all = all.throttle_read_iops_device(list(read_iops)?);
    }
    if !write_iops.is_empty() {
        all = all.throttle_write_iops_device(list(write_iops)?);
    }
    all.build().attempt(wrong)
}

impl Quantity {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits);
        let factor: u64 = match suffix.trim() {
            "" => 1,
            "k" => 1000,
            "M" => 1000_u64.pow(2),
            "G" => 1000_u64.pow(3),
            "T" => 1000_u64.pow(4),
            "Ki" => 1 << 10,
            "Mi" => 1 << 20,
            "Gi" => 1 << 30,
            "Ti" => 1 << 40,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(factor).map(Self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl Visitor<'_> for Words {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, with a suffix such as k, M, Ki or Mi or without")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Quantity, E> {
                Ok(Quantity(value))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                Quantity::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_the_suffixes_of_kubernetes() {
        let of = |text| Quantity::parse(text).map(|Quantity(value)| value);
        assert_eq!(
            [of("50M"), of("10k"), of("1Gi"), of("7")],
            [Some(50_000_000), Some(10_000), Some(1 << 30), Some(7)]
        );
        assert_eq!([of(""), of("M"), of("-1"), of("5x"), of("99999999999T")], [None; 5]);
    }

    #[test]
    fn the_last_entry_that_matches_a_device_counts() {
        let Some(disk) = any_disk() else {
            println!("skipped: this host shows no block device that is not a partition");
            return;
        };
        let text = format!(
            "Classes:\n  slow:\n  - Weight: 80\n  - Devices: ['/dev/*', {disk}]\n    ThrottleReadBps: 50M\n    ThrottleWriteIOPS: 5k\n    Weight: 50\n  - Devices: [{disk}]\n    ThrottleReadBps: 100M\n"
        );
        let classes = Classes::parse(&text).unwrap();
        let parameters = classes.parameters("slow").unwrap();
        let device = whole_device(Path::new(&disk)).unwrap();
        let rate = |list: &Option<Vec<LinuxThrottleDevice>>| {
            let limit = list.as_ref().unwrap().iter().find(|limit| (limit.major(), limit.minor()) == device);
            limit.map(LinuxThrottleDevice::rate)
        };
        assert_eq!(parameters.weight(), Some(80));
        assert_eq!(rate(parameters.throttle_read_bps_device()), Some(100_000_000));
        assert_eq!(rate(parameters.throttle_write_iops_device()), Some(5000));
        assert!(parameters.throttle_write_bps_device().is_none());
        let error = classes.parameters("quick").unwrap_err();
        assert_eq!(error.to_string(), "there is no class \"quick\" of block I/O");
    }

    fn any_disk() -> Option<String> {
        let paths = fs::read_dir("/dev").ok()?.flatten().map(|entry| entry.path());
        paths.filter(|path| whole_device(path).is_some()).find_map(|path| path.to_str().map(str::to_owned))
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_reason() {
        for (text, says) in [
            ("Classes: {a: [{Weight: 5}]}", "class \"a\": Weight 5 is not from 10 to 1000"),
            ("Classes: {a: [{ThrottleReadBps: 5M}]}", "limits need Devices"),
            ("Classes: {a: [{Devices: ['/dev/[a'], Weight: 50}]}", "Devices"),
            ("Classes: {a: [{Devices: [/dev/a], Speed: 5}]}", "Speed"),
            ("Classes: {a: [{Devices: [/dev/a], Weight: much}]}", "much"),
        ] {
            let error = Classes::parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
