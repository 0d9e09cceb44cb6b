//! Makes sure that the directory to embed exists: the server builds without a browser client, and says so when asked for it.

fn main() -> std::io::Result<()> {
    std::fs::create_dir_all("ui/dist")?;
    // Directories cover files that come and go; the changed contents of a file are tracked by the embedding. A path that
    // does not exist would count as changed in every build.
    for directory in ["ui/dist", "ui/dist/assets"] {
        if std::path::Path::new(directory).exists() {
            println!("cargo::rerun-if-changed={directory}");
        }
    }
    Ok(())
}
