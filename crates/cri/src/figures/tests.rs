//! The figures as a scraper gets them, read by the rules of OpenMetrics 1.0.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tower::{Layer as _, Service as _};

use super::Figures;
use crate::calls::Calls;
use crate::config::Config;
use crate::daemon::Daemon;
use crate::error::Error;
use crate::wire::v1::{
    ContainerMetrics, Metric, MetricDescriptor, MetricType, PodSandboxMetrics, UInt64Value,
};

/// Samples by their name with labels; anything that breaks the rules is an error.
fn read(text: &str) -> Result<BTreeMap<String, f64>, String> {
    let mut samples = BTreeMap::new();
    let mut kinds: HashMap<String, String> = HashMap::new();
    let mut closed: HashSet<String> = HashSet::new();
    let mut family = String::new();
    let body = text.strip_suffix("# EOF\n").ok_or("no end")?;
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (Some(what), Some(name), Some(value)) = (words.next(), words.next(), words.next()) else {
                return Err(format!("{line:?}"));
            };
            if name != family {
                if !closed.insert(std::mem::replace(&mut family, name.to_owned())) && !family.is_empty() {
                    return Err(format!("{name} comes twice"));
                }
                if closed.contains(name) {
                    return Err(format!("{name} is not together"));
                }
            }
            match what {
                "TYPE" if kinds.insert(name.to_owned(), value.to_owned()).is_some() => {
                    return Err(format!("two types of {name}"));
                }
                "UNIT" if !name.ends_with(&format!("_{value}")) => return Err(format!("unit of {name}")),
                "TYPE" | "HELP" | "UNIT" => continue,
                _ => return Err(format!("{line:?}")),
            }
        } else {
            let (name, value) = line.rsplit_once(' ').ok_or_else(|| format!("{line:?}"))?;
            let bare = name.split('{').next().unwrap_or_default();
            let kind = kinds.get(&family).ok_or_else(|| format!("{bare} has no type"))?;
            let suffixes: &[&str] = match kind.as_str() {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_sum", "_count"],
                "gauge" | "unknown" => &[""],
                "info" => &["_info"],
                other => return Err(format!("type {other:?}")),
            };
            if !suffixes.iter().any(|suffix| bare == format!("{family}{suffix}")) {
                return Err(format!("{bare} is no {kind} {family}"));
            }
            let value: f64 = value.parse().map_err(|_| format!("{line:?}"))?;
            if samples.insert(name.to_owned(), value).is_some() {
                return Err(format!("{name} comes twice"));
            }
        }
    }
    Ok(samples)
}

#[test]
fn the_reader_of_this_test_is_strict() {
    assert!(read("# TYPE a counter\na_total 1\n# EOF\n").is_ok());
    for wrong in [
        "# TYPE a counter\na_total 1\n",
        "# TYPE a counter\na 1\n# EOF\n",
        "a 1\n# EOF\n",
        "# TYPE a gauge\na 1\na 1\n# EOF\n",
        "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# TYPE a gauge\na{x=\"1\"} 1\n# EOF\n",
        "# TYPE a gauge\na one\n# EOF\n",
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

async fn get(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// A daemon without pods that serves figures there.
async fn daemon(folder: &std::path::Path, address: &str) -> (Arc<Daemon>, String) {
    let mut config = Config { root: folder.join("root"), state: folder.join("state"), ..Config::default() };
    config.runtime.shim = "/nowhere/shim".into();
    address.clone_into(&mut config.metrics.address);
    config.metrics.pods = true;
    let (daemon, _) = Daemon::open(config).await.unwrap();
    let address = super::listen(&daemon).await.unwrap().unwrap();
    (daemon, address)
}

async fn a_call(figures: &Arc<Figures>, method: &str, fails: bool) {
    let inner = tower::service_fn(move |_: hyper::Request<()>| async move {
        let response = if fails {
            tonic::Status::from(Error::not_found("pod", "p")).into_http()
        } else {
            hyper::Response::new(())
        };
        Ok::<_, Infallible>(response)
    });
    let request =
        hyper::Request::builder().uri(format!("/runtime.v1.RuntimeService/{method}")).body(()).unwrap();
    Calls(figures.clone()).layer(inner).call(request).await.unwrap();
}

#[tokio::test]
async fn a_scraper_finds_what_was_done_and_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, address) = daemon(folder.path(), "127.0.0.1:0").await;
    a_call(&daemon.figures, "Status", false).await;
    a_call(&daemon.figures, "Status", false).await;
    a_call(&daemon.figures, "StopContainer", true).await;
    daemon.figures.pull_ends(true, Duration::from_secs(3), 1000);
    daemon.figures.pull_ends(false, Duration::from_secs(1), 24);
    daemon.figures.network_ends("add", true, Duration::from_millis(20));
    daemon.store.remove_pod("nobody").await.unwrap();
    let connect = || async { tokio::net::TcpStream::connect(&address).await.unwrap() };
    let (head, body) = get(connect().await, "/metrics").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("application/openmetrics-text"), "{head}");
    let samples = read(&body).unwrap();
    let value = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("{name} is not in\n{body}"));
    let calls = "cofferdam_call_duration_seconds";
    assert_eq!(value(&format!("{calls}_count{{method=\"Status\",code=\"OK\"}}")), 2.0);
    assert_eq!(value(&format!("{calls}_count{{method=\"StopContainer\",code=\"NotFound\"}}")), 1.0);
    assert_eq!(value(&format!("{calls}_bucket{{le=\"+Inf\",method=\"Status\",code=\"OK\"}}")), 2.0);
    assert_eq!(value("cofferdam_calls_running"), 0.0);
    assert_eq!(value("cofferdam_image_pull_received_bytes_total"), 1024.0);
    assert_eq!(value("cofferdam_image_pull_duration_seconds_sum{result=\"ok\"}"), 3.0);
    assert_eq!(value("cofferdam_image_pull_duration_seconds_count{result=\"error\"}"), 1.0);
    assert_eq!(value("cofferdam_network_duration_seconds_count{operation=\"add\",result=\"ok\"}"), 1.0);
    assert_eq!(value("cofferdam_record_write_duration_seconds_count"), 1.0);
    assert_eq!(value("cofferdam_pods{state=\"ready\"}"), 0.0);
    assert_eq!(value("cofferdam_containers{state=\"running\"}"), 0.0);
    assert!(value("process_resident_memory_bytes") > 0.0 && value("process_open_fds") > 0.0);
    assert!(value("process_start_time_seconds") > 1.0e9);
    assert_eq!(get(connect().await, "/healthz").await.1, "ok\n");
    assert!(get(connect().await, "/else").await.0.starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn a_socket_serves_as_well_and_replaces_one_that_nobody_serves() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("figures.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let (daemon, _) = daemon(folder.path(), socket.to_str().unwrap()).await;
    let stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
    assert!(read(&get(stream, "/metrics").await.1).is_ok());
    let error = super::listen(&daemon).await.unwrap_err();
    assert!(error.to_string().ends_with("figures.sock is served already"), "{error}");
}

#[test]
fn figures_of_pods_keep_their_names_and_are_together() {
    let metric = |name: &str, kind: MetricType, labels: &[&str], value| Metric {
        name: name.to_owned(),
        metric_type: kind.into(),
        label_values: labels.iter().map(|label| (*label).to_owned()).collect(),
        value: Some(UInt64Value { value }),
        timestamp: 1,
    };
    let describe = |name: &str| MetricDescriptor {
        name: name.to_owned(),
        help: "Some \"help\".".to_owned(),
        label_keys: vec!["id".to_owned(), "name".to_owned()],
    };
    let of = |id: &str| {
        vec![
            metric("container_cpu_usage_seconds_total", MetricType::Counter, &[id, "a\"b\\c"], 5),
            metric("container_memory_failcnt", MetricType::Counter, &[id, "x"], 6),
            metric("container_memory_rss", MetricType::Gauge, &[id, "x"], 7),
        ]
    };
    let pod = PodSandboxMetrics {
        pod_sandbox_id: "p".to_owned(),
        metrics: of("p"),
        container_metrics: vec![ContainerMetrics { container_id: "c".to_owned(), metrics: of("c") }],
    };
    let descriptors = [
        "container_cpu_usage_seconds_total",
        "container_memory_failcnt",
        "container_memory_rss",
        "container_other",
    ]
    .map(describe);
    let mut text = String::new();
    super::pods::write(&mut text, &descriptors, &[pod]).unwrap();
    text += "# EOF\n";
    let samples = read(&text).unwrap();
    assert_eq!(samples["container_cpu_usage_seconds_total{id=\"c\",name=\"a\\\"b\\\\c\"}"], 5.0);
    assert_eq!(samples["container_memory_failcnt{id=\"p\",name=\"x\"}"], 6.0);
    assert_eq!(samples.len(), 6);
}
