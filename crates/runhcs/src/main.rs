//! `runhcs`, or `runc` when invoked under that name.
use std::process::ExitCode;

fn main() -> ExitCode {
    runhcs::main()
}
