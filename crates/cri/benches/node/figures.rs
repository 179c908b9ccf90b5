//! Samples by what was measured and who was.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// Everything that was measured. The order in which things were first measured is the report's.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) order: Vec<String>,
    /// What, who, samples.
    pub(crate) samples: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
    /// What the promised ratio to containerd with runc is.
    #[serde(skip)]
    pub(crate) goals: BTreeMap<String, Goal>,
}

/// What the median may be, as a ratio to containerd's.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Figures {
    pub(crate) fn add(&mut self, what: &str, who: &str, sample: f64) {
        if !self.samples.contains_key(what) {
            self.order.push(what.to_owned());
        }
        let samples = self.samples.entry(what.to_owned()).or_default();
        samples.entry(who.to_owned()).or_default().push(sample);
    }

    /// A duration, in milliseconds.
    pub(crate) fn time(&mut self, what: &str, who: &str, time: Duration) {
        self.add(what, who, time.as_secs_f64() * 1000.0);
    }

    pub(crate) fn goal(&mut self, what: &str, goal: Goal) {
        self.goals.insert(what.to_owned(), goal);
    }

    pub(crate) fn median(&self, what: &str, who: &str) -> Option<f64> {
        let mut samples = self.samples.get(what)?.get(who)?.clone();
        samples.sort_by(f64::total_cmp);
        samples.get(samples.len() / 2).copied()
    }
}
