//! The daemon's own figures, in the form that Prometheus reads, on an address of their own if one is configured.
//!
//! They are counted always: that costs less than to ask whether somebody looks.

mod pods;
mod process;
mod serve;

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tonic::Code;

pub(crate) use serve::listen;

use crate::state;
use crate::wire::v1::{ContainerState, PodSandboxState};

/// From a hundredth of what a start of a container takes to what the kubelet waits for.
const SECONDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// A call, and how it ended.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Call {
    method: String,
    code: Word,
}

/// What was done with a network.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Done {
    operation: Word,
    result: Word,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ended {
    result: Word,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InState {
    state: Word,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Build {
    version: Word,
}

/// A label's value that is known beforehand.
#[derive(Debug, Clone, Copy, Hash, PartialEq, Eq)]
struct Word(&'static str);

impl EncodeLabelValue for Word {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)
    }
}

fn result(well: bool) -> Word {
    Word(if well { "ok" } else { "error" })
}

/// Every figure; one per daemon.
pub(crate) struct Figures {
    registry: Registry,
    calls: Histograms<Call>,
    running: Gauge,
    pulls: Histograms<Ended>,
    pulled_bytes: Counter,
    networks: Histograms<Done>,
    commits: Histogram,
    pods: Family<InState, Gauge>,
    containers: Family<InState, Gauge>,
    images: Gauge,
}

impl Default for Figures {
    fn default() -> Self {
        let figures = Self {
            registry: Registry::default(),
            calls: Family::new_with_constructor(seconds),
            running: Gauge::default(),
            pulls: Family::new_with_constructor(seconds),
            pulled_bytes: Counter::default(),
            networks: Family::new_with_constructor(seconds),
            commits: seconds(),
            pods: Family::default(),
            containers: Family::default(),
            images: Gauge::default(),
        };
        figures.registered()
    }
}

impl Figures {
    fn registered(mut self) -> Self {
        let build: Family<Build, Gauge> = Family::default();
        build.get_or_create(&Build { version: Word(env!("CARGO_PKG_VERSION")) }).set(1);
        let all = &mut self.registry;
        let own = all.sub_registry_with_prefix("cofferdam");
        own.register("build_info", "The version; always 1", build);
        own.register_with_unit(
            "call_duration",
            "Calls of the interface until their answer, by method and code",
            Unit::Seconds,
            self.calls.clone(),
        );
        own.register("calls_running", "Calls that have no answer yet", self.running.clone());
        own.register_with_unit("image_pull_duration", "Pulls of images", Unit::Seconds, self.pulls.clone());
        own.register_with_unit(
            "image_pull_received",
            "What pulls of images have received of layers",
            Unit::Bytes,
            self.pulled_bytes.clone(),
        );
        own.register_with_unit(
            "network_duration",
            "Chains of network plugins, by operation",
            Unit::Seconds,
            self.networks.clone(),
        );
        own.register_with_unit(
            "record_write_duration",
            "Records until they are on disk",
            Unit::Seconds,
            self.commits.clone(),
        );
        own.register("pods", "Pods, by state", self.pods.clone());
        own.register("containers", "Containers, by state", self.containers.clone());
        own.register("images", "Images", self.images.clone());
        all.register_collector(Box::new(process::Process::begins()));
        self
    }

    /// Counts a call as running until what this gives is dropped.
    pub(crate) fn call_begins(&self) -> Running {
        self.running.inc();
        Running(self.running.clone())
    }

    pub(crate) fn call_ends(&self, method: &str, code: Code, took: Duration) {
        let call = Call { method: method.to_owned(), code: Word(name_of(code)) };
        self.calls.get_or_create(&call).observe(took.as_secs_f64());
    }

    pub(crate) fn pull_ends(&self, well: bool, took: Duration, received: u64) {
        self.pulls.get_or_create(&Ended { result: result(well) }).observe(took.as_secs_f64());
        self.pulled_bytes.inc_by(received);
    }

    pub(crate) fn network_ends(&self, operation: &'static str, well: bool, took: Duration) {
        let done = Done { operation: Word(operation), result: result(well) };
        self.networks.get_or_create(&done).observe(took.as_secs_f64());
    }

    pub(crate) fn record_is_written(&self, took: Duration) {
        self.commits.observe(took.as_secs_f64());
    }

    /// What is there now. Every state is told, also one that nothing is in.
    fn count(&self, registry: &state::Registry, images: usize) {
        let (pods, containers) = (registry.pods(), registry.containers());
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for (state, name) in
            [(PodSandboxState::SandboxReady, "ready"), (PodSandboxState::SandboxNotready, "notready")]
        {
            let count = pods.iter().filter(|pod| pod.state() == state).count();
            self.pods.get_or_create(&InState { state: Word(name) }).set(number(count));
        }
        for (state, name) in [
            (ContainerState::ContainerCreated, "created"),
            (ContainerState::ContainerRunning, "running"),
            (ContainerState::ContainerExited, "exited"),
            (ContainerState::ContainerUnknown, "unknown"),
        ] {
            let count = containers.iter().filter(|container| container.state() == state).count();
            self.containers.get_or_create(&InState { state: Word(name) }).set(number(count));
        }
        self.images.set(number(images));
    }
}

/// A call that has no answer yet. Its client may go away at any moment.
pub(crate) struct Running(Gauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// As the documents of gRPC write it.
fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

#[cfg(test)]
mod tests;
