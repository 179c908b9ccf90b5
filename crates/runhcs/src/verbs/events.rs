//! `events`: what a container uses, every interval, and each time the kernel ends one of its processes for want of
//! memory; one JSON object a line.

use crate::backends;
use crate::context::{Context, container};
use crate::{json, units};
use anyhow::bail;
use clap::Args;
use compute::backend::Event;
use compute::{ContainerId, Kind};
use serde::Serialize;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::Duration;

/// Print statistics and out-of-memory events of a container as JSON.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// How often statistics are printed.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = interval)]
    interval: Duration,
    /// Print statistics once and exit.
    #[arg(long)]
    stats: bool,
    /// The container.
    #[arg(value_name = "CONTAINER")]
    id: String,
}

/// One line of the output.
#[derive(Debug, Serialize)]
struct Line<'a, S> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<S>,
}

impl Events {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<()> {
        let id = container(&self.id)?;
        if self.interval.is_zero() {
            bail!("duration interval must be greater than 0");
        }
        let engine = backends::engine(context)?;
        if self.stats {
            return Ok(print(&id, Event::Stats(engine.stats(&id)?))?);
        }
        let mut printed = Ok(());
        let watched = engine.watch(&id, self.interval, &mut |event| {
            printed = print(&id, event);
            if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        match printed {
            // Whoever read has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(error.into()),
            Ok(()) => Ok(watched?),
        }
    }
}

fn print<S: Serialize>(id: &ContainerId, event: Event<S>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line(id, event)?.as_bytes())?;
    out.flush()
}

fn line<S: Serialize>(id: &ContainerId, event: Event<S>) -> io::Result<String> {
    let id = id.as_str();
    let line = match event {
        Event::Stats(stats) => Line { kind: "stats", id, data: Some(stats) },
        Event::Oom => Line { kind: "oom", id, data: None },
    };
    Ok(json::line(&line)? + "\n")
}

fn interval(text: &str) -> Result<Duration, compute::Error> {
    units::duration(text)
        .ok_or_else(|| compute::Error::new(Kind::InvalidArgument, "not a duration such as 5s or 1m30s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line() {
        let id = ContainerId::new("web").unwrap();
        assert_eq!(
            line(&id, Event::Stats([1])).unwrap(),
            "{\"type\":\"stats\",\"id\":\"web\",\"data\":[1]}\n"
        );
        assert_eq!(line(&id, Event::<()>::Oom).unwrap(), "{\"type\":\"oom\",\"id\":\"web\"}\n");
    }
}
