//! Signal names as `kill` takes them: a number, a name with or without `SIG` in any case, a real-time signal counted
//! from either end, or a console event of Windows for what comes nearest to it.

use rustix::process::Signal;

/// No signal has this name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown signal {0:?}")]
pub(crate) struct UnknownSignal(String);

/// The number of a signal. A number is taken as it is: the kernel refuses what it does not know.
pub(crate) fn number(text: &str) -> Result<i32, UnknownSignal> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    named(name).map(Signal::as_raw).or_else(|| real_time(name)).ok_or_else(|| UnknownSignal(text.to_owned()))
}

fn named(name: &str) -> Option<Signal> {
    Some(match name {
        "ABRT" | "IOT" => Signal::ABORT,
        "ALRM" => Signal::ALARM,
        "BUS" => Signal::BUS,
        "CHLD" | "CLD" => Signal::CHILD,
        "CONT" => Signal::CONT,
        "FPE" => Signal::FPE,
        "HUP" | "CTRLCLOSE" | "CTRLLOGOFF" => Signal::HUP,
        "ILL" => Signal::ILL,
        "INT" | "CTRLC" => Signal::INT,
        "IO" | "POLL" => Signal::IO,
        "KILL" => Signal::KILL,
        "PIPE" => Signal::PIPE,
        "PROF" => Signal::PROF,
        "PWR" => Signal::POWER,
        "QUIT" | "CTRLBREAK" => Signal::QUIT,
        "SEGV" => Signal::SEGV,
        #[cfg(not(any(target_arch = "mips", target_arch = "mips64", target_arch = "sparc64")))]
        "STKFLT" => Signal::STKFLT,
        "STOP" => Signal::STOP,
        "SYS" => Signal::SYS,
        "TERM" | "CTRLSHUTDOWN" => Signal::TERM,
        "TRAP" => Signal::TRAP,
        "TSTP" => Signal::TSTP,
        "TTIN" => Signal::TTIN,
        "TTOU" => Signal::TTOU,
        "URG" => Signal::URG,
        "USR1" => Signal::USR1,
        "USR2" => Signal::USR2,
        "VTALRM" => Signal::VTALARM,
        "WINCH" => Signal::WINCH,
        "XCPU" => Signal::XCPU,
        "XFSZ" => Signal::XFSZ,
        _ => return None,
    })
}

/// `RTMIN`, `RTMIN+n`, `RTMAX-n`. The first two real-time signals belong to the C library's threads.
fn real_time(name: &str) -> Option<i32> {
    const FIRST: i32 = 34;
    const LAST: i32 = 64;
    let offset = |rest: &str, sign: char| match rest.strip_prefix(sign) {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse::<i32>().ok(),
        None if rest.is_empty() => Some(0),
        _ => None,
    };
    let signal = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => FIRST.checked_add(offset(rest, '+')?)?,
        (_, Some(rest)) => LAST.checked_sub(offset(rest, '-')?)?,
        _ => return None,
    };
    (FIRST..=LAST).contains(&signal).then_some(signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_and_console_events_are_signals() {
        let signals = [
            ("SIGKILL", 9),
            ("kill", 9),
            ("SigTerm", 15),
            ("15", 15),
            ("0", 0),
            ("-1", -1),
            ("usr1", 10),
            ("SIGRTMIN", 34),
            ("rtmin+3", 37),
            ("RTMAX", 64),
            ("SIGRTMAX-14", 50),
            ("CtrlC", 2),
            ("CtrlBreak", 3),
            ("CtrlClose", 1),
            ("CtrlLogOff", 1),
            ("CtrlShutdown", 15),
        ];
        for (text, signal) in signals {
            assert_eq!(number(text), Ok(signal), "{text}");
        }
    }

    #[test]
    fn what_is_no_signal_is_told_in_runcs_words() {
        assert_eq!(number("BOGUS").unwrap_err().to_string(), "unknown signal \"BOGUS\"");
        for text in
            ["", "SIG", "SIGSIGKILL", "RTMIN+31", "RTMAX-31", "RTMIN-1", "RTMIN+", "RTMIN++1", "kill "]
        {
            assert!(number(text).is_err(), "{text:?}");
        }
    }
}
