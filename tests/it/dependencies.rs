//! What dependencies may be, by `deny.toml`: licences, banned crates, sources. The quick half of what cargo-deny checks:
//! `make audit` builds the real one (minutes on a cold machine) and adds advisories, duplicates and licence texts.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// The targets of `deny.toml` bring the same crates but for a few that only build elsewhere.
const TARGET: &str = "x86_64-unknown-linux-gnu";

struct Rules {
    licences: Vec<String>,
    /// Of packages by name, licences besides those.
    exceptions: BTreeMap<String, Vec<String>>,
    banned: Vec<Ban>,
}

struct Ban {
    name: String,
    /// Packages that may depend on it all the same.
    wrappers: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn rules() -> Rules {
    let text = fs::read_to_string(root().join("deny.toml")).unwrap();
    let deny: toml::Table = text.parse().unwrap();
    let list = |section: &str, key: &str| deny[section][key].as_array().unwrap().clone();
    let text_of = |value: &toml::Value| value.as_str().unwrap().to_owned();
    let texts = |values: &[toml::Value]| values.iter().map(text_of).collect::<Vec<_>>();
    let exception = |row: &toml::Value| (text_of(&row["crate"]), texts(row["allow"].as_array().unwrap()));
    Rules {
        licences: texts(&list("licenses", "allow")),
        exceptions: list("licenses", "exceptions").iter().map(exception).collect(),
        banned: list("bans", "deny").iter().map(ban).collect(),
    }
}

fn ban(row: &toml::Value) -> Ban {
    let wrappers = row.get("wrappers").and_then(|list| list.as_array().cloned()).unwrap_or_default();
    let text_of = |value: &toml::Value| value.as_str().unwrap().to_owned();
    Ban { name: text_of(&row["crate"]), wrappers: wrappers.iter().map(text_of).collect() }
}

/// Name and licence of each package that is built. `cargo tree` says what is built; `cargo metadata` also lists what a weak
/// feature (`ring?/alloc`) would reach if something else turned it on.
fn built() -> BTreeSet<(String, String)> {
    tree(&["--workspace"])
}

/// The packages that depend on this one by themselves.
fn users_of(name: &str) -> BTreeSet<String> {
    let packages = tree(&["--workspace", "--depth=1", "--invert", name]).into_iter();
    packages.map(|(package, _)| name_of(&package).to_owned()).filter(|package| package != name).collect()
}

fn tree(what: &[&str]) -> BTreeSet<(String, String)> {
    let all = ["tree", "--locked", "--prefix=none", "--edges=normal,build,dev", "--format={p}|{l}|"];
    let target = format!("--target={TARGET}");
    let output = Command::new(env!("CARGO")).args(all).arg(target).args(what).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let row = |line: &str| {
        let mut fields = line.split('|').map(|field| field.trim().to_owned());
        Some((fields.next()?, fields.next()?))
    };
    lines.lines().filter(|line| !line.is_empty()).filter_map(row).collect()
}

/// `package` as `cargo tree` writes it: name, version, and where it comes from.
fn name_of(package: &str) -> &str {
    package.split(' ').next().unwrap_or_default()
}

#[test]
fn licences_and_bans_are_kept() {
    let (rules, built) = (rules(), built());
    assert!(built.len() > 100, "cargo tree told of {} packages only", built.len());
    let faults: Vec<_> =
        built.iter().flat_map(|(package, licence)| faults_of(&rules, package, licence, users_of)).collect();
    assert!(faults.is_empty(), "\n\n{}\n", faults.join("\n"));
}

/// `users` tells which packages depend on one.
fn faults_of(rules: &Rules, package: &str, licence: &str, users: impl Fn(&str) -> BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(ban) = rules.banned.iter().find(|ban| ban.name == name_of(package)) {
        let users = users(&ban.name).into_iter().filter(|user| !ban.wrappers.contains(user));
        faults.extend(users.map(|user| format!("{user} depends on {package}, which is banned in deny.toml")));
    }
    let mut licences = rules.licences.clone();
    licences.extend(rules.exceptions.get(name_of(package)).into_iter().flatten().cloned());
    if !is_allowed(licence, &licences) {
        faults.push(format!("{package}: licence {licence:?} is not among those of deny.toml"));
    }
    faults
}

#[test]
fn everything_comes_from_crates_io() {
    let lock: toml::Table = fs::read_to_string(root().join("Cargo.lock")).unwrap().parse().unwrap();
    let sources: Vec<_> = lock["package"].as_array().unwrap().iter().filter_map(|row| row.get("source")).collect();
    assert!(sources.len() > 100);
    for source in sources {
        assert_eq!(source.as_str(), Some(REGISTRY));
    }
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

    let banned = vec![Ban { name: "ring".to_owned(), wrappers: vec!["media".to_owned()] }];
    let exceptions = BTreeMap::from([("weak".to_owned(), vec!["MPL-2.0".to_owned()])]);
    let rules = Rules { licences: allowed.to_vec(), exceptions, banned };
    let faults = |package, licence, users: &[&str]| {
        let users = |_: &str| users.iter().map(|user| (*user).to_owned()).collect();
        faults_of(&rules, package, licence, users).len()
    };
    assert_eq!(faults("serde v1.0.0", "MIT", &["everybody"]), 0);
    assert_eq!(faults("ring v0.17.0", "MIT", &["media"]), 0);
    assert_eq!(faults("ring v0.17.0", "MIT", &["media", "somebody"]), 1);
    assert_eq!(faults("unlicensed v0.1.0", "", &[]), 1);
    assert_eq!((faults("weak v1.0.0", "MPL-2.0", &[]), faults("weaker v1.0.0", "MPL-2.0", &[])), (0, 1));
}
