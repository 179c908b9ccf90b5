//! Compiles the interface's `.proto` to Rust, without any program that would have to be installed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = protox::compile(["runtime.proto"], ["proto"])?;
    // Records on disk and the verbose answers show the messages as JSON.
    tonic_prost_build::configure()
        .type_attribute(".", "#[derive(serde::Serialize, serde::Deserialize)]")
        .message_attribute(".", "#[serde(default)]")
        .build_transport(true)
        .compile_fds(descriptors)?;
    println!("cargo::rerun-if-changed=proto");
    Ok(())
}
