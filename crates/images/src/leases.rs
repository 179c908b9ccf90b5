//! Leases: layers that somebody is fetching, or counts on while fetching others. Garbage collection leaves them alone.
//!
//! They are in memory alone: a pull does not outlive the process either, and what it left is garbage then. Whoever uses a
//! layer without a snapshot of it holds it too, and says so again after a restart ([`crate::Config::used`]).

use snapshots::ChainId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// All leases, and who is fetching what at the moment.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: Mutex<HashMap<ChainId, usize>>,
    /// By those who mount layers as they are. Such a user may stay for months, so it holds back nothing else.
    used: Mutex<HashMap<ChainId, usize>>,
    fetching: Mutex<HashMap<ChainId, Weak<tokio::sync::Mutex<()>>>>,
}

/// Layers held until this is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    leases: Arc<Leases>,
    chains: Vec<ChainId>,
}

impl Leases {
    /// Holds layers, whether they are there already or not.
    pub(crate) fn take(self: &Arc<Self>, chains: Vec<ChainId>) -> Lease {
        let mut held = self.lock();
        for chain in &chains {
            *held.entry(chain.clone()).or_default() += 1;
        }
        drop(held);
        Lease { leases: Arc::clone(self), chains }
    }

    /// Runs `remove` unless somebody holds the layer; nobody can begin to hold it meanwhile.
    pub(crate) fn unless_held<T>(&self, chain: &ChainId, remove: impl FnOnce() -> T) -> Option<T> {
        let held = self.lock();
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if held.contains_key(chain) || used.contains_key(chain) { None } else { Some(remove()) }
    }

    /// Somebody begins to use a layer.
    pub(crate) fn begin_use(&self, chain: &ChainId) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        *used.entry(chain.clone()).or_default() += 1;
    }

    /// Somebody does so no longer.
    pub(crate) fn end_use(&self, chain: &ChainId) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = used.get_mut(chain) {
            *count -= 1;
            if *count == 0 {
                used.remove(chain);
            }
        }
    }

    /// Whether any pull holds anything.
    pub(crate) fn are_held(&self) -> bool {
        !self.lock().is_empty()
    }

    /// The right to fetch a layer: whoever waits for it finds the layer there when the first is through.
    pub(crate) async fn fetch(&self, chain: &ChainId) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
            fetching.retain(|_, turn| turn.strong_count() > 0);
            match fetching.get(chain).and_then(Weak::upgrade) {
                Some(turn) => turn,
                None => {
                    let turn = Arc::new(tokio::sync::Mutex::new(()));
                    fetching.insert(chain.clone(), Arc::downgrade(&turn));
                    turn
                }
            }
        };
        turn.lock_owned().await
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ChainId, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// The layers that are held.
    pub(crate) fn chains(&self) -> &[ChainId] {
        &self.chains
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut held = self.leases.lock();
        for chain in &self.chains {
            if let Some(count) = held.get_mut(chain) {
                *count -= 1;
                if *count == 0 {
                    held.remove(chain);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[tokio::test]
    async fn what_is_held_is_left_alone() {
        let leases = Arc::new(Leases::default());
        let chain = ChainId::new(Digest::of(b"1").as_str()).unwrap();
        let (first, second) = (leases.take(vec![chain.clone()]), leases.take(vec![chain.clone()]));
        drop(first);
        assert_eq!(leases.unless_held(&chain, || ()), None);
        drop(second);
        assert_eq!(leases.unless_held(&chain, || ()), Some(()));
        let turn = leases.fetch(&chain).await;
        let waiting = leases.fetch(&chain);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(turn);
        drop(waiting.await);
        drop(leases.fetch(&chain).await);
        assert_eq!(leases.fetching.lock().unwrap().len(), 1);
    }
}
