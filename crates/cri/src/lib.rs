//! The CRI daemon: runtime and image services, pods, streams, metrics.
