//! The program `cofferdam`; everything is in the library.

fn main() {
    std::process::exit(cri::cli::run());
}
