//! The names in the UTS namespace.

use super::error::Error;
use rustix::system::{setdomainname, sethostname};

/// Names the host.
pub fn set_hostname(name: &str) -> Result<(), Error> {
    sethostname(name.as_bytes()).map_err(Error::system(format!("sethostname {name:?}")))
}

/// Names the NIS domain.
pub fn set_domainname(name: &str) -> Result<(), Error> {
    setdomainname(name.as_bytes()).map_err(Error::system(format!("setdomainname {name:?}")))
}
