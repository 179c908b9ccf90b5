//! Hosts and images as people type them, and as they are shown; what is shown can be typed. Letter case does not matter.

use super::builds::{RELEASES, Release, edition_named};
use super::platform::{ARCHES, Arch, Edition, FEATURES, Host, Image, ImageOs, System, Version};
use crate::error::{Classify, Kind};
use std::fmt;
use std::str::FromStr;

/// A text that names nothing; its message says what would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    asked: Asked,
    value: String,
}

/// What a text should have named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Host,
    HostWord,
    Edition,
    Image,
    ImageVersion,
    Version,
    Arch,
}

impl Unknown {
    pub(super) fn new(asked: Asked, value: &str) -> Self {
        Self { asked, value: value.to_owned() }
    }
}

impl Host {
    /// Reads a host: a name or version, then what else there is to say, each word behind a slash. That is `server` or
    /// `client` where it is open, the architecture unless it is amd64, what the host has beyond what
    /// [`new`](Host::new) gives it, or `no-` and what it lacks. The name `this` stands for the host given.
    ///
    /// ```text
    /// linux   linux/arm64/emulation   windows-server-2019   windows-10-1809/no-hypervisor   10.0.17763.1817/server
    /// ```
    ///
    /// # Errors
    /// A word that is none of these; the message lists those that are.
    // Apart, as are the words of an image: with them its caller's stack frame, and so its code, would be larger.
    #[inline(never)]
    pub fn parse(text: &str, this: &Host) -> Result<Self, Unknown> {
        let text = text.to_ascii_lowercase();
        let mut words = text.split('/');
        let name = words.next().unwrap_or_default();
        let mut edition = edition_named(name);
        let mut host = match name {
            "this" => *this,
            "linux" => Self::new(System::Linux, Arch::Amd64),
            _ => {
                let version = Release::called(name).map(Release::version).or_else(|| version(name));
                let version = version.ok_or_else(|| Unknown::new(Asked::Host, name))?;
                Self::new(System::Windows(Edition::Server, version), Arch::Amd64)
            }
        };
        let named = edition;
        for word in words {
            match word {
                "server" => edition = Some(Edition::Server),
                "client" => edition = Some(Edition::Client),
                _ => host.take(word)?,
            }
        }
        if named.is_some() && edition != named {
            return Err(Unknown::new(Asked::Host, &text));
        }
        if let System::Windows(given, version) = &mut host.system {
            *given = match edition.or_else(|| only_edition(*version)) {
                Some(edition) => edition,
                None => return Err(Unknown::new(Asked::Edition, name)),
            };
        } else if edition.is_some() {
            return Err(Unknown::new(Asked::Host, &text));
        }
        Ok(host)
    }

    /// One more word of a host: an architecture, or a feature that it has or lacks.
    fn take(&mut self, word: &str) -> Result<(), Unknown> {
        let (feature, has) = match word.strip_prefix("no-") {
            Some(feature) => (feature, false),
            None => (word, true),
        };
        if let Some((feature, _)) = FEATURES.iter().find(|(_, name)| *name == feature) {
            self.set(*feature, has);
        } else {
            self.arch = word.parse().map_err(|_| Unknown::new(Asked::HostWord, word))?;
        }
        Ok(())
    }
}

impl Image {
    /// Reads an image's platform, `OS[/ARCH][:VERSION]`; `arch` is its architecture where the text names none.
    ///
    /// ```text
    /// linux   linux/arm64   windows   windows:ltsc2019   windows/amd64:10.0.17763.1817   windows:1803
    /// ```
    ///
    /// # Errors
    /// A word that is none of these; the message lists those that are.
    #[inline(never)]
    pub fn parse(text: &str, arch: Arch) -> Result<Self, Unknown> {
        let text = text.to_ascii_lowercase();
        let (platform, version) = match text.split_once(':') {
            Some((platform, version)) => (platform, Some(version)),
            None => (text.as_str(), None),
        };
        // A variant, as in linux/arm/v7, is the processor's and decides nothing here.
        let mut words = platform.split('/');
        let os = match (words.next(), version) {
            (Some("linux"), None) => ImageOs::Linux,
            (Some("windows"), None) => ImageOs::Windows(None),
            (Some("windows"), Some(version)) => ImageOs::Windows(Some(image_version(version)?)),
            _ => return Err(Unknown::new(Asked::Image, &text)),
        };
        Ok(Self { os, arch: words.next().map_or(Ok(arch), str::parse)? })
    }
}

/// The edition of a build that has one only.
fn only_edition(version: Version) -> Option<Edition> {
    let release = version.release()?;
    match (release.name(Edition::Server), release.name(Edition::Client)) {
        (Some(_), None) => Some(Edition::Server),
        (None, Some(_)) => Some(Edition::Client),
        _ => None,
    }
}

/// A version, or only its build. Smaller numbers would be years and months that name no release.
fn version(text: &str) -> Option<Version> {
    text.parse().ok().or_else(|| number(text).filter(|build| *build >= 10_000).map(Version::of_build))
}

fn image_version(text: &str) -> Result<Version, Unknown> {
    let release = Release::called(text).filter(|_| !text.starts_with("windows-")).map(Release::version);
    release.or_else(|| version(text)).ok_or_else(|| Unknown::new(Asked::ImageVersion, text))
}

fn number(text: &str) -> Option<u32> {
    // `parse` alone takes a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

impl FromStr for Version {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        let unknown = || Unknown::new(Asked::Version, text);
        let mut numbers = [0; 4];
        let mut count = 0;
        for part in text.split('.') {
            *numbers.get_mut(count).ok_or_else(unknown)? = number(part).ok_or_else(unknown)?;
            count += 1;
        }
        let [major, minor, build, revision] = numbers;
        match (u16::try_from(major), u16::try_from(minor)) {
            (Ok(major), Ok(minor)) if count >= 3 => Ok(Self { major, minor, build, revision }),
            _ => Err(unknown()),
        }
    }
}

impl FromStr for Arch {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        let called = |(_, name, also): &&(Arch, &str, &[&str])| *name == text || also.contains(&text);
        let arch = ARCHES.iter().find(called).map(|(arch, ..)| *arch);
        arch.ok_or_else(|| Unknown::new(Asked::Arch, text))
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no ", self.value)?;
        f.write_str(match self.asked {
            Asked::Host => "host; possible are this, linux",
            Asked::HostWord => "word of a host; possible are server client",
            Asked::Edition => "host of one edition; possible are /server and /client behind it",
            Asked::Image => {
                "image; possible are linux, windows, windows:VERSION, each with /ARCH behind the system"
            }
            Asked::ImageVersion => "version of an image; possible are 10.0.BUILD, BUILD",
            Asked::Version => {
                "version of Windows; possible are MAJOR.MINOR.BUILD and MAJOR.MINOR.BUILD.REVISION"
            }
            Asked::Arch => "architecture; possible are",
        })?;
        match self.asked {
            Asked::Host | Asked::ImageVersion => {
                for name in RELEASES.iter().flat_map(Release::names) {
                    if name.starts_with("windows-") == (self.asked == Asked::Host) {
                        write!(f, ", {name}")?;
                    }
                }
            }
            Asked::Arch | Asked::HostWord => {
                for (_, name, _) in ARCHES {
                    write!(f, " {name}")?;
                }
            }
            Asked::Edition | Asked::Image | Asked::Version => {}
        }
        match self.asked {
            Asked::Host => f.write_str(", 10.0.BUILD/server, 10.0.BUILD/client, each with /ARCH behind it"),
            Asked::HostWord => FEATURES.iter().try_for_each(|(_, name)| write!(f, " {name} no-{name}")),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Unknown {}

impl Classify for Unknown {
    fn kind(&self) -> Kind {
        Kind::InvalidArgument
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.system {
            System::Linux => f.write_str("linux")?,
            System::Windows(edition, version) => {
                let named = version.release().filter(|_| version.revision == 0);
                match (named.and_then(|release| release.name(edition)), edition) {
                    (Some(name), _) => f.write_str(name)?,
                    (None, Edition::Server) => write!(f, "{version}/server")?,
                    (None, Edition::Client) => write!(f, "{version}/client")?,
                }
            }
        }
        write!(f, "/{}", self.arch)?;
        let usual = Host::new(self.system, self.arch);
        for (feature, name) in FEATURES {
            match (usual.has(*feature), self.has(*feature)) {
                (false, true) => write!(f, "/{name}")?,
                (true, false) => write!(f, "/no-{name}")?,
                (true, true) | (false, false) => {}
            }
        }
        Ok(())
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
        if self.revision == 0 { Ok(()) } else { write!(f, ".{}", self.revision) }
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

    const THIS: Host = Host { hypervisor: false, ..Host::new(System::Linux, Arch::Amd64) };

    fn host(text: &str) -> Result<String, String> {
        Host::parse(text, &THIS).map(|host| host.to_string()).map_err(|error| error.to_string())
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
            ("Windows-Server-2019", "windows-server-2019/amd64"),
            ("ltsc2019", "windows-server-2019/amd64"),
            ("rs5/server", "windows-server-2019/amd64"),
            ("1809/client", "windows-10-1809/amd64"),
            ("10.0.17763/server/arm64", "windows-server-2019/arm64"),
            ("17763/arm64/client", "windows-10-1809/arm64"),
            ("10.0.17763.1817/server", "10.0.17763.1817/server/amd64"),
            ("windows-10-22H2", "windows-10-22h2/amd64"),
            ("windows-server-23h2", "windows-server-23h2/amd64"),
            ("20348", "windows-server-2022/amd64"),
            ("22000", "windows-11-21h2/amd64"),
            ("26200", "windows-11-25h2/amd64"),
            ("22621/server", "10.0.22621/server/amd64"),
            ("this", "linux/amd64/no-hypervisor"),
            ("this/arm64/hypervisor", "linux/arm64"),
            ("linux/emulation/s390x/windows-guest", "linux/s390x/windows-guest/emulation"),
            (
                "ltsc2022/no-linux-guest/no-hypervisor",
                "windows-server-2022/amd64/no-hypervisor/no-linux-guest",
            ),
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
        let told = host("x").unwrap_err();
        let named: Vec<&str> = told.split(", ").filter(|name| name.starts_with("windows-")).collect();
        assert_eq!(named.len(), 12 + 17);
        for name in named {
            assert_eq!(host(name), Ok(format!("{name}/amd64")));
        }
    }

    #[test]
    fn what_names_nothing_is_told_what_would() {
        let starts = |told: String, start: &str| assert!(told.starts_with(start), "{told}");
        for text in
            ["", "windows", "windows-server-2020", "windows-server-2019/client", "linux/server", "10.0"]
        {
            let told = host(text).unwrap_err();
            starts(
                told,
                &format!(
                    "{text:?} is no host; possible are this, linux, windows-server-2016, windows-10-1607"
                ),
            );
        }
        starts(host("ltsc2019/client").unwrap_err(), "\"ltsc2019/client\" is no host; ");
        assert!(
            host("x")
                .unwrap_err()
                .ends_with(", 10.0.BUILD/server, 10.0.BUILD/client, each with /ARCH behind it")
        );
        starts(
            host("17763").unwrap_err(),
            "\"17763\" is no host of one edition; possible are /server and /client",
        );
        assert_eq!(
            host("linux/pdp11").unwrap_err(),
            "\"pdp11\" is no word of a host; possible are server client amd64 arm64 386 arm loong64 mips64le ppc64le \
             riscv64 s390x hypervisor no-hypervisor linux-guest no-linux-guest windows-guest no-windows-guest emulation \
             no-emulation"
        );
        for text in ["", "macos", "linux:17763", "linux/amd64:1"] {
            starts(image(text).unwrap_err(), &format!("{text:?} is no image; possible are linux, windows, "));
        }
        starts(image("linux/pdp11").unwrap_err(), "\"pdp11\" is no architecture; possible are amd64 arm64");
        for version in [
            "",
            "2020",
            "10.0",
            "10.0.-1",
            "10.0.+17763",
            "10.0.17763.1.2",
            "10.0.99999999999",
            "99999.0.1",
            "x",
        ] {
            let told = image(&format!("windows:{version}")).unwrap_err();
            starts(
                told,
                &format!(
                    "{version:?} is no version of an image; possible are 10.0.BUILD, BUILD, ltsc2016, 2016"
                ),
            );
            assert!(version.parse::<Version>().is_err());
        }
        assert!(image("windows:windows-10-1809").is_err());
    }
}
