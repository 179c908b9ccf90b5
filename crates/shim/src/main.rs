//! `containerd-shim-runhcs-v1`.
use std::process::ExitCode;

fn main() -> ExitCode {
    shim::main()
}
