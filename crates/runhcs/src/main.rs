//! runhcs.
fn main() {}
