//! Which ids a container's user namespace has, and which of the host they are.

use compute::error::{Classify, Kind};
use serde::{Deserialize, Serialize};

/// `size` ids from `container` on are `host` and following.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMap {
    /// The first id inside.
    pub container: u32,
    /// The first id on the host.
    pub host: u32,
    /// How many.
    pub size: u32,
}

/// The two maps of a user namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMaps {
    /// Of user ids.
    pub uids: Vec<IdMap>,
    /// Of group ids.
    pub gids: Vec<IdMap>,
}

/// A map that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdMap {
    /// Nothing is mapped.
    #[error("the map of {0} is empty")]
    Empty(&'static str),
    /// Zero ids, or beyond 2³² of them.
    #[error("the map of {0} has a range of {1} ids from {2} on")]
    Range(&'static str, u32, u32),
    /// The owner of the container's root is nobody on the host.
    #[error("the map of {0} has no 0")]
    NoRoot(&'static str),
}

impl Classify for InvalidIdMap {
    fn kind(&self) -> Kind {
        Kind::InvalidArgument
    }
}

impl IdMaps {
    /// The host's user and group that are the container's root. Both maps are checked.
    pub fn root(&self) -> Result<(u32, u32), InvalidIdMap> {
        check("user ids", &self.uids)?;
        check("group ids", &self.gids)?;
        let uid = self.host_uid(0).ok_or(InvalidIdMap::NoRoot("user ids"))?;
        let gid = self.host_gid(0).ok_or(InvalidIdMap::NoRoot("group ids"))?;
        Ok((uid, gid))
    }

    /// The host's user that is `uid` inside.
    pub fn host_uid(&self, uid: u32) -> Option<u32> {
        host(&self.uids, uid)
    }

    /// The host's group that is `gid` inside.
    pub fn host_gid(&self, gid: u32) -> Option<u32> {
        host(&self.gids, gid)
    }
}

fn host(map: &[IdMap], id: u32) -> Option<u32> {
    let range = map.iter().find(|range| id >= range.container && id - range.container < range.size)?;
    range.host.checked_add(id - range.container)
}

fn check(of: &'static str, map: &[IdMap]) -> Result<(), InvalidIdMap> {
    if map.is_empty() {
        return Err(InvalidIdMap::Empty(of));
    }
    // The id that is all ones means "no id".
    let fits = |first: u32, size: u32| u64::from(first) + u64::from(size) <= u64::from(u32::MAX);
    match map.iter().find(|m| m.size == 0 || !fits(m.container, m.size) || !fits(m.host, m.size)) {
        Some(range) => Err(InvalidIdMap::Range(of, range.size, range.container)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps(ranges: &[(u32, u32, u32)]) -> IdMaps {
        let map: Vec<IdMap> =
            ranges.iter().map(|&(container, host, size)| IdMap { container, host, size }).collect();
        IdMaps { uids: map.clone(), gids: map }
    }

    #[test]
    fn ids_are_found_in_their_range() {
        let maps = maps(&[(0, 100_000, 10), (20, 5, 1)]);
        assert_eq!(maps.root(), Ok((100_000, 100_000)));
        assert_eq!(maps.host_uid(9), Some(100_009));
        assert_eq!(maps.host_uid(10), None);
        assert_eq!(maps.host_gid(20), Some(5));
    }

    #[test]
    fn what_cannot_be_mapped_is_refused() {
        assert_eq!(maps(&[]).root(), Err(InvalidIdMap::Empty("user ids")));
        assert_eq!(maps(&[(0, 1, 0)]).root(), Err(InvalidIdMap::Range("user ids", 0, 0)));
        assert!(maps(&[(0, u32::MAX, 2)]).root().is_err());
        assert_eq!(maps(&[(1, 1, 1)]).root(), Err(InvalidIdMap::NoRoot("user ids")));
    }
}
