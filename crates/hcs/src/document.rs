//! What every document is made of: one table per object, and everything that follows from it.
//!
//! A document type is a struct of `Option`s that [`documents!`](crate::document) makes from a table of
//! `"JsonName" rust_name: Type, since 2.1;`. The table stays reachable at run time ([`Document::TABLE`]), so
//! one piece of code, not one per type, reads, writes, checks against a schema version and looks for what is
//! left over: an object shows itself as a [`Node`], and each of these is one walk over nodes.
//!
//! What a document promises:
//! - The names are exactly those of JSON. A field that is absent is `None`, which differs from any default.
//! - A field that the type does not know is kept in `unknown` and written back; so is an explicit `null` of a
//!   field that it knows. Reading and writing is the identity on JSON values.
//! - A value of an enumeration that the type does not know is kept as `Other`.
//! - [`Document::check`] names the first field or value that a host's schema does not have yet.
//!
//! A field is set with the method of its name, which takes whatever [`IntoField`] turns into its type:
//! ```
//! use hcs::documents::{ComputeSystem, Container, GuestOs};
//! use hcs::document::{Document, SchemaVersion};
//! let system = ComputeSystem::new()
//!     .owner("me")
//!     .container(Container::new().guest_os(GuestOs::new().host_name("web")));
//! assert_eq!(system.to_json(), r#"{"Owner":"me","Container":{"GuestOs":{"HostName":"web"}}}"#);
//! assert!(system.check(SchemaVersion::V2_1).is_ok());
//! ```

mod bytes;
mod check;
mod element;
mod guid;
mod number;
mod read;
mod schema;
mod write;

pub use bytes::{ByteArray, NotBase64};
pub use check::TooNew;
pub use element::{DateTime, Element, IntoField, Key, MacAddress};
pub use guid::{Guid, NotAGuid};
pub use read::{DocumentError, Mismatch};
pub use schema::{SchemaVersion, Since};

pub use number::Spelled;
pub(crate) use number::{is_bits, read_number};
pub(crate) use read::{fields_of, read_boxed, take};
pub(crate) use schema::{first, inner, since};
pub(crate) use write::{debug, value_of};

use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// The table behind a document type.
pub struct Table {
    /// The object's name in the schema, e.g. `Container_Memory`.
    pub name: &'static str,
    /// The schema version in which the object appeared.
    pub since: Since,
    /// The fields, in the order in which they are written.
    pub fields: &'static [Field],
    /// Reads a value as this object.
    pub read: fn(Value) -> Result<Box<dyn Object>, Mismatch>,
}

/// A field of a document type.
pub struct Field {
    /// The JSON name.
    pub name: &'static str,
    /// The schema version in which the field appeared, if later than its object.
    pub since: Option<Since>,
    /// What it holds.
    pub shape: fn() -> Shape,
}

/// The table behind an enumeration, or behind a number whose values have names.
pub struct Words {
    /// The name in the schema.
    pub name: &'static str,
    /// The schema version in which the enumeration appeared.
    pub since: Since,
    /// The values and the schema version in which each appeared, if later than the enumeration.
    pub values: &'static [(&'static str, Option<Since>)],
}

impl Table {
    /// The schema version in which a field of this table appeared.
    pub fn since(&self, field: &Field) -> Since {
        field.since.unwrap_or(self.since)
    }
}

impl Words {
    /// The schema version in which a value appeared; a value that nobody published is taken as it is.
    pub fn since_of(&self, text: &str) -> Since {
        self.values
            .iter()
            .find(|(value, _)| *value == text)
            .map_or(Since::Unpublished, |(_, since)| since.unwrap_or(self.since))
    }
}

/// What a field may hold, as the schema's own notation says it.
#[derive(Clone, Copy)]
pub enum Shape {
    /// `true` or `false`.
    Bool,
    /// An integer within these bounds.
    Integer {
        /// The schema's name of the type, e.g. `uint32`.
        name: &'static str,
        /// The least value.
        least: i64,
        /// The greatest value.
        greatest: u64,
    },
    /// A number with a fraction.
    Float,
    /// Text; the name says of which kind (`string`, `Guid`, `DateTime`, `ByteArray`, `MacAddress`).
    Text(&'static str),
    /// Any JSON value.
    Any,
    /// A value of an enumeration.
    Word(&'static Words),
    /// A number whose values have names: bits that may be combined, or one of several.
    Number(&'static Words, bool),
    /// An object.
    Object(&'static Table),
    /// Elements in order; a fixed number of them if one is given.
    List(fn() -> Shape, Option<usize>),
    /// Elements by key.
    Map(&'static str, fn() -> Shape),
    /// Either of two.
    Either(fn() -> Shape, fn() -> Shape),
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Integer { name, .. } => f.write_str(name),
            Self::Float => f.write_str("double"),
            Self::Text(name) => f.write_str(name),
            Self::Any => f.write_str("Any"),
            Self::Word(words) | Self::Number(words, _) => f.write_str(words.name),
            Self::Object(table) => f.write_str(table.name),
            Self::List(element, None) => write!(f, "<{}> array", element()),
            Self::List(element, Some(length)) => write!(f, "<{}, {length}> array", element()),
            Self::Map(key, element) => write!(f, "Map<{key}, {}>", element()),
            Self::Either(one, other) => write!(f, "{} or {}", one(), other()),
        }
    }
}

/// A value of a document as anything that walks over documents sees it.
pub enum Node<'a> {
    /// `true` or `false`.
    Bool(bool),
    /// A number that is not negative.
    Unsigned(u64),
    /// A number that may be negative.
    Signed(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// A value of an enumeration, and since when it exists.
    Word(Cow<'a, str>, Since),
    /// A number whose bits or values have names, and since when all of them exist.
    Number(u64, Since),
    /// Any JSON value.
    Any(&'a Value),
    /// An object with a table.
    Object(&'a dyn Object),
    /// Elements in order.
    List(Vec<Node<'a>>),
    /// Elements by key.
    Map(Vec<(Cow<'a, str>, Node<'a>)>),
}

/// A document whose type is not known to who looks at it.
pub trait Object: fmt::Debug + Send + Sync {
    /// The table it was made from.
    fn table(&self) -> &'static Table;
    /// The fields in the table's order, `None` where absent.
    fn nodes(&self) -> Vec<Option<Node<'_>>>;
    /// What was in the JSON object and is not in the table, and explicit nulls.
    fn unknown(&self) -> &Map<String, Value>;
}

impl dyn Object + '_ {
    /// As [`Document::check`].
    ///
    /// # Errors
    /// The first field or value that is too new.
    pub fn check(&self, host: SchemaVersion) -> Result<(), TooNew> {
        check::check(self, host)
    }

    /// As [`Document::needs`].
    pub fn needs(&self) -> SchemaVersion {
        check::needs(self)
    }

    /// As [`Document::leftovers`].
    pub fn leftovers(&self) -> Vec<String> {
        check::leftovers(self)
    }

    /// As [`Document::to_value`].
    pub fn to_value(&self) -> Value {
        write::value(self)
    }
}

/// A document type.
pub trait Document: Object + Element + Default + Clone + PartialEq {
    /// Names, types and schema versions of the fields.
    const TABLE: &'static Table;

    /// Reads a document from text.
    ///
    /// # Errors
    /// The text is not JSON, or something in it is not of the type that the schema says.
    fn from_json(text: &str) -> Result<Self, DocumentError> {
        let document = Self::TABLE.name;
        let value = serde_json::from_str(text).map_err(|cause| DocumentError::Syntax { document, cause })?;
        Self::from_value(value).map_err(DocumentError::Mismatch)
    }

    /// Reads a document from a JSON value.
    ///
    /// # Errors
    /// Something in it is not of the type that the schema says.
    fn from_value(value: Value) -> Result<Self, Mismatch> {
        Self::read(value).map_err(|error| error.of(Self::TABLE.name))
    }

    /// The document as text, fields in the order of the schema.
    fn to_json(&self) -> String {
        write::text(self)
    }

    /// The document as a JSON value.
    fn to_value(&self) -> Value {
        write::value(self)
    }

    /// Refuses a document that uses what a host of schema `host` does not have. Fields that no published
    /// schema names pass: only the host knows.
    ///
    /// # Errors
    /// The first field or value that is too new, with its path.
    fn check(&self, host: SchemaVersion) -> Result<(), TooNew> {
        check::check(self, host)
    }

    /// The lowest schema version that has everything this document uses.
    fn needs(&self) -> SchemaVersion {
        check::needs(self)
    }

    /// The paths of everything in it that the types do not know.
    fn leftovers(&self) -> Vec<String> {
        check::leftovers(self)
    }
}

/// Makes document types from tables; the grammar is in the module's documentation.
macro_rules! documents {
    ($(
        $(#[$meta:meta])*
        $name:ident $(= $schema:literal)? $(since $since:tt)? {
            $(
                $(#[$field_meta:meta])*
                $json:literal $field:ident : $type:ty $(, since $field_since:tt)? ;
            )*
        }
    )*) => {
        /// The tables of this module's documents.
        pub(crate) const TABLES: &[&$crate::document::Table] =
            &[$(<$name as $crate::document::Document>::TABLE),*];
        $(
            $(#[$meta])*
            #[derive(Clone, Default, PartialEq)]
            #[non_exhaustive]
            pub struct $name {
                $(
                    $(#[$field_meta])*
                    #[doc = ""]
                    #[doc = concat!("`", $json, "`" $(, $crate::document::since_text!($field_since))?)]
                    pub $field: Option<$type>,
                )*
                /// What the JSON object held beside these fields, and explicit nulls.
                pub unknown: serde_json::Map<String, serde_json::Value>,
            }

            impl $name {
                /// A document without any field.
                #[must_use]
                pub fn new() -> Self {
                    Self::default()
                }
                $(
                    #[doc = concat!("Sets `", $json, "`.")]
                    #[must_use]
                    pub fn $field(mut self, value: impl $crate::document::IntoField<$type>) -> Self {
                        self.$field = Some(value.into_field());
                        self
                    }
                )*
            }

            impl $crate::document::Object for $name {
                fn table(&self) -> &'static $crate::document::Table {
                    <Self as $crate::document::Document>::TABLE
                }
                fn nodes(&self) -> Vec<Option<$crate::document::Node<'_>>> {
                    vec![$(self.$field.as_ref().map($crate::document::Element::node)),*]
                }
                fn unknown(&self) -> &serde_json::Map<String, serde_json::Value> {
                    &self.unknown
                }
            }

            impl $crate::document::Document for $name {
                const TABLE: &'static $crate::document::Table = &$crate::document::Table {
                    name: $crate::document::first(&[$($schema)?], stringify!($name)),
                    since: $crate::document::since(&[$(stringify!($since))?]),
                    fields: &[$($crate::document::Field {
                        name: $json,
                        since: $crate::document::inner(&[$(stringify!($field_since))?]),
                        shape: <$type as $crate::document::Element>::shape,
                    }),*],
                    read: $crate::document::read_boxed::<Self>,
                };
            }

            impl $crate::document::Element for $name {
                fn shape() -> $crate::document::Shape {
                    $crate::document::Shape::Object(<Self as $crate::document::Document>::TABLE)
                }
                #[inline(never)]
                fn read(value: serde_json::Value) -> Result<Self, $crate::document::Mismatch> {
                    #[allow(unused_mut, reason = "an object without fields takes nothing")]
                    let mut this = Self { unknown: $crate::document::fields_of(value)?, ..Self::default() };
                    $($crate::document::take(&mut this.unknown, $json, &mut this.$field)?;)*
                    Ok(this)
                }
                fn node(&self) -> $crate::document::Node<'_> {
                    $crate::document::Node::Object(self)
                }
            }

            impl std::fmt::Debug for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    $crate::document::debug(self, f)
                }
            }

            impl serde::Serialize for $name {
                fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serde::Serialize::serialize(&$crate::document::Element::node(self), serializer)
                }
            }

            impl<'de> serde::Deserialize<'de> for $name {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let value = <serde_json::Value as serde::Deserialize>::deserialize(deserializer)?;
                    <Self as $crate::document::Document>::from_value(value).map_err(serde::de::Error::custom)
                }
            }
        )*
    };
}

/// Makes enumerations that keep values they do not know.
macro_rules! enumerations {
    ($(
        $(#[$meta:meta])*
        $name:ident $(= $schema:literal)? $(since $since:tt)? {
            $($(#[$value_meta:meta])* $variant:ident = $text:literal $(, since $value_since:tt)?;)*
        }
    )*) => {
        /// The tables of this module's enumerations.
        pub(crate) const WORDS: &[&$crate::document::Words] = &[$($name::WORDS),*];
        $(
            $(#[$meta])*
            #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub enum $name {
                $(
                    $(#[$value_meta])*
                    #[doc = concat!("`", $text, "`" $(, $crate::document::since_text!($value_since))?)]
                    $variant,
                )*
                /// A value that this version of the crate does not know.
                Other(String),
            }

            impl $name {
                /// Names and schema versions of the values.
                pub const WORDS: &'static $crate::document::Words = &$crate::document::Words {
                    name: $crate::document::first(&[$($schema)?], stringify!($name)),
                    since: $crate::document::since(&[$(stringify!($since))?]),
                    values: &[$((
                        $text,
                        $crate::document::inner(&[$(stringify!($value_since))?]),
                    )),*],
                };

                /// The value as JSON has it.
                pub fn as_str(&self) -> &str {
                    match self {
                        $(Self::$variant => $text,)*
                        Self::Other(text) => text,
                    }
                }
            }

            impl From<&str> for $name {
                fn from(text: &str) -> Self {
                    match text {
                        $($text => Self::$variant,)*
                        _ => Self::Other(text.to_owned()),
                    }
                }
            }

            impl std::fmt::Display for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str(self.as_str())
                }
            }

            impl $crate::document::Element for $name {
                fn shape() -> $crate::document::Shape {
                    $crate::document::Shape::Word(Self::WORDS)
                }
                #[inline(never)]
                fn read(value: serde_json::Value) -> Result<Self, $crate::document::Mismatch> {
                    let text = <String as $crate::document::Element>::read(value)?;
                    Ok(Self::from(text.as_str()))
                }
                fn node(&self) -> $crate::document::Node<'_> {
                    let text = self.as_str();
                    $crate::document::Node::Word(text.into(), Self::WORDS.since_of(text))
                }
            }
        )*
    };
}

/// Makes numbers whose bits (`bits`) or values (`value`) have names. HCN takes them as numbers and as words.
macro_rules! numbers {
    ($(
        $(#[$meta:meta])*
        $how:ident $name:ident $(since $since:tt)? {
            $($(#[$value_meta:meta])*
            $constant:ident = $text:literal $number:literal $(, since $value_since:tt)?;)*
        }
    )*) => {
        /// The tables of this module's numbers.
        pub(crate) const NUMBERS: &[&$crate::document::Words] = &[$($name::WORDS),*];
        $(
            $(#[$meta])*
            #[derive(Clone, PartialEq, Eq, Hash)]
            pub struct $name($crate::document::Spelled);

            impl $name {
                $(
                    $(#[$value_meta])*
                    #[doc = concat!(
                        "`", $text, "` = ", $number $(, $crate::document::since_text!($value_since))?
                    )]
                    pub const $constant: Self = Self($crate::document::Spelled::number($number));
                )*
                /// Names and schema versions of the values.
                pub const WORDS: &'static $crate::document::Words = &$crate::document::Words {
                    name: stringify!($name),
                    since: $crate::document::since(&[$(stringify!($since))?]),
                    values: &[$(($text, $crate::document::inner(&[$(stringify!($value_since))?]))),*],
                };
                const NUMBERS: &'static [u64] = &[$($number),*];
                const BITS: bool = $crate::document::is_bits(stringify!($how));

                /// The value with this number.
                #[must_use]
                pub const fn from_number(number: u64) -> Self {
                    Self($crate::document::Spelled::number(number))
                }

                /// The number.
                pub const fn number(&self) -> u64 {
                    self.0.value()
                }

                /// Every bit of `other` is set here.
                pub const fn contains(&self, other: &Self) -> bool {
                    self.number() & other.number() == other.number()
                }
            }

            impl std::ops::BitOr for $name {
                type Output = Self;
                fn bitor(self, other: Self) -> Self {
                    Self::from_number(self.number() | other.number())
                }
            }

            impl std::fmt::Debug for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.debug_tuple(stringify!($name)).field(&self.number()).finish()
                }
            }

            impl $crate::document::Element for $name {
                fn shape() -> $crate::document::Shape {
                    $crate::document::Shape::Number(Self::WORDS, Self::BITS)
                }
                fn read(value: serde_json::Value) -> Result<Self, $crate::document::Mismatch> {
                    $crate::document::read_number(value, Self::WORDS, Self::NUMBERS, Self::BITS).map(Self)
                }
                fn node(&self) -> $crate::document::Node<'_> {
                    self.0.node(Self::WORDS, Self::NUMBERS, Self::BITS)
                }
            }
        )*
    };
}

/// When a field or a value appeared, for its documentation.
macro_rules! since_text {
    (unpublished) => {
        "; in no published schema"
    };
    ($version:tt) => {
        concat!("; since schema ", $version)
    };
}

pub(crate) use {documents, enumerations, numbers, since_text};
