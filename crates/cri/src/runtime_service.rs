//! The interface's RuntimeService: each call is one verb's.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::oneshot;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tonic::{Request, Response, Status};

use crate::daemon::{Daemon, to_the_end};
use crate::error::{Error, Kind};
use crate::wire::v1::runtime_service_server::RuntimeService;
#[allow(clippy::wildcard_imports, reason = "nearly every message of the interface")]
use crate::wire::v1::*;
use crate::{containers, metrics, node, pods, stats};

/// How many items one message of a streamed list holds.
const CHUNK: usize = 64;

type Reply<T> = Result<Response<T>, Status>;
type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Serves the runtime's calls.
pub(crate) struct Runtime(pub(crate) Arc<Daemon>);

/// A list in pieces, each item once.
fn in_chunks<I: Send + 'static, T: Send + 'static>(
    items: Vec<I>,
    wrap: impl Fn(Vec<I>) -> T + Send + 'static,
) -> Reply<Streamed<T>> {
    let mut items = items.into_iter();
    let chunks = std::iter::from_fn(move || {
        let chunk: Vec<I> = items.by_ref().take(CHUNK).collect();
        (!chunk.is_empty()).then_some(chunk)
    });
    Ok(Response::new(Box::pin(stream::iter(chunks).map(move |chunk| Ok(wrap(chunk))))))
}

#[tonic::async_trait]
impl RuntimeService for Runtime {
    async fn version(&self, _: Request<VersionRequest>) -> Reply<VersionResponse> {
        Ok(Response::new(node::version()))
    }

    async fn run_pod_sandbox(&self, request: Request<RunPodSandboxRequest>) -> Reply<RunPodSandboxResponse> {
        let pod_sandbox_id = to_the_end(pods::run(self.0.clone(), request.into_inner())).await?;
        Ok(Response::new(RunPodSandboxResponse { pod_sandbox_id }))
    }

    async fn stop_pod_sandbox(
        &self,
        request: Request<StopPodSandboxRequest>,
    ) -> Reply<StopPodSandboxResponse> {
        to_the_end(pods::stop(self.0.clone(), request.into_inner().pod_sandbox_id)).await?;
        Ok(Response::new(StopPodSandboxResponse {}))
    }

    async fn remove_pod_sandbox(
        &self,
        request: Request<RemovePodSandboxRequest>,
    ) -> Reply<RemovePodSandboxResponse> {
        to_the_end(pods::remove(self.0.clone(), request.into_inner().pod_sandbox_id)).await?;
        Ok(Response::new(RemovePodSandboxResponse {}))
    }

    async fn pod_sandbox_status(
        &self,
        request: Request<PodSandboxStatusRequest>,
    ) -> Reply<PodSandboxStatusResponse> {
        let request = request.into_inner();
        let pod = self.0.registry.pod(&request.pod_sandbox_id)?;
        Ok(Response::new(pods::status_response(&self.0, &pod, request.verbose)?))
    }

    async fn list_pod_sandbox(
        &self,
        request: Request<ListPodSandboxRequest>,
    ) -> Reply<ListPodSandboxResponse> {
        let items = pods::list(&self.0, request.into_inner().filter.as_ref());
        Ok(Response::new(ListPodSandboxResponse { items }))
    }

    type StreamPodSandboxesStream = Streamed<StreamPodSandboxesResponse>;

    async fn stream_pod_sandboxes(
        &self,
        request: Request<StreamPodSandboxesRequest>,
    ) -> Reply<Self::StreamPodSandboxesStream> {
        let items = pods::list(&self.0, request.into_inner().filter.as_ref());
        in_chunks(items, |pod_sandboxes| StreamPodSandboxesResponse { pod_sandboxes })
    }

    async fn create_container(
        &self,
        request: Request<CreateContainerRequest>,
    ) -> Reply<CreateContainerResponse> {
        let container_id = to_the_end(containers::create(self.0.clone(), request.into_inner())).await?;
        Ok(Response::new(CreateContainerResponse { container_id }))
    }

    async fn start_container(
        &self,
        request: Request<StartContainerRequest>,
    ) -> Reply<StartContainerResponse> {
        to_the_end(containers::start(self.0.clone(), request.into_inner().container_id)).await?;
        Ok(Response::new(StartContainerResponse {}))
    }

    async fn stop_container(&self, request: Request<StopContainerRequest>) -> Reply<StopContainerResponse> {
        let request = request.into_inner();
        to_the_end(containers::stop(self.0.clone(), request.container_id, request.timeout)).await?;
        Ok(Response::new(StopContainerResponse {}))
    }

    async fn remove_container(
        &self,
        request: Request<RemoveContainerRequest>,
    ) -> Reply<RemoveContainerResponse> {
        to_the_end(containers::remove(self.0.clone(), request.into_inner().container_id)).await?;
        Ok(Response::new(RemoveContainerResponse {}))
    }

    async fn list_containers(
        &self,
        request: Request<ListContainersRequest>,
    ) -> Reply<ListContainersResponse> {
        let containers = containers::list(&self.0, request.into_inner().filter.as_ref());
        Ok(Response::new(ListContainersResponse { containers }))
    }

    type StreamContainersStream = Streamed<StreamContainersResponse>;

    async fn stream_containers(
        &self,
        request: Request<StreamContainersRequest>,
    ) -> Reply<Self::StreamContainersStream> {
        let items = containers::list(&self.0, request.into_inner().filter.as_ref());
        in_chunks(items, |containers| StreamContainersResponse { containers })
    }

    async fn container_status(
        &self,
        request: Request<ContainerStatusRequest>,
    ) -> Reply<ContainerStatusResponse> {
        let request = request.into_inner();
        let container = self.0.registry.container(&request.container_id)?;
        Ok(Response::new(containers::status_response(&self.0, &container, request.verbose)?))
    }

    async fn update_container_resources(
        &self,
        request: Request<UpdateContainerResourcesRequest>,
    ) -> Reply<UpdateContainerResourcesResponse> {
        to_the_end(containers::update_resources(self.0.clone(), request.into_inner())).await?;
        Ok(Response::new(UpdateContainerResourcesResponse {}))
    }

    async fn reopen_container_log(
        &self,
        request: Request<ReopenContainerLogRequest>,
    ) -> Reply<ReopenContainerLogResponse> {
        to_the_end(containers::reopen_log(self.0.clone(), request.into_inner().container_id)).await?;
        Ok(Response::new(ReopenContainerLogResponse {}))
    }

    async fn exec_sync(&self, request: Request<ExecSyncRequest>) -> Reply<ExecSyncResponse> {
        // Dropped with this call: a command that nobody waits for is ended, and cleaned up after all the same.
        let (_client, gone) = oneshot::channel();
        let response = to_the_end(containers::exec_sync(self.0.clone(), request.into_inner(), gone)).await?;
        Ok(Response::new(response))
    }

    async fn exec(&self, request: Request<ExecRequest>) -> Reply<ExecResponse> {
        let url = containers::exec_url(&self.0, request.into_inner())?;
        Ok(Response::new(ExecResponse { url }))
    }

    async fn attach(&self, request: Request<AttachRequest>) -> Reply<AttachResponse> {
        let url = containers::attach_url(&self.0, request.into_inner())?;
        Ok(Response::new(AttachResponse { url }))
    }

    async fn port_forward(&self, request: Request<PortForwardRequest>) -> Reply<PortForwardResponse> {
        let url = pods::port_forward_url(&self.0, request.into_inner())?;
        Ok(Response::new(PortForwardResponse { url }))
    }

    async fn container_stats(
        &self,
        request: Request<ContainerStatsRequest>,
    ) -> Reply<ContainerStatsResponse> {
        let container = self.0.registry.container(&request.into_inner().container_id)?;
        let stats = stats::of_container(&self.0, container).await?;
        Ok(Response::new(ContainerStatsResponse { stats: Some(stats) }))
    }

    async fn list_container_stats(
        &self,
        request: Request<ListContainerStatsRequest>,
    ) -> Reply<ListContainerStatsResponse> {
        let stats = stats::of_containers(&self.0, request.into_inner().filter).await?;
        Ok(Response::new(ListContainerStatsResponse { stats }))
    }

    type StreamContainerStatsStream = Streamed<StreamContainerStatsResponse>;

    async fn stream_container_stats(
        &self,
        request: Request<StreamContainerStatsRequest>,
    ) -> Reply<Self::StreamContainerStatsStream> {
        let stats = stats::of_containers(&self.0, request.into_inner().filter).await?;
        in_chunks(stats, |container_stats| StreamContainerStatsResponse { container_stats })
    }

    async fn pod_sandbox_stats(
        &self,
        request: Request<PodSandboxStatsRequest>,
    ) -> Reply<PodSandboxStatsResponse> {
        let pod = self.0.registry.pod(&request.into_inner().pod_sandbox_id)?;
        let stats = stats::of_pod(&self.0, pod).await?;
        Ok(Response::new(PodSandboxStatsResponse { stats: Some(stats) }))
    }

    async fn list_pod_sandbox_stats(
        &self,
        request: Request<ListPodSandboxStatsRequest>,
    ) -> Reply<ListPodSandboxStatsResponse> {
        let stats = stats::of_pods(&self.0, request.into_inner().filter).await?;
        Ok(Response::new(ListPodSandboxStatsResponse { stats }))
    }

    type StreamPodSandboxStatsStream = Streamed<StreamPodSandboxStatsResponse>;

    async fn stream_pod_sandbox_stats(
        &self,
        request: Request<StreamPodSandboxStatsRequest>,
    ) -> Reply<Self::StreamPodSandboxStatsStream> {
        let stats = stats::of_pods(&self.0, request.into_inner().filter).await?;
        in_chunks(stats, |pod_sandbox_stats| StreamPodSandboxStatsResponse { pod_sandbox_stats })
    }

    async fn update_runtime_config(
        &self,
        request: Request<UpdateRuntimeConfigRequest>,
    ) -> Reply<UpdateRuntimeConfigResponse> {
        node::update_runtime_config(request.into_inner())?;
        Ok(Response::new(UpdateRuntimeConfigResponse {}))
    }

    async fn status(&self, request: Request<StatusRequest>) -> Reply<StatusResponse> {
        Ok(Response::new(node::status(&self.0, request.into_inner().verbose).await?))
    }

    async fn checkpoint_container(
        &self,
        request: Request<CheckpointContainerRequest>,
    ) -> Reply<CheckpointContainerResponse> {
        to_the_end(containers::checkpoint(self.0.clone(), request.into_inner())).await?;
        Ok(Response::new(CheckpointContainerResponse {}))
    }

    type GetContainerEventsStream = Streamed<ContainerEventResponse>;

    async fn get_container_events(
        &self,
        _: Request<GetEventsRequest>,
    ) -> Reply<Self::GetContainerEventsStream> {
        let events = BroadcastStream::new(self.0.events.subscribe()).map(|event| match event {
            Ok(event) => Ok((*event).clone()),
            Err(BroadcastStreamRecvError::Lagged(missed)) => {
                let says = format!(
                    "the client reads too slowly: {missed} events were dropped; list and subscribe anew"
                );
                Err(Status::from(Error::new(Kind::Exhausted, says)))
            }
        });
        // A client that has missed something has to know; its stream ends.
        let ending = events.scan(false, |over, event| {
            let item = (!*over).then(|| event.clone());
            *over |= event.is_err();
            std::future::ready(item)
        });
        Ok(Response::new(Box::pin(ending)))
    }

    async fn list_metric_descriptors(
        &self,
        _: Request<ListMetricDescriptorsRequest>,
    ) -> Reply<ListMetricDescriptorsResponse> {
        Ok(Response::new(ListMetricDescriptorsResponse { descriptors: metrics::descriptors() }))
    }

    async fn list_pod_sandbox_metrics(
        &self,
        _: Request<ListPodSandboxMetricsRequest>,
    ) -> Reply<ListPodSandboxMetricsResponse> {
        let pod_metrics = metrics::of_pods(&self.0).await?;
        Ok(Response::new(ListPodSandboxMetricsResponse { pod_metrics }))
    }

    type StreamPodSandboxMetricsStream = Streamed<StreamPodSandboxMetricsResponse>;

    async fn stream_pod_sandbox_metrics(
        &self,
        _: Request<StreamPodSandboxMetricsRequest>,
    ) -> Reply<Self::StreamPodSandboxMetricsStream> {
        let metrics = metrics::of_pods(&self.0).await?;
        in_chunks(metrics, |pod_sandbox_metrics| StreamPodSandboxMetricsResponse { pod_sandbox_metrics })
    }

    async fn runtime_config(&self, _: Request<RuntimeConfigRequest>) -> Reply<RuntimeConfigResponse> {
        Ok(Response::new(node::runtime_config(&self.0)))
    }

    async fn update_pod_sandbox_resources(
        &self,
        request: Request<UpdatePodSandboxResourcesRequest>,
    ) -> Reply<UpdatePodSandboxResourcesResponse> {
        to_the_end(pods::update_resources(self.0.clone(), request.into_inner())).await?;
        Ok(Response::new(UpdatePodSandboxResourcesResponse {}))
    }
}
