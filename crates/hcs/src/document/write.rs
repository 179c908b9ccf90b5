//! Writing: fields in the order of the table, then what the table does not know.

use super::{Node, Object};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};
use std::fmt;

/// A document as text.
pub(super) fn text(object: &dyn Object) -> String {
    serde_json::to_string(&Node::Object(object))
        .expect("keys are text, and memory takes what is written to it")
}

/// A document as a value.
pub(super) fn value(object: &dyn Object) -> Value {
    value_of(Node::Object(object))
}

/// A document for people: its name and its JSON.
pub(crate) fn debug(object: &dyn Object, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{} {}", object.table().name, text(object))
}

/// A part of a document as a value.
pub(crate) fn value_of(node: Node<'_>) -> Value {
    match node {
        Node::Bool(value) => value.into(),
        Node::Unsigned(value) | Node::Number(value, _) => value.into(),
        Node::Signed(value) => value.into(),
        Node::Float(value) => value.into(),
        Node::Text(text) | Node::Word(text, _) => text.into_owned().into(),
        Node::Any(value) => value.clone(),
        Node::List(elements) => elements.into_iter().map(value_of).collect(),
        Node::Map(elements) => Value::Object(
            elements.into_iter().map(|(key, node)| (key.into_owned(), value_of(node))).collect(),
        ),
        Node::Object(object) => {
            let mut fields: Map<String, Value> = object.unknown().clone();
            for (field, node) in object.table().fields.iter().zip(object.nodes()) {
                if let Some(node) = node {
                    fields.insert(field.name.to_owned(), value_of(node));
                }
            }
            Value::Object(fields)
        }
    }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Unsigned(value) | Self::Number(value, _) => serializer.serialize_u64(*value),
            Self::Signed(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(text) | Self::Word(text, _) => serializer.serialize_str(text),
            Self::Any(value) => value.serialize(serializer),
            Self::List(elements) => serializer.collect_seq(elements),
            Self::Map(elements) => serializer.collect_map(elements.iter().map(|(key, node)| (key, node))),
            Self::Object(object) => {
                let nodes = object.nodes();
                let mut map = serializer.serialize_map(None)?;
                for (field, node) in object.table().fields.iter().zip(&nodes) {
                    if let Some(node) = node {
                        map.serialize_entry(field.name, node)?;
                    }
                }
                // A field that was set since goes before a null that was read.
                let set = |name: &str| {
                    object.table().fields.iter().zip(&nodes).any(|(f, n)| f.name == name && n.is_some())
                };
                for (name, value) in object.unknown().iter().filter(|(name, _)| !set(name)) {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}
