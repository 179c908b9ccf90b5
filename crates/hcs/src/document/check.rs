//! Walks over a document: what is too new for a host, what the document needs, what its types do not know.

use super::{Node, Object, SchemaVersion, Since};
use std::borrow::Cow;
use std::fmt;

/// Something in a document that a host's schema does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooNew {
    /// The document.
    pub document: &'static str,
    /// The field: names joined by dots, indices in brackets.
    pub path: String,
    /// The value, if the field exists and only its value is too new.
    pub value: Option<String>,
    /// The schema version that it needs.
    pub needs: SchemaVersion,
    /// The schema version of the host.
    pub host: SchemaVersion,
}

impl fmt::Display for TooNew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { document, path, value, needs, host } = self;
        if let Some(value) = value {
            write!(f, "the value {value} of ")?;
        }
        match path.is_empty() {
            true => f.write_str(document)?,
            false => write!(f, "{path} of {document}")?,
        }
        write!(f, " needs schema {needs}, and the host has {host}")
    }
}

impl std::error::Error for TooNew {}

/// The first thing in `object` that schema `host` does not have.
pub(super) fn check(object: &dyn Object, host: SchemaVersion) -> Result<(), TooNew> {
    let mut found = None;
    walk(object, &mut |what| {
        let Met::Since { path, value, since: Since::Schema(needs) } = what else { return true };
        if needs > host {
            found = Some(TooNew { document: object.table().name, path: show(path), value, needs, host });
        }
        found.is_none()
    });
    found.map_or(Ok(()), Err)
}

/// The highest version that anything in `object` needs.
pub(super) fn needs(object: &dyn Object) -> SchemaVersion {
    let mut highest = SchemaVersion::V1;
    walk(object, &mut |what| {
        if let Met::Since { since: Since::Schema(needs), .. } = what {
            highest = highest.max(needs);
        }
        true
    });
    highest
}

/// The paths of fields that no table knows. A null of a field that one knows is no such field.
pub(super) fn leftovers(object: &dyn Object) -> Vec<String> {
    let mut paths = Vec::new();
    walk(object, &mut |what| {
        if let Met::Unknown { path } = what {
            paths.push(show(path));
        }
        true
    });
    paths
}

enum Step<'a> {
    Name(Cow<'a, str>),
    Index(usize),
}

enum Met<'a, 'b> {
    Since { path: &'b [Step<'a>], value: Option<String>, since: Since },
    Unknown { path: &'b [Step<'a>] },
}

/// Calls `visit` for all that has a version and all that is unknown, outermost first, until it says to stop.
fn walk(object: &dyn Object, visit: &mut dyn FnMut(Met<'_, '_>) -> bool) {
    let mut path = Vec::new();
    walk_node(Node::Object(object), &mut path, visit);
}

fn walk_node<'a>(
    node: Node<'a>,
    path: &mut Vec<Step<'a>>,
    visit: &mut dyn FnMut(Met<'_, '_>) -> bool,
) -> bool {
    match node {
        Node::Word(text, since) => visit(Met::Since { path, value: Some(text.into_owned()), since }),
        Node::Number(number, since) => visit(Met::Since { path, value: Some(number.to_string()), since }),
        Node::List(elements) => elements
            .into_iter()
            .enumerate()
            .all(|(index, element)| inside(Step::Index(index), element, path, visit)),
        Node::Map(elements) => {
            elements.into_iter().all(|(key, element)| inside(Step::Name(key), element, path, visit))
        }
        Node::Object(object) => walk_object(object, path, visit),
        _ => true,
    }
}

fn walk_object<'a>(
    object: &'a dyn Object,
    path: &mut Vec<Step<'a>>,
    visit: &mut dyn FnMut(Met<'_, '_>) -> bool,
) -> bool {
    let table = object.table();
    if !visit(Met::Since { path, value: None, since: table.since }) {
        return false;
    }
    for (field, node) in table.fields.iter().zip(object.nodes()) {
        let Some(node) = node else { continue };
        path.push(Step::Name(field.name.into()));
        let on = visit(Met::Since { path, value: None, since: table.since(field) })
            && walk_node(node, path, visit);
        path.pop();
        if !on {
            return false;
        }
    }
    let known = |name: &str| table.fields.iter().any(|field| field.name == name);
    object.unknown().iter().filter(|(name, value)| !(value.is_null() && known(name))).all(|(name, _)| {
        path.push(Step::Name(name.into()));
        let on = visit(Met::Unknown { path });
        path.pop();
        on
    })
}

fn inside<'a>(
    step: Step<'a>,
    node: Node<'a>,
    path: &mut Vec<Step<'a>>,
    visit: &mut dyn FnMut(Met<'_, '_>) -> bool,
) -> bool {
    path.push(step);
    let on = walk_node(node, path, visit);
    path.pop();
    on
}

fn show(path: &[Step<'_>]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Index(index) => text.push_str(&format!("[{index}]")),
            Step::Name(name) if text.is_empty() => text.push_str(name),
            Step::Name(name) => {
                text.push('.');
                text.push_str(name);
            }
        }
    }
    text
}
