//! Which entry of an index this host takes: by the rules of [`compute::compat`], with variants on top.

use crate::config::Platform as Here;
use crate::digest::Digest;
use crate::manifest::{Descriptor, ManifestError, Platform};
use compute::compat::{self, Arch, Entry, Image};
use std::cmp::Reverse;

/// How many platforms an error lists.
const LISTED: usize = 12;

/// The entry of the index `digest` that this host takes.
pub(crate) fn choose<'a>(
    here: &Here,
    digest: &Digest,
    entries: &'a [Descriptor],
) -> Result<&'a Descriptor, ManifestError> {
    let mut candidates: Vec<(u32, Image, &Descriptor)> = entries
        .iter()
        .filter_map(|entry| {
            let (image, variant) = platform(here, entry)?;
            Some((rank(here, image.arch, &variant)?, image, entry))
        })
        .collect();
    // Of entries that are equal by the rules the first counts.
    candidates.sort_by_key(|(rank, ..)| Reverse(*rank));
    let choices: Vec<Entry<'_>> = candidates
        .iter()
        .map(|(_, image, entry)| Entry {
            image: *image,
            os_features: entry.platform.as_ref().map_or(&[], |platform| platform.os_features.as_slice()),
        })
        .collect();
    let refused = |cause| ManifestError::Platform {
        digest: digest.clone(),
        has: listed(entries),
        cause: Box::new(cause),
    };
    let at = compat::choose(&here.host, here.isolation, &choices).map_err(refused)?;
    let (_, _, entry) = candidates.swap_remove(at);
    Ok(entry)
}

/// What an entry is for. One that does not say is taken to be for here, as it was before there were platforms;
/// provenance and signatures, which are for `unknown`, are for nobody.
fn platform(here: &Here, entry: &Descriptor) -> Option<(Image, String)> {
    match &entry.platform {
        None => Some((Image::of_host(&here.host), "none".to_owned())),
        Some(Platform { os, architecture, variant, os_version, .. }) => {
            let image = Image::new(os, os_version, architecture).ok()?;
            Some((image, variant.clone()))
        }
    }
}

/// How well a variant suits this host's processors; `None` if it does not.
fn rank(here: &Here, arch: Arch, variant: &str) -> Option<u32> {
    let generation = variant.strip_prefix('v').and_then(|number| number.parse::<u8>().ok());
    match (arch, variant, generation) {
        // What names its platform comes before what does not.
        (_, "none", _) => Some(0),
        (_, "", _) => Some(100),
        (Arch::Arm, _, Some(generation)) => {
            (generation <= here.arm_generation).then(|| 100 + u32::from(generation))
        }
        (Arch::Arm64, "v8" | "8", _) | (Arch::Amd64, "v1", _) => Some(100),
        // Newer processors are not told apart here: the plainest is taken that there is.
        (_, _, Some(generation)) => Some(99 - u32::from(generation.min(90))),
        _ => Some(1),
    }
}

fn listed(entries: &[Descriptor]) -> Vec<String> {
    let name = |entry: &Descriptor| match &entry.platform {
        None => "one without a platform".to_owned(),
        Some(Platform { os, architecture, variant, os_version, .. }) => {
            let parts = [os, architecture, variant].into_iter().filter(|part| !part.is_empty());
            let name = parts.map(String::as_str).collect::<Vec<_>>().join("/");
            if os_version.is_empty() { name } else { format!("{name}:{os_version}") }
        }
    };
    let mut names: Vec<String> = entries.iter().take(LISTED).map(name).collect();
    match entries.len() {
        0 => names.push("nothing".to_owned()),
        more if more > LISTED => names.push(format!("{} more", more - LISTED)),
        _ => {}
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use compute::compat::{Host, System};

    fn chosen(arch: Arch, platforms: &[&str]) -> Result<usize, String> {
        let here = Here { host: Host::new(System::Linux, arch), ..Here::of_this_machine() };
        let entries: Vec<Descriptor> = platforms
            .iter()
            .map(|text| {
                let mut parts = text.split('/').map(str::to_owned);
                let mut next = || parts.next().unwrap_or_default();
                let platform =
                    Platform { os: next(), architecture: next(), variant: next(), ..Platform::default() };
                Descriptor {
                    media_type: String::new(),
                    digest: Digest::of(text.as_bytes()),
                    size: 1,
                    annotations: Default::default(),
                    platform: (!text.is_empty()).then_some(platform),
                }
            })
            .collect();
        let digest = Digest::of(b"index");
        let entry = choose(&here, &digest, &entries).map_err(|error| error.to_string())?;
        Ok(entries.iter().position(|other| std::ptr::eq(other, entry)).unwrap())
    }

    #[test]
    fn system_and_architecture_decide() {
        let index = ["unknown/unknown", "linux/arm64/v8", "linux/amd64", "windows/amd64", "linux/s390x"];
        assert_eq!(chosen(Arch::Amd64, &index), Ok(2));
        assert_eq!(chosen(Arch::Arm64, &index), Ok(1));
        assert_eq!(chosen(Arch::S390x, &index), Ok(4));
        let none = chosen(Arch::Riscv64, &index).unwrap_err();
        assert!(none.contains("linux/arm64/v8, linux/amd64"), "{none}");
    }

    #[test]
    fn of_variants_the_best_that_runs_is_taken() {
        assert_eq!(
            chosen(Arch::Arm, &["linux/arm/v5", "linux/arm/v7", "linux/arm/v6", "linux/arm/v8"]),
            Ok(1)
        );
        assert_eq!(chosen(Arch::Amd64, &["linux/amd64/v3", "linux/amd64", "linux/amd64/v2"]), Ok(1));
        assert_eq!(chosen(Arch::Amd64, &["linux/amd64/v3", "linux/amd64/v2"]), Ok(1));
        assert_eq!(chosen(Arch::Amd64, &["", "linux/amd64"]), Ok(1));
        assert_eq!(chosen(Arch::Amd64, &[""]), Ok(0));
        assert!(chosen(Arch::Amd64, &[]).is_err());
    }
}
