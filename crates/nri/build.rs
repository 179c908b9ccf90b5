//! Compiles the `.proto` files to Rust, without any program that would have to be installed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = protox::compile(["nri.proto", "ttrpc.proto"], ["proto"])?;
    // In order, so that the same pod gives the same bytes.
    prost_build::Config::new().btree_map(["."]).compile_fds(descriptors)?;
    println!("cargo::rerun-if-changed=proto");
    Ok(())
}
