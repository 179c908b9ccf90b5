//! Deleting takes time, so whoever removes something only moves it into the trash; a thread empties that.
//!
//! Drafts live in the trash from the start: whatever is there when a process starts is nobody's.

use crate::error::{Result, io_error};
use crate::tree::{self, Removed};
use rustix::fs::{IFlags, Mode, OFlags};
use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// The trash, and the thread that empties it.
pub(super) struct Reaper {
    bin: Bin,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The way into the trash, for those who outlive a borrow.
#[derive(Clone)]
pub(super) struct Bin {
    folder: PathBuf,
    names: Arc<AtomicU64>,
    queue: Arc<Mutex<Option<Sender<Job>>>>,
}

enum Job {
    Delete(CString),
    /// Names of this folder must have left the disk before anything that was below them does.
    Sync(PathBuf),
    Tell(Sender<()>),
}

impl Reaper {
    /// Starts emptying `folder`, which is made if it is not there.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(io_error("create", folder))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let trash = rustix::fs::open(folder, flags, Mode::empty()).map_err(io_error("open", folder))?;
        spread(&trash);
        let (left, highest) = leftovers(folder)?;
        let names = Arc::new(AtomicU64::new(highest + 1));
        let (sender, receiver) = mpsc::channel();
        for name in left {
            // The other end is in this function.
            let _ = sender.send(Job::Delete(name));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (names, stop, folder) = (names.clone(), stop.clone(), folder.to_owned());
            let work = move || empty(&trash, &folder, &receiver, &names, &stop);
            let started = std::thread::Builder::new().name("snapshot-reaper".to_owned()).spawn(work);
            started.map_err(io_error("start a thread to empty", Path::new("the trash")))?
        };
        let bin = Bin { folder: folder.to_owned(), names, queue: Arc::new(Mutex::new(Some(sender))) };
        Ok(Self { bin, stop, thread: Some(thread) })
    }

    /// The way into the trash.
    pub(super) fn bin(&self) -> &Bin {
        &self.bin
    }
}

/// Every folder begins its life here, and none has to do with the others. Told so, ext4 looks for a part of the disk with
/// room for each. Otherwise it puts them all where it has put the first, where layers that are unpacked at the same time
/// wait for each other and new files search among those that were just deleted. Other file systems know no such hint.
fn spread(folder: &OwnedFd) {
    if let Ok(flags) = rustix::fs::ioctl_getflags(folder)
        && let Err(error) = rustix::fs::ioctl_setflags(folder, flags | IFlags::TOPDIR)
    {
        log::debug!("the file system takes no hint where to put folders: {error}");
    }
}

impl Drop for Reaper {
    /// What is not deleted by now is at the next start.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.bin.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.take() {
            // It panicked: there is nothing of it left to clean up.
            let _ = thread.join();
        }
    }
}

impl Bin {
    /// A path in the trash that nothing has.
    pub(super) fn fresh(&self) -> PathBuf {
        self.folder.join(self.names.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// Whether the path was made by [`Bin::fresh`].
    pub(super) fn holds(&self, path: &Path) -> bool {
        path.parent() == Some(&self.folder)
    }

    /// Moves something here, to be deleted. What is not there is no error.
    pub(super) fn take(&self, path: &Path) -> Result<()> {
        let fresh = self.fresh();
        match fs::rename(path, &fresh) {
            Ok(()) => self.delete(&fresh),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error("remove", path)(error)),
        }
        Ok(())
    }

    /// Deletes what is here already.
    pub(super) fn delete(&self, path: &Path) {
        let name = path.file_name().and_then(|name| CString::new(name.as_encoded_bytes()).ok());
        if let Some(name) = name {
            self.send(Job::Delete(name));
        }
    }

    /// Before anything that is taken from now on is deleted, the names of `folder` are synced.
    pub(super) fn sync_first(&self, folder: &Path) {
        self.send(Job::Sync(folder.to_owned()));
    }

    /// Waits until all that was taken so far is deleted.
    pub(super) fn wait_empty(&self) {
        let (sender, receiver) = mpsc::channel();
        self.send(Job::Tell(sender));
        // The thread has ended: it deletes nothing any more.
        let _ = receiver.recv();
    }

    fn send(&self, job: Job) {
        if let Some(queue) = &*self.queue.lock().unwrap_or_else(PoisonError::into_inner) {
            // The thread has ended: what lies here is swept at the next start.
            let _ = queue.send(job);
        }
    }
}

/// What lies in the trash, and the highest number that is a name there.
fn leftovers(folder: &Path) -> Result<(Vec<CString>, u64)> {
    let (mut left, mut highest) = (Vec::new(), 0);
    for entry in fs::read_dir(folder).map_err(io_error("list", folder))? {
        let name = entry.map_err(io_error("list", folder))?.file_name();
        highest = highest.max(name.to_str().and_then(|name| name.parse().ok()).unwrap_or(0));
        left.extend(CString::new(name.as_encoded_bytes()));
    }
    Ok((left, highest))
}

fn empty(trash: &OwnedFd, folder: &Path, jobs: &Receiver<Job>, names: &AtomicU64, stop: &AtomicBool) {
    for job in jobs {
        match job {
            Job::Delete(name) => match tree::remove(trash.as_fd(), &name, names, stop) {
                Ok(Removed::All) => {}
                Ok(Removed::Stopped) => return,
                // Nobody waits for an answer; the next start tries again.
                Err(error) => {
                    log::warn!("delete {}: {error}", folder.join(name.to_string_lossy().as_ref()).display());
                }
            },
            Job::Sync(names_of) => {
                if let Err(error) = super::records::sync_folder(&names_of) {
                    log::warn!("{error}");
                }
            }
            // Nobody waits any more.
            Job::Tell(waiting) => drop(waiting.send(())),
        }
    }
}
