//! Spans of calls, as a collector gets them over its real protocols.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span as Sent;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tower::{Layer as _, Service as _};
use tracing::Instrument as _;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::calls::Calls;
use crate::daemon::to_the_end;
use crate::error::Error;

type Inbox = mpsc::UnboundedReceiver<ExportTraceServiceRequest>;

/// A collector that speaks gRPC.
struct Collector(mpsc::UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> std::result::Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        self.0.send(request.into_inner()).unwrap();
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn collect_grpc() -> (SocketAddr, Inbox) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, inbox) = mpsc::unbounded_channel();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Collector(sender)));
    tokio::spawn(server.serve_with_incoming(incoming));
    (address, inbox)
}

async fn collect_http() -> (SocketAddr, Inbox) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, inbox) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(move |request: Request<Incoming>| {
            let sender = sender.clone();
            async move {
                assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/v1/traces"));
                assert_eq!(request.headers()["content-type"], "application/x-protobuf");
                let body = request.into_body().collect().await.unwrap().to_bytes();
                sender.send(ExportTraceServiceRequest::decode(body).unwrap()).unwrap();
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
            }
        });
        let served =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        served.await.unwrap();
    });
    (address, inbox)
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A call with one step, which fails; the client's span is sampled or not.
async fn call(flags: &str) {
    let verb = || async {
        let work = async { Err::<(), Error>(Error::not_found("pod", "p")) };
        to_the_end(work.instrument(step("network.add"))).await
    };
    let inner = tower::service_fn(move |_: Request<()>| async move {
        let status = verb().await.map_err(tonic::Status::from).unwrap_err();
        Ok::<_, Infallible>(status.into_http::<()>())
    });
    let mut watched = Calls(Arc::default()).layer(inner);
    let request = Request::builder()
        .uri("/runtime.v1.RuntimeService/RunPodSandbox")
        .header("traceparent", format!("00-{TRACE}-{PARENT}-{flags}"))
        .body(())
        .unwrap();
    watched.call(request).await.unwrap();
}

/// What the collector has got when the program has ended.
fn spans(protocol: OtlpProtocol, flags: &str) -> Vec<Sent> {
    let threads = Runtime::new().unwrap();
    let (address, mut inbox) = match protocol {
        OtlpProtocol::Grpc => threads.block_on(collect_grpc()),
        OtlpProtocol::Http => threads.block_on(collect_http()),
    };
    let config = Tracing { endpoint: format!("http://{address}"), protocol, ..Tracing::default() };
    let traces = Traces::open(&config, threads.handle()).unwrap().unwrap();
    let here = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let subscriber = tracing_subscriber::registry().with(traces.layer());
    tracing::subscriber::with_default(subscriber, || here.block_on(call(flags)));
    traces.close();
    let mut spans = Vec::new();
    while let Ok(request) = inbox.try_recv() {
        spans.extend(request.resource_spans.into_iter().flat_map(|resource| {
            assert!(format!("{:?}", resource.resource).contains("cofferdam"));
            resource.scope_spans.into_iter().flat_map(|scope| scope.spans)
        }));
    }
    spans
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn a_call_continues_its_clients_trace_and_has_its_steps(protocol: OtlpProtocol) {
    let spans = spans(protocol, "01");
    let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let call = named("runtime.v1.RuntimeService/RunPodSandbox");
    let step = named("network.add");
    assert_eq!((hex(&call.trace_id).as_str(), hex(&call.parent_span_id).as_str()), (TRACE, PARENT));
    assert_eq!((&step.trace_id, &step.parent_span_id), (&call.trace_id, &call.span_id));
    let status = call.status.clone().unwrap();
    assert_eq!((status.code, status.message.as_str()), (2, "pod \"p\" does not exist"));
    let attributes = format!("{:?}", call.attributes);
    assert!(
        attributes.contains("rpc.grpc.status_code") && attributes.contains("IntValue(5)"),
        "{attributes}"
    );
}

#[test]
fn a_trace_goes_on_over_grpc() {
    a_call_continues_its_clients_trace_and_has_its_steps(OtlpProtocol::Grpc);
}

#[test]
fn a_trace_goes_on_over_http() {
    a_call_continues_its_clients_trace_and_has_its_steps(OtlpProtocol::Http);
}

#[test]
fn what_the_client_does_not_trace_is_not_traced() {
    assert_eq!(spans(OtlpProtocol::Grpc, "00"), []);
}

#[test]
fn without_an_endpoint_spans_are_disabled() {
    let threads = Runtime::new().unwrap();
    assert!(Traces::open(&Tracing::default(), threads.handle()).unwrap().is_none());
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
    let subscriber = tracing_subscriber::registry().with(logs.with_filter(filter_fn(is_for_logs)));
    tracing::subscriber::with_default(subscriber, || assert!(step("anything").is_disabled()));
}

#[test]
fn an_endpoint_that_is_none_is_refused_by_name() {
    let threads = Runtime::new().unwrap();
    let config = Tracing { endpoint: "not an address".to_owned(), ..Tracing::default() };
    let error = Traces::open(&config, threads.handle()).err().unwrap();
    assert_eq!(error.to_string(), "send traces to not an address");
}
