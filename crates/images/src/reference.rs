//! References: what people call an image, `[registry/]repository[:tag][@digest]`, made whole as docker does.
//!
//! | written                          | means                                            |
//! |----------------------------------|--------------------------------------------------|
//! | `busybox`                        | `docker.io/library/busybox:latest`               |
//! | `grafana/loki:3`                 | `docker.io/grafana/loki:3`                       |
//! | `localhost/a`, `10.0.0.1:5000/a` | that registry: it has a dot, a colon, or is `localhost` |
//! | `quay.io/a/b:t@sha256:…`         | `quay.io/a/b@sha256:…`: the digest decides       |

use crate::digest::{Digest, DigestError};
use std::fmt;
use std::str::FromStr;

/// The registry that a reference without one means.
pub(crate) const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_TAG: &str = "latest";
const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;

/// A reference made whole: it has a registry, a repository, and a tag or a digest or both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Empty, or nothing but a registry.
    #[error("reference {0:?} names no repository")]
    Empty(String),
    /// A character that a repository cannot have.
    #[error("reference {text:?}: {part:?} is no repository name ({rule})")]
    Repository {
        /// The whole.
        text: String,
        /// What is wrong in it.
        part: String,
        /// What a name is made of.
        rule: &'static str,
    },
    /// Upper case letters.
    #[error("reference {0:?}: a repository's name is in lower case")]
    UpperCase(String),
    /// 64 hexadecimal digits are the id of an image.
    #[error("reference {0:?}: 64 hexadecimal digits are an image id, not a repository's name")]
    Identifier(String),
    /// A registry that is no host and port.
    #[error("reference {text:?}: {registry:?} is no registry (host or host:port)")]
    Registry {
        /// The whole.
        text: String,
        /// What is wrong in it.
        registry: String,
    },
    /// A tag with a character that it cannot have, or too long.
    #[error("reference {text:?}: {tag:?} is no tag (letters, digits, _ . -, at most {MAX_TAG})")]
    Tag {
        /// The whole.
        text: String,
        /// What is wrong in it.
        tag: String,
    },
    /// What stands behind `@` is no digest.
    #[error("reference {text:?}")]
    Digest {
        /// The whole.
        text: String,
        /// Why not.
        #[source]
        cause: DigestError,
    },
    /// A repository name that is too long.
    #[error("a repository's name has at most {MAX_REPOSITORY} characters, this has {0}")]
    TooLong(usize),
}

impl Reference {
    /// Reads a reference and makes it whole.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let cause = |cause| ReferenceError::Digest { text: text.to_owned(), cause };
                (rest, Some(digest.parse().map_err(cause)?))
            }
            None => (text, None),
        };
        let (registry, rest) = split_registry(rest);
        // A colon in front of the last slash would be a port; the registry is off already.
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        check_registry(text, registry)?;
        check_repository(text, path)?;
        if let Some(tag) = tag {
            check_tag(text, tag)?;
        }
        if rest == text && is_identifier(path) {
            return Err(ReferenceError::Identifier(text.to_owned()));
        }
        let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
        let official = registry == DEFAULT_REGISTRY && !path.contains('/');
        let tag = match (tag, &digest) {
            (None, None) => Some(DEFAULT_TAG.to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Self {
            registry: registry.to_owned(),
            repository: if official { format!("library/{path}") } else { path.to_owned() },
            tag,
            digest,
        })
    }

    /// Host, or host and port: `docker.io`, `localhost:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The name within the registry: `library/busybox`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if one was given or implied. Where there is a digest too, the digest decides.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Registry and repository: `docker.io/library/busybox`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The same repository by digest, as it stands in an image's `digests`.
    pub fn with_digest(&self, digest: &Digest) -> Self {
        Self { tag: None, digest: Some(digest.clone()), ..self.clone() }
    }

    /// What the registry is asked for: the digest, or else the tag.
    pub(crate) fn selector(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => DEFAULT_TAG,
        }
    }
}

/// Name and digest, or name and tag. A tag beside a digest is left out: it says nothing.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        match (&self.digest, &self.tag) {
            (Some(digest), _) => write!(f, "@{digest}"),
            (None, Some(tag)) => write!(f, ":{tag}"),
            (None, None) => Ok(()),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

/// The part before the first slash is a registry if it looks like a host: a dot, a port, `localhost`, or an upper case
/// letter (which no repository has).
fn split_registry(text: &str) -> (&str, &str) {
    let looks_like_host =
        |part: &str| part.contains(['.', ':']) || part == "localhost" || part.chars().any(char::is_uppercase);
    match text.split_once('/') {
        Some((first, rest)) if looks_like_host(first) => (first, rest),
        _ => (DEFAULT_REGISTRY, text),
    }
}

fn check_registry(text: &str, registry: &str) -> Result<(), ReferenceError> {
    let refused = || ReferenceError::Registry { text: text.to_owned(), registry: registry.to_owned() };
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (registry, None),
    };
    if port.is_some_and(|port| port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(refused());
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_address = |text: &str| text.parse::<std::net::Ipv6Addr>().is_ok();
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let good = literal.map_or_else(|| host.split('.').all(is_label), is_address);
    if good { Ok(()) } else { Err(refused()) }
}

/// Components between slashes: runs of lower case letters and digits, joined by `.`, `_`, `__` or dashes.
fn check_repository(text: &str, path: &str) -> Result<(), ReferenceError> {
    if path.is_empty() {
        return Err(ReferenceError::Empty(text.to_owned()));
    }
    if path.len() > MAX_REPOSITORY {
        return Err(ReferenceError::TooLong(path.len()));
    }
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(ReferenceError::UpperCase(text.to_owned()));
    }
    for component in path.split('/') {
        if !is_component(component) {
            return Err(ReferenceError::Repository {
                text: text.to_owned(),
                part: component.to_owned(),
                rule: "a–z and 0–9, joined by one of . _ __ or dashes",
            });
        }
    }
    Ok(())
}

fn is_component(component: &str) -> bool {
    let letter = |c: char| matches!(c, 'a'..='z' | '0'..='9');
    let joins = |run: &str| matches!(run, "." | "_" | "__") || run.bytes().all(|byte| byte == b'-');
    component.starts_with(letter)
        && component.ends_with(letter)
        && component.split(letter).all(|run| run.is_empty() || joins(run))
}

fn check_tag(text: &str, tag: &str) -> Result<(), ReferenceError> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first = tag.bytes().next().is_some_and(word);
    if first && tag.len() <= MAX_TAG && tag.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-')) {
        return Ok(());
    }
    Err(ReferenceError::Tag { text: text.to_owned(), tag: tag.to_owned() })
}

fn is_identifier(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn whole(text: &str) -> String {
        Reference::parse(text).unwrap().to_string()
    }

    #[test]
    fn short_names_are_made_whole() {
        assert_eq!(whole("busybox"), "docker.io/library/busybox:latest");
        assert_eq!(whole("busybox:1.36"), "docker.io/library/busybox:1.36");
        assert_eq!(whole("grafana/loki"), "docker.io/grafana/loki:latest");
        assert_eq!(whole("index.docker.io/busybox"), "docker.io/library/busybox:latest");
        assert_eq!(whole("docker.io/busybox"), "docker.io/library/busybox:latest");
        assert_eq!(whole("localhost/a"), "localhost/a:latest");
        assert_eq!(whole("localhost:5000/a:1"), "localhost:5000/a:1");
        assert_eq!(whole("10.0.0.1:5000/a/b__c/d--e"), "10.0.0.1:5000/a/b__c/d--e:latest");
        assert_eq!(whole("[fd00::1]:5000/a:t"), "[fd00::1]:5000/a:t");
        assert_eq!(whole("Registry/a"), "Registry/a:latest");
        assert_eq!(whole("quay.io/a_b.c-d/e:V1.0_x"), "quay.io/a_b.c-d/e:V1.0_x");
    }

    #[test]
    fn a_digest_decides() {
        assert_eq!(whole(&format!("busybox@{DIGEST}")), format!("docker.io/library/busybox@{DIGEST}"));
        let both = Reference::parse(&format!("quay.io/a:1@{DIGEST}")).unwrap();
        assert_eq!(both.to_string(), format!("quay.io/a@{DIGEST}"));
        assert_eq!((both.tag(), both.selector()), (Some("1"), DIGEST));
        let by_tag = Reference::parse("quay.io/a:1").unwrap();
        let digest = DIGEST.parse().unwrap();
        assert_eq!(by_tag.with_digest(&digest).to_string(), format!("quay.io/a@{DIGEST}"));
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        let refused = |text: &str| Reference::parse(text).unwrap_err();
        assert!(matches!(refused(""), ReferenceError::Empty(_)));
        assert!(matches!(refused("quay.io/"), ReferenceError::Empty(_)));
        assert!(matches!(refused("Busybox"), ReferenceError::UpperCase(_)));
        assert!(matches!(refused("quay.io/A"), ReferenceError::UpperCase(_)));
        assert!(matches!(refused(&"a".repeat(64)), ReferenceError::Identifier(_)));
        assert!(matches!(refused(&"a".repeat(256)), ReferenceError::TooLong(256)));
        assert!(matches!(refused("a:"), ReferenceError::Tag { .. }));
        assert!(matches!(refused("a:-x"), ReferenceError::Tag { .. }));
        assert!(matches!(refused(&format!("a:{}", "x".repeat(129))), ReferenceError::Tag { .. }));
        assert!(matches!(refused("a@sha256:12"), ReferenceError::Digest { .. }));
        assert!(matches!(refused("a.b:x/c"), ReferenceError::Registry { .. }));
        assert!(matches!(refused("-a.b/c"), ReferenceError::Registry { .. }));
        for bad in
            ["a//b", "/a", "a/", "a___b", "a..b", "-a", "a-", "a b", "a/../b", "ä", "a%2fb", "http://x/y"]
        {
            let error = refused(bad);
            assert!(
                matches!(error, ReferenceError::Repository { .. } | ReferenceError::Registry { .. }),
                "{bad}: {error}"
            );
        }
    }
}
