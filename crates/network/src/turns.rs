//! One at a time for each id, and collecting garbage alone: the order that the specification asks of a runtime.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

type Lock = Arc<tokio::sync::Mutex<()>>;

/// Who works on what.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    all: Arc<RwLock<()>>,
    ids: Arc<Mutex<HashMap<String, Lock>>>,
}

/// While it lives nobody else works on the same id, and no garbage is collected.
pub(crate) struct Turn {
    id: String,
    ids: Arc<Mutex<HashMap<String, Lock>>>,
    /// Given up before the entry is looked at.
    guard: Option<OwnedMutexGuard<()>>,
    _shared: OwnedRwLockReadGuard<()>,
}

impl Turns {
    /// Waits for the turn to work on an id.
    pub(crate) async fn on(&self, id: &str) -> Turn {
        let shared = Arc::clone(&self.all).read_owned().await;
        let lock = Arc::clone(
            self.ids.lock().unwrap_or_else(PoisonError::into_inner).entry(id.to_owned()).or_default(),
        );
        let mut turn = Turn { id: id.to_owned(), ids: Arc::clone(&self.ids), guard: None, _shared: shared };
        turn.guard = Some(lock.lock_owned().await);
        turn
    }

    /// Waits until nobody works on anything.
    pub(crate) async fn alone(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.all).write_owned().await
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.guard = None;
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        // Others who wait hold it too.
        if ids.get(&self.id).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            ids.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_for_each_id_and_nothing_is_kept() {
        let turns = Turns::default();
        let first = turns.on("a").await;
        let other = turns.on("b").await;
        let mut second = std::pin::pin!(turns.on("a"));
        let mut alone = std::pin::pin!(turns.alone());
        let waits = |future: &mut std::pin::Pin<&mut dyn Future<Output = ()>>| {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            future.as_mut().poll(&mut context).is_pending()
        };
        let mut second = std::pin::pin!(async { drop(second.as_mut().await) });
        let mut alone = std::pin::pin!(async { drop(alone.as_mut().await) });
        let mut second: std::pin::Pin<&mut dyn Future<Output = ()>> = second.as_mut();
        let mut alone: std::pin::Pin<&mut dyn Future<Output = ()>> = alone.as_mut();
        assert!(waits(&mut second));
        assert!(waits(&mut alone));
        drop(first);
        assert!(!waits(&mut second));
        assert!(waits(&mut alone));
        drop(other);
        assert!(!waits(&mut alone));
        assert!(turns.ids.lock().unwrap().is_empty());
    }
}
