//! systemd makes the cgroups: a transient unit per container, asked for over D-Bus. Only this module and what is
//! below it pays for that, and only with this driver.
//!
//! | file           | what it does                                                       |
//! |----------------|--------------------------------------------------------------------|
//! | [`mod@unit`]   | names: `slice:prefix:name` → a unit, its slice, its cgroup         |
//! | [`properties`] | resources → unit properties                                        |
//! | [`value`]      | typed values, and the text form in which annotations give them     |
//! | [`wire`]       | values ↔ D-Bus messages                                            |
//! | [`bus`]        | one connection to a bus or to systemd itself, one call at a time   |
//!
//! The bus is spoken to by one thread that waits where it must: a runtime that clones a container must not have
//! others, and the five calls needed here do not repay an executor.

mod bus;
mod properties;
mod unit;
mod value;
mod wire;

pub(crate) use properties::Now;
pub use unit::Unit;

use super::devices::Policy;
use super::error::{Error, Result};
use super::layout::Kind;
use bus::Bus;
use oci_spec::runtime::LinuxResources;
use std::time::{Duration, Instant};
use value::Value;

const MANAGER: &str = "org.freedesktop.systemd1.Manager";
/// How long systemd may take for one job.
const PATIENCE: Duration = Duration::from_secs(30);

/// The cgroup that a manager was itself given, as a path in the hierarchy.
pub(crate) fn manager_cgroup(user: bool) -> Result<String> {
    match Bus::connect(user)?.get_property(MANAGER, "ControlGroup")? {
        Value::String(path) => Ok(path),
        other => Err(unexpected("get property ControlGroup", &other)),
    }
}

/// Starts the unit with a process in it, and returns when it is started.
pub(crate) fn start(unit: &Unit, layout: Kind, pid: i32, resources: &LinuxResources) -> Result<()> {
    let properties = properties::of_unit(unit, layout, pid, resources)?;
    let mut bus = Bus::connect(unit.user)?;
    bus.watch_jobs()?;
    let arguments = || {
        vec![
            Value::from(unit.name.as_str()),
            Value::from("replace"),
            Value::properties(properties.clone()),
            Value::Array("(sa(sv))".into(), vec![]),
        ]
    };
    let mut job = bus.call(MANAGER, "StartTransientUnit", &arguments());
    if let Err(Error::Systemd { name, .. }) = &job
        && name == "org.freedesktop.systemd1.UnitExists"
    {
        // A failed unit of an earlier container keeps its name until it is reset.
        reset(&mut bus, unit);
        job = bus.call(MANAGER, "StartTransientUnit", &arguments());
    }
    let started = job.and_then(|job| finish(&mut bus, &job)).and_then(|result| match result.as_str() {
        "done" => Ok(()),
        other => Err(Error::Systemd {
            attempted: format!("error creating systemd unit `{}`", unit.name),
            answer: format!("got `{other}`"),
            name: String::new(),
        }),
    });
    started.map_err(|error| {
        reset(&mut bus, unit);
        error.context(format!("unable to start unit {:?}", unit.name))
    })
}

/// Tells systemd the limits. `policy` is absent in an update, which leaves the devices alone.
pub(crate) fn set(
    unit: &Unit,
    layout: Kind,
    resources: &LinuxResources,
    policy: Option<&Policy>,
    now: &Now,
) -> Result<()> {
    let mut bus = Bus::connect(unit.user)?;
    let version = version(&mut bus)?;
    let properties = properties::of_resources(layout, resources, policy, now, version)?;
    if properties.is_empty() {
        return Ok(());
    }
    let arguments = [Value::from(unit.name.as_str()), Value::Bool(true), Value::properties(properties)];
    bus.call(MANAGER, "SetUnitProperties", &arguments)
        .map(drop)
        .map_err(|error| error.context("unable to set unit properties"))
}

/// Stops the unit and lets systemd forget it; one that is gone is stopped.
pub(crate) fn stop(unit: &Unit) -> Result<()> {
    let mut bus = Bus::connect(unit.user)?;
    bus.watch_jobs()?;
    let arguments = [Value::from(unit.name.as_str()), Value::from("replace")];
    let stopped = bus.call(MANAGER, "StopUnit", &arguments).and_then(|job| finish(&mut bus, &job));
    reset(&mut bus, unit);
    match stopped {
        Ok(result) if result == "done" => Ok(()),
        Ok(result) => {
            log::warn!("error removing unit `{}`: got `{result}`. Continuing...", unit.name);
            Ok(())
        }
        Err(Error::Systemd { name, .. }) if name == "org.freedesktop.systemd1.NoSuchUnit" => Ok(()),
        Err(error) => Err(error.context(format!("unable to stop unit {:?}", unit.name))),
    }
}

/// Adds a process to a unit that runs; for a caller who may not move it there itself, because the manager may.
pub(crate) fn attach(unit: &Unit, pid: i32) -> Result<()> {
    let pid = u32::try_from(pid).map_err(|_| Error::Invalid(format!("{pid} is no process id")))?;
    let arguments =
        [Value::from(unit.name.as_str()), Value::from(""), Value::Array("u".into(), vec![Value::U32(pid)])];
    let attached = Bus::connect(unit.user)?.call(MANAGER, "AttachProcessesToUnit", &arguments);
    attached.map(drop).map_err(|error| error.context(format!("attach process {pid} to unit {:?}", unit.name)))
}

fn reset(bus: &mut Bus, unit: &Unit) {
    if let Err(error) = bus.call(MANAGER, "ResetFailedUnit", &[Value::from(unit.name.as_str())]) {
        log::debug!("{}", compute::Error::from(error));
    }
}

/// Waits for a job's end and returns its result, one word.
fn finish(bus: &mut Bus, job: &[Value]) -> Result<String> {
    let [Value::ObjectPath(job)] = job else {
        return Err(unexpected("start a job", &Value::Struct(job.to_vec())));
    };
    let deadline = Instant::now().checked_add(PATIENCE);
    loop {
        let left = deadline.map_or(Duration::ZERO, |end| end.saturating_duration_since(Instant::now()));
        let Some(signal) = bus.next_signal(left)? else {
            return Err(Error::Timeout(format!("Timeout waiting for systemd to finish {job}")));
        };
        // JobRemoved(id, job, unit, result)
        if signal.member == "JobRemoved"
            && let [_, Value::ObjectPath(ended), _, Value::String(result)] = signal.body.as_slice()
            && ended == job
        {
            return Ok(result.clone());
        }
    }
}

/// `252.39-1~deb12u1` → 252.
fn version(bus: &mut Bus) -> Result<u32> {
    match bus.get_property(MANAGER, "Version")? {
        Value::String(text) => {
            parse_version(&text).ok_or_else(|| unexpected("get systemd version", &Value::String(text)))
        }
        other => Err(unexpected("get systemd version", &other)),
    }
}

fn parse_version(text: &str) -> Option<u32> {
    let text = text.trim_start_matches(['"', 'v']);
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn unexpected(attempted: &str, answer: &Value) -> Error {
    Error::Systemd {
        attempted: attempted.into(),
        answer: format!("unexpected answer {answer:?}"),
        name: String::new(),
    }
}

#[cfg(test)]
mod tests;
