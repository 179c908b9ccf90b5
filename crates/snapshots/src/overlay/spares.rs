//! Folders for roots to come, made ahead by a thread: a file system that has just deleted a lot takes a good part of a
//! millisecond for each new folder, and a container that starts waits for it.
//!
//! They lie in the trash, so those that were not used are swept at the next start.

use super::reaper::Bin;
use super::roots;
use crate::error::{Result, io_error};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// As many as a pod has containers, mostly.
const WANTED: usize = 4;

/// Folders that are made, and the thread that makes them.
pub(super) struct Spares {
    shelf: Arc<Shelf>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shelf {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    ready: Vec<PathBuf>,
    /// How many were taken since the thread last looked.
    missing: usize,
    stop: bool,
}

impl Spares {
    /// Begins to make them.
    pub(super) fn start(bin: Bin) -> Result<Self> {
        let shelf = Arc::new(Shelf::default());
        shelf.state().missing = WANTED;
        let thread = {
            let shelf = shelf.clone();
            let started = std::thread::Builder::new()
                .name("snapshot-spares".to_owned())
                .spawn(move || fill(&shelf, &bin));
            started.map_err(io_error("start a thread to fill", Path::new("the shelf")))?
        };
        Ok(Self { shelf, thread: Some(thread) })
    }

    /// A folder with all that [`roots::make_folders`] makes, if one is ready.
    pub(super) fn take(&self) -> Option<PathBuf> {
        let mut state = self.shelf.state();
        let spare = state.ready.pop()?;
        state.missing += 1;
        Some(spare)
    }

    /// Replaces what was taken. Not before who took it is done: both need the trash, and one would wait for the other.
    pub(super) fn refill(&self) {
        self.shelf.changed.notify_all();
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        self.shelf.state().stop = true;
        self.shelf.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It panicked: there is nothing of it left to clean up.
            let _ = thread.join();
        }
    }
}

impl Shelf {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fill(shelf: &Shelf, bin: &Bin) {
    loop {
        let mut state = shelf.state();
        while state.missing == 0 && !state.stop {
            state = shelf.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.stop {
            return;
        }
        state.missing -= 1;
        drop(state);
        let folder = bin.fresh();
        match roots::make_folders(&folder) {
            Ok(()) => shelf.state().ready.push(folder),
            // Whoever needs one makes it, and hears why that fails.
            Err(_) => bin.delete(&folder),
        }
    }
}
