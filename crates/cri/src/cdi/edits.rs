//! What a device changes in a container's configuration.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use oci_spec::runtime::{
    self as oci, Linux, LinuxDevice, LinuxDeviceBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder,
    LinuxDeviceType, LinuxIntelRdtBuilder, LinuxNetDevice, LinuxResources, MountBuilder, Process, Spec,
};

use super::document::{DeviceNode, Edits, Hook, HookName, IntelRdt, Mount, NetDevice};
use crate::error::{Attempt as _, Error, Kind, Result};

/// Makes the changes. What has the same name, path or place as something that is there takes its place.
pub(super) fn apply(edits: &Edits, spec: &mut Spec) -> Result<()> {
    let owner =
        spec.process().as_ref().map_or((0, 0), |process| (process.user().uid(), process.user().gid()));
    if let Some(process) = spec.process_mut() {
        add_env(process, &edits.env);
        add_groups(process, &edits.additional_gids);
    }
    if spec.linux().is_none() {
        return Err(Error::new(
            Kind::Internal,
            "give a container CDI devices: its configuration is not for Linux",
        ));
    }
    if let Some(linux) = spec.linux_mut() {
        for asked in &edits.device_nodes {
            add_device(linux, asked, owner)?;
        }
        add_net_devices(linux, &edits.net_devices);
        if let Some(asked) = &edits.intel_rdt {
            linux.set_intel_rdt(Some(intel_rdt(asked)?));
        }
    }
    add_mounts(spec, &edits.mounts)?;
    edits.hooks.iter().try_for_each(|hook| add_hook(spec, hook))
}

fn add_env(process: &mut Process, asked: &[String]) {
    let mut env = process.env().clone().unwrap_or_default();
    for variable in asked {
        let name = variable.split('=').next().unwrap_or_default();
        let same = |known: &&mut String| known.split('=').next() == Some(name);
        match env.iter_mut().find(same) {
            Some(known) => known.clone_from(variable),
            None => env.push(variable.clone()),
        }
    }
    process.set_env(Some(env));
}

fn add_groups(process: &mut Process, asked: &[u32]) {
    let mut groups = process.user().additional_gids().clone().unwrap_or_default();
    // Nobody is given root's group in passing; the specification says so too.
    for group in asked.iter().filter(|group| **group != 0) {
        if !groups.contains(group) {
            groups.push(*group);
        }
    }
    process.user_mut().set_additional_gids(Some(groups));
}

fn add_device(linux: &mut Linux, asked: &DeviceNode, owner: (u32, u32)) -> Result<()> {
    let node = node(asked, owner)?;
    let rule = rule(asked, &node)?;
    let mut devices = linux.devices().clone().unwrap_or_default();
    devices.retain(|known| known.path() != node.path());
    devices.push(node);
    linux.set_devices(Some(devices));
    if let Some(rule) = rule {
        let resources = linux.resources_mut().get_or_insert_with(LinuxResources::default);
        let mut rules = resources.devices().clone().unwrap_or_default();
        rules.push(rule);
        resources.set_devices(Some(rules));
    }
    Ok(())
}

/// The device with what the file leaves to the host's own device.
fn node(asked: &DeviceNode, (uid, gid): (u32, u32)) -> Result<LinuxDevice> {
    let host_path = if asked.host_path.is_empty() { &asked.path } else { &asked.host_path };
    let declared = kind(&asked.kind);
    let complete = declared.is_some() && (asked.major != 0 || declared == Some(LinuxDeviceType::P));
    let (typ, major, minor) = match declared {
        Some(typ) if complete => (typ, asked.major, asked.minor),
        _ => {
            let found = look(Path::new(host_path))?;
            if declared.is_some_and(|declared| declared != found.0) {
                return Err(Error::invalid(format!(
                    "CDI device node {host_path} is of type {}, its description says {}",
                    found.0.as_str(),
                    asked.kind
                )));
            }
            found
        }
    };
    let mut node = LinuxDeviceBuilder::default().path(&asked.path).typ(typ).major(major).minor(minor);
    // Without one the runtime's own counts, which lets everybody in the container use it.
    if let Some(mode) = asked.file_mode {
        node = node.file_mode(mode);
    }
    if let Some(uid) = asked.uid.or((uid != 0).then_some(uid)) {
        node = node.uid(uid);
    }
    if let Some(gid) = asked.gid.or((gid != 0).then_some(gid)) {
        node = node.gid(gid);
    }
    node.build().attempt(|| format!("use the CDI device node {}", asked.path))
}

fn kind(text: &str) -> Option<LinuxDeviceType> {
    match text {
        "b" => Some(LinuxDeviceType::B),
        "c" => Some(LinuxDeviceType::C),
        "u" => Some(LinuxDeviceType::U),
        "p" => Some(LinuxDeviceType::P),
        _ => None,
    }
}

/// Type and numbers of a device of this host.
fn look(path: &Path) -> Result<(LinuxDeviceType, i64, i64)> {
    let data = fs::metadata(path)
        .attempt_as(Kind::Invalid, || format!("use the CDI device node {}", path.display()))?;
    let typ = match data.file_type() {
        kind if kind.is_char_device() => LinuxDeviceType::C,
        kind if kind.is_block_device() => LinuxDeviceType::B,
        kind if kind.is_fifo() => LinuxDeviceType::P,
        _ => return Err(Error::invalid(format!("CDI device node {} is no device", path.display()))),
    };
    let device = data.rdev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    Ok((typ, i64::from(major), i64::from(minor)))
}

/// What lets the container use the device; a fifo needs nothing.
fn rule(asked: &DeviceNode, node: &LinuxDevice) -> Result<Option<LinuxDeviceCgroup>> {
    let access = match asked.permissions.as_str() {
        "" => "rwm",
        "none" => return Ok(None),
        access => access,
    };
    if !matches!(node.typ(), LinuxDeviceType::B | LinuxDeviceType::C) {
        return Ok(None);
    }
    LinuxDeviceCgroupBuilder::default()
        .allow(true)
        .typ(node.typ())
        .major(node.major())
        .minor(node.minor())
        .access(access)
        .build()
        .map(Some)
        .attempt(|| format!("allow the CDI device node {}", asked.path))
}

fn add_net_devices(linux: &mut Linux, asked: &[NetDevice]) {
    if asked.is_empty() {
        return;
    }
    let mut devices = linux.net_devices().clone().unwrap_or_default();
    for device in asked {
        let mut inside = LinuxNetDevice::default();
        inside.set_name(Some(device.name.clone()));
        devices.insert(device.host_interface_name.clone(), inside);
    }
    linux.set_net_devices(Some(devices));
}

fn intel_rdt(asked: &IntelRdt) -> Result<oci::LinuxIntelRdt> {
    let mut rdt = LinuxIntelRdtBuilder::default();
    if !asked.clos_id.is_empty() {
        rdt = rdt.clos_id(&*asked.clos_id);
    }
    if !asked.l3_cache_schema.is_empty() {
        rdt = rdt.l3_cache_schema(&*asked.l3_cache_schema);
    }
    if !asked.mem_bw_schema.is_empty() {
        rdt = rdt.mem_bw_schema(&*asked.mem_bw_schema);
    }
    if !asked.schemata.is_empty() {
        rdt = rdt.schemata(asked.schemata.clone());
    }
    // The two kinds of older files became one.
    if asked.enable_monitoring || asked.enable_cmt || asked.enable_mbm {
        rdt = rdt.enable_monitoring(true);
    }
    rdt.build().attempt(|| "put the RDT class of a CDI device together".to_owned())
}

fn add_mounts(spec: &mut Spec, asked: &[Mount]) -> Result<()> {
    if asked.is_empty() {
        return Ok(());
    }
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    for mount in asked {
        let destination = Path::new(&mount.container_path);
        mounts.retain(|known| known.destination() != destination);
        let mut new = MountBuilder::default().destination(destination).source(&mount.host_path);
        if !mount.kind.is_empty() {
            new = new.typ(&*mount.kind);
        }
        if !mount.options.is_empty() {
            new = new.options(mount.options.clone());
        }
        mounts.push(new.build().attempt(|| format!("mount {} for a CDI device", mount.host_path))?);
    }
    // A mount that lies in another one has to come after it.
    mounts.sort_by_key(|mount| mount.destination().components().count());
    spec.set_mounts(Some(mounts));
    Ok(())
}

fn add_hook(spec: &mut Spec, asked: &Hook) -> Result<()> {
    let mut hook = oci::HookBuilder::default().path(&asked.path);
    if !asked.args.is_empty() {
        hook = hook.args(asked.args.clone());
    }
    if !asked.env.is_empty() {
        hook = hook.env(asked.env.clone());
    }
    if let Some(timeout) = asked.timeout {
        hook = hook.timeout(timeout);
    }
    let hook = hook.build().attempt(|| format!("run {} for a CDI device", asked.path.display()))?;
    let hooks = spec.hooks_mut().get_or_insert_with(oci::Hooks::default);
    let list = match asked.hook_name {
        HookName::Prestart => hooks.prestart_mut(),
        HookName::CreateRuntime => hooks.create_runtime_mut(),
        HookName::CreateContainer => hooks.create_container_mut(),
        HookName::StartContainer => hooks.start_container_mut(),
        HookName::Poststart => hooks.poststart_mut(),
        HookName::Poststop => hooks.poststop_mut(),
    };
    list.get_or_insert_with(Vec::new).push(hook);
    Ok(())
}
