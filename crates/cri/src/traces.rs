//! Traces of calls, sent to a collector by OpenTelemetry's protocol. Off unless the configuration names one.
//!
//! A call is a span, whose parent is what the client's `traceparent` says; the steps within it are spans of their own:
//! the network, the image, the root, each call to a shim. Spans are `tracing`'s, of one target of their own. While nobody
//! listens to that target, a span costs the look at one flag.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::HeaderMap;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
    WithTonicConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tokio::runtime::Handle;
use tonic::transport::ClientTlsConfig;
use tracing::{Metadata, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, Filtered, filter_fn};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{OtlpProtocol, Tracing};
use crate::error::{Attempt as _, Kind, Result};

/// The target of spans that are meant for traces.
const TARGET: &str = "cofferdam_trace";
/// The endpoint of those who name none in the configuration.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// How long the collector may take for one batch, and for the last one when the daemon ends.
const PATIENCE: Duration = Duration::from_secs(5);

/// What sends the spans; it has to be told when the program ends.
pub(crate) struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Prepares to send to the collector that is configured; nothing without one. The spans of a runtime that ends are
    /// sent no more.
    pub(crate) fn open(config: &Tracing, runtime: &Handle) -> Result<Option<Self>> {
        let endpoint = match config.endpoint.as_str() {
            "" => std::env::var(ENDPOINT).unwrap_or_default(),
            endpoint => endpoint.to_owned(),
        };
        if endpoint.is_empty() {
            return Ok(None);
        }
        let _inside = runtime.enter();
        let exporter = match config.protocol {
            OtlpProtocol::Grpc => over_grpc(&endpoint),
            OtlpProtocol::Http => over_http(&endpoint, runtime),
        };
        let exporter = exporter.attempt_as(Kind::Invalid, || format!("send traces to {endpoint}"))?;
        let decide = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sampling_ratio)));
        let about = Resource::builder()
            .with_service_name("cofferdam")
            .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(decide)
            .with_resource(about)
            .build();
        Ok(Some(Self { provider }))
    }

    /// What of the program's spans goes to the collector.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let layer = tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("cofferdam"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false);
        of_traces(layer)
    }

    /// Sends what has not been sent. Waits for it, but not for ever.
    pub(crate) fn close(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(PATIENCE) {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

type OnlyTraces<S, L> = Filtered<L, FilterFn<fn(&Metadata<'_>) -> bool>, S>;

fn of_traces<S: Subscriber, L: Layer<S>>(layer: L) -> OnlyTraces<S, L> {
    layer.with_filter(filter_fn(|span| span.target() == TARGET))
}

/// Whether a span is one for people who read logs.
pub(crate) fn is_for_logs(metadata: &Metadata<'_>) -> bool {
    metadata.target() != TARGET
}

/// The span of a call, `service/method`, below what the client says.
pub(crate) fn call(service: &str, method: &str, headers: &HeaderMap) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        "call",
        otel.name = format_args!("{service}/{method}"),
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        otel.status_description = tracing::field::Empty,
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        rpc.grpc.status_code = tracing::field::Empty,
    );
    if !span.is_disabled() {
        let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
        // A span that is new has no parent that this could come too late for.
        let _ = span.set_parent(parent);
    }
    span
}

/// How a call ended.
pub(crate) fn ended(span: &Span, code: i32, says: &str) {
    if span.is_disabled() {
        return;
    }
    span.record("rpc.grpc.status_code", code);
    if code != 0 {
        span.record("otel.status_code", "error");
        span.record("otel.status_description", says);
    }
}

/// A step of a call, for [`tracing::Instrument::instrument`].
pub(crate) fn step(name: &'static str) -> Span {
    tracing::info_span!(target: TARGET, "step", otel.name = name)
}

fn over_grpc(endpoint: &str) -> Result<SpanExporter, ExporterBuildError> {
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(PATIENCE);
    if endpoint.starts_with("https://") {
        let system = ClientTlsConfig::new().with_enabled_roots();
        return exporter.with_tls_config(system).build();
    }
    exporter.build()
}

fn over_http(endpoint: &str, runtime: &Handle) -> Result<SpanExporter, ExporterBuildError> {
    // Whoever was first is right: it is the one that all of this program is built with.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .build()
        .map_err(|error| ExporterBuildError::InternalFailure(error.to_string()))?;
    // The specification: a general endpoint is a base, to which the kind of signal is added.
    let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    SpanExporter::builder()
        .with_http()
        .with_http_client(OnRuntime { client, runtime: runtime.clone() })
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(url)
        .with_timeout(PATIENCE)
        .build()
}

/// A client for the thread that sends batches, which is none of the runtime's.
#[derive(Debug)]
struct OnRuntime {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let response = client.execute(request.try_into()?).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            let mut answer = Response::new(response.bytes().await?);
            (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
            Ok(answer)
        });
        sent.await?
    }
}

#[cfg(test)]
mod tests;
