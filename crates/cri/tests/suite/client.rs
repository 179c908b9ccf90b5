//! The interface's client: each call blocks, and none for ever.

use std::future::Future;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use cri::wire::v1;
use cri::wire::v1::image_service_client::ImageServiceClient;
use cri::wire::v1::runtime_service_client::RuntimeServiceClient;
use tokio::runtime::Runtime;
use tokio_stream::StreamExt as _;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status, Streaming};

/// The longest that a call may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

static EXECUTOR: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});

/// Runs `work` to its end.
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    EXECUTOR.block_on(work)
}

/// Has `work` go on while the story does.
pub(crate) fn meanwhile<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    EXECUTOR.spawn(work)
}

/// Both services of a runtime.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) runtime: RuntimeServiceClient<Channel>,
    pub(crate) images: ImageServiceClient<Channel>,
}

impl Client {
    /// Connects to a socket that is there.
    pub(crate) fn connect(socket: &Path) -> Result<Self, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()))?.timeout(PATIENCE);
        let channel = wait(endpoint.connect())?;
        let limit = 32 << 20;
        Ok(Self {
            runtime: RuntimeServiceClient::new(channel.clone()).max_decoding_message_size(limit),
            images: ImageServiceClient::new(channel).max_decoding_message_size(limit),
        })
    }
}

async fn within<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::new(Code::DeadlineExceeded, "the suite has lost its patience")),
    }
}

async fn to_the_end<T>(
    call: impl Future<Output = Result<Response<Streaming<T>>, Status>>,
) -> Result<Vec<T>, Status> {
    within(async { Ok(Response::new(call.await?.into_inner().collect::<Result<Vec<T>, Status>>().await?)) })
        .await
}

macro_rules! calls {
    ($($call:ident($($service:ident).+, $request:ident) -> $response:ident;)*) => {
        impl Client {
            $(pub(crate) fn $call(&self, request: v1::$request) -> Result<v1::$response, Status> {
                let mut client = self.$($service).+.clone();
                wait(within(client.$call(request)))
            })*
        }
    };
}

macro_rules! streams {
    ($($call:ident($($service:ident).+, $request:ident) -> $response:ident;)*) => {
        impl Client {
            $(pub(crate) fn $call(&self, request: v1::$request) -> Result<Vec<v1::$response>, Status> {
                let mut client = self.$($service).+.clone();
                wait(to_the_end(client.$call(request)))
            })*
        }
    };
}

calls! {
    version(runtime, VersionRequest) -> VersionResponse;
    status(runtime, StatusRequest) -> StatusResponse;
    runtime_config(runtime, RuntimeConfigRequest) -> RuntimeConfigResponse;
    update_runtime_config(runtime, UpdateRuntimeConfigRequest) -> UpdateRuntimeConfigResponse;
    run_pod_sandbox(runtime, RunPodSandboxRequest) -> RunPodSandboxResponse;
    stop_pod_sandbox(runtime, StopPodSandboxRequest) -> StopPodSandboxResponse;
    remove_pod_sandbox(runtime, RemovePodSandboxRequest) -> RemovePodSandboxResponse;
    pod_sandbox_status(runtime, PodSandboxStatusRequest) -> PodSandboxStatusResponse;
    list_pod_sandbox(runtime, ListPodSandboxRequest) -> ListPodSandboxResponse;
    update_pod_sandbox_resources(runtime, UpdatePodSandboxResourcesRequest) -> UpdatePodSandboxResourcesResponse;
    create_container(runtime, CreateContainerRequest) -> CreateContainerResponse;
    start_container(runtime, StartContainerRequest) -> StartContainerResponse;
    stop_container(runtime, StopContainerRequest) -> StopContainerResponse;
    remove_container(runtime, RemoveContainerRequest) -> RemoveContainerResponse;
    container_status(runtime, ContainerStatusRequest) -> ContainerStatusResponse;
    list_containers(runtime, ListContainersRequest) -> ListContainersResponse;
    update_container_resources(runtime, UpdateContainerResourcesRequest) -> UpdateContainerResourcesResponse;
    reopen_container_log(runtime, ReopenContainerLogRequest) -> ReopenContainerLogResponse;
    checkpoint_container(runtime, CheckpointContainerRequest) -> CheckpointContainerResponse;
    exec_sync(runtime, ExecSyncRequest) -> ExecSyncResponse;
    exec(runtime, ExecRequest) -> ExecResponse;
    attach(runtime, AttachRequest) -> AttachResponse;
    port_forward(runtime, PortForwardRequest) -> PortForwardResponse;
    container_stats(runtime, ContainerStatsRequest) -> ContainerStatsResponse;
    list_container_stats(runtime, ListContainerStatsRequest) -> ListContainerStatsResponse;
    pod_sandbox_stats(runtime, PodSandboxStatsRequest) -> PodSandboxStatsResponse;
    list_pod_sandbox_stats(runtime, ListPodSandboxStatsRequest) -> ListPodSandboxStatsResponse;
    list_metric_descriptors(runtime, ListMetricDescriptorsRequest) -> ListMetricDescriptorsResponse;
    list_pod_sandbox_metrics(runtime, ListPodSandboxMetricsRequest) -> ListPodSandboxMetricsResponse;
    list_images(images, ListImagesRequest) -> ListImagesResponse;
    image_status(images, ImageStatusRequest) -> ImageStatusResponse;
    pull_image(images, PullImageRequest) -> PullImageResponse;
    remove_image(images, RemoveImageRequest) -> RemoveImageResponse;
    image_fs_info(images, ImageFsInfoRequest) -> ImageFsInfoResponse;
}

streams! {
    stream_pod_sandboxes(runtime, StreamPodSandboxesRequest) -> StreamPodSandboxesResponse;
    stream_containers(runtime, StreamContainersRequest) -> StreamContainersResponse;
    stream_container_stats(runtime, StreamContainerStatsRequest) -> StreamContainerStatsResponse;
    stream_pod_sandbox_stats(runtime, StreamPodSandboxStatsRequest) -> StreamPodSandboxStatsResponse;
    stream_pod_sandbox_metrics(runtime, StreamPodSandboxMetricsRequest) -> StreamPodSandboxMetricsResponse;
    stream_images(images, StreamImagesRequest) -> StreamImagesResponse;
}
