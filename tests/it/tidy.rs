//! Rules of the house that a compiler does not check: who may depend on whom, how large a file may grow, who may read a
//! clock. Each failure says what to do.
//!
//! A new crate needs an entry in [`EDGES`] and a line in ARCHITECTURE.md.

#![cfg(test)]

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Our crates, and which of ours each may depend on. Cores first.
const EDGES: &[(&str, &[&str])] = &[
    ("convene-types", &[]),
    ("convene-rtp", &["convene-types"]),
    ("convene-peer", &["convene-types", "convene-rtp"]),
    ("convene-sfu-core", &["convene-types", "convene-rtp"]),
    ("convene-proto", &["convene-types"]),
    ("convene-accounts", &["convene-types"]),
    ("convene-sms", &[]),
    ("convene-calls", &["convene-types"]),
    ("convene-outbound", &["convene-types", "convene-accounts", "convene-sms", "convene-store", "convene-telemetry"]),
    ("convene-flow", &[]),
    ("convene-im-core", &["convene-types", "convene-proto"]),
    ("convene-voice", &[]),
    ("convene-store", &["convene-types", "convene-proto", "convene-accounts", "convene-im-core"]),
    (
        "convene-im",
        &[
            "convene-types",
            "convene-proto",
            "convene-accounts",
            "convene-flow",
            "convene-im-core",
            "convene-store",
            "convene-voice",
            "convene-telemetry",
            "convene-tls",
        ],
    ),
    ("convene-client", &["convene-types", "convene-proto", "convene-flow", "convene-im-core", "convene-voice"]),
    ("convene-telemetry", &["convene-types"]),
    ("convene-tls", &[]),
    ("convene-web", &[]),
    ("convene-sfu", &["convene-types", "convene-rtp", "convene-peer", "convene-sfu-core", "convene-telemetry"]),
    (
        "convene-api",
        &[
            "convene-types",
            "convene-proto",
            "convene-accounts",
            "convene-sms",
            "convene-outbound",
            "convene-store",
            "convene-telemetry",
        ],
    ),
    (
        "convene-signaling",
        &[
            "convene-types",
            "convene-accounts",
            "convene-api",
            "convene-calls",
            "convene-im",
            "convene-store",
            "convene-telemetry",
            "convene-sfu",
            "convene-web",
        ],
    ),
    (
        "convene-server",
        &[
            "convene-types",
            "convene-accounts",
            "convene-api",
            "convene-client",
            "convene-flow",
            "convene-im",
            "convene-outbound",
            "convene-sfu",
            "convene-signaling",
            "convene-sms",
            "convene-store",
            "convene-telemetry",
            "convene-tls",
            "convene-web",
        ],
    ),
];
/// Crates that may depend on any of ours, because nothing that ships depends on them.
const DEV_ONLY: &[&str] = &["convene-bench", "convene-sim", "convene-tests"];
/// No I/O, no clock, no runtime in these.
const CORES: &[&str] = &[
    "convene-types",
    "convene-rtp",
    "convene-peer",
    "convene-sfu-core",
    "convene-voice",
    "convene-proto",
    "convene-accounts",
    "convene-sms",
    "convene-calls",
    "convene-flow",
    "convene-im-core",
];

/// Foreign crates with one home: a name (a trailing `*` takes every name that begins so), who may use it, and why.
const HOMES: &[(&str, &[&str], &str)] = &[
    ("rtc-rtp", &["convene-rtp", "convene-peer"], "RTP bytes are read in convene-rtp"),
    ("rtc-rtcp", &["convene-rtp", "convene-peer"], "RTCP bytes are read in convene-rtp"),
    ("rtc", &["convene-peer"], "SDP, ICE, DTLS and SRTP stay inside convene-peer"),
    ("rtc-*", &["convene-peer"], "SDP, ICE, DTLS and SRTP stay inside convene-peer"),
    (
        "axum",
        &["convene-api", "convene-signaling", "convene-telemetry", "convene-server"],
        "HTTP stays in the shells that serve it",
    ),
    ("livekit-*", &["convene-signaling"], "LiveKit message types stop at the adapter in signaling"),
    (
        "jsonwebtoken",
        &["convene-signaling", "convene-accounts"],
        "tokens are read and minted by convene_signaling::token and convene_accounts::token",
    ),
    (
        "prometheus",
        &["convene-telemetry", "convene-sfu"],
        "metrics are made in convene-telemetry; a worker holds counters",
    ),
    ("rcgen", &["convene-tls"], "certificates are made in convene-tls"),
    ("reqwest", &["convene-outbound"], "requests to others go out through convene_outbound::Client"),
    ("phonenumber", &["convene-accounts"], "numbers are read by convene_accounts::phone"),
    ("pinyin", &["convene-accounts"], "how names are said is known by convene_accounts::directory"),
    ("argon2", &["convene-accounts"], "passwords are hashed by convene_accounts::password"),
    ("quinn-udp", &["convene-sfu"], "UDP batches are moved by the media workers"),
    ("netlink-*", &["convene-server"], "the system is asked for TCP paths by the HTTP port alone"),
    ("quinn", &["convene-im", "convene-client"], "QUIC stays in the shells of chat"),
    ("yawc", &["convene-signaling"], "the WebSocket of signaling is convene_signaling::livekit::socket"),
    ("web-transport-*", &["convene-im", "convene-client"], "QUIC stays in the shells of chat"),
    ("rusqlite", &["convene-store", "convene-client"], "SQL stays in convene-store, and in the client's own database"),
    ("object_store", &["convene-store"], "blobs are kept by convene_store::Blobs"),
    ("opus", &["convene-voice"], "voice messages are decoded in convene-voice"),
    ("ogg", &["convene-voice"], "voice messages are decoded in convene-voice"),
    ("matroska*", &["convene-voice"], "WebM is read by convene_voice::webm, which takes files that are cut off"),
];
/// What a core must not even have at hand.
const NOT_IN_A_CORE: &[&str] =
    &["tokio", "mio", "socket2", "quinn*", "axum", "rusqlite", "sqlx", "object_store", "async-*"];

/// Above this a file serves two masters.
const MAX_LINES: usize = 1000;
/// How a core would read a clock.
const CLOCKS: &[&str] = &["Instant::now(", "SystemTime::now(", ".elapsed()", "UNIX_EPOCH"];
/// What a reader looks for first.
const DOCUMENTS: &[&str] = &["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(["--locked".into()])
        .exec()
        .unwrap()
}

fn fail_if_any(faults: &[String]) {
    assert!(faults.is_empty(), "\n\n{}\n", faults.join("\n"));
}

/// Crates that a package needs to be built. What its tests need is its own affair.
fn shipped_dependencies(package: &Package) -> impl Iterator<Item = &str> {
    let shipped = package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    shipped.map(|dependency| dependency.name.as_str())
}

#[test]
fn our_crates_depend_on_each_other_as_designed() {
    let mut faults = Vec::new();
    for package in metadata().workspace_packages() {
        let used: Vec<_> = shipped_dependencies(package).filter(|name| name.starts_with("convene-")).collect();
        faults.extend(edge_faults(package.name.as_str(), &used));
    }
    fail_if_any(&faults);
}

fn edge_faults(package: &str, used: &[&str]) -> Vec<String> {
    if DEV_ONLY.contains(&package) {
        return Vec::new();
    }
    let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == package) else {
        return vec![format!(
            "{package} has no entry in EDGES: give it one, with a single sentence in ARCHITECTURE.md"
        )];
    };
    let forbidden = used.iter().filter(|name| !allowed.contains(name));
    let fault = |name| {
        format!("{package} depends on {name}: move the code to where the design has it (ARCHITECTURE.md, Borders)")
    };
    forbidden.map(fault).collect()
}

#[test]
fn foreign_crates_stay_at_home() {
    let mut faults = Vec::new();
    for package in metadata().workspace_packages() {
        let used: Vec<_> = shipped_dependencies(package).collect();
        faults.extend(home_faults(package.name.as_str(), &used));
    }
    fail_if_any(&faults);
}

fn home_faults(package: &str, used: &[&str]) -> Vec<String> {
    if DEV_ONLY.contains(&package) {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for name in used {
        // The first row that matches decides: exact names stand before patterns.
        let row = HOMES.iter().find(|(pattern, _, _)| matches(pattern, name));
        if let Some((_, homes, why)) = row.filter(|(_, homes, _)| !homes.contains(&package)) {
            faults.push(format!("{package} uses {name}: {why}, so use it there (allowed in {})", homes.join(", ")));
        }
        if CORES.contains(&package) && NOT_IN_A_CORE.iter().any(|pattern| matches(pattern, name)) {
            faults.push(format!("{package} uses {name}: a core does no I/O, move the call to its shell"));
        }
    }
    faults
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix))
}

#[test]
fn no_file_is_too_long() {
    let mut faults = Vec::new();
    for path in sources(&["rs", "ts", "tsx", "css", "py"]) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        if lines > MAX_LINES {
            faults.push(format!("{} has {lines} lines: split it, {MAX_LINES} is the most", shown(&path)));
        }
    }
    fail_if_any(&faults);
}

#[test]
fn every_module_says_what_it_is() {
    let files = sources(&["rs"]);
    let tests = test_files(&files);
    let mut faults = Vec::new();
    for path in files.iter().filter(|path| !tests.contains(*path) && !path.ends_with("build.rs")) {
        let text = fs::read_to_string(path).unwrap();
        if !text.trim_start_matches("#![no_main]").trim_start().starts_with("//!") {
            faults.push(format!("{} does not begin with `//!`: say what it is, and who calls it", shown(path)));
        }
    }
    fail_if_any(&faults);
}

#[test]
fn cores_do_not_read_a_clock() {
    let mut faults = Vec::new();
    let metadata = metadata();
    for package in metadata.workspace_packages().into_iter().filter(|package| CORES.contains(&package.name.as_str())) {
        let folder = package.manifest_path.parent().unwrap().join("src").into_std_path_buf();
        let files = files_below(&folder, &["rs"]);
        let tests = test_files(&files);
        for path in files.iter().filter(|path| !tests.contains(*path)) {
            for (line, clock) in clocks_in(&fs::read_to_string(path).unwrap()) {
                faults.push(format!("{}:{line} has {clock}: take `now: Instant` as an argument", shown(path)));
            }
        }
    }
    fail_if_any(&faults);
}

/// Lines that read a clock, but for the tests at the end of the file and comments.
fn clocks_in(text: &str) -> Vec<(usize, &'static str)> {
    let tests = test_items(text).find(|(_, item)| item.contains("mod ") && item.ends_with('{'));
    let end = tests.map_or(usize::MAX, |(at, _)| at);
    let code = text.lines().enumerate().take(end).filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.flat_map(|(at, line)| CLOCKS.iter().filter(|clock| line.contains(**clock)).map(move |clock| (at + 1, *clock)))
        .collect()
}

/// What `#[cfg(test)]` stands before, with the attribute's line: other attributes may stand in between.
fn test_items(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let attributes = text.lines().enumerate().filter(|(_, line)| line.trim() == "#[cfg(test)]");
    attributes.filter_map(|(at, _)| {
        let item = text.lines().skip(at + 1).map(str::trim).find(|line| !line.starts_with("#["))?;
        Some((at, item))
    })
}

/// Files that are compiled for tests only: those of `#[cfg(test)] mod name;`.
fn test_files(files: &[PathBuf]) -> HashSet<PathBuf> {
    let mut found = HashSet::new();
    for path in files {
        let text = fs::read_to_string(path).unwrap();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let parent = path.parent().unwrap();
        let folder = if ["lib", "main", "mod"].contains(&stem) { parent.to_path_buf() } else { parent.join(stem) };
        for name in test_modules(&text) {
            let below = folder.join(name);
            found.extend(
                files.iter().filter(|file| **file == below.with_extension("rs") || file.starts_with(&below)).cloned(),
            );
        }
    }
    found
}

fn test_modules(text: &str) -> impl Iterator<Item = &str> {
    test_items(text).filter_map(|(_, item)| item.split_once("mod ")?.1.strip_suffix(';'))
}

#[test]
fn the_documents_are_there_and_name_every_crate() {
    let mut faults = Vec::new();
    for name in DOCUMENTS {
        let text = fs::read_to_string(root().join(name)).unwrap_or_default();
        if text.trim().is_empty() {
            faults.push(format!("{name} is missing or empty: write it"));
        }
    }
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap_or_default();
    for package in metadata().workspace_packages() {
        let folder = package.manifest_path.parent().unwrap().strip_prefix(root()).unwrap().as_str();
        if !map.contains(&format!("`{folder}`")) {
            faults.push(format!("ARCHITECTURE.md does not mention `{folder}`: add it to the code map"));
        }
    }
    fail_if_any(&faults);
}

/// Source files of the repository, but for what is built or installed in it.
fn sources(extensions: &[&str]) -> Vec<PathBuf> {
    let folders = ["crates", "signaling", "bench", "tests"];
    folders.iter().flat_map(|folder| files_below(&root().join(folder), extensions)).collect()
}

fn files_below(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    const NOT_OURS: &[&str] = &["node_modules", "dist", "target", ".venv", "corpus"];
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !NOT_OURS.contains(&name.as_str()) {
            found.extend(files_below(&path, extensions));
        } else if path.extension().is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted)) {
            found.push(path);
        }
    }
    found
}

#[test]
fn the_rules_themselves_catch_what_they_are_for() {
    assert_eq!(edge_faults("convene-peer", &["convene-rtp"]), Vec::<String>::new());
    assert_eq!(edge_faults("convene-rtp", &["convene-peer"]).len(), 1);
    assert_eq!(edge_faults("convene-signaling", &["convene-sfu", "convene-peer"]).len(), 1);
    assert_eq!(edge_faults("convene-new", &[]).len(), 1);
    assert_eq!(edge_faults("convene-bench", &["convene-peer"]), Vec::<String>::new());

    assert_eq!(home_faults("convene-rtp", &["rtc-rtp"]), Vec::<String>::new());
    assert_eq!(home_faults("convene-rtp", &["rtc-srtp"]).len(), 1);
    assert_eq!(home_faults("convene-sfu", &["rtc-dtls", "livekit-protocol", "bytes"]).len(), 2);
    assert_eq!(home_faults("convene-sfu-core", &["tokio", "quinn-udp"]).len(), 3);

    assert_eq!(clocks_in("let a = Instant::now();\n// Instant::now()\nlet b = t.elapsed();").len(), 2);
    let tested = "fn f() {}\n#[cfg(test)]\nmod tests {\n let a = Instant::now();\n}";
    assert_eq!(clocks_in(tested), []);
    let imported = "#[cfg(test)]\nuse x::y;\nfn f() { SystemTime::now(); }";
    assert_eq!(clocks_in(imported).len(), 1);
    assert_eq!(
        test_modules("#[cfg(test)]\nmod harness;\nmod other;\n#[cfg(test)]\n#[path = \"t.rs\"]\npub(crate) mod t;")
            .collect::<Vec<_>>(),
        ["harness", "t"]
    );
}
