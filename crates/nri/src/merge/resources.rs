//! Limits, each of which has one owner.

use crate::error::Result;
use crate::wire::api::{Field, LinuxCpu, LinuxMemory, LinuxResources};

/// Whether a limit may be set.
pub(super) type Claim<'a> = dyn FnMut(Field, Option<&str>) -> Result<()> + 'a;

/// Sets those of `limits` that `change` has.
pub(super) fn set(change: &LinuxResources, limits: &mut LinuxResources, claim: &mut Claim<'_>) -> Result<()> {
    if let Some(memory) = &change.memory {
        set_memory(memory, limits.memory.get_or_insert_default(), claim)?;
    }
    if let Some(cpu) = &change.cpu {
        set_cpu(cpu, limits.cpu.get_or_insert_default(), claim)?;
    }
    for limit in &change.hugepage_limits {
        claim(Field::HugepageLimits, Some(&limit.page_size))?;
        limits.hugepage_limits.retain(|known| known.page_size != limit.page_size);
        limits.hugepage_limits.push(limit.clone());
    }
    for (name, value) in &change.unified {
        claim(Field::CgroupsUnified, Some(name))?;
        limits.unified.insert(name.clone(), value.clone());
    }
    if let Some(class) = &change.blockio_class {
        claim(Field::BlockioClass, None)?;
        limits.blockio_class = Some(class.clone());
    }
    if let Some(class) = &change.rdt_class {
        claim(Field::RdtClass, None)?;
        limits.rdt_class = Some(class.clone());
    }
    if let Some(pids) = change.pids {
        claim(Field::PidsLimit, None)?;
        limits.pids = Some(pids);
    }
    // Rules add up; the last one that fits a device decides.
    limits.devices.extend(change.devices.iter().cloned());
    Ok(())
}

/// Those of the fields that are set.
macro_rules! set_each {
    ($change:expr, $limits:expr, $claim:expr, $($name:ident: $field:ident),+ $(,)?) => {
        $(if $change.$name.is_some() {
            $claim(Field::$field, None)?;
            $limits.$name = $change.$name;
        })+
    };
}

fn set_memory(change: &LinuxMemory, limits: &mut LinuxMemory, claim: &mut Claim<'_>) -> Result<()> {
    set_each!(change, limits, claim,
        limit: MemLimit,
        reservation: MemReservation,
        swap: MemSwapLimit,
        kernel: MemKernelLimit,
        kernel_tcp: MemTcpLimit,
        swappiness: MemSwappiness,
        disable_oom_killer: MemDisableOomKiller,
        use_hierarchy: MemUseHierarchy,
    );
    Ok(())
}

fn set_cpu(change: &LinuxCpu, limits: &mut LinuxCpu, claim: &mut Claim<'_>) -> Result<()> {
    set_each!(change, limits, claim,
        shares: CpuShares,
        quota: CpuQuota,
        period: CpuPeriod,
        realtime_runtime: CpuRealtimeRuntime,
        realtime_period: CpuRealtimePeriod,
    );
    for (value, limit, field) in [
        (&change.cpus, &mut limits.cpus, Field::CpuSetCpUs),
        (&change.mems, &mut limits.mems, Field::CpuSetMems),
    ] {
        if !value.is_empty() {
            claim(field, None)?;
            limit.clone_from(value);
        }
    }
    Ok(())
}
