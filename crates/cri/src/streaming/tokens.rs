//! One-time tokens: what the API has promised to a client that will come with the token, once and soon.

use super::handler::{AttachRequest, ExecRequest, PortForwardRequest};
use rustix::rand::{GetRandomFlags, getrandom};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// More promises at a time are not made: nobody asks for so many and comes for so few.
const MOST: usize = 1000;
const BYTES: usize = 16;

/// What a token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Promise {
    Exec(ExecRequest),
    Attach(AttachRequest),
    PortForward(PortForwardRequest),
}

/// Why no URL is given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The request is wrong; the same request will fail again.
    #[error("{0}")]
    Invalid(&'static str),
    /// Too many clients were promised a session and have not come yet.
    #[error("{MOST} streaming sessions are waiting for their clients: later")]
    TooMany,
    /// The system has no random numbers.
    #[error("make a token")]
    Random(#[source] std::io::Error),
}

/// The promises that are open.
#[derive(Debug)]
pub(super) struct Tokens {
    lifetime: Duration,
    open: Mutex<HashMap<String, (Instant, Promise)>>,
}

impl Promise {
    /// The first part of the path of its URL.
    pub(super) fn verb(&self) -> &'static str {
        match self {
            Self::Exec(_) => "exec",
            Self::Attach(_) => "attach",
            Self::PortForward(_) => "portforward",
        }
    }

    fn validate(&self) -> Result<(), RequestError> {
        let (target, tty, any, stderr) = match self {
            Self::Exec(of) => (&of.container, of.tty, of.stdin || of.stdout || of.stderr, of.stderr),
            Self::Attach(of) => (&of.container, of.tty, of.stdin || of.stdout || of.stderr, of.stderr),
            Self::PortForward(of) => (&of.pod, false, true, false),
        };
        let invalid = |why| Err(RequestError::Invalid(why));
        match self {
            Self::PortForward(_) if target.is_empty() => invalid("missing required pod_sandbox_id"),
            _ if target.is_empty() => invalid("missing required container_id"),
            _ if tty && stderr => invalid("tty and stderr cannot both be true"),
            _ if !any => invalid("one of stdin, stdout, or stderr must be set"),
            Self::Exec(of) if of.command.is_empty() => invalid("missing required cmd"),
            Self::PortForward(of) if of.ports.contains(&0) => invalid("port 0 cannot be forwarded"),
            _ => Ok(()),
        }
    }
}

impl Tokens {
    pub(super) fn new(lifetime: Duration) -> Self {
        Self { lifetime, open: Mutex::new(HashMap::new()) }
    }

    /// Makes a promise.
    pub(super) fn promise(&self, promise: Promise) -> Result<String, RequestError> {
        promise.validate()?;
        let token = random().map_err(|cause| RequestError::Random(cause.into()))?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, (made, _)| made.elapsed() < self.lifetime);
        if open.len() >= MOST {
            return Err(RequestError::TooMany);
        }
        open.insert(token.clone(), (Instant::now(), promise));
        Ok(token)
    }

    /// Keeps a promise. A token that comes for something else than it was given for is spent all the same.
    pub(super) fn redeem(&self, verb: &str, token: &str) -> Option<Promise> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (made, promise) = open.remove(token)?;
        (made.elapsed() < self.lifetime && promise.verb() == verb).then_some(promise)
    }
}

fn random() -> Result<String, rustix::io::Errno> {
    let mut bytes = [0_u8; BYTES];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        filled += rustix::io::retry_on_intr(|| getrandom(&mut *rest, GetRandomFlags::empty()))?;
    }
    Ok(bytes.iter().fold(String::with_capacity(2 * BYTES), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise() -> Promise {
        Promise::PortForward(PortForwardRequest { pod: "p".into(), ports: vec![] })
    }

    #[test]
    fn a_token_is_good_once_for_what_it_was_given_and_for_a_time() {
        let tokens = Tokens::new(Duration::from_secs(60));
        let (first, second) = (tokens.promise(promise()).unwrap(), tokens.promise(promise()).unwrap());
        assert_ne!(first, second);
        assert_eq!(first.len(), 32);
        assert_eq!(tokens.redeem("portforward", &first), Some(promise()));
        assert_eq!(tokens.redeem("portforward", &first), None);
        assert_eq!(tokens.redeem("exec", &second), None);
        assert_eq!(tokens.redeem("portforward", &second), None);
        let tokens = Tokens::new(Duration::ZERO);
        let late = tokens.promise(promise()).unwrap();
        assert_eq!(tokens.redeem("portforward", &late), None);
    }

    #[test]
    fn promises_are_limited_in_number_and_sense() {
        let tokens = Tokens::new(Duration::from_secs(60));
        for _ in 0..MOST {
            tokens.promise(promise()).unwrap();
        }
        assert!(matches!(tokens.promise(promise()), Err(RequestError::TooMany)));
        let exec = ExecRequest { container: "c".into(), command: vec!["x".into()], ..ExecRequest::default() };
        for (bad, why) in [
            (Promise::Exec(exec.clone()), "one of stdin, stdout, or stderr must be set"),
            (
                Promise::Exec(ExecRequest { tty: true, stderr: true, ..exec.clone() }),
                "tty and stderr cannot both be true",
            ),
            (
                Promise::Exec(ExecRequest { container: String::new(), ..exec }),
                "missing required container_id",
            ),
            (Promise::PortForward(PortForwardRequest::default()), "missing required pod_sandbox_id"),
        ] {
            assert_eq!(bad.validate().unwrap_err().to_string(), why);
        }
    }
}
