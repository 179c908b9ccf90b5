//! Fields of many entries, each known by a name: a name that begins with `-` removes the entry that has the rest of it.

use std::collections::BTreeMap;

use super::owners::Claims;
use crate::error::Result;
use crate::wire::api::{Field, KeyValue, LinuxDevice, Mount};

/// An entry and its name.
pub(super) trait Entry: Clone {
    fn name(&self) -> &str;
}

impl Entry for Mount {
    fn name(&self) -> &str {
        &self.destination
    }
}

impl Entry for LinuxDevice {
    fn name(&self) -> &str {
        &self.path
    }
}

impl Entry for KeyValue {
    fn name(&self) -> &str {
        &self.key
    }
}

/// A variable as a configuration has it: `NAME=value`.
impl Entry for String {
    fn name(&self) -> &str {
        self.split_once('=').map_or(self, |(name, _)| name)
    }
}

/// Of a map.
impl<T: Clone> Entry for (String, T) {
    fn name(&self) -> &str {
        &self.0
    }
}

impl Claims<'_> {
    /// Adds what the plugin wants of a field to what others want (`wanted`), and shows it to those that are asked after it
    /// (`shown`).
    pub(super) fn merge<T: Entry, S>(
        &mut self,
        field: Field,
        asked: Vec<T>,
        wanted: &mut Vec<T>,
        shown: (&mut Vec<S>, impl Fn(&S) -> &str, impl Fn(&T) -> S),
    ) -> Result<()> {
        let (shown, shown_name, show) = shown;
        let (removals, entries): (Vec<T>, Vec<T>) =
            asked.into_iter().partition(|entry| entry.name().starts_with('-'));
        let is_set = |name: &str, entries: &[T]| entries.iter().any(|entry| entry.name() == name);
        for removal in removals {
            let name = &removal.name()[1..];
            if is_set(name, wanted) || is_set(name, &entries) {
                self.clear(field, Some(name));
            }
            wanted.retain(|entry| entry.name() != name && entry.name() != removal.name());
            shown.retain(|entry| shown_name(entry) != name);
            // The container's own goes too.
            wanted.insert(0, removal);
        }
        for entry in entries {
            self.claim(field, Some(entry.name()))?;
            shown.retain(|known| shown_name(known) != entry.name());
            shown.push(show(&entry));
            wanted.push(entry);
        }
        Ok(())
    }

    /// The same for a field that is a map.
    pub(super) fn merge_map<T: Clone>(
        &mut self,
        field: Field,
        asked: BTreeMap<String, T>,
        wanted: &mut BTreeMap<String, T>,
        shown: &mut BTreeMap<String, T>,
    ) -> Result<()> {
        let (mut wants, mut shows) = (entries(wanted), entries(shown));
        let merged = self.merge(
            field,
            asked.into_iter().collect(),
            &mut wants,
            (&mut shows, <(String, T)>::name, Clone::clone),
        );
        wanted.extend(wants);
        shown.extend(shows);
        merged
    }
}

fn entries<T>(map: &mut BTreeMap<String, T>) -> Vec<(String, T)> {
    std::mem::take(map).into_iter().collect()
}
