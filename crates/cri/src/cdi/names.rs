//! Names of devices: `vendor/class=device`.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::wire::v1::ContainerConfig;

/// What every key of an annotation that names devices begins with.
const ANNOTATIONS: &str = "cdi.k8s.io/";

/// The devices that a container asks for, by the field and by annotations; each once.
pub(crate) fn asked(config: &ContainerConfig) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for device in &config.cdi_devices {
        parse(&device.name).map_err(|why| refused("CDI_devices", &device.name, why))?;
        if !names.contains(&device.name) {
            names.push(device.name.clone());
        }
    }
    // The order of a hash map would make another container of the same request.
    let annotations: BTreeMap<&String, &String> =
        config.annotations.iter().filter(|(key, _)| key.starts_with(ANNOTATIONS)).collect();
    for (key, value) in annotations {
        for name in value.split(',') {
            parse(name).map_err(|why| refused(&format!("annotation {key}"), name, why))?;
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }
    Ok(names)
}

fn refused(field: &str, name: &str, why: &str) -> Error {
    Error::invalid(format!("{field}: {name:?}: {why}"))
}

/// The kind, `vendor/class`, and the device.
pub(super) fn parse(name: &str) -> Result<(&str, &str), &'static str> {
    let (kind, device) = name.split_once('=').ok_or("a device is named vendor/class=device")?;
    check_kind(kind)?;
    check_device(device)?;
    Ok((kind, device))
}

/// A vendor and a class of its devices.
pub(super) fn check_kind(kind: &str) -> Result<(), &'static str> {
    let (vendor, class) = kind.split_once('/').ok_or("a kind is vendor/class")?;
    let good = |text: &str| begins_and_ends(text, |first| first.is_ascii_alphabetic(), "_-.");
    if !good(vendor) {
        return Err("the vendor has to be letters, digits, '_', '-' and '.', and begin with a letter");
    }
    if !good(class) {
        return Err("the class has to be letters, digits, '_', '-' and '.', and begin with a letter");
    }
    Ok(())
}

/// A device of a kind.
pub(super) fn check_device(name: &str) -> Result<(), &'static str> {
    if begins_and_ends(name, |first| first.is_ascii_alphanumeric(), "_-.:") {
        return Ok(());
    }
    Err(
        "the device has to be letters, digits, '_', '-', '.' and ':', and begin and end with a letter or a digit",
    )
}

fn begins_and_ends(text: &str, first: fn(char) -> bool, inner: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || inner.contains(letter);
    text.starts_with(first)
        && text.ends_with(|last: char| last.is_ascii_alphanumeric())
        && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::v1::CdiDevice;

    #[test]
    fn names_have_a_vendor_a_class_and_a_device() {
        assert_eq!(parse("vendor.com/net.fast=eth0:1"), Ok(("vendor.com/net.fast", "eth0:1")));
        for wrong in [
            "",
            "gpu",
            "vendor/gpu",
            "=0",
            "vendor/=0",
            "/gpu=0",
            "1vendor/gpu=0",
            "v/gpu=",
            "v/g=a/b",
            "v/g=-",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn fields_and_annotations_name_devices_and_each_counts_once() {
        let device = |name: &str| CdiDevice { name: name.to_owned() };
        let mut config = ContainerConfig { cdi_devices: vec![device("v/g=1")], ..Default::default() };
        config.annotations.insert("cdi.k8s.io/plugin_b".to_owned(), "v/g=3,v/g=1".to_owned());
        config.annotations.insert("cdi.k8s.io/plugin_a".to_owned(), "v/g=2".to_owned());
        config.annotations.insert("other".to_owned(), "x".to_owned());
        assert_eq!(asked(&config).unwrap(), ["v/g=1", "v/g=2", "v/g=3"]);
        config.annotations.insert("cdi.k8s.io/c".to_owned(), "nonsense".to_owned());
        let error = asked(&config).unwrap_err().to_string();
        assert!(error.starts_with("annotation cdi.k8s.io/c: \"nonsense\""), "{error}");
    }
}
