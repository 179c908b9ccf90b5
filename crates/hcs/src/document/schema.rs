//! Schema versions: of a host, and since when something exists.

use std::fmt;

/// A version of a schema. Those of HCS documents are 1.0 and 2.x; those of HCN documents count on their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaVersion {
    /// The major version.
    pub major: u32,
    /// The minor version.
    pub minor: u32,
}

impl SchemaVersion {
    /// The first schema, of `vmcompute.dll`: the only one of hosts before build 17763 (1809).
    pub const V1: Self = Self::new(1, 0);
    /// HCS: build 17763 (1809). HCN: the first.
    pub const V2_0: Self = Self::new(2, 0);
    /// HCS: build 17763 (1809); what most clients write.
    pub const V2_1: Self = Self::new(2, 1);
    /// HCS: build 18362 (1903).
    pub const V2_2: Self = Self::new(2, 2);
    /// HCS: build 19041 (2004).
    pub const V2_3: Self = Self::new(2, 3);
    /// HCS: build 20348 (Server 2022).
    pub const V2_4: Self = Self::new(2, 4);
    /// HCS: build 20348.169 (Server 2022).
    pub const V2_5: Self = Self::new(2, 5);
    /// HCS: build 22000 (Windows 11 21H2). HCN: build 19041 (2004).
    pub const V2_6: Self = Self::new(2, 6);
    /// HCN: build 20348 (Server 2022).
    pub const V2_11: Self = Self::new(2, 11);
    /// HCN: build 22000 (Windows 11 21H2).
    pub const V2_14: Self = Self::new(2, 14);

    /// A version by its numbers.
    #[must_use]
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// The newest HCS schema of a Windows build, as Microsoft's table has it; no `computecore.dll` and so 1.0
    /// below 17763. What a host itself says (`BasicInformation`) goes before this.
    #[must_use]
    pub const fn of_windows_build(build: u32) -> Self {
        match build {
            0..17763 => Self::V1,
            17763..18362 => Self::V2_1,
            18362..19041 => Self::V2_2,
            19041..20348 => Self::V2_3,
            20348..22000 => Self::V2_5,
            _ => Self::V2_6,
        }
    }

    /// The newest HCN schema of a Windows build, as Microsoft's table has it.
    #[must_use]
    pub const fn of_windows_build_for_networks(build: u32) -> Self {
        match build {
            0..19041 => Self::V2_0,
            19041..20348 => Self::V2_6,
            20348..22000 => Self::V2_11,
            _ => Self::V2_14,
        }
    }
}

impl fmt::Display for SchemaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// When something appeared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// In this version of the published schema.
    Schema(SchemaVersion),
    /// In no published schema: Microsoft's own clients use it, and only a host knows whether it has it.
    Unpublished,
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schema(version) => version.fmt(f),
            Self::Unpublished => f.write_str("unpublished"),
        }
    }
}

/// What a table says of an object or an enumeration: nothing means 2.0.
pub(crate) const fn since(text: &[&str]) -> Since {
    match inner(text) {
        Some(since) => since,
        None => Since::Schema(SchemaVersion::V2_0),
    }
}

/// What a table says of a field or a value: nothing means like the whole.
pub(crate) const fn inner(text: &[&str]) -> Option<Since> {
    match text {
        [text, ..] => Some(parse(text)),
        [] => None,
    }
}

/// The name that a table gives, or else that of the Rust type.
pub(crate) const fn first(given: &[&'static str], otherwise: &'static str) -> &'static str {
    match given {
        [name, ..] => name,
        [] => otherwise,
    }
}

/// `2.1` or `unpublished`; a table with anything else does not compile.
const fn parse(text: &str) -> Since {
    let bytes = text.as_bytes();
    if bytes[0] == b'u' {
        return Since::Unpublished;
    }
    assert!(bytes[1] == b'.', "a schema version is one digit, a dot and a number");
    let mut minor = 0;
    let mut at = 2;
    while at < bytes.len() {
        minor = minor * 10 + (bytes[at] - b'0') as u32;
        at += 1;
    }
    Since::Schema(SchemaVersion::new((bytes[0] - b'0') as u32, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_numbers_and_not_as_text() {
        assert!(SchemaVersion::new(2, 10) > SchemaVersion::new(2, 9));
        assert!(SchemaVersion::V1 < SchemaVersion::V2_0);
        assert_eq!(parse("2.14"), Since::Schema(SchemaVersion::V2_14));
        assert_eq!(parse("unpublished"), Since::Unpublished);
    }

    #[test]
    fn a_build_has_the_schema_of_the_release_before_it() {
        for (build, schema) in
            [(14393, "1.0"), (17763, "2.1"), (19045, "2.3"), (20348, "2.5"), (26100, "2.6")]
        {
            assert_eq!(SchemaVersion::of_windows_build(build).to_string(), schema, "{build}");
        }
    }
}
