//! The verbs of containers, one file each.
//!
//! | state   | start   | stop    | remove                   | exec | update  |
//! |---------|---------|---------|--------------------------|------|---------|
//! | created | running | created | gone                     | –    | ok      |
//! | running | –       | exited  | gone, killed on the way  | ok   | ok      |
//! | exited  | –       | exited  | gone                     | –    | –       |

mod checkpoint;
mod create;
mod exec;
mod list;
mod logs;
mod relabel;
mod remove;
mod start;
mod status;
mod stop;
mod update;
mod urls;

pub(crate) use checkpoint::checkpoint;
pub(crate) use create::create;
pub(crate) use exec::{Fifos, exec_sync, first_process, forget, running};
pub(crate) use list::list;
pub(crate) use logs::reopen_log;
pub(crate) use remove::{remove, remove_container, remove_leftovers};
pub(crate) use start::{ended, read_outcome, reap, reap_leftovers, start, watch};
pub(crate) use status::{status, status_response};
pub(crate) use stop::{kill, stop};
pub(crate) use update::{set_limits, update_resources};
pub(crate) use urls::{attach_url, exec_url};
