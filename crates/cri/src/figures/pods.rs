//! cAdvisor's figures of pods and containers, as text of OpenMetrics 1.0.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::wire::v1::{Metric, MetricDescriptor, MetricType, PodSandboxMetrics};

/// Writes all figures of one name together, as the format demands. Names are not changed: a counter that does not end in
/// `_total` as the format wants is of unknown type there.
pub(super) fn write(
    text: &mut String,
    descriptors: &[MetricDescriptor],
    pods: &[PodSandboxMetrics],
) -> fmt::Result {
    let mut by_name: BTreeMap<&str, Vec<&Metric>> = BTreeMap::new();
    let all = pods.iter().flat_map(|pod| {
        pod.metrics.iter().chain(pod.container_metrics.iter().flat_map(|container| &container.metrics))
    });
    for metric in all {
        by_name.entry(&metric.name).or_default().push(metric);
    }
    for descriptor in descriptors {
        let Some(metrics) = by_name.get(descriptor.name.as_str()) else { continue };
        let counter = metrics.iter().any(|metric| metric.metric_type() == MetricType::Counter);
        let (family, kind) = match (counter, descriptor.name.strip_suffix("_total")) {
            (true, Some(family)) => (family, "counter"),
            (true, None) => (descriptor.name.as_str(), "unknown"),
            (false, _) => (descriptor.name.as_str(), "gauge"),
        };
        writeln!(text, "# HELP {family} {}", escaped(&descriptor.help))?;
        writeln!(text, "# TYPE {family} {kind}")?;
        metrics.iter().try_for_each(|metric| sample(text, descriptor, metric))?;
    }
    Ok(())
}

fn sample(text: &mut String, descriptor: &MetricDescriptor, metric: &Metric) -> fmt::Result {
    write!(text, "{}{{", metric.name)?;
    for (number, (key, value)) in descriptor.label_keys.iter().zip(&metric.label_values).enumerate() {
        let comma = if number == 0 { "" } else { "," };
        write!(text, "{comma}{key}=\"{}\"", escaped(value))?;
    }
    let value = metric.value.map_or(0, |value| value.value);
    writeln!(text, "}} {value}")
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
