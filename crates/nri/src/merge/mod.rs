//! One answer out of what all plugins want, and who wanted what: two plugins that set the same thing are a conflict.

mod adjustment;
mod names;
mod owners;
mod resources;
mod updates;

pub(crate) use adjustment::Creation;
pub(crate) use owners::Owners;
pub(crate) use updates::Updates;
