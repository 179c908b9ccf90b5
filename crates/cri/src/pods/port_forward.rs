//! PortForward: where the client finds its connections.

use crate::daemon::Daemon;
use crate::error::{Attempt as _, Error, Kind, Result};
use crate::streaming;
use crate::wire::v1::PortForwardRequest;

/// Promises connections to ports of a pod.
pub(crate) fn port_forward_url(daemon: &Daemon, request: PortForwardRequest) -> Result<String> {
    let pod = daemon.registry.pod(&request.pod_sandbox_id)?;
    super::ready(&pod)?;
    let port =
        |port: &i32| u16::try_from(*port).map_err(|_| Error::invalid(format!("port {port} is no port")));
    let ports = request.port.iter().map(port).collect::<Result<_>>()?;
    let asked = streaming::PortForwardRequest { pod: pod.id.clone(), ports };
    let promised = daemon.streaming()?.port_forward(asked);
    promised.attempt_as(Kind::Exhausted, || format!("promise connections to pod {}", pod.id))
}
