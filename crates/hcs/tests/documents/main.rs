//! The documents against what Microsoft's clients sent, against the published schema, and against anything at all.

mod captured;
