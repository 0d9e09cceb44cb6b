//! Makes sure that the directory to embed exists: the server builds without a browser client, and says so when asked for it.

fn main() -> std::io::Result<()> {
    std::fs::create_dir_all("ui/dist")?;
    // A directory's change covers files that come and go in it; the changed contents of a file are tracked by the embedding.
    println!("cargo::rerun-if-changed=ui/dist");
    println!("cargo::rerun-if-changed=ui/dist/assets");
    Ok(())
}
