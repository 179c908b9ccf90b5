//! Signals: the interface's numbering is its own.

use crate::error::{Error, Result};
use crate::wire::v1::Signal;

/// The first real-time signal that programs may use, and the last.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

const NAMES: [(&str, i32); 33] = [
    ("SIGHUP", 1),
    ("SIGINT", 2),
    ("SIGQUIT", 3),
    ("SIGILL", 4),
    ("SIGTRAP", 5),
    ("SIGABRT", 6),
    ("SIGIOT", 6),
    ("SIGBUS", 7),
    ("SIGFPE", 8),
    ("SIGKILL", 9),
    ("SIGUSR1", 10),
    ("SIGSEGV", 11),
    ("SIGUSR2", 12),
    ("SIGPIPE", 13),
    ("SIGALRM", 14),
    ("SIGTERM", 15),
    ("SIGSTKFLT", 16),
    ("SIGCHLD", 17),
    ("SIGCLD", 17),
    ("SIGCONT", 18),
    ("SIGSTOP", 19),
    ("SIGTSTP", 20),
    ("SIGTTIN", 21),
    ("SIGTTOU", 22),
    ("SIGURG", 23),
    ("SIGXCPU", 24),
    ("SIGXFSZ", 25),
    ("SIGVTALRM", 26),
    ("SIGPROF", 27),
    ("SIGWINCH", 28),
    ("SIGIO", 29),
    ("SIGPOLL", 29),
    ("SIGPWR", 30),
];

/// A signal as an image names it: `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`.
pub(crate) fn of_name(text: &str) -> Result<i32> {
    let unknown = || Error::invalid(format!("{text:?} is no signal"));
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=RTMAX).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let upper = text.to_ascii_uppercase();
    let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    if full == "SIGSYS" {
        return Ok(31);
    }
    if let Some((_, number)) = NAMES.iter().find(|(name, _)| *name == full) {
        return Ok(*number);
    }
    let real_time = |rest: &str, base: i32, sign: i32| {
        let offset = if rest.is_empty() { 0 } else { rest.get(1..)?.parse::<i32>().ok()? };
        Some(base + sign * offset).filter(|number| (RTMIN..=RTMAX).contains(number))
    };
    if let Some(rest) = full.strip_prefix("SIGRTMIN") {
        return real_time(rest, RTMIN, 1).ok_or_else(unknown);
    }
    if let Some(rest) = full.strip_prefix("SIGRTMAX") {
        return real_time(rest, RTMAX, -1).ok_or_else(unknown);
    }
    Err(unknown())
}

/// The kernel's number of the interface's signal; nothing for "the runtime's default".
pub(crate) fn of_wire(signal: Signal) -> Result<Option<i32>> {
    if signal == Signal::RuntimeDefault {
        return Ok(None);
    }
    let name = signal.as_str_name().replace("PLUS", "+").replace("MINUS", "-");
    of_name(&name).map(Some)
}

/// The interface's signal of the kernel's number.
pub(crate) fn to_wire(number: i32) -> Signal {
    let all = (0..=65).filter_map(|value| Signal::try_from(value).ok());
    all.into_iter()
        .find(|signal| matches!(of_wire(*signal), Ok(Some(found)) if found == number))
        .unwrap_or(Signal::RuntimeDefault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let numbers =
            ["TERM", "sigkill", "3", "SIGRTMIN+3", "RTMAX-1", "SIGSYS"].map(|name| of_name(name).unwrap());
        assert_eq!(numbers, [15, 9, 3, 37, 63, 31]);
        for wrong in ["", "SIGNOPE", "0", "65", "SIGRTMIN+40"] {
            assert!(of_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_signal_of_the_interface_is_one_of_the_kernel_and_comes_back() {
        for value in 1..=65 {
            let signal = Signal::try_from(value).unwrap();
            let number = of_wire(signal).unwrap().unwrap();
            assert_eq!(of_wire(to_wire(number)).unwrap(), Some(number), "{signal:?}");
        }
    }
}
