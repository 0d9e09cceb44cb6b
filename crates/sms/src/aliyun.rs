//! Alibaba Cloud SMS: `SendSms` of version 2017-05-25, signed by ACS3-HMAC-SHA256.
//!
//! Source: "V3 request structure and signature", help.aliyun.com, whose example with fixed parameters is a test below.

use std::fmt;

use serde::Deserialize;
use serde_json::json;

use crate::bytes::{hex, hmac_sha256, iso8601, percent, sha256_hex};
use crate::{Answer, Message, Request, failed, origin};

/// Where requests go unless the configuration says otherwise.
pub const ENDPOINT: &str = "dysmsapi.aliyuncs.com";

const ALGORITHM: &str = "ACS3-HMAC-SHA256";
const ACTION: &str = "SendSms";
const API_VERSION: &str = "2017-05-25";
const MAINLAND: &str = "+86";

/// What the operator has with the provider.
#[derive(Clone)]
pub struct Account {
    /// Host name.
    pub endpoint: String,
    /// AccessKey id.
    pub key_id: String,
    /// AccessKey secret.
    pub key_secret: String,
    /// Signature shown before the text, as approved.
    pub sign_name: String,
    /// `SMS_…`.
    pub template: String,
    /// The template's name for the code: `code`.
    pub code_parameter: String,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, template, .. } = self;
        f.debug_struct("Account").field("endpoint", endpoint).field("template", template).finish_non_exhaustive()
    }
}

impl Account {
    /// The request that sends a message at `now_s` (seconds since 1970). `nonce` has to be random.
    #[must_use]
    pub fn request(&self, message: &Message<'_>, nonce: [u8; 16], now_s: u64) -> Request {
        let code = json!({ self.code_parameter.as_str(): message.code }).to_string();
        let query = [
            ("PhoneNumbers", number(message.phone)),
            ("SignName", &self.sign_name),
            ("TemplateCode", &self.template),
            ("TemplateParam", &code),
        ];
        let (query, (origin, host)) = (canonical_query(&query), origin(&self.endpoint));
        let call = Call {
            host,
            action: ACTION,
            version: API_VERSION,
            query: &query,
            date: &iso8601(now_s),
            nonce: &hex(&nonce),
        };
        let url = format!("{origin}/?{query}");
        Request { url, headers: call.headers(&self.key_id, &self.key_secret), body: Vec::new() }
    }
}

/// Numbers of the mainland stand without country code, others without plus.
fn number(e164: &str) -> &str {
    e164.strip_prefix(MAINLAND).unwrap_or_else(|| e164.trim_start_matches('+'))
}

/// What a signature covers. Everything is in the query; there is no body.
struct Call<'a> {
    host: &'a str,
    action: &'a str,
    version: &'a str,
    query: &'a str,
    date: &'a str,
    nonce: &'a str,
}

impl Call<'_> {
    fn headers(&self, key_id: &str, key_secret: &str) -> Vec<(&'static str, String)> {
        let body = sha256_hex(b"");
        // In the order of their names, as the canonical request wants them.
        let mut headers = vec![
            ("host", self.host.to_owned()),
            ("x-acs-action", self.action.to_owned()),
            ("x-acs-content-sha256", body.clone()),
            ("x-acs-date", self.date.to_owned()),
            ("x-acs-signature-nonce", self.nonce.to_owned()),
            ("x-acs-version", self.version.to_owned()),
        ];
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let canonical = format!("POST\n/\n{}\n{lines}\n{names}\n{body}", self.query);
        let to_sign = format!("{ALGORITHM}\n{}", sha256_hex(canonical.as_bytes()));
        let signature = hex(&hmac_sha256(key_secret.as_bytes(), to_sign.as_bytes()));
        let value = format!("{ALGORITHM} Credential={key_id},SignedHeaders={names},Signature={signature}");
        headers.push(("authorization", value));
        headers
    }
}

fn canonical_query(parameters: &[(&str, &str)]) -> String {
    let mut pairs: Vec<_> = parameters.iter().map(|(name, value)| (percent(name), percent(value))).collect();
    pairs.sort();
    let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    code: String,
    #[serde(default)]
    biz_id: String,
}

/// What the answer means. Bodies of errors have the same form as others.
#[must_use]
pub fn answer(status: u16, body: &[u8]) -> Answer {
    let Ok(reply) = serde_json::from_slice::<Reply>(body) else { return failed(&format!("http_{status}")) };
    match reply.code.as_str() {
        "OK" if status == 200 => Answer::Accepted { id: reply.biz_id },
        "isv.MOBILE_NUMBER_ILLEGAL" => Answer::BadNumber,
        "isv.BUSINESS_LIMIT_CONTROL" | "isv.DAY_LIMIT_CONTROL" => Answer::Limited,
        code => failed(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account {
            endpoint: ENDPOINT.into(),
            key_id: "id".into(),
            key_secret: "secret".into(),
            sign_name: "\u{77ed}\u{4fe1}".into(),
            template: "SMS_1".into(),
            code_parameter: "code".into(),
        }
    }

    /// The documented example with fixed parameters.
    #[test]
    fn the_documented_example() {
        let query = [("RegionId", "cn-shanghai"), ("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd")];
        let query = canonical_query(&query);
        let call = Call {
            host: "ecs.cn-shanghai.aliyuncs.com",
            action: "RunInstances",
            version: "2014-05-26",
            query: &query,
            date: &iso8601(1_698_315_752),
            nonce: "3156853299f313e23d1673dc12e1703d",
        };
        let headers = call.headers("YourAccessKeyId", "YourAccessKeySecret");
        let want = "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;\
             x-acs-date;x-acs-signature-nonce;x-acs-version,\
             Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0";
        assert_eq!(headers.last().map(|(name, value)| (*name, value.as_str())), Some(("authorization", want)));
    }

    #[test]
    fn a_message_is_one_signed_request() {
        let message = Message { phone: "+8613800138000", code: "012345", purpose: "sign_in", minutes: 5 };
        let request = account().request(&message, [0xab; 16], 1_698_315_752);
        assert_eq!(
            request.url,
            "https://dysmsapi.aliyuncs.com/?PhoneNumbers=13800138000&SignName=%E7%9F%AD%E4%BF%A1&TemplateCode=SMS_1\
             &TemplateParam=%7B%22code%22%3A%22012345%22%7D"
        );
        assert_eq!(request.header("x-acs-date"), Some("2023-10-26T10:22:32Z"));
        assert_eq!(request.header("x-acs-signature-nonce"), Some("ab".repeat(16).as_str()));
        assert!(request.body.is_empty() && !format!("{:?}", account()).contains("secret"));
        // Another nonce, time, key or text is another signature.
        let signature = |account: &Account, code, nonce, now_s| {
            let message = Message { code, ..message };
            account.request(&message, nonce, now_s).header("authorization").unwrap().to_owned()
        };
        let base = signature(&account(), "012345", [0xab; 16], 1_698_315_752);
        let other = Account { key_secret: "other".into(), ..account() };
        assert_ne!(base, signature(&account(), "012346", [0xab; 16], 1_698_315_752));
        assert_ne!(base, signature(&account(), "012345", [0xac; 16], 1_698_315_752));
        assert_ne!(base, signature(&account(), "012345", [0xab; 16], 1_698_315_753));
        assert_ne!(base, signature(&other, "012345", [0xab; 16], 1_698_315_752));
        assert_eq!(number("+85251234567"), "85251234567");
    }

    #[test]
    fn answers() {
        let rows: [(u16, &[u8], Answer); 7] = [
            (200, br#"{"Code":"OK","BizId":"9^0","Message":"OK"}"#, Answer::Accepted { id: "9^0".into() }),
            (200, br#"{"Code":"isv.MOBILE_NUMBER_ILLEGAL","Message":"x"}"#, Answer::BadNumber),
            (200, br#"{"Code":"isv.BUSINESS_LIMIT_CONTROL"}"#, Answer::Limited),
            (200, br#"{"Code":"isv.AMOUNT_NOT_ENOUGH"}"#, Answer::Failed { code: "isv.AMOUNT_NOT_ENOUGH".into() }),
            (400, br#"{"Code":"SignatureDoesNotMatch"}"#, Answer::Failed { code: "SignatureDoesNotMatch".into() }),
            (500, br#"{"Code":"OK"}"#, Answer::Failed { code: "OK".into() }),
            (502, b"<html>", Answer::Failed { code: "http_502".into() }),
        ];
        for (status, body, want) in rows {
            assert_eq!(answer(status, body), want, "{status} {body:?}");
        }
    }
}
