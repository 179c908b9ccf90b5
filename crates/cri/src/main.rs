//! `cofferdam`.

fn main() {}
