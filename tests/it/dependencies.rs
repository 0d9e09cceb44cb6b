//! What dependencies may be, by `deny.toml`: licences, banned crates, sources. The quick half of what cargo-deny checks:
//! `make audit` builds the real one (minutes on a cold machine) and adds advisories, duplicates and licence texts.

#![cfg(test)]

use std::path::Path;

use cargo_metadata::{CargoOpt, Metadata, MetadataCommand};

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// The targets of `deny.toml` bring the same crates but for a few that only build elsewhere.
const TARGET: &str = "x86_64-unknown-linux-gnu";

struct Rules {
    licences: Vec<String>,
    banned: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn rules() -> Rules {
    let text = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    let deny: toml::Table = text.parse().unwrap();
    let list = |section: &str, key: &str| deny[section][key].as_array().unwrap().clone();
    let text_of = |value: &toml::Value| value.as_str().unwrap().to_owned();
    Rules {
        licences: list("licenses", "allow").iter().map(text_of).collect(),
        banned: list("bans", "deny").iter().map(|row| text_of(&row["crate"])).collect(),
    }
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .features(CargoOpt::SomeFeatures(Vec::new()))
        .other_options(["--locked".into(), format!("--filter-platform={TARGET}")])
        .exec()
        .unwrap()
}

#[test]
fn licences_sources_and_bans_are_kept() {
    let rules = rules();
    let metadata = metadata();
    let used = &metadata.resolve.as_ref().unwrap().nodes;
    let mut faults = Vec::new();
    for package in metadata.packages.iter().filter(|package| used.iter().any(|node| node.id == package.id)) {
        let source = package.source.as_ref().map(|source| source.repr.as_str());
        let version = &package.version;
        faults.extend(
            faults_of(&rules, &package.name, package.license.as_deref(), source)
                .map(|fault| format!("{} {version}: {fault}", package.name)),
        );
    }
    assert!(used.len() > 100, "cargo metadata told of {} packages only", used.len());
    assert!(faults.is_empty(), "\n\n{}\n", faults.join("\n"));
}

fn faults_of(rules: &Rules, name: &str, licence: Option<&str>, source: Option<&str>) -> impl Iterator<Item = String> {
    let ours = source.is_none();
    let banned = rules.banned.iter().any(|banned| banned == name);
    let licensed = licence.is_some_and(|licence| is_allowed(licence, &rules.licences));
    let foreign = !ours && source != Some(REGISTRY);
    [
        banned.then(|| "is banned in deny.toml: find the feature that brings it (cargo tree -i)".to_owned()),
        (!licensed).then(|| format!("licence {licence:?} is not among those of deny.toml")),
        foreign.then(|| format!("comes from {source:?}, not from crates.io")),
    ]
    .into_iter()
    .flatten()
}

/// Whether an SPDX expression can be met by what is allowed. AND binds stronger than OR; `/` is an old way to write OR.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    any_of(&mut words, allowed) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut met = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= all_of(words, allowed);
    }
    met
}

fn all_of(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Words<'_>, allowed: &[String]) -> bool {
    if words.next_if_eq(&"(").is_some() {
        return any_of(words, allowed) & words.next_if_eq(&")").is_some();
    }
    let mut licence = words.next().unwrap_or_default().to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        licence = format!("{licence} WITH {}", words.next().unwrap_or_default());
    }
    allowed.contains(&licence)
}

#[test]
fn the_rules_themselves_catch_what_they_are_for() {
    let allowed = ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
    for met in
        ["MIT", "GPL-3.0/MIT", "(GPL-3.0 OR MIT) AND Zlib", "Apache-2.0 WITH LLVM-exception", "MIT AND Zlib OR GPL-3.0"]
    {
        assert!(is_allowed(met, &allowed), "{met}");
    }
    for refused in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR Zlib) AND GPL-3.0",
        "Apache-2.0",
        "(MIT",
        "MIT Zlib",
        "MIT) OR Zlib",
    ] {
        assert!(!is_allowed(refused, &allowed), "{refused}");
    }

    let rules = Rules { licences: allowed.to_vec(), banned: vec!["ring".to_owned()] };
    let faults = |name, licence, source| faults_of(&rules, name, licence, source).count();
    assert_eq!(faults("serde", Some("MIT"), Some(REGISTRY)), 0);
    assert_eq!(faults("ours", Some("MIT"), None), 0);
    assert_eq!(faults("ring", Some("MIT"), Some(REGISTRY)), 1);
    assert_eq!(faults("unlicensed", None, Some(REGISTRY)), 1);
    assert_eq!(faults("elsewhere", Some("MIT"), Some("git+https://example.org/x")), 1);
}
