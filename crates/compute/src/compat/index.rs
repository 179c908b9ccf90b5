//! Which entry of an image index a host should take.

use super::{Host, Image, ImageOs, Isolation, Place, Question, Refused, Rule, System, decide};
use std::cmp::Reverse;

/// An entry of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its platform.
    pub image: Image,
    /// Its `os.features`.
    pub os_features: &'a [String],
}

/// The place of the entry to take: of those that may run, one of the host's own system before others, and of those
/// the one with the highest version.
///
/// # Errors
/// The rule [`Rule::NoMatch`] when none may run.
pub fn choose(host: &Host, isolation: Option<Isolation>, entries: &[Entry<'_>]) -> Result<usize, Refused> {
    let runs = |entry: &Entry<'_>| {
        let question = Question { host: *host, image: entry.image, isolation, place: Place::Alone };
        decide(&question).allowed() && has_features(host, entry)
    };
    let rank = |entry: &Entry<'_>| match entry.image.os {
        ImageOs::Linux => (matches!(host.system, System::Linux), None),
        ImageOs::Windows(version) => {
            let version = version.map(|it| (it.major, it.minor, it.build, it.revision));
            (matches!(host.system, System::Windows(..)), version)
        }
    };
    let best = entries.iter().enumerate().filter(|(_, entry)| runs(entry));
    // Of equal ones the first counts.
    best.max_by_key(|(at, entry)| (rank(entry), Reverse(*at)))
        .map(|(at, _)| at)
        .ok_or(Refused { question: None, rule: Rule::NoMatch })
}

/// Windows images may demand win32k; whatever else one demands no host is known to have.
fn has_features(host: &Host, entry: &Entry<'_>) -> bool {
    entry.os_features.iter().all(|feature| feature == "win32k" && host.win32k)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compat::Arch;

    fn chosen(host: &str, isolation: Option<Isolation>, images: &[&str]) -> Result<usize, String> {
        let entries = images
            .iter()
            .map(|image| Entry { image: Image::parse(image, Arch::Amd64).unwrap(), os_features: &[] });
        let host = Host::parse(host, &Host::new(System::Linux, Arch::Amd64)).unwrap();
        choose(&host, isolation, &entries.collect::<Vec<_>>()).map_err(|refused| refused.to_string())
    }

    #[test]
    fn the_highest_version_that_runs_is_taken() {
        let index =
            ["linux", "linux/arm64", "windows:14393", "windows:17763", "windows:20348", "windows:26100"];
        let process = Some(Isolation::Process);
        assert_eq!(chosen("windows-server-2019", process, &index), Ok(3));
        assert_eq!(chosen("windows-server-2022", process, &index), Ok(4));
        assert_eq!(chosen("windows-server-23h2", process, &index), Ok(4));
        assert_eq!(chosen("windows-server-2025", None, &index), Ok(5));
        assert_eq!(chosen("windows-server-1903", Some(Isolation::Hypervisor), &index), Ok(3));
        assert_eq!(chosen("linux", None, &index), Ok(0));
        assert_eq!(chosen("linux/arm64", None, &index), Ok(1));
        // Only Linux runs, and only by hypervisor.
        assert_eq!(chosen("windows-server-2019", None, &["linux", "windows:20348"]), Ok(0));
        let none = Err("no match for platform in manifest (rule no-match)".to_owned());
        assert_eq!(chosen("windows-server-1903", process, &index), none);
        assert_eq!(chosen("linux", None, &[]), none);
    }

    #[test]
    fn revisions_are_numbers_and_an_unknown_version_comes_last() {
        let index =
            ["windows", "windows:10.0.17763.999", "windows:10.0.17763.1817", "windows:10.0.17763.1817"];
        assert_eq!(chosen("windows-server-2019", None, &index), Ok(2));
        assert_eq!(chosen("windows-server-2019", None, &index[..1]), Ok(0));
    }

    #[test]
    fn win32k_is_demanded_and_had() {
        let mut host = Host::parse("windows-server-2022", &Host::new(System::Linux, Arch::Amd64)).unwrap();
        let image = Image::of_host(&host);
        let [win32k, other] = ["win32k", "other"].map(|name| vec![name.to_owned()]);
        let entry = |os_features| [Entry { image, os_features }];
        assert_eq!(choose(&host, None, &entry(&win32k)), Ok(0));
        assert!(choose(&host, None, &entry(&other)).is_err());
        host.win32k = false;
        assert!(choose(&host, None, &entry(&win32k)).is_err());
        assert_eq!(choose(&host, None, &entry(&[])), Ok(0));
    }
}
