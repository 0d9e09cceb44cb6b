//! `[sms]`: who brings codes to phones, in which order, and with which secrets.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use convene_outbound::Provider;
use convene_sms::failover::MAX_PROVIDERS;
use convene_sms::webhook::Secret;
use convene_sms::{aliyun, tencent, webhook};
use serde::{Deserialize, Serialize};

/// Providers of text messages. A secret stands in the configuration, in a file, or in a variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sms {
    pub(crate) order: Vec<String>,
    pub(crate) webhook_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) webhook_secret: Option<Hidden>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) webhook_secret_file: Option<PathBuf>,
    pub(crate) aliyun_endpoint: String,
    pub(crate) aliyun_key_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) aliyun_key_secret: Option<Hidden>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) aliyun_key_secret_file: Option<PathBuf>,
    pub(crate) aliyun_sign_name: String,
    pub(crate) aliyun_template: String,
    pub(crate) aliyun_code_parameter: String,
    pub(crate) tencent_endpoint: String,
    pub(crate) tencent_region: String,
    pub(crate) tencent_secret_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tencent_secret_key: Option<Hidden>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tencent_secret_key_file: Option<PathBuf>,
    pub(crate) tencent_app_id: String,
    pub(crate) tencent_sign_name: String,
    pub(crate) tencent_template: String,
    pub(crate) tencent_with_minutes: bool,
}

impl Default for Sms {
    fn default() -> Self {
        Self {
            order: Vec::new(),
            webhook_url: String::new(),
            webhook_secret: None,
            webhook_secret_file: None,
            aliyun_endpoint: aliyun::ENDPOINT.to_owned(),
            aliyun_key_id: String::new(),
            aliyun_key_secret: None,
            aliyun_key_secret_file: None,
            aliyun_sign_name: String::new(),
            aliyun_template: String::new(),
            aliyun_code_parameter: "code".to_owned(),
            tencent_endpoint: tencent::ENDPOINT.to_owned(),
            tencent_region: "ap-guangzhou".to_owned(),
            tencent_secret_id: String::new(),
            tencent_secret_key: None,
            tencent_secret_key_file: None,
            tencent_app_id: String::new(),
            tencent_sign_name: String::new(),
            tencent_template: String::new(),
            tencent_with_minutes: false,
        }
    }
}

/// A secret, out of sight of logs and errors.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Hidden(pub(crate) String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(..)")
    }
}

impl Sms {
    /// The providers in their order, with their secrets. Reads the files of secrets.
    pub(super) fn providers(&self) -> Result<Vec<Provider>> {
        ensure!(self.order.len() <= MAX_PROVIDERS, "sms.order names more than {MAX_PROVIDERS} providers");
        let twice =
            self.order.iter().enumerate().find(|(at, name)| self.order.iter().take(*at).any(|one| one == *name));
        if let Some((_, name)) = twice {
            bail!("sms.order names {name:?} twice");
        }
        self.order.iter().map(|name| self.provider(name)).collect()
    }

    fn provider(&self, name: &str) -> Result<Provider> {
        match name {
            "webhook" => self.webhook().map(|account| Provider::Webhook(Box::new(account))),
            "aliyun" => self.aliyun().map(Provider::Aliyun),
            "tencent" => self.tencent().map(Provider::Tencent),
            other => bail!("sms.order names {other:?}: there are webhook, aliyun and tencent"),
        }
    }

    fn webhook(&self) -> Result<webhook::Account> {
        let url = self.webhook_url.as_str();
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).filter(|host| !host.is_empty());
        let host = host.with_context(|| format!("sms.webhook_url is {url:?}: give an http or https address"))?;
        ensure!(!host.contains('@'), "sms.webhook_url has a user in it: the signature says who asks");
        let secret = secret("sms.webhook_secret", self.webhook_secret.as_ref(), self.webhook_secret_file.as_deref())?;
        let secret = Secret::parse(&secret).context("reading sms.webhook_secret")?;
        Ok(webhook::Account { url: url.to_owned(), host: host.to_owned(), secret })
    }

    fn aliyun(&self) -> Result<aliyun::Account> {
        let file = self.aliyun_key_secret_file.as_deref();
        Ok(aliyun::Account {
            endpoint: endpoint("sms.aliyun_endpoint", &self.aliyun_endpoint)?,
            key_id: given("sms.aliyun_key_id", &self.aliyun_key_id)?,
            key_secret: secret("sms.aliyun_key_secret", self.aliyun_key_secret.as_ref(), file)?,
            sign_name: given("sms.aliyun_sign_name", &self.aliyun_sign_name)?,
            template: given("sms.aliyun_template", &self.aliyun_template)?,
            code_parameter: given("sms.aliyun_code_parameter", &self.aliyun_code_parameter)?,
        })
    }

    fn tencent(&self) -> Result<tencent::Account> {
        let file = self.tencent_secret_key_file.as_deref();
        Ok(tencent::Account {
            endpoint: endpoint("sms.tencent_endpoint", &self.tencent_endpoint)?,
            region: given("sms.tencent_region", &self.tencent_region)?,
            secret_id: given("sms.tencent_secret_id", &self.tencent_secret_id)?,
            secret_key: secret("sms.tencent_secret_key", self.tencent_secret_key.as_ref(), file)?,
            app_id: given("sms.tencent_app_id", &self.tencent_app_id)?,
            sign_name: self.tencent_sign_name.clone(),
            template: given("sms.tencent_template", &self.tencent_template)?,
            with_minutes: self.tencent_with_minutes,
        })
    }
}

fn given(name: &str, value: &str) -> Result<String> {
    ensure!(!value.trim().is_empty(), "{name} is empty: sms.order names its provider");
    Ok(value.trim().to_owned())
}

/// A host, and a port maybe. Without TLS only to this machine: number and code are in the request.
fn endpoint(name: &str, value: &str) -> Result<String> {
    let value = given(name, value)?;
    let (host, plain) = match value.strip_prefix("http://") {
        Some(host) => (host, true),
        None => (value.as_str(), false),
    };
    ensure!(!host.contains(['/', '@', '?', '#', ' ']), "{name} is {value:?}: give a host name, and a port maybe");
    let loopback = ["127.0.0.1", "localhost", "[::1]"]
        .iter()
        .any(|own| host.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with(':')));
    ensure!(!plain || loopback, "{name} is {value:?}: codes go over TLS, except to this machine");
    Ok(value)
}

fn secret(name: &str, inline: Option<&Hidden>, file: Option<&Path>) -> Result<String> {
    let text = match (inline, file) {
        (Some(_), Some(_)) => bail!("{name} and {name}_file are both given: give one"),
        (Some(Hidden(text)), None) => text.clone(),
        (None, Some(path)) => {
            fs::read_to_string(path).with_context(|| format!("reading {name}_file, {}", path.display()))?
        }
        (None, None) => bail!("{name} is missing: give it, {name}_file or the variable"),
    };
    given(name, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn hidden(text: &str) -> Option<Hidden> {
        Some(Hidden(text.to_owned()))
    }

    fn all() -> Sms {
        Sms {
            order: ["tencent", "webhook", "aliyun"].map(str::to_owned).to_vec(),
            webhook_url: "http://sms.internal:8080/send".to_owned(),
            webhook_secret: hidden(SECRET),
            aliyun_key_id: "id".to_owned(),
            aliyun_key_secret: hidden("hunter2"),
            aliyun_sign_name: "s".to_owned(),
            aliyun_template: "SMS_1".to_owned(),
            tencent_secret_id: "id".to_owned(),
            tencent_secret_key: hidden("hunter2"),
            tencent_app_id: "14".to_owned(),
            tencent_template: "1".to_owned(),
            ..Sms::default()
        }
    }

    #[test]
    fn providers_stand_in_the_configured_order() {
        let found = all().providers().unwrap();
        assert_eq!(found.iter().map(Provider::name).collect::<Vec<_>>(), ["tencent", "webhook", "aliyun"]);
        assert!(!format!("{:?} {found:?}", all()).contains("hunter2"));
        let Provider::Webhook(account) = &found[1] else { panic!("the webhook") };
        assert_eq!(account.host, "sms.internal:8080");
        assert!(Sms::default().providers().unwrap().is_empty());
    }

    #[test]
    fn secrets_come_from_files_too() {
        let path = std::env::temp_dir().join(format!("convene-sms-{}", std::process::id()));
        fs::write(&path, format!("{SECRET}\n")).unwrap();
        let file = Some(path.clone());
        let sms = Sms { webhook_secret: None, webhook_secret_file: file.clone(), ..all() };
        assert_eq!(sms.providers().unwrap().len(), 3);
        let both = Sms { webhook_secret_file: file, ..all() }.providers().unwrap_err();
        assert!(both.to_string().contains("both"), "{both}");
        fs::remove_file(&path).unwrap();
        assert!(format!("{:#}", sms.providers().unwrap_err()).contains("webhook_secret_file"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let rows = [
            (Sms { order: vec!["pigeon".to_owned()], ..all() }, "pigeon"),
            (Sms { order: vec!["webhook".to_owned(), "webhook".to_owned()], ..all() }, "twice"),
            (Sms { webhook_url: "sms.internal".to_owned(), ..all() }, "webhook_url"),
            (Sms { webhook_url: "https:///x".to_owned(), ..all() }, "webhook_url"),
            (Sms { webhook_secret: hidden("short"), ..all() }, "webhook_secret"),
            (Sms { aliyun_key_secret: None, ..all() }, "aliyun_key_secret"),
            (Sms { aliyun_template: " ".to_owned(), ..all() }, "aliyun_template"),
            (Sms { aliyun_endpoint: "http://example.com".to_owned(), ..all() }, "TLS"),
            (Sms { aliyun_endpoint: "http://127.0.0.1.example.com".to_owned(), ..all() }, "TLS"),
            (Sms { tencent_endpoint: "https://example.com".to_owned(), ..all() }, "tencent_endpoint"),
            (Sms { tencent_app_id: String::new(), ..all() }, "tencent_app_id"),
        ];
        for (sms, word) in rows {
            let message = format!("{:#}", sms.providers().unwrap_err());
            assert!(message.contains(word) && !message.contains("hunter2"), "{message:?} lacks {word:?}");
        }
        assert!(Sms { tencent_endpoint: "http://127.0.0.1:90".to_owned(), ..all() }.providers().is_ok());
    }
}
