//! containerd-shim-runhcs-v1: one process per pod, which owns its containers, their streams and logs.
