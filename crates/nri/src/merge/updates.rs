//! The updates of containers that plugins ask for while something happens to another, or to that very one.

use super::owners::{Claims, Owners};
use super::resources;
use crate::error::{Error, Result};
use crate::wire::api::{ContainerUpdate, LinuxResources};

/// What all plugins asked for so far, an update for each container.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    updates: Vec<ContainerUpdate>,
}

impl Updates {
    /// With the update that somebody else has asked for, which plugins may change.
    pub(crate) fn of(container: &str, limits: LinuxResources) -> Self {
        let mut update = ContainerUpdate { container_id: container.to_owned(), ..Default::default() };
        update.linux.get_or_insert_default().resources = Some(limits);
        Self { updates: vec![update] }
    }

    /// The limits that a container is to have.
    pub(crate) fn limits_of(&self, container: &str) -> Option<&LinuxResources> {
        let update = self.updates.iter().find(|update| update.container_id == container)?;
        update.linux.as_ref()?.resources.as_ref()
    }

    /// Takes what one more plugin asks for. `new` is a container that does not exist yet.
    pub(crate) fn merge(
        &mut self,
        owners: &mut Owners,
        asked: Vec<ContainerUpdate>,
        plugin: &str,
        new: Option<&str>,
    ) -> Result<()> {
        for update in asked {
            if Some(update.container_id.as_str()) == new {
                return Err(Error::UpdateOfNew { plugin: plugin.to_owned(), container: update.container_id });
            }
            let ignore_failure = update.ignore_failure;
            match self.merge_one(owners, update, plugin) {
                Err(error) if ignore_failure => {
                    tracing::info!(%error, "an update that may fail is left out");
                }
                merged => merged?,
            }
        }
        Ok(())
    }

    /// All of the update or nothing.
    fn merge_one(&mut self, owners: &mut Owners, update: ContainerUpdate, plugin: &str) -> Result<()> {
        let id = &update.container_id;
        let change = update.linux.clone().and_then(|linux| linux.resources).unwrap_or_default();
        let known = self.updates.iter_mut().find(|known| known.container_id == *id);
        let mut limits =
            known.as_ref().and_then(|known| known.linux.as_ref()?.resources.clone()).unwrap_or_default();
        let mut claims = Claims { owners, container: id, plugin };
        let mut claim = |field, entry: Option<&str>| claims.claim(field, entry);
        resources::set(&change, &mut limits, &mut claim)?;
        match known {
            Some(known) => {
                known.ignore_failure &= update.ignore_failure;
                known.linux.get_or_insert_default().resources = Some(limits);
            }
            None => {
                let mut update = update;
                update.linux.get_or_insert_default().resources = Some(limits);
                self.updates.push(update);
            }
        }
        Ok(())
    }

    pub(crate) fn into_inner(self) -> Vec<ContainerUpdate> {
        self.updates
    }
}
