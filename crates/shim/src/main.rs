//! `containerd-shim-runhcs-v1`.

fn main() {}
