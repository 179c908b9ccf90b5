//! Hosts and images as people type them, and as they are shown; what is shown can be typed.
//!
//! ```text
//! host:   linux | NAME | VERSION, then /server or /client where that is open, then /ARCH
//!         linux   windows-server-2019   windows-10-1809/arm64   ltsc2022   10.0.17763.1817/server   26100/client
//! image:  OS[/ARCH][:VERSION]
//!         linux   linux/arm64   windows   windows:ltsc2019   windows/amd64:10.0.17763.1817   windows:1803
//! ```
//! Letter case does not matter, nor whether words are joined by `-`, `_` or spaces.

use super::builds::{RELEASES, Release};
use super::platform::{ARCHES, Arch, Edition, FEATURES, Feature, Host, Image, ImageOs, System, Version};
use crate::error::{Classify, Kind};
use std::fmt;
use std::str::FromStr;

/// A text that names nothing, and what would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is no {what}; possible are {possible}")]
pub struct Unknown {
    what: &'static str,
    value: String,
    possible: String,
}

impl Unknown {
    pub(super) fn new(what: &'static str, value: &str, possible: impl Into<String>) -> Self {
        Self { what, value: value.to_owned(), possible: possible.into() }
    }
}

impl Classify for Unknown {
    fn kind(&self) -> Kind {
        Kind::InvalidArgument
    }
}

impl Host {
    /// Reads a host as the module's text has it. It has what [`Host::new`] gives it; `arch` is its architecture
    /// where the text names none.
    pub fn parse(text: &str, arch: Arch) -> Result<Self, Unknown> {
        let lower = plain(text);
        let mut words = lower.split('/');
        let name = words.next().unwrap_or_default();
        let (mut edition, mut arch) = (None, arch);
        for word in words {
            match word {
                "server" => edition = Some(Edition::Server),
                "client" => edition = Some(Edition::Client),
                _ => arch = word.parse()?,
            }
        }
        if name == "linux" && edition.is_none() {
            return Ok(Self::new(System::Linux, arch));
        }
        let (version, named) = windows(name).ok_or_else(|| Unknown::new("host", text, hosts()))?;
        let edition = match (edition, named.or_else(|| only_edition(version).filter(|_| edition.is_none()))) {
            (Some(given), Some(named)) if given != named => return Err(Unknown::new("host", text, hosts())),
            (Some(edition), _) | (None, Some(edition)) => edition,
            (None, None) => {
                let possible = format!("{version}/server, {version}/client");
                return Err(Unknown::new("host, it is a server's build and a client's", text, possible));
            }
        };
        Ok(Self::new(System::Windows(edition, version), arch))
    }
}

impl Image {
    /// Reads an image's platform as the module's text has it; `arch` is its architecture where the text names none.
    pub fn parse(text: &str, arch: Arch) -> Result<Self, Unknown> {
        let unknown = || {
            Unknown::new("image", text, "linux, windows, windows:VERSION, each with /ARCH behind the system")
        };
        let lower = plain(text);
        let (platform, version) = match lower.split_once(':') {
            Some((platform, version)) => (platform, Some(version)),
            None => (lower.as_str(), None),
        };
        let (os, arch) = match platform.split_once('/') {
            // A variant, as in linux/arm/v7, is the processor's and decides nothing here.
            Some((os, arch)) => (os, arch.split('/').next().unwrap_or(arch).parse()?),
            None => (platform, arch),
        };
        let os = match (os, version) {
            ("linux", None) => ImageOs::Linux,
            ("windows", None) => ImageOs::Windows(None),
            ("windows", Some(version)) => ImageOs::Windows(Some(image_version(version)?)),
            _ => return Err(unknown()),
        };
        Ok(Self { os, arch })
    }
}

/// Lower case, words joined by `-`.
fn plain(text: &str) -> String {
    text.trim().to_ascii_lowercase().replace([' ', '_'], "-")
}

/// The edition of a build that has one only.
fn only_edition(version: Version) -> Option<Edition> {
    match version.release()? {
        Release { client: None, .. } => Some(Edition::Server),
        Release { server: None, .. } => Some(Edition::Client),
        _ => None,
    }
}

/// The Windows of that name, and its edition if the name says it.
fn windows(name: &str) -> Option<(Version, Option<Edition>)> {
    for release in RELEASES {
        for edition in [Edition::Server, Edition::Client] {
            let says = release.name(edition).is_some_and(|(prefix, rest)| {
                name.strip_prefix("windows-").and_then(|name| name.strip_prefix(prefix)) == Some(rest)
            });
            if says {
                return Some((release.version(), Some(edition)));
            }
        }
    }
    let release = RELEASES.iter().find(|release| release.words.contains(&name));
    let version = release.map_or_else(|| version(name), |release| Some(release.version()))?;
    Some((version, name.starts_with("ltsc").then_some(Edition::Server)))
}

/// A version, or only its build. Smaller numbers would be years and months that name no release.
fn version(text: &str) -> Option<Version> {
    text.parse().ok().or_else(|| number(text).filter(|build| *build >= 10_000).map(Version::of_build))
}

fn image_version(text: &str) -> Result<Version, Unknown> {
    let release = Release::called(text).map(Release::version);
    release.or_else(|| version(text)).ok_or_else(|| {
        let words = RELEASES.iter().filter_map(|release| release.words.last().copied());
        let possible = words.collect::<Vec<_>>().join(", ");
        Unknown::new("version of an image", text, format!("10.0.BUILD, BUILD, {possible}"))
    })
}

/// All hosts that have names.
fn hosts() -> String {
    let mut names = String::from("linux");
    for release in RELEASES {
        for edition in [Edition::Server, Edition::Client] {
            if let Some((prefix, name)) = release.name(edition) {
                names.push_str(", windows-");
                names.push_str(prefix);
                names.push_str(name);
            }
        }
    }
    names + ", 10.0.BUILD/server, 10.0.BUILD/client, each with /ARCH behind it"
}

fn number(text: &str) -> Option<u32> {
    // `parse` alone takes a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

impl FromStr for Version {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        let numbers: Option<Vec<u32>> = text.split('.').map(number).collect();
        match numbers.as_deref() {
            Some(&[major, minor, build]) => Ok(Self { major, minor, build, revision: None }),
            Some(&[major, minor, build, revision]) => {
                Ok(Self { major, minor, build, revision: Some(revision) })
            }
            _ => {
                Err(Unknown::new("version of Windows", text, "MAJOR.MINOR.BUILD, MAJOR.MINOR.BUILD.REVISION"))
            }
        }
    }
}

impl FromStr for Arch {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        let called = |(_, name, also): &&(Arch, &str, &[&str])| *name == text || also.contains(&text);
        ARCHES.iter().find(called).map(|(arch, ..)| *arch).ok_or_else(|| {
            let names: Vec<&str> = ARCHES.iter().map(|(_, name, _)| *name).collect();
            Unknown::new("architecture", text, names.join(", "))
        })
    }
}

impl FromStr for Feature {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        FEATURES.iter().find(|(_, name)| *name == text).map(|(feature, _)| *feature).ok_or_else(|| {
            let names: Vec<&str> = FEATURES.iter().map(|(_, name)| *name).collect();
            Unknown::new("feature of a host", text, names.join(", "))
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.system {
            System::Linux => f.write_str("linux")?,
            System::Windows(edition, version) => {
                let named = version.release().filter(|_| version.revision.is_none());
                match (named.and_then(|release| release.name(edition)), edition) {
                    (Some((prefix, name)), _) => write!(f, "windows-{prefix}{name}")?,
                    (None, Edition::Server) => write!(f, "{version}/server")?,
                    (None, Edition::Client) => write!(f, "{version}/client")?,
                }
            }
        }
        write!(f, "/{}", self.arch)
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.os {
            ImageOs::Linux => write!(f, "linux/{}", self.arch),
            ImageOs::Windows(None) => write!(f, "windows/{}", self.arch),
            ImageOs::Windows(Some(version)) => write!(f, "windows/{}:{version}", self.arch),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.build)?;
        self.revision.map_or(Ok(()), |revision| write!(f, ".{revision}"))
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Result<String, String> {
        Host::parse(text, Arch::Amd64).map(|host| host.to_string()).map_err(|error| error.to_string())
    }

    fn image(text: &str) -> Result<String, String> {
        Image::parse(text, Arch::Amd64).map(|image| image.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_host_is_named_in_many_ways() {
        for (typed, shown) in [
            ("linux", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("windows-server-2019", "windows-server-2019/amd64"),
            ("Windows Server 2019", "windows-server-2019/amd64"),
            ("ltsc2019", "windows-server-2019/amd64"),
            ("rs5/server", "windows-server-2019/amd64"),
            ("1809/client", "windows-10-1809/amd64"),
            ("10.0.17763/server/arm64", "windows-server-2019/arm64"),
            ("17763/arm64/client", "windows-10-1809/arm64"),
            ("10.0.17763.1817/server", "10.0.17763.1817/server/amd64"),
            ("windows_10_22H2", "windows-10-22h2/amd64"),
            ("windows-server-23h2", "windows-server-23h2/amd64"),
            ("20348", "windows-server-2022/amd64"),
            ("22000", "windows-11-21h2/amd64"),
            ("26200", "windows-11-25h2/amd64"),
            ("22621/server", "10.0.22621/server/amd64"),
            ("10.0.19000/server", "10.0.19000/server/amd64"),
            ("6.3.17763/client", "6.3.17763/client/amd64"),
        ] {
            assert_eq!(host(typed).as_deref(), Ok(shown), "{typed}");
            assert_eq!(host(shown).as_deref(), Ok(shown), "what is shown can be typed");
        }
    }

    #[test]
    fn an_image_is_named_in_many_ways() {
        for (typed, shown) in [
            ("linux", "linux/amd64"),
            ("linux/arm/v7", "linux/arm"),
            ("windows", "windows/amd64"),
            ("windows:ltsc2019", "windows/amd64:10.0.17763"),
            ("windows:2019", "windows/amd64:10.0.17763"),
            ("windows:1803", "windows/amd64:10.0.17134"),
            ("windows:20H2", "windows/amd64:10.0.19042"),
            ("windows:23h2", "windows/amd64:10.0.25398"),
            ("windows/arm64:10.0.26100.1742", "windows/arm64:10.0.26100.1742"),
            ("Windows:17763", "windows/amd64:10.0.17763"),
        ] {
            assert_eq!(image(typed).as_deref(), Ok(shown), "{typed}");
            assert_eq!(image(shown).as_deref(), Ok(shown), "what is shown can be typed");
        }
    }

    #[test]
    fn every_named_host_can_be_typed() {
        let names = hosts();
        let named: Vec<&str> = names.split(", ").filter(|name| !name.contains('/')).collect();
        assert_eq!(named.len(), 1 + 12 + 17);
        for name in named {
            assert_eq!(host(name), Ok(format!("{name}/amd64")));
        }
    }

    #[test]
    fn what_names_nothing_is_told_what_would() {
        for text in [
            "",
            "windows",
            "windows-server-2020",
            "windows-server-2019/client",
            "ltsc2019/client",
            "linux/server",
            "10.0",
        ] {
            let told = host(text).unwrap_err();
            assert!(
                told.starts_with(&format!("{text:?} is no host; possible are linux, windows-")),
                "{told}"
            );
            assert!(told.contains("windows-10-1809") && told.contains("10.0.BUILD/server"), "{told}");
        }
        assert_eq!(
            host("17763").unwrap_err(),
            "\"17763\" is no host, it is a server's build and a client's; possible are 10.0.17763/server, \
             10.0.17763/client"
        );
        assert!(
            host("linux/pdp11").unwrap_err().contains("\"pdp11\" is no architecture; possible are amd64, ")
        );
        for text in ["", "macos", "linux:17763", "linux/amd64:1"] {
            assert!(image(text).unwrap_err().contains("possible are linux, windows"), "{text}");
        }
        for version in
            ["", "2020", "10.0", "10.0.-1", "10.0.+17763", "10.0.17763.1.2", "10.0.99999999999", "x"]
        {
            let told = image(&format!("windows:{version}")).unwrap_err();
            assert!(told.contains("possible are 10.0.BUILD, BUILD, ltsc2016, 1703"), "{told}");
            assert!(version.parse::<Version>().is_err());
        }
        let told = "hyperv".parse::<Feature>().unwrap_err().to_string();
        assert!(
            told.ends_with("possible are hypervisor, linux-guest, windows-guest, emulation, win32k"),
            "{told}"
        );
    }
}
