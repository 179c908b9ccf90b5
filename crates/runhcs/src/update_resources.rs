//! The limits that `update` takes as options, and what they are in the OCI runtime specification.

use crate::units;
use anyhow::Context as _;
use clap::Args;
use oci_spec::runtime::{
    LinuxBlockIoBuilder, LinuxCpuBuilder, LinuxMemory, LinuxMemoryBuilder, LinuxPidsBuilder, LinuxResources,
};
use std::str::FromStr;

/// Options of `update`. They are texts so that a wrong one is told in runc's words.
#[derive(Debug, Default, Args)]
pub(crate) struct Limits {
    /// Relative weight of block I/O, 10 to 1000.
    #[arg(long, value_name = "WEIGHT")]
    blkio_weight: Option<u16>,
    /// Length of a CPU period in microseconds; 0 is the system's default.
    #[arg(long, value_name = "USECS")]
    cpu_period: Option<String>,
    /// CPU time in each period in microseconds; -1 is no limit.
    #[arg(long, value_name = "USECS")]
    cpu_quota: Option<String>,
    /// CPU time in microseconds that may be saved up for a burst.
    #[arg(long, value_name = "USECS")]
    cpu_burst: Option<String>,
    /// Relative weight of CPU time.
    #[arg(long, value_name = "SHARES")]
    cpu_share: Option<String>,
    /// Length of a real-time period in microseconds.
    #[arg(long, value_name = "USECS")]
    cpu_rt_period: Option<String>,
    /// Real-time CPU time in each period in microseconds.
    #[arg(long, value_name = "USECS")]
    cpu_rt_runtime: Option<String>,
    /// CPUs to run on, such as 0-2,7.
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use, such as 0-1.
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Memory limit, with a unit such as 64m; -1 is no limit.
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// 1 to run only when nobody else wants to (SCHED_IDLE), 0 not to.
    #[arg(long, value_name = "BOOL")]
    cpu_idle: Option<String>,
    /// Memory that is kept when others need some.
    #[arg(long, value_name = "SIZE")]
    memory_reservation: Option<String>,
    /// Limit of memory and swap together; -1 is no limit.
    #[arg(long, value_name = "SIZE")]
    memory_swap: Option<String>,
    /// Limit of kernel memory; ignored, kernels no longer have it.
    #[arg(long, value_name = "SIZE", hide = true)]
    kernel_memory: Option<String>,
    /// Limit of kernel memory for TCP; ignored.
    #[arg(long, value_name = "SIZE", hide = true)]
    kernel_memory_tcp: Option<String>,
    /// Limit of processes and threads; -1 is no limit, 0 leaves it as it is.
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    pids_limit: Option<i64>,
}

impl Limits {
    /// Only what was given is set.
    pub(crate) fn to_resources(&self) -> anyhow::Result<LinuxResources> {
        for (name, given) in
            [("kernel-memory", &self.kernel_memory), ("kernel-memory-tcp", &self.kernel_memory_tcp)]
        {
            if given.is_some() {
                log::warn!("Setting --{name} is ignored and will be removed");
            }
        }
        let mut resources = LinuxResources::default();
        resources.set_devices(None);
        self.set_cpu(&mut resources)?;
        self.set_memory(&mut resources)?;
        if let Some(weight) = self.blkio_weight.filter(|weight| *weight != 0) {
            resources.set_block_io(Some(LinuxBlockIoBuilder::default().weight(weight).build()?));
        }
        if let Some(limit) = self.pids_limit.filter(|limit| *limit != 0) {
            resources.set_pids(Some(LinuxPidsBuilder::default().limit(limit).build()?));
        }
        Ok(resources)
    }

    fn set_cpu(&self, resources: &mut LinuxResources) -> anyhow::Result<()> {
        let mut cpu = LinuxCpuBuilder::default().build()?;
        cpu.set_period(number("cpu-period", &self.cpu_period)?);
        cpu.set_quota(number("cpu-quota", &self.cpu_quota)?);
        cpu.set_burst(number("cpu-burst", &self.cpu_burst)?);
        cpu.set_shares(number("cpu-share", &self.cpu_share)?);
        cpu.set_realtime_period(number("cpu-rt-period", &self.cpu_rt_period)?);
        cpu.set_realtime_runtime(number("cpu-rt-runtime", &self.cpu_rt_runtime)?);
        cpu.set_idle(number("cpu-idle", &self.cpu_idle)?);
        cpu.set_cpus(self.cpuset_cpus.clone());
        cpu.set_mems(self.cpuset_mems.clone());
        if cpu != LinuxCpuBuilder::default().build()? {
            resources.set_cpu(Some(cpu));
        }
        Ok(())
    }

    fn set_memory(&self, resources: &mut LinuxResources) -> anyhow::Result<()> {
        let mut memory = LinuxMemoryBuilder::default().build()?;
        memory.set_limit(size("memory", &self.memory)?);
        memory.set_reservation(size("memory-reservation", &self.memory_reservation)?);
        memory.set_swap(size("memory-swap", &self.memory_swap)?);
        if memory != LinuxMemory::default() {
            resources.set_memory(Some(memory));
        }
        Ok(())
    }
}

/// cgroup v1 refuses a limit of memory above that of memory and swap, so lifting one lifts both.
pub(crate) fn unlimited_memory_needs_unlimited_swap(resources: &mut LinuxResources) {
    if let Some(memory) = resources.memory()
        && memory.limit() == Some(-1)
        && memory.swap().is_none()
    {
        let mut memory = *memory;
        memory.set_swap(Some(-1));
        resources.set_memory(Some(memory));
    }
}

fn number<T: FromStr>(name: &str, text: &Option<String>) -> anyhow::Result<Option<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let parse = |text: &String| text.parse().with_context(|| format!("invalid value for {name}: {text:?}"));
    text.as_ref().map(parse).transpose()
}

fn size(name: &str, text: &Option<String>) -> anyhow::Result<Option<i64>> {
    match text.as_deref() {
        None => Ok(None),
        Some("-1") => Ok(Some(-1)),
        Some(text) => units::bytes(text).map(Some).with_context(|| format!("invalid value for {name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resources(limits: Limits) -> serde_json::Value {
        serde_json::to_value(limits.to_resources().unwrap()).unwrap()
    }

    fn told(limits: Limits) -> String {
        format!("{:#}", limits.to_resources().unwrap_err())
    }

    #[test]
    fn what_is_not_given_is_not_set() {
        assert_eq!(resources(Limits::default()), json!({}));
        let ignored = Limits { kernel_memory: Some("1".into()), pids_limit: Some(0), ..Limits::default() };
        assert_eq!(resources(ignored), json!({}));
    }

    #[test]
    fn what_is_given_is_set() {
        let text = |text: &str| Some(text.to_owned());
        let limits = Limits {
            blkio_weight: Some(500),
            cpu_period: text("1000"),
            cpu_quota: text("-1"),
            cpu_burst: text("10"),
            cpu_share: text("512"),
            cpu_rt_period: text("1"),
            cpu_rt_runtime: text("2"),
            cpuset_cpus: text("0-1"),
            cpuset_mems: text("0"),
            memory: text("64m"),
            cpu_idle: text("1"),
            memory_reservation: text("32M"),
            memory_swap: text("-1"),
            kernel_memory: None,
            kernel_memory_tcp: None,
            pids_limit: Some(-1),
        };
        assert_eq!(
            resources(limits),
            json!({
                "blockIO": {"weight": 500},
                "cpu": {
                    "shares": 512, "quota": -1, "period": 1000, "burst": 10, "realtimePeriod": 1,
                    "realtimeRuntime": 2, "cpus": "0-1", "mems": "0", "idle": 1
                },
                "memory": {"limit": 64 << 20, "reservation": 32 << 20, "swap": -1},
                "pids": {"limit": -1}
            })
        );
    }

    #[test]
    fn a_wrong_value_is_named() {
        let memory = Limits { memory: Some("lots".into()), ..Limits::default() };
        assert_eq!(told(memory), "invalid value for memory: invalid size: 'lots'");
        let period = Limits { cpu_period: Some("-5".into()), ..Limits::default() };
        assert!(told(period).starts_with("invalid value for cpu-period: \"-5\""));
    }

    #[test]
    fn lifting_the_memory_limit_lifts_that_of_swap() {
        let mut resources = Limits { memory: Some("-1".into()), ..Limits::default() }.to_resources().unwrap();
        unlimited_memory_needs_unlimited_swap(&mut resources);
        assert_eq!(resources.memory().unwrap().swap(), Some(-1));
    }
}
