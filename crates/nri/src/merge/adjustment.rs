//! What plugins make of a container that is being created.

use super::names::Entry as _;
use super::owners::{Claims, Owners};
use super::resources;
use super::updates::Updates;
use crate::error::Result;
use crate::wire::api::{
    Container, ContainerAdjustment, ContainerEviction, CreateContainerResponse, Field, Hooks, KeyValue,
    LinuxContainer, LinuxContainerAdjustment, LinuxDevice, LinuxNamespace, LinuxRdt, Mount, OwningPlugins,
};

/// A container on its way through the plugins.
pub(crate) struct Creation {
    /// As the next plugin sees it: with what those before it have changed.
    pub(crate) container: Container,
    pub(crate) adjustment: ContainerAdjustment,
    pub(crate) updates: Updates,
    pub(crate) evictions: Vec<ContainerEviction>,
    owners: Owners,
}

impl Creation {
    pub(crate) fn new(container: Container) -> Self {
        Self {
            container,
            adjustment: ContainerAdjustment::default(),
            updates: Updates::default(),
            evictions: Vec::new(),
            owners: Owners::default(),
        }
    }

    /// Takes the answer of one more plugin.
    pub(crate) fn merge(&mut self, answer: CreateContainerResponse, plugin: &str) -> Result<()> {
        if let Some(asked) = answer.adjust {
            self.adjust(asked, plugin)?;
        }
        let new = self.container.id.as_str();
        self.updates.merge(&mut self.owners, answer.update, plugin, Some(new))?;
        self.evictions.extend(answer.evict);
        Ok(())
    }

    pub(crate) fn take_owners(&mut self) -> OwningPlugins {
        std::mem::take(&mut self.owners).into_wire()
    }

    fn adjust(&mut self, asked: ContainerAdjustment, plugin: &str) -> Result<()> {
        let Self { container, adjustment, owners, .. } = self;
        let id = container.id.clone();
        let mut claims = Claims { owners, container: &id, plugin };
        claims.merge_map(
            Field::Annotations,
            asked.annotations,
            &mut adjustment.annotations,
            &mut container.annotations,
        )?;
        let mounts = (&mut container.mounts, Mount::name, Mount::clone);
        claims.merge(Field::Mounts, asked.mounts, &mut adjustment.mounts, mounts)?;
        let written = |entry: &KeyValue| format!("{}={}", entry.key, entry.value);
        claims.merge(
            Field::Env,
            asked.env,
            &mut adjustment.env,
            (&mut container.env, String::name, written),
        )?;
        if let Some((first, rest)) = asked.args.split_first() {
            // An empty first word says that somebody else's may be replaced.
            let args = if first.is_empty() { rest } else { &asked.args };
            if first.is_empty() {
                claims.clear(Field::Args, None);
            }
            claims.claim(Field::Args, None)?;
            args.clone_into(&mut adjustment.args);
            args.clone_into(&mut container.args);
        }
        if let Some(hooks) = asked.hooks.filter(|hooks| *hooks != Hooks::default()) {
            claims.join(Field::OciHooks);
            add_hooks(&hooks, adjustment.hooks.get_or_insert_default());
            add_hooks(&hooks, container.hooks.get_or_insert_default());
        }
        for limit in asked.rlimits {
            claims.claim(Field::Rlimits, Some(&limit.r#type))?;
            container.rlimits.retain(|known| known.r#type != limit.r#type);
            container.rlimits.push(limit.clone());
            adjustment.rlimits.push(limit);
        }
        for device in asked.cdi_devices {
            claims.claim(Field::CdiDevices, Some(&device.name))?;
            adjustment.cdi_devices.push(device);
        }
        match asked.linux {
            Some(linux) => {
                let shown = container.linux.get_or_insert_default();
                let wanted = adjustment.linux.get_or_insert_default();
                adjust_linux(linux, wanted, shown, &mut claims)
            }
            None => Ok(()),
        }
    }
}

fn adjust_linux(
    asked: LinuxContainerAdjustment,
    wanted: &mut LinuxContainerAdjustment,
    shown: &mut LinuxContainer,
    claims: &mut Claims<'_>,
) -> Result<()> {
    let devices = (&mut shown.devices, LinuxDevice::name, LinuxDevice::clone);
    claims.merge(Field::Devices, asked.devices, &mut wanted.devices, devices)?;
    claims.merge_map(Field::Sysctl, asked.sysctl, &mut wanted.sysctl, &mut shown.sysctl)?;
    claims.merge_map(
        Field::LinuxNetDevices,
        asked.net_devices,
        &mut wanted.net_devices,
        &mut shown.net_devices,
    )?;
    if let Some(limits) = &asked.resources {
        let mut claim = |field, entry: Option<&str>| claims.claim(field, entry);
        resources::set(limits, wanted.resources.get_or_insert_default(), &mut claim)?;
        resources::set(limits, shown.resources.get_or_insert_default(), &mut |_, _| Ok(()))?;
    }
    for namespace in asked.namespaces {
        let (kind, removed) = named(&namespace);
        claims.claim(Field::Namespace, Some(kind))?;
        shown.namespaces.retain(|known| known.r#type != kind);
        if !removed {
            shown.namespaces.push(namespace.clone());
        }
        wanted.namespaces.push(namespace);
    }
    if let Some(rdt) = asked.rdt {
        adjust_rdt(rdt, wanted.rdt.get_or_insert_default(), claims)?;
        shown.rdt.clone_from(&wanted.rdt);
    }
    let mut claim = |field| claims.claim(field, None);
    if !asked.cgroups_path.is_empty() {
        claim(Field::CgroupsPath)?;
        shown.cgroups_path.clone_from(&asked.cgroups_path);
        wanted.cgroups_path = asked.cgroups_path;
    }
    if asked.oom_score_adj.is_some() {
        claim(Field::OomScoreAdj)?;
        shown.oom_score_adj = asked.oom_score_adj;
        wanted.oom_score_adj = asked.oom_score_adj;
    }
    if asked.io_priority.is_some() {
        claim(Field::IoPriority)?;
        shown.io_priority = asked.io_priority;
        wanted.io_priority = asked.io_priority;
    }
    if asked.seccomp_policy.is_some() {
        claim(Field::SeccompPolicy)?;
        shown.seccomp_policy.clone_from(&asked.seccomp_policy);
        wanted.seccomp_policy = asked.seccomp_policy;
    }
    if asked.scheduler.is_some() {
        claim(Field::LinuxSched)?;
        shown.scheduler.clone_from(&asked.scheduler);
        wanted.scheduler = asked.scheduler;
    }
    if asked.memory_policy.is_some() {
        claim(Field::MemoryPolicy)?;
        wanted.memory_policy = asked.memory_policy;
    }
    Ok(())
}

/// The kind of a namespace, and whether it is to be removed.
fn named(namespace: &LinuxNamespace) -> (&str, bool) {
    match namespace.r#type.strip_prefix('-') {
        Some(kind) => (kind, true),
        None => (&namespace.r#type, false),
    }
}

fn add_hooks(from: &Hooks, to: &mut Hooks) {
    to.prestart.extend(from.prestart.iter().cloned());
    to.create_runtime.extend(from.create_runtime.iter().cloned());
    to.create_container.extend(from.create_container.iter().cloned());
    to.start_container.extend(from.start_container.iter().cloned());
    to.poststart.extend(from.poststart.iter().cloned());
    to.poststop.extend(from.poststop.iter().cloned());
}

fn adjust_rdt(asked: LinuxRdt, wanted: &mut LinuxRdt, claims: &mut Claims<'_>) -> Result<()> {
    if asked.remove {
        for field in [Field::RdtClosId, Field::RdtSchemata, Field::RdtEnableMonitoring] {
            claims.clear(field, None);
        }
        *wanted = LinuxRdt { remove: true, ..LinuxRdt::default() };
    }
    let mut claim = |field| claims.claim(field, None);
    if asked.clos_id.is_some() {
        claim(Field::RdtClosId)?;
        (wanted.clos_id, wanted.remove) = (asked.clos_id, false);
    }
    if asked.schemata.is_some() {
        claim(Field::RdtSchemata)?;
        (wanted.schemata, wanted.remove) = (asked.schemata, false);
    }
    if asked.enable_monitoring.is_some() {
        claim(Field::RdtEnableMonitoring)?;
        (wanted.enable_monitoring, wanted.remove) = (asked.enable_monitoring, false);
    }
    Ok(())
}
