//! Signals: a word for a Windows process, a number for a Linux one.

use super::ProcessSignal;
use crate::document::{Element, IntoField, Mismatch, Node, Shape};
use serde_json::Value;

/// A signal for a process.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Signal {
    /// What a Windows process can get.
    Windows(ProcessSignal),
    /// A signal of Linux by its number.
    Linux(i32),
}

impl IntoField<Signal> for ProcessSignal {
    fn into_field(self) -> Signal {
        Signal::Windows(self)
    }
}

impl Element for Signal {
    fn shape() -> Shape {
        Shape::Either(ProcessSignal::shape, i32::shape)
    }
    fn read(value: Value) -> Result<Self, Mismatch> {
        match value {
            Value::Number(_) => i32::read(value).map(Self::Linux),
            other => ProcessSignal::read(other).map(Self::Windows),
        }
    }
    fn node(&self) -> Node<'_> {
        match self {
            Self::Windows(signal) => signal.node(),
            Self::Linux(signal) => signal.node(),
        }
    }
}
