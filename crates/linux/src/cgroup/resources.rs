//! Applies `linux.resources`: once when a container is made, and again for what an update changes.
//!
//! Each limit goes where its controller is, which in a hybrid layout may be either version. A limit that has no
//! controller to go to is an error, never silently without effect.

use super::dir::Dir;
use super::error::{Error, Result};
use super::layout::{Kind, Version};
use super::v2::IoWeights;
use super::{Cgroup, devices, systemd, v1, v2, write};
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};
use rustix::fs::OFlags;
use rustix::io::Errno;
use write::{Write, set};

impl Cgroup {
    /// All of a new container's resources, and the rules for its devices.
    pub fn set(&self, resources: &LinuxResources) -> Result<()> {
        let policy = devices::Policy::of_spec(resources.devices().as_deref().unwrap_or_default())?;
        self.check_unified(resources)?;
        self.set_unit(resources, Some(&policy))?;
        self.set_limits(resources)?;
        match self.set_devices(&policy) {
            // Whoever cannot make cgroups cannot make device nodes either.
            Err(error) if self.placement.rootless => {
                log::debug!("device rules: {}", compute::Error::from(error));
                Ok(())
            }
            other => other,
        }?;
        self.set_unified(resources)
    }

    /// The limits that are given; the others, and the devices, stay.
    pub fn update(&self, resources: &LinuxResources) -> Result<()> {
        self.check_unified(resources)?;
        self.set_unit(resources, None)?;
        self.set_limits(resources)?;
        self.set_unified(resources)
    }

    fn set_limits(&self, resources: &LinuxResources) -> Result<()> {
        if let Some(pids) = resources.pids() {
            self.write("pids", &v1::pids(pids))?;
        }
        if let Some(memory) = resources.memory() {
            self.set_memory(memory)?;
        }
        if let Some(block) = resources.block_io() {
            self.set_block_io(block)?;
        }
        if let Some(cpu) = resources.cpu() {
            self.set_cpu(cpu)?;
            self.write("cpuset", &v1::cpuset(cpu))?;
        }
        if let Some(limits) = resources.hugepage_limits().as_deref().filter(|limits| !limits.is_empty()) {
            let suffix = match self.version_of("hugetlb")? {
                Version::V1 => "limit_in_bytes",
                Version::V2 => "max",
            };
            self.write("hugetlb", &v1::hugetlb(limits, suffix))?;
        }
        if let Some(limits) = resources.rdma() {
            self.write("rdma", &v1::rdma(limits))?;
        }
        if let Some(network) = resources.network() {
            self.write("net_cls", &v1::net_cls(network))?;
            self.write("net_prio", &v1::net_prio(network))?;
        }
        Ok(())
    }

    fn set_memory(&self, memory: &LinuxMemory) -> Result<()> {
        let wanted = set(memory.limit()).is_some()
            || set(memory.swap()).is_some()
            || set(memory.reservation()).is_some()
            || memory.swappiness().is_some()
            || memory.disable_oom_killer() == Some(true);
        if !wanted {
            return Ok(());
        }
        let (dir, version) = self.needed("memory")?;
        match version {
            Version::V1 => set_memory_v1(dir, memory),
            Version::V2 => {
                self.check_memory_usage(memory)?;
                write::apply(dir, &v2::memory(memory, memory_limit_now(dir, memory)?)?)
            }
        }
    }

    /// With `checkBeforeUpdate`, refuses a limit that is below what is used, which the kernel would answer by killing.
    fn check_memory_usage(&self, memory: &LinuxMemory) -> Result<()> {
        if memory.check_before_update() != Some(true) {
            return Ok(());
        }
        match self.host_dir("memory")? {
            Some((dir, Version::V2)) => match dir.number("memory.current") {
                Ok(Some(usage)) => v2::check_usage(memory, usage),
                // Unknown is not in the way.
                Ok(None) | Err(_) => Ok(()),
            },
            // Version 1 refuses by itself.
            Some((_, Version::V1)) | None => Ok(()),
        }
    }

    fn set_cpu(&self, cpu: &LinuxCpu) -> Result<()> {
        let wanted = set(cpu.shares()).is_some()
            || set(cpu.quota()).is_some()
            || set(cpu.period()).is_some()
            || set(cpu.realtime_runtime()).is_some()
            || set(cpu.realtime_period()).is_some()
            || cpu.burst().is_some()
            || cpu.idle().is_some();
        if !wanted {
            return Ok(());
        }
        let (dir, version) = self.needed("cpu")?;
        match version {
            Version::V1 => {
                write::apply(dir, &v1::cpu(cpu)?)?;
                write::apply(dir, &v1::realtime(cpu))
            }
            Version::V2 => write::apply(dir, &v2::cpu(cpu, cpu_max_now(dir, cpu)?.as_deref())?),
        }
    }

    fn set_block_io(&self, block: &LinuxBlockIo) -> Result<()> {
        let pure = v1::blkio(block, false);
        if pure.is_empty() {
            return Ok(());
        }
        let (dir, version) = self.needed("blkio")?;
        match version {
            Version::V1 => write::apply(dir, &v1::blkio(block, dir.has("blkio.bfq.weight"))),
            Version::V2 => {
                let asks = set(block.weight()).is_some() || block.weight_device().is_some();
                let weights = if asks { io_weights(dir)? } else { IoWeights::Io };
                write::apply(dir, &v2::io(block, weights))
            }
        }
    }

    fn set_devices(&self, policy: &devices::Policy) -> Result<()> {
        if in_user_namespace() {
            return Ok(());
        }
        match self.host("devices") {
            None if policy.allows_all() => Ok(()),
            None => Err(self.missing("devices")),
            Some((index, Version::V1)) => devices::set_v1(self.dir(index)?, policy),
            Some((index, Version::V2)) => devices::set_v2(self.dir(index)?, policy),
        }
    }

    /// In version 1 the map means nothing, but for the controllers that cgroup2 has beside it.
    fn check_unified(&self, resources: &LinuxResources) -> Result<()> {
        let Some(map) = resources.unified() else { return Ok(()) };
        let pairs = v2::unified(map)?;
        if self.placement.layout == Kind::V2 {
            return Ok(());
        }
        let foreign = |(key, _): &(&str, &str)| {
            let controller = key.split('.').next().unwrap_or_default();
            controller != "cgroup" && !matches!(self.host(controller), Some((_, Version::V2)))
        };
        if pairs.iter().any(foreign) {
            return Err(Error::Invalid("invalid configuration: cannot use unified on cgroup v1".into()));
        }
        Ok(())
    }

    fn set_unified(&self, resources: &LinuxResources) -> Result<()> {
        let Some(map) = resources.unified().as_ref().filter(|map| !map.is_empty()) else { return Ok(()) };
        let index = self.placement.hierarchies.iter().position(|h| h.version == Version::V2);
        let Some(index) = index else { return Err(self.missing("unified")) };
        let dir = self.dir(index)?;
        for (key, value) in v2::unified(map)? {
            for line in value.lines().filter(|line| !line.is_empty()) {
                dir.write(key, line).map_err(|error| self.explain_unified(index, key, error))?;
            }
        }
        Ok(())
    }

    fn explain_unified(&self, index: usize, key: &str, error: Error) -> Error {
        let controller = key.split('.').next().unwrap_or_default();
        let hierarchy = self.placement.hierarchies.get(index);
        let there = hierarchy.is_some_and(|h| h.controllers.iter().any(|c| c == controller));
        if (error.is_permission() || error.is_errno(Errno::NOENT)) && !there && controller != "cgroup" {
            return Error::Unsupported(format!(
                "unified resource {key:?} can't be set: controller {controller:?} not available"
            ));
        }
        error.context(format!("unable to set unified resource {key:?}"))
    }

    fn write(&self, controller: &str, writes: &[Write]) -> Result<()> {
        if writes.is_empty() {
            return Ok(());
        }
        write::apply(self.needed(controller)?.0, writes)
    }

    fn version_of(&self, controller: &str) -> Result<Version> {
        self.host(controller).map(|(_, version)| version).ok_or_else(|| self.missing(controller))
    }

    fn needed(&self, controller: &str) -> Result<(&Dir, Version)> {
        let (index, version) = self.host(controller).ok_or_else(|| self.missing(controller))?;
        Ok((self.dir(index)?, version))
    }

    fn missing(&self, controller: &str) -> Error {
        if self.placement.hierarchies.is_empty() && self.placement.layout == Kind::V2 {
            return Error::Unsupported(
                "rootless needs no limits + no cgrouppath when no permission is granted for cgroups".into(),
            );
        }
        Error::Unsupported(format!(
            "cannot set {controller} limit: container could not join or create cgroup"
        ))
    }

    /// systemd must know the limits it is asked about, or it takes them back one day. With version 1 it rewrites all
    /// device rules on any change, so the processes are held still meanwhile, and its work is corrected afterwards.
    fn set_unit(&self, resources: &LinuxResources, policy: Option<&devices::Policy>) -> Result<()> {
        let Some(unit) = &self.placement.unit else { return Ok(()) };
        if let Some(memory) = resources.memory() {
            self.check_memory_usage(memory)?;
        }
        let now = systemd::Now {
            memory_limit: match (self.host_dir("memory")?, resources.memory()) {
                (Some((dir, Version::V2)), Some(memory)) => memory_limit_now(dir, memory)?,
                _ => None,
            },
            cpu_max: match (self.host_dir("cpu")?, resources.cpu()) {
                (Some((dir, Version::V2)), Some(cpu)) => cpu_max_now(dir, cpu)?,
                (Some((dir, Version::V1)), Some(cpu)) => cpu_max_now_v1(dir, cpu)?,
                _ => None,
            },
        };
        let apply = || systemd::set(unit, self.placement.layout, resources, policy, &now);
        match self.host_dir("devices")? {
            Some((dir, Version::V1)) => {
                let before = devices::in_force_v1(dir)?;
                let hold = !self.frozen()?;
                if hold {
                    self.freeze()?;
                }
                let result = apply().and_then(|()| devices::set_v1(dir, policy.unwrap_or(&before)));
                if hold { self.thaw().and(result) } else { result }
            }
            Some((dir, Version::V2)) => {
                let before = devices::attached(dir);
                apply()?;
                devices::detach_newer(dir, &before);
                Ok(())
            }
            None => apply(),
        }
    }
}

fn set_memory_v1(dir: &Dir, memory: &LinuxMemory) -> Result<()> {
    let now = v1::MemoryNow {
        limit: if set(memory.limit()).is_some() && set(memory.swap()).is_some() {
            dir.number(v1::MEMORY_LIMIT)?.unwrap_or(u64::MAX)
        } else {
            u64::MAX
        },
        accounts_swap: memory.limit() == Some(-1) && dir.has(v1::MEMORY_AND_SWAP_LIMIT),
    };
    let writes = v1::memory(memory, now)?;
    match write::apply(dir, &writes) {
        Err(Error::Write { value, path, cause })
            if cause.raw_os_error() == Some(Errno::BUSY.raw_os_error())
                && path.ends_with(v1::MEMORY_LIMIT) =>
        {
            let usage = dir.number("memory.usage_in_bytes")?.unwrap_or_default();
            let peak = dir.number("memory.max_usage_in_bytes")?.unwrap_or_default();
            Err(Error::Invalid(format!(
                "unable to set memory limit to {value} (current usage: {usage}, peak usage: {peak})"
            )))
        }
        other => other,
    }
}

/// Only read when the request has a swap limit without a memory limit. -1 is none.
fn memory_limit_now(dir: &Dir, memory: &LinuxMemory) -> Result<Option<i64>> {
    if set(memory.swap()).is_none_or(|swap| swap < 0) || set(memory.limit()).is_some() {
        return Ok(None);
    }
    Ok(dir.number("memory.max")?.map(|limit| i64::try_from(limit).unwrap_or(-1)))
}

/// Only read when the request has one of quota and period.
fn cpu_max_now(dir: &Dir, cpu: &LinuxCpu) -> Result<Option<String>> {
    if set(cpu.quota()).is_some() == set(cpu.period()).is_some() {
        return Ok(None);
    }
    dir.read_optional("cpu.max")
}

/// The same in the form of cgroup2.
fn cpu_max_now_v1(dir: &Dir, cpu: &LinuxCpu) -> Result<Option<String>> {
    if set(cpu.quota()).is_some() == set(cpu.period()).is_some() {
        return Ok(None);
    }
    let (quota, period) = (dir.read_optional("cpu.cfs_quota_us")?, dir.read_optional("cpu.cfs_period_us")?);
    Ok(quota.zip(period).map(|(quota, period)| {
        let quota = if quota.trim() == "-1" { "max" } else { quota.trim() };
        format!("{quota} {}", period.trim())
    }))
}

/// A kernel that knows weights of single devices shows a name before the default one.
fn io_weights(dir: &Dir) -> Result<IoWeights> {
    let file = match dir.open_file("io.bfq.weight", OFlags::RDONLY) {
        Ok(file) => file,
        Err(error) if error.is_errno(Errno::NOENT) => return Ok(IoWeights::Io),
        Err(error) => return Err(error),
    };
    let mut buffer = [0; 32];
    let length = super::dir::retry(|| rustix::io::read(&file, &mut buffer))
        .map_err(|errno| Error::on("read", &dir.path().join("io.bfq.weight"), errno))?;
    let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
    Ok(if text.trim().parse::<u64>().is_ok() { IoWeights::Bfq } else { IoWeights::BfqDevices })
}

/// There neither kind of device rule can be set, and no device node can be made.
fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let mut fields = map.split_whitespace();
    let whole = [Some("0"), Some("0"), Some("4294967295")];
    !map.is_empty() && whole.iter().any(|expected| fields.next() != *expected)
}
