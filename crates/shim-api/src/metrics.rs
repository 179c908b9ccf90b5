//! What a container or a pod uses.

use std::collections::BTreeMap;
use std::time::SystemTime;

/// Which of containerd's two messages carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CgroupVersion {
    /// `io.containerd.cgroups.v1.Metrics`
    V1,
    /// `io.containerd.cgroups.v2.Metrics`
    #[default]
    V2,
}

/// One moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// The interface that it was read from.
    pub version: CgroupVersion,
    /// When, if the message says so.
    pub at: Option<SystemTime>,
    /// Processor time.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Memory,
    /// Processes and threads.
    pub pids: Pids,
    /// Block devices.
    pub blkio: Blkio,
    /// Huge pages by their size.
    pub hugetlb: BTreeMap<String, Hugetlb>,
}

/// Processor time in nanoseconds (microseconds on version 2's wire).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names of the kernel's files")]
pub struct Cpu {
    pub total: u64,
    pub user: u64,
    pub kernel: u64,
    /// Version 1 only.
    pub percpu: Vec<u64>,
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled: u64,
}

/// Memory in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    /// Memory.
    pub usage: MemoryEntry,
    /// Version 1: memory and swap together; version 2: swap.
    pub swap: MemoryEntry,
    /// Version 1 only.
    pub kernel: MemoryEntry,
    /// Version 1 only.
    pub kernel_tcp: MemoryEntry,
    /// Lines of `memory.stat`, as far as the message has a field for them.
    pub stat: BTreeMap<String, u64>,
    /// Lines of `memory.events` (version 2), and `oom_kill` of `memory.oom_control` (version 1).
    pub events: BTreeMap<String, u64>,
}

/// One kind of memory in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names of the kernel's files")]
pub struct MemoryEntry {
    pub limit: u64,
    pub usage: u64,
    pub max: u64,
    /// Version 1 only.
    pub failcnt: u64,
}

/// Processes and threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names of the kernel's files")]
pub struct Pids {
    pub current: u64,
    pub limit: u64,
}

/// Block devices. Version 2 carries the operations `Read` and `Write` of the first two only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names of the kernel's files")]
pub struct Blkio {
    pub service_bytes: Vec<BlkioEntry>,
    pub serviced: Vec<BlkioEntry>,
    pub queued: Vec<BlkioEntry>,
    pub service_time: Vec<BlkioEntry>,
    pub wait_time: Vec<BlkioEntry>,
    pub merged: Vec<BlkioEntry>,
    pub time: Vec<BlkioEntry>,
    pub sectors: Vec<BlkioEntry>,
}

/// One kind of operation on one device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "as in the kernel's files")]
pub struct BlkioEntry {
    pub major: u64,
    pub minor: u64,
    pub op: String,
    pub value: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names of the kernel's files")]
pub struct Hugetlb {
    pub usage: u64,
    pub max: u64,
    pub failcnt: u64,
}
