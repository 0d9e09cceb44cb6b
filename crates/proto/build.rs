//! Compiles `proto/im.proto` with protox: no protoc has to be installed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/im.proto");
    let files = protox::compile(["proto/im.proto"], ["proto"])?;
    prost_build::Config::new().bytes(["."]).enable_type_names().compile_fds(files)?;
    Ok(())
}
