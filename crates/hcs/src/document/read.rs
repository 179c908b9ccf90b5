//! Reading: from a JSON value into the type that the table says, or an error that names the path.

use super::{Document, Element, Object};
use serde_json::{Map, Value};
use std::fmt;

/// A text that is not the document it should be.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The text is not JSON.
    #[error("read JSON as {document}")]
    Syntax {
        /// The document's name in the schema.
        document: &'static str,
        /// What is wrong, and where in the text.
        #[source]
        cause: serde_json::Error,
    },
    /// The JSON is of another shape.
    #[error(transparent)]
    Mismatch(Mismatch),
}

/// A JSON value that is not of the type that the schema says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch(Box<Wrong>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Wrong {
    document: &'static str,
    path: String,
    expected: String,
    found: String,
}

impl Mismatch {
    /// `found` instead of `expected`, right here.
    pub fn new(expected: impl Into<String>, found: &Value) -> Self {
        Self(Box::new(Wrong {
            document: "",
            path: String::new(),
            expected: expected.into(),
            found: describe(found),
        }))
    }

    /// The path of the value: names joined by dots, indices in brackets. Empty for the document itself.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// What the schema says.
    pub fn expected(&self) -> &str {
        &self.0.expected
    }

    /// The same one level up: the value is the field or the key `name`.
    pub(crate) fn below(mut self, name: &str) -> Self {
        let dot = if self.0.path.is_empty() || self.0.path.starts_with('[') { "" } else { "." };
        self.0.path = format!("{name}{dot}{}", self.0.path);
        self
    }

    /// The same one level up: the value is the element `index`.
    pub(crate) fn at(mut self, index: usize) -> Self {
        let dot = if self.0.path.is_empty() || self.0.path.starts_with('[') { "" } else { "." };
        self.0.path = format!("[{index}]{dot}{}", self.0.path);
        self
    }

    /// The same, said of a document.
    pub(crate) fn of(mut self, document: &'static str) -> Self {
        self.0.document = document;
        self
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wrong { document, path, expected, found } = &*self.0;
        match (document.is_empty(), path.is_empty()) {
            (false, false) => write!(f, "{path} of {document} is {found}, not {expected}"),
            (false, true) => write!(f, "{document} is {found}, not {expected}"),
            (true, _) => write!(f, "{path} is {found}, not {expected}"),
        }
    }
}

impl std::error::Error for Mismatch {}

/// The fields of an object.
pub(crate) fn fields_of(value: Value) -> Result<Map<String, Value>, Mismatch> {
    match value {
        Value::Object(fields) => Ok(fields),
        other => Err(Mismatch::new("an object", &other)),
    }
}

/// Reads a document whose type only its table knows.
pub(crate) fn read_boxed<D: Document + 'static>(value: Value) -> Result<Box<dyn Object>, Mismatch> {
    Ok(Box::new(D::from_value(value)?))
}

/// Takes one field out of an object. An explicit null stays where it is, so that it is written back.
pub(crate) fn take<T: Element>(
    fields: &mut Map<String, Value>,
    name: &str,
    field: &mut Option<T>,
) -> Result<(), Mismatch> {
    let Some(value) = remove(fields, name) else { return Ok(()) };
    match T::read(value) {
        Ok(value) => *field = Some(value),
        Err(error) => return Err(error.below(name)),
    }
    Ok(())
}

fn remove(fields: &mut Map<String, Value>, name: &str) -> Option<Value> {
    if fields.get(name)?.is_null() { None } else { fields.remove(name) }
}

/// A value in an error: short, and enough to recognise it by.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(text) if text.chars().count() <= 40 => format!("{text:?}"),
        Value::String(text) => format!("{:?}…", text.chars().take(40).collect::<String>()),
        Value::Array(_) => "an array".into(),
        Value::Object(_) => "an object".into(),
    }
}
