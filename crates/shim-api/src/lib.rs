//! The containerd shim protocol (task v3, sandbox v1): a client, and the one mapping between its messages and our words.
