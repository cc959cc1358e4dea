//! Compiles `proto/lb.proto` without an installed `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/lb.proto");
    let descriptors = protox::compile(["proto/lb.proto"], ["proto"])?;
    tonic_prost_build::configure()
        // It holds a private key, which must not have a Debug form.
        .skip_debug(["neargate.lb.v1.Certificate"])
        .compile_fds(descriptors)?;
    Ok(())
}
