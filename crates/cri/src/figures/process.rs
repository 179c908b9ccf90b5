//! The figures of this process, by the names that every exporter gives them.

use std::fmt;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Looks when it is asked.
#[derive(Debug)]
pub(super) struct Process {
    /// In seconds since 1970.
    started: f64,
}

impl Process {
    /// Of this process, whose work begins with its figures.
    pub(super) fn begins() -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: started.as_secs_f64() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let cpu = ConstCounter::new(processor_seconds());
        let kind = cpu.metric_type();
        let seconds = Some(&Unit::Seconds);
        cpu.encode(encoder.encode_descriptor("process_cpu", "Processor time used", seconds, kind)?)?;
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: f64| {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
        };
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let bytes = Some(&Unit::Bytes);
        gauge("process_resident_memory", "Memory in use", bytes, field(&status, "VmRSS") * 1024.0)?;
        gauge("process_virtual_memory", "Addresses in use", bytes, field(&status, "VmSize") * 1024.0)?;
        gauge("process_threads", "Threads", None, field(&status, "Threads"))?;
        gauge("process_start_time", "When it was started, since 1970", seconds, self.started)?;
        let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        gauge("process_open_fds", "Open files", None, float(u64::try_from(open).unwrap_or(0)))?;
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        gauge("process_max_fds", "How many files may be open", None, float(limit))
    }
}

fn processor_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    float(u64::try_from(used.tv_sec).unwrap_or(0)) + float(u64::try_from(used.tv_nsec).unwrap_or(0)) / 1e9
}

/// A number of `/proc/self/status`, in its unit.
fn field(status: &str, name: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

#[expect(clippy::cast_precision_loss, reason = "figures are floating-point numbers there")]
fn float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_status_are_found_by_their_name() {
        let status = "Name:\tVmRSS: 5\nVmRSSx:\t1 kB\nVmRSS:\t    2048 kB\nThreads:\t7\n";
        assert_eq!(
            (field(status, "VmRSS"), field(status, "Threads"), field(status, "VmSize")),
            (2048.0, 7.0, 0.0)
        );
        assert!(processor_seconds() > 0.0);
    }
}
