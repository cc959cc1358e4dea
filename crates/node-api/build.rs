//! Compiles `proto/node.proto` without an installed `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/node.proto");
    let descriptors = protox::compile(["proto/node.proto"], ["proto"])?;
    tonic_prost_build::configure()
        // It holds a registry password, which must not have a Debug form.
        .skip_debug(["neargate.node.v1.ImageSource"])
        .compile_fds(descriptors)?;
    Ok(())
}
