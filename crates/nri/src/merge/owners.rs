//! Which plugin has set which field of which container.
//!
//! | the field is     | the same plugin | another plugin |
//! |------------------|-----------------|----------------|
//! | nobody's         | claims it       | claims it      |
//! | set by a plugin  | conflict        | conflict, unless it removes first what was set |
//! | removed by one   | claims it       | conflict       |

use crate::error::{Error, Result};
use crate::wire::api::{Field, OwningPlugins};

/// The claims, as the interface hands them to plugins that judge adjustments: one who removed is marked with a `-`.
#[derive(Debug, Default)]
pub(crate) struct Owners(OwningPlugins);

/// What one plugin claims of one container.
pub(super) struct Claims<'a> {
    pub(super) owners: &'a mut Owners,
    pub(super) container: &'a str,
    pub(super) plugin: &'a str,
}

impl Claims<'_> {
    /// Claims a field; of one that has many entries, the one with this name.
    pub(super) fn claim(&mut self, field: Field, entry: Option<&str>) -> Result<()> {
        self.owners.claim(self.container, field, entry, self.plugin)
    }

    /// Gives up what was set, by whomever.
    pub(super) fn clear(&mut self, field: Field, entry: Option<&str>) {
        *self.owners.owner(self.container, field, entry) = format!("-{}", self.plugin);
    }

    /// Adds to a field that any number may add to.
    pub(super) fn join(&mut self, field: Field) {
        let owner = self.owners.owner(self.container, field, None);
        if !owner.is_empty() {
            owner.push(',');
        }
        owner.push_str(self.plugin);
    }
}

impl Owners {
    fn claim(&mut self, container: &str, field: Field, entry: Option<&str>, plugin: &str) -> Result<()> {
        let owner = self.owner(container, field, entry);
        let other = owner.strip_prefix('-').unwrap_or(owner);
        let removed = other.len() != owner.len();
        let may = owner.is_empty() || (removed && other == plugin);
        if !may {
            let what = match entry {
                Some(entry) => format!("{} {entry:?}", field.as_str_name()),
                None => field.as_str_name().to_owned(),
            };
            return Err(Error::Conflict {
                plugin: plugin.to_owned(),
                other: other.to_owned(),
                what,
                container: container.to_owned(),
            });
        }
        plugin.clone_into(owner);
        Ok(())
    }

    pub(crate) fn into_wire(self) -> OwningPlugins {
        self.0
    }

    fn owner(&mut self, container: &str, field: Field, entry: Option<&str>) -> &mut String {
        let fields = self.0.owners.entry(container.to_owned()).or_default();
        match entry {
            None => fields.simple.entry(field.into()).or_default(),
            Some(entry) => {
                let entries = fields.compound.entry(field.into()).or_default();
                entries.owners.entry(entry.to_owned()).or_default()
            }
        }
    }
}
