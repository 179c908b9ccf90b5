//! What every document can do.
/// A document.
pub trait Document: Sized + Default + Clone + PartialEq {
    /// Reads.
    fn from_json(text: &str) -> Result<Self, serde_json::Error>;
    /// Writes.
    fn to_json(&self) -> String;
}
/// A GUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Guid(pub [u8; 16]);
