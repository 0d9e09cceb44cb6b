//! Puts the layers of the configuration on top of each other.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize as _;
use toml::{Table, Value};

use super::Config;
use super::keys::{self, KEYS};

/// Where values come from, besides the defaults.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// `--config`.
    pub(crate) file: Option<PathBuf>,
    /// The process's variables; only `CONVENE_*` is looked at.
    pub(crate) variables: Vec<(String, String)>,
    /// Key path and value of each flag that was given.
    pub(crate) flags: Vec<(&'static str, Value)>,
}

/// Defaults, then the file, then `CONVENE_*`, then flags.
pub(crate) fn load(sources: &Sources) -> Result<Config> {
    if let Some(name) = keys::unknown_variable(&sources.variables) {
        bail!("unknown variable {name}: the nearest known one is {}", keys::nearest_variable(name));
    }
    let mut table = match config_file(sources) {
        Some(path) => read_file(&path).with_context(|| format!("reading the configuration {}", path.display()))?,
        None => Table::new(),
    };
    for key in KEYS {
        let name = key.variable();
        let of_ours = |(variable, text): &&(String, String)| *variable == name && !keys::is_link(variable, text);
        let Some((_, text)) = sources.variables.iter().find(of_ours) else { continue };
        let value = key.read(text).map_err(|reason| anyhow!("{name}: {reason}"))?;
        set(&mut table, key.path, value);
        config_of(&table).with_context(|| format!("applying the variable {name}"))?;
    }
    for (path, value) in &sources.flags {
        set(&mut table, path, value.clone());
    }
    config_of(&table).context("applying the flags")
}

fn config_file(sources: &Sources) -> Option<PathBuf> {
    let variable = || sources.variables.iter().find(|(name, _)| name == keys::CONFIG_VARIABLE);
    sources.file.clone().or_else(|| variable().map(|(_, path)| PathBuf::from(path)))
}

fn read_file(path: &Path) -> Result<Table> {
    let text = std::fs::read_to_string(path)?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| anyhow!("{}", error.to_string().trim_end()))?;
    if let Some(key) = keys::unknown_in(&table) {
        bail!("unknown key {key}: the nearest known one is {}", keys::nearest_key(&key));
    }
    // Read once from the text, for an error that shows the line.
    toml::from_str::<Config>(&text).map_err(|error| anyhow!("{}", error.to_string().trim_end()))?;
    Ok(table)
}

fn config_of(table: &Table) -> Result<Config> {
    Ok(Config::deserialize(table.clone())?)
}

fn set(table: &mut Table, path: &str, value: Value) {
    let Some((section, leaf)) = path.split_once('.') else {
        table.insert(path.to_owned(), value);
        return;
    };
    let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(inner) = inner {
        inner.insert(leaf.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of one test, removed at its end.
    struct File(PathBuf);

    impl File {
        fn new(name: &str, text: &str) -> Self {
            let path = std::env::temp_dir().join(format!("convene-{}-{name}.toml", std::process::id()));
            std::fs::write(&path, text).unwrap();
            Self(path)
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn each_layer_overrides_the_one_before_and_nothing_else() {
        let file = File::new("layers", "port_base = 1000\ndata_dir = \"/f\"\n[http]\nport = 1\n[media]\nworkers = 1\n");
        let mut sources = Sources { file: Some(file.0.clone()), ..Sources::default() };
        let config = load(&sources).unwrap();
        assert_eq!((config.port_base, config.http.port, config.media.workers), (1000, Some(1), 1));

        sources.variables = variables(&[("CONVENE_PORT_BASE", "2000"), ("CONVENE_HTTP_PORT", "2"), ("HOME", "x")]);
        let config = load(&sources).unwrap();
        assert_eq!((config.port_base, config.http.port, config.media.workers), (2000, Some(2), 1));

        sources.flags = vec![("port_base", Value::Integer(3000))];
        let config = load(&sources).unwrap();
        assert_eq!((config.port_base, config.http.port, config.media.workers), (3000, Some(2), 1));
        assert_eq!(config.data_dir, PathBuf::from("/f"));
    }

    #[test]
    fn nothing_given_means_the_defaults() {
        assert_eq!(load(&Sources::default()).unwrap(), Config::default());
    }

    #[test]
    fn the_file_can_be_named_by_a_variable() {
        let file = File::new("variable", "port_base = 1000");
        let path = file.0.display().to_string();
        let sources = Sources { variables: variables(&[("CONVENE_CONFIG", &path)]), ..Sources::default() };
        assert_eq!(load(&sources).unwrap().port_base, 1000);
    }

    #[test]
    fn lists_and_maps_come_from_variables() {
        let given = [("CONVENE_KEYS", "a:b, c:d:e"), ("CONVENE_MEDIA_NODE_IP", "192.0.2.1,2001:db8::1")];
        let config = load(&Sources { variables: variables(&given), ..Sources::default() }).unwrap();
        assert_eq!(config.keys.0.get("c").map(String::as_str), Some("d:e"));
        assert_eq!(config.media.node_ip.len(), 2);
    }

    #[test]
    fn services_of_kubernetes_set_nothing() {
        let link = |name: &'static str| (name, "tcp://10.43.7.9:7880");
        let of_services = ["CONVENE_HTTP_PORT", "CONVENE_IM_PORT", "CONVENE_OPS_PORT", "CONVENE_MEDIA_PORT"].map(link);
        let host = [("CONVENE_HTTP_SERVICE_HOST", "10.43.7.9"), ("CONVENE_HTTP_SERVICE_PORT", "7880")];
        let given = variables(&[&of_services[..], &host].concat());
        let config = load(&Sources { variables: given, ..Sources::default() });
        assert_eq!(config.unwrap(), Config::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let rows: &[(&str, &str, &str, &[&str])] = &[
            ("prot_base = 1", "", "", &["prot_base", "port_base"]),
            ("[http]\nprot = 1", "", "", &["http.prot", "http.port"]),
            ("[media]\nworkers = \"two\"", "", "", &["workers = \"two\"", "line 2"]),
            ("port_base = 70000", "", "", &["70000"]),
            ("port_base = ", "", "", &["line 1"]),
            ("", "CONVENE_PROT_BASE", "1", &["CONVENE_PROT_BASE", "CONVENE_PORT_BASE"]),
            ("", "CONVENE_PORT_BASE", "many", &["CONVENE_PORT_BASE", "many"]),
            ("", "CONVENE_HTTP_BIND", "nowhere", &["CONVENE_HTTP_BIND"]),
            ("", "CONVENE_DEV", "maybe", &["CONVENE_DEV", "maybe"]),
        ];
        for (index, (text, name, value, named)) in rows.iter().enumerate() {
            let file = File::new(&format!("wrong-{index}"), text);
            let pairs = if name.is_empty() { Vec::new() } else { variables(&[(name, value)]) };
            let sources = Sources { file: Some(file.0.clone()), variables: pairs, ..Sources::default() };
            let message = format!("{:#}", load(&sources).unwrap_err());
            for word in *named {
                assert!(message.contains(word), "{text:?} {name}={value}: {message:?} lacks {word:?}");
            }
        }
    }

    #[test]
    fn a_secret_is_not_repeated_in_an_error() {
        let sources = Sources { variables: variables(&[("CONVENE_KEYS", "hunter2")]), ..Sources::default() };
        assert!(!format!("{:#}", load(&sources).unwrap_err()).contains("hunter2"));
    }
}
