//! Limits: from the interface's words to the OCI spec's, and the cgroups that they are set on.

use oci_spec::runtime::{
    LinuxCpuBuilder, LinuxHugepageLimit, LinuxHugepageLimitBuilder, LinuxMemoryBuilder, LinuxResources,
    LinuxResourcesBuilder,
};

use crate::error::{Attempt as _, Error, Result};
use crate::host::Host;
use crate::wire::v1;

/// The limits of a container or a pod; what is 0 or empty in the request is not set.
pub(crate) fn limits(asked: &v1::LinuxContainerResources, host: &Host) -> Result<LinuxResources> {
    let wrong = || "put the limits together".to_owned();
    let mut cpu = LinuxCpuBuilder::default();
    if asked.cpu_period != 0 {
        cpu = cpu.period(unsigned(asked.cpu_period, "cpu_period")?);
    }
    if asked.cpu_quota != 0 {
        cpu = cpu.quota(asked.cpu_quota);
    }
    if asked.cpu_shares != 0 {
        cpu = cpu.shares(unsigned(asked.cpu_shares, "cpu_shares")?);
    }
    if !asked.cpuset_cpus.is_empty() {
        cpu = cpu.cpus(&*asked.cpuset_cpus);
    }
    if !asked.cpuset_mems.is_empty() {
        cpu = cpu.mems(&*asked.cpuset_mems);
    }
    let mut memory = LinuxMemoryBuilder::default();
    if asked.memory_limit_in_bytes != 0 {
        memory = memory.limit(asked.memory_limit_in_bytes);
    }
    if host.swap_accounting {
        // A limit of memory alone would let as much again be swapped.
        match (asked.memory_swap_limit_in_bytes, asked.memory_limit_in_bytes) {
            (0, 0) => {}
            (0, limit) => memory = memory.swap(limit),
            (swap, _) => memory = memory.swap(swap),
        }
    }
    let mut resources = LinuxResourcesBuilder::default()
        .cpu(cpu.build().attempt(wrong)?)
        .memory(memory.build().attempt(wrong)?);
    let hugepages = hugepages(&asked.hugepage_limits, host)?;
    if !hugepages.is_empty() {
        resources = resources.hugepage_limits(hugepages);
    }
    if !asked.unified.is_empty() {
        if !host.cgroup2 {
            return Err(Error::invalid("resources.unified needs a host with cgroup version 2 alone"));
        }
        resources = resources.unified(asked.unified.clone());
    }
    resources.build().attempt(wrong)
}

/// Of the sizes of huge pages those that this host has; the kubelet names them all.
fn hugepages(asked: &[v1::HugepageLimit], host: &Host) -> Result<Vec<LinuxHugepageLimit>> {
    let here = asked.iter().filter(|limit| host.hugepage_sizes.contains(&limit.page_size));
    here.map(|limit| {
        LinuxHugepageLimitBuilder::default()
            .page_size(&*limit.page_size)
            .limit(i64::try_from(limit.limit).unwrap_or(i64::MAX))
            .build()
            .attempt(|| format!("limit huge pages of {}", limit.page_size))
    })
    .collect()
}

fn unsigned(value: i64, field: &str) -> Result<u64> {
    u64::try_from(value).map_err(|_| Error::invalid(format!("{field} is {value}, which is negative")))
}

/// What a container's limits are after a change: what the change leaves at 0 or empty stays.
pub(crate) fn merge(
    now: &v1::LinuxContainerResources,
    change: &v1::LinuxContainerResources,
) -> v1::LinuxContainerResources {
    let number = |change: i64, now: i64| if change == 0 { now } else { change };
    let text = |change: &str, now: &str| if change.is_empty() { now.to_owned() } else { change.to_owned() };
    let mut unified = now.unified.clone();
    unified.extend(change.unified.clone());
    let mut hugepage_limits = now.hugepage_limits.clone();
    for limit in &change.hugepage_limits {
        hugepage_limits.retain(|known| known.page_size != limit.page_size);
        hugepage_limits.push(limit.clone());
    }
    v1::LinuxContainerResources {
        cpu_period: number(change.cpu_period, now.cpu_period),
        cpu_quota: number(change.cpu_quota, now.cpu_quota),
        cpu_shares: number(change.cpu_shares, now.cpu_shares),
        memory_limit_in_bytes: number(change.memory_limit_in_bytes, now.memory_limit_in_bytes),
        oom_score_adj: number(change.oom_score_adj, now.oom_score_adj),
        cpuset_cpus: text(&change.cpuset_cpus, &now.cpuset_cpus),
        cpuset_mems: text(&change.cpuset_mems, &now.cpuset_mems),
        hugepage_limits,
        unified,
        memory_swap_limit_in_bytes: number(change.memory_swap_limit_in_bytes, now.memory_swap_limit_in_bytes),
    }
}

/// The same for the limits of a configuration. Rules for devices are no limits, and stay.
pub(crate) fn over(now: &LinuxResources, change: &LinuxResources) -> Result<LinuxResources> {
    let wrong = || "put the limits together".to_owned();
    let mut limits = serde_json::to_value(now).attempt(wrong)?;
    put_over(&mut limits, serde_json::to_value(change).attempt(wrong)?);
    serde_json::from_value(limits).attempt(wrong)
}

/// Objects are put together, everything else is replaced.
fn put_over(now: &mut serde_json::Value, change: serde_json::Value) {
    match (now, change) {
        (serde_json::Value::Object(now), serde_json::Value::Object(change)) => {
            for (name, value) in change {
                put_over(now.entry(name).or_insert(serde_json::Value::Null), value);
            }
        }
        (now, change) => *now = change,
    }
}

/// Where the cgroups of a pod and of its containers lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cgroups<'a> {
    /// The kubelet's cgroup for the pod; empty if it has none.
    pub(crate) parent: &'a str,
    pub(crate) pod: &'a str,
    pub(crate) systemd: bool,
}

impl Cgroups<'_> {
    /// The pod's own cgroup, as a path of cgroupfs or as a slice of systemd. The kubelet's one is not ours to limit.
    pub(crate) fn of_pod(&self) -> String {
        match (self.systemd, self.parent) {
            (true, "") => format!("cofferdam-{}.slice", self.pod),
            (false, "") => format!("/cofferdam/{}", self.pod),
            (true, parent) => parent.rsplit('/').next().unwrap_or(parent).to_owned(),
            (false, parent) => parent.to_owned(),
        }
    }

    /// A container's, as the OCI spec has it.
    pub(crate) fn of_container(&self, id: &str) -> String {
        let pod = self.of_pod();
        if self.systemd {
            format!("{pod}:cofferdam:{id}")
        } else {
            format!("{}/{id}", pod.trim_end_matches('/'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        Host { cgroup2: false, swap_accounting: true, hugepage_sizes: vec!["2MB".to_owned()], ..Host::look() }
    }

    #[test]
    fn a_memory_limit_leaves_no_room_for_swap() {
        let asked = v1::LinuxContainerResources { memory_limit_in_bytes: 1 << 20, ..Default::default() };
        let limits = limits(&asked, &host()).unwrap();
        assert_eq!(limits.memory().unwrap().swap(), Some(1 << 20));
    }

    #[test]
    fn of_huge_pages_only_the_sizes_of_this_host_are_limited() {
        let page = |size: &str| v1::HugepageLimit { page_size: size.to_owned(), limit: 0 };
        let asked = v1::LinuxContainerResources {
            hugepage_limits: vec![page("2MB"), page("1GB")],
            ..Default::default()
        };
        let limits = limits(&asked, &host()).unwrap();
        assert_eq!(limits.hugepage_limits().as_ref().unwrap().len(), 1);
    }

    #[test]
    fn what_this_host_cannot_limit_is_refused_by_name() {
        let mut asked = v1::LinuxContainerResources { cpu_shares: -1, ..Default::default() };
        assert_eq!(limits(&asked, &host()).unwrap_err().to_string(), "cpu_shares is -1, which is negative");
        asked.cpu_shares = 0;
        asked.unified.insert("memory.high".to_owned(), "1".to_owned());
        assert!(limits(&asked, &host()).unwrap_err().to_string().starts_with("resources.unified needs"));
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let now = v1::LinuxContainerResources { cpu_shares: 2, cpu_quota: 7, ..Default::default() };
        let change = v1::LinuxContainerResources { cpu_quota: -1, ..Default::default() };
        let merged = merge(&now, &change);
        assert_eq!((merged.cpu_shares, merged.cpu_quota), (2, -1));
    }

    #[test]
    fn a_configuration_keeps_the_limits_that_a_change_does_not_name() {
        let json = |text: &str| serde_json::from_str::<LinuxResources>(text).unwrap();
        let now = json(
            r#"{"devices": [{"allow": false}], "memory": {"limit": 1, "swap": 1}, "pids": {"limit": 9}}"#,
        );
        let changed = over(&now, &json(r#"{"memory": {"limit": 2}, "cpu": {"shares": 3}}"#)).unwrap();
        let expected = r#"{"devices": [{"allow": false}], "memory": {"limit": 2, "swap": 1}, "pids": {"limit": 9},
            "cpu": {"shares": 3}}"#;
        assert_eq!(changed, json(expected));
    }

    #[test]
    fn cgroups_are_paths_or_slices() {
        let at = |parent, systemd| Cgroups { parent, pod: "p", systemd }.of_container("c");
        assert_eq!(at("", false), "/cofferdam/p/c");
        assert_eq!(at("/kubepods/burstable/podx", false), "/kubepods/burstable/podx/c");
        assert_eq!(at("", true), "cofferdam-p.slice:cofferdam:c");
        assert_eq!(at("/kubepods.slice/kubepods-podx.slice", true), "kubepods-podx.slice:cofferdam:c");
    }
}
