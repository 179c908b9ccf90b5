//! Compiles our protocol files, without protoc.

use std::path::Path;
use std::{env, fs, io};
use ttrpc_codegen::{Codegen, Customize, ProtobufCustomize};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = env::var("OUT_DIR")?;
    Codegen::new()
        .inputs(["proto/extension.proto", "proto/runc.proto"])
        .include("proto")
        .rust_protobuf()
        .rust_protobuf_customize(ProtobufCustomize::default().gen_mod_rs(false))
        .customize(Customize { async_all: true, ..Customize::default() })
        .out_dir(&out)
        .run()?;
    for file in ["extension.rs", "extension_ttrpc.rs", "runc.rs"] {
        strip_inner_attributes(&Path::new(&out).join(file))?;
    }
    println!("cargo::rerun-if-changed=proto");
    Ok(())
}

/// What is included into a module cannot have attributes of its own.
fn strip_inner_attributes(file: &Path) -> io::Result<()> {
    let text = fs::read_to_string(file)?;
    let kept: Vec<&str> =
        text.lines().filter(|line| !line.starts_with("#!") && !line.starts_with("//!")).collect();
    fs::write(file, kept.join("\n"))
}
