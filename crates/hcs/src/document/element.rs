//! What a field may hold: scalars, lists, maps, any JSON.

use super::{ByteArray, Guid, Mismatch, Node, Shape};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// The type of a field.
pub trait Element: Sized {
    /// What the schema calls it.
    fn shape() -> Shape;
    /// Reads it from JSON.
    ///
    /// # Errors
    /// The value is not of this type.
    fn read(value: Value) -> Result<Self, Mismatch>;
    /// How a walk over the document sees it.
    fn node(&self) -> Node<'_>;
}

/// What the setter of a field of type `T` takes.
pub trait IntoField<T> {
    /// The field's value.
    fn into_field(self) -> T;
}

impl<T> IntoField<T> for T {
    fn into_field(self) -> T {
        self
    }
}

impl IntoField<String> for &str {
    fn into_field(self) -> String {
        self.to_owned()
    }
}

impl IntoField<String> for &String {
    fn into_field(self) -> String {
        self.clone()
    }
}

impl<T, U: IntoField<T>, const N: usize> IntoField<Vec<T>> for [U; N] {
    fn into_field(self) -> Vec<T> {
        self.into_iter().map(IntoField::into_field).collect()
    }
}

impl<K: Ord, V, const N: usize> IntoField<BTreeMap<K, V>> for [(K, V); N] {
    fn into_field(self) -> BTreeMap<K, V> {
        self.into()
    }
}

impl Element for bool {
    fn shape() -> Shape {
        Shape::Bool
    }
    fn read(value: Value) -> Result<Self, Mismatch> {
        value.as_bool().ok_or_else(|| Mismatch::new("bool", &value))
    }
    fn node(&self) -> Node<'_> {
        Node::Bool(*self)
    }
}

macro_rules! integers {
    ($($type:ty = $name:literal $read:ident $node:ident;)*) => {$(
        impl Element for $type {
            fn shape() -> Shape {
                Shape::Integer { name: $name, least: <$type>::MIN as i64, greatest: <$type>::MAX as u64 }
            }
            fn read(value: Value) -> Result<Self, Mismatch> {
                let fits = value.$read().and_then(|number| Self::try_from(number).ok());
                fits.ok_or_else(|| Mismatch::new($name, &value))
            }
            fn node(&self) -> Node<'_> {
                Node::$node((*self).into())
            }
        }
    )*};
}

integers! {
    u8 = "uint8" as_u64 Unsigned;
    u16 = "uint16" as_u64 Unsigned;
    u32 = "uint32" as_u64 Unsigned;
    u64 = "uint64" as_u64 Unsigned;
    i32 = "int32" as_i64 Signed;
    i64 = "int64" as_i64 Signed;
}

impl Element for f64 {
    fn shape() -> Shape {
        Shape::Float
    }
    fn read(value: Value) -> Result<Self, Mismatch> {
        // An integer would be written back with a fraction: it is left to a caller who wants to change it.
        value.as_f64().filter(|_| value.is_f64()).ok_or_else(|| Mismatch::new("double", &value))
    }
    fn node(&self) -> Node<'_> {
        Node::Float(*self)
    }
}

impl Element for String {
    fn shape() -> Shape {
        Shape::Text("string")
    }
    fn read(value: Value) -> Result<Self, Mismatch> {
        match value {
            Value::String(text) => Ok(text),
            other => Err(Mismatch::new("string", &other)),
        }
    }
    fn node(&self) -> Node<'_> {
        Node::Text(self.into())
    }
}

impl Element for Value {
    fn shape() -> Shape {
        Shape::Any
    }
    fn read(value: Value) -> Result<Self, Mismatch> {
        Ok(value)
    }
    fn node(&self) -> Node<'_> {
        Node::Any(self)
    }
}

/// Nothing: the settings of a resource that has none.
impl Element for () {
    fn shape() -> Shape {
        Shape::Any
    }
    fn read(value: Value) -> Result<Self, Mismatch> {
        if value.is_null() { Ok(()) } else { Err(Mismatch::new("nothing", &value)) }
    }
    fn node(&self) -> Node<'_> {
        Node::Any(&Value::Null)
    }
}

impl<T: Element> Element for Vec<T> {
    fn shape() -> Shape {
        Shape::List(T::shape, None)
    }
    fn read(value: Value) -> Result<Self, Mismatch> {
        match value {
            Value::Array(elements) => {
                let mut all = Self::with_capacity(elements.len());
                for (index, element) in elements.into_iter().enumerate() {
                    all.push(T::read(element).map_err(|error| error.at(index))?);
                }
                Ok(all)
            }
            other => Err(Mismatch::new("an array", &other)),
        }
    }
    fn node(&self) -> Node<'_> {
        Node::List(self.iter().map(Element::node).collect())
    }
}

impl<T: Element, const N: usize> Element for [T; N] {
    fn shape() -> Shape {
        Shape::List(T::shape, Some(N))
    }
    fn read(value: Value) -> Result<Self, Mismatch> {
        let mismatch = Mismatch::new(format!("an array of {N}"), &value);
        Vec::read(value)?.try_into().map_err(|_| mismatch)
    }
    fn node(&self) -> Node<'_> {
        Node::List(self.iter().map(Element::node).collect())
    }
}

impl<K: Key, T: Element> Element for BTreeMap<K, T> {
    fn shape() -> Shape {
        Shape::Map(K::NAME, T::shape)
    }
    fn read(value: Value) -> Result<Self, Mismatch> {
        let fields = super::fields_of(value)?;
        let count = fields.len();
        let mut elements = Self::new();
        for (name, value) in fields {
            let key = K::from_text(&name).ok_or_else(|| {
                Mismatch::new(format!("a key of type {}", K::NAME), &Value::String(name.clone())).below(&name)
            })?;
            let element = T::read(value).map_err(|error| error.below(&name))?;
            elements.insert(key, element);
        }
        // Two spellings of one GUID: keeping one of them would lose the other.
        if elements.len() < count {
            let found = Value::Object(serde_json::Map::new());
            return Err(Mismatch::new(format!("a map in which each {} appears once", K::NAME), &found));
        }
        Ok(elements)
    }
    fn node(&self) -> Node<'_> {
        Node::Map(self.iter().map(|(key, element)| (key.text(), element.node())).collect())
    }
}

/// The key of a map.
pub trait Key: Ord + Sized {
    /// The schema's name of the type.
    const NAME: &'static str;
    /// Reads a key as it is written; nothing if it is not one.
    fn from_text(text: &str) -> Option<Self>;
    /// The key as it is written.
    fn text(&self) -> Cow<'_, str>;
}

impl Key for String {
    const NAME: &'static str = "string";
    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
    fn text(&self) -> Cow<'_, str> {
        self.into()
    }
}

impl Key for Guid {
    const NAME: &'static str = "Guid";
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn text(&self) -> Cow<'_, str> {
        self.spelling()
    }
}

macro_rules! number_keys {
    ($($type:ty = $name:literal;)*) => {$(
        impl Key for $type {
            const NAME: &'static str = $name;
            fn from_text(text: &str) -> Option<Self> {
                // `+1` and `01` would be written back as `1`.
                text.parse::<Self>().ok().filter(|number| number.to_string() == text)
            }
            fn text(&self) -> Cow<'_, str> {
                self.to_string().into()
            }
        }
    )*};
}

number_keys! {
    u8 = "uint8";
    u32 = "uint32";
    u64 = "uint64";
}

/// Text that has a form of its own.
macro_rules! texts {
    ($($(#[$meta:meta])* $name:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl IntoField<$name> for &str {
            fn into_field(self) -> $name {
                self.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Element for $name {
            fn shape() -> Shape {
                Shape::Text(stringify!($name))
            }
            fn read(value: Value) -> Result<Self, Mismatch> {
                String::read(value).map(Self)
            }
            fn node(&self) -> Node<'_> {
                self.0.node()
            }
        }
    )*};
}

texts! {
    /// A point in time, ISO 8601, UTC, up to 100 ns: `2026-01-01T00:00:00.1234567Z`. Kept as it is written.
    DateTime;
    /// A MAC address as Hyper-V writes it: `00-15-5D-52-C0-00`. Kept as it is written.
    MacAddress;
}

impl IntoField<ByteArray> for &[u8] {
    fn into_field(self) -> ByteArray {
        ByteArray::new(self)
    }
}

impl IntoField<Guid> for [u8; 16] {
    fn into_field(self) -> Guid {
        Guid::from_bytes(self)
    }
}
