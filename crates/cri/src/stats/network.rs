//! The traffic of a pod's interfaces.

use std::fs;

use ::network::netns;

use crate::clock;
use crate::state::Pod;
use crate::wire::v1::{NetworkInterfaceUsage, NetworkUsage, UInt64Value};

/// The interface that counts as the pod's.
const DEFAULT: &str = "eth0";

/// What went through one interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) interface: String,
    pub(crate) received: Direction,
    pub(crate) sent: Direction,
}

/// One direction of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Direction {
    pub(crate) bytes: u64,
    pub(crate) packets: u64,
    pub(crate) errors: u64,
    pub(crate) dropped: u64,
}

/// As the interface has it; nothing where the network is the host's or cannot be looked at.
pub(super) fn usage(pod: &Pod, pid: Option<i32>) -> Option<NetworkUsage> {
    let all = traffic(pod, pid);
    let mut interfaces: Vec<NetworkInterfaceUsage> = all.iter().map(interface).collect();
    let default = interfaces.iter().position(|interface| interface.name == DEFAULT);
    let default_interface = default.map(|at| interfaces.remove(at));
    if default_interface.is_none() && interfaces.is_empty() {
        return None;
    }
    Some(NetworkUsage { timestamp: clock::now(), default_interface, interfaces })
}

/// The traffic of every interface but the loopback, by a process in the pod or, if there is none, by a visit.
pub(crate) fn traffic(pod: &Pod, pid: Option<i32>) -> Vec<Traffic> {
    let text = match pid {
        Some(pid) if pid > 0 => fs::read_to_string(format!("/proc/{pid}/net/dev")).ok(),
        _ => netns::within(&pod.pins().net(), || fs::read_to_string("/proc/thread-self/net/dev").ok())
            .ok()
            .flatten(),
    };
    parse(&text.unwrap_or_default())
}

fn parse(text: &str) -> Vec<Traffic> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let of = |(name, numbers): (&str, &str)| {
        let numbers: Vec<u64> = numbers.split_whitespace().map_while(|number| number.parse().ok()).collect();
        let direction = |at: usize| {
            let [bytes, packets, errors, dropped] = *numbers.get(at..at + 4)? else { return None };
            Some(Direction { bytes, packets, errors, dropped })
        };
        Some(Traffic { interface: name.trim().to_owned(), received: direction(0)?, sent: direction(8)? })
    };
    lines.filter_map(of).filter(|traffic| traffic.interface != "lo").collect()
}

fn interface(traffic: &Traffic) -> NetworkInterfaceUsage {
    let value = |value| Some(UInt64Value { value });
    NetworkInterfaceUsage {
        name: traffic.interface.clone(),
        rx_bytes: value(traffic.received.bytes),
        rx_errors: value(traffic.received.errors),
        tx_bytes: value(traffic.sent.bytes),
        tx_errors: value(traffic.sent.errors),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_but_the_loopback_are_read() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop|bytes\n\
                    \x20   lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n\
                    \x20 eth0: 10 2 3 4 0 0 0 0 20 5 6 7 0 0 0 0\n";
        let all = parse(text);
        let received = Direction { bytes: 10, packets: 2, errors: 3, dropped: 4 };
        let sent = Direction { bytes: 20, packets: 5, errors: 6, dropped: 7 };
        assert_eq!(all, [Traffic { interface: "eth0".to_owned(), received, sent }]);
    }
}
