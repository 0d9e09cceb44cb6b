//! Tencent Cloud SMS: `SendSms` of version 2021-01-11, signed by TC3-HMAC-SHA256.
//!
//! Source: "Signature v3", cloud.tencent.com, whose example (`DescribeInstances`) is a test below.

use std::fmt;

use serde::Deserialize;
use serde_json::json;

use crate::bytes::{date, hex, hmac_sha256, sha256_hex};
use crate::{Answer, Message, Request, failed, origin};

/// Where requests go unless the configuration says otherwise.
pub const ENDPOINT: &str = "sms.tencentcloudapi.com";

const ALGORITHM: &str = "TC3-HMAC-SHA256";
const SERVICE: &str = "sms";
const ACTION: &str = "SendSms";
const API_VERSION: &str = "2021-01-11";
const CONTENT_TYPE: &str = "application/json; charset=utf-8";

/// What the operator has with the provider.
#[derive(Clone)]
pub struct Account {
    /// Host name.
    pub endpoint: String,
    /// `ap-guangzhou`.
    pub region: String,
    /// SecretId.
    pub secret_id: String,
    /// SecretKey.
    pub secret_key: String,
    /// Number of the SMS application.
    pub app_id: String,
    /// Signature shown before the text, as approved. Empty outside of the mainland.
    pub sign_name: String,
    /// Number of the template.
    pub template: String,
    /// The template's second parameter says how many minutes the code is good for.
    pub with_minutes: bool,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, template, .. } = self;
        f.debug_struct("Account").field("endpoint", endpoint).field("template", template).finish_non_exhaustive()
    }
}

impl Account {
    /// The request that sends a message at `now_s` (seconds since 1970).
    #[must_use]
    pub fn request(&self, message: &Message<'_>, now_s: u64) -> Request {
        let mut parameters = vec![message.code.to_owned()];
        if self.with_minutes {
            parameters.push(message.minutes.to_string());
        }
        let body = json!({
            "PhoneNumberSet": [message.phone],
            "SmsSdkAppId": self.app_id,
            "SignName": self.sign_name,
            "TemplateId": self.template,
            "TemplateParamSet": parameters,
        });
        let body = body.to_string().into_bytes();
        let (origin, host) = origin(&self.endpoint);
        let signed =
            [("content-type", CONTENT_TYPE.to_owned()), ("host", host.to_owned()), ("x-tc-action", ACTION.to_owned())];
        let call = Call { service: SERVICE, headers: &signed, body: &body, now_s };
        let authorization = call.authorization(&self.secret_id, &self.secret_key);
        let mut headers = signed.to_vec();
        headers.push(("x-tc-version", API_VERSION.to_owned()));
        headers.push(("x-tc-region", self.region.clone()));
        headers.push(("x-tc-timestamp", now_s.to_string()));
        headers.push(("authorization", authorization));
        Request { url: format!("{origin}/"), headers, body }
    }
}

/// What a signature covers.
struct Call<'a> {
    service: &'a str,
    /// In the order of their names.
    headers: &'a [(&'static str, String)],
    body: &'a [u8],
    now_s: u64,
}

impl Call<'_> {
    fn authorization(&self, secret_id: &str, secret_key: &str) -> String {
        // Values are signed in lower case, and sent as they are.
        let line = |(name, value): &(&str, String)| format!("{name}:{}\n", value.trim().to_lowercase());
        let lines: String = self.headers.iter().map(line).collect();
        let names: Vec<_> = self.headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let canonical = format!("POST\n/\n\n{lines}\n{names}\n{}", sha256_hex(self.body));
        let date = date(self.now_s);
        let scope = format!("{date}/{}/tc3_request", self.service);
        let to_sign = format!("{ALGORITHM}\n{}\n{scope}\n{}", self.now_s, sha256_hex(canonical.as_bytes()));
        let of_date = hmac_sha256(format!("TC3{secret_key}").as_bytes(), date.as_bytes());
        let of_service = hmac_sha256(&of_date, self.service.as_bytes());
        let key = hmac_sha256(&of_service, b"tc3_request");
        let signature = hex(&hmac_sha256(&key, to_sign.as_bytes()));
        format!("{ALGORITHM} Credential={secret_id}/{scope}, SignedHeaders={names}, Signature={signature}")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    response: Response,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Response {
    error: Option<Status>,
    #[serde(default)]
    send_status_set: Vec<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    code: String,
    #[serde(default)]
    serial_no: String,
}

/// What the answer means. One number was written to, so there is one status, or an error of the whole request.
#[must_use]
pub fn answer(status: u16, body: &[u8]) -> Answer {
    let http = || failed(&format!("http_{status}"));
    let Ok(Reply { response }) = serde_json::from_slice::<Reply>(body) else { return http() };
    let Some(found) = response.error.or_else(|| response.send_status_set.into_iter().next()) else { return http() };
    match found.code.as_str() {
        "Ok" if status == 200 => Answer::Accepted { id: found.serial_no },
        "InvalidParameterValue.IncorrectPhoneNumber" | "FailedOperation.PhoneNumberInBlacklist" => Answer::BadNumber,
        code if code.starts_with("LimitExceeded.PhoneNumber") => Answer::Limited,
        code => failed(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account {
            endpoint: ENDPOINT.into(),
            region: "ap-guangzhou".into(),
            secret_id: "id".into(),
            secret_key: "secret".into(),
            app_id: "1400000000".into(),
            sign_name: "\u{77ed}\u{4fe1}".into(),
            template: "1".into(),
            with_minutes: true,
        }
    }

    /// The documented example, as it stands today and as it stood before the action was signed too. The page masks the
    /// end of the secret with asterisks, and computes with them.
    #[test]
    fn the_documented_example() {
        let body = br#"{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}"#;
        let headers = [
            ("content-type", "application/json; charset=utf-8".to_owned()),
            ("host", "cvm.tencentcloudapi.com".to_owned()),
            ("x-tc-action", "DescribeInstances".to_owned()),
        ];
        let rows = [
            (
                &headers[..],
                "content-type;host;x-tc-action",
                "be4f67d323c78ab9acb7395e43c0dbcf822a9cfac32fea2449a7bc7726b770a3",
            ),
            (&headers[..2], "content-type;host", "2230eefd229f582d8b1b891af7107b91597240707d778ab3738f756258d7652c"),
        ];
        for (headers, names, signature) in rows {
            let call = Call { service: "cvm", headers, body, now_s: 1_551_113_065 };
            let got = call.authorization("AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******", "Gu5t9xGARNpq86cd98joQYCN3*******");
            let want = format!(
                "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******/2019-02-25/cvm/tc3_request, \
                 SignedHeaders={names}, Signature={signature}"
            );
            assert_eq!(got, want);
        }
    }

    #[test]
    fn a_message_is_one_signed_request() {
        let message = Message { phone: "+8613800138000", code: "012345", purpose: "sign_in", minutes: 5 };
        let request = account().request(&message, 1_551_113_065);
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["PhoneNumberSet"], json!(["+8613800138000"]));
        assert_eq!(body["TemplateParamSet"], json!(["012345", "5"]));
        let headers = ["x-tc-action", "x-tc-version", "x-tc-timestamp", "x-tc-region", "host"];
        let values = headers.map(|name| request.header(name).unwrap());
        assert_eq!(values, ["SendSms", "2021-01-11", "1551113065", "ap-guangzhou", ENDPOINT]);
        let authorization = request.header("authorization").unwrap();
        assert!(authorization.starts_with("TC3-HMAC-SHA256 Credential=id/2019-02-25/sms/tc3_request, "));
        let other = Account { secret_key: "other".into(), ..account() };
        assert_ne!(other.request(&message, 1_551_113_065).header("authorization"), Some(authorization));
        // The day is that of UTC: one second later is another scope.
        let next = account().request(&message, 1_551_139_200);
        assert!(next.header("authorization").unwrap().contains("/2019-02-26/"));
        assert!(!format!("{:?}", account()).contains("secret"));
    }

    #[test]
    fn answers() {
        let rows: [(u16, &[u8], Answer); 7] = [
            (
                200,
                br#"{"Response":{"SendStatusSet":[{"Code":"Ok","SerialNo":"5:1"}],"RequestId":"r"}}"#,
                Answer::Accepted { id: "5:1".into() },
            ),
            (
                200,
                br#"{"Response":{"SendStatusSet":[{"Code":"InvalidParameterValue.IncorrectPhoneNumber"}]}}"#,
                Answer::BadNumber,
            ),
            (
                200,
                br#"{"Response":{"SendStatusSet":[{"Code":"LimitExceeded.PhoneNumberDailyLimit"}]}}"#,
                Answer::Limited,
            ),
            (
                200,
                br#"{"Response":{"Error":{"Code":"AuthFailure.SignatureFailure","Message":"m"}}}"#,
                Answer::Failed { code: "AuthFailure.SignatureFailure".into() },
            ),
            (200, br#"{"Response":{"RequestId":"r"}}"#, Answer::Failed { code: "http_200".into() }),
            (200, b"{}", Answer::Failed { code: "http_200".into() }),
            (503, b"", Answer::Failed { code: "http_503".into() }),
        ];
        for (status, body, want) in rows {
            assert_eq!(answer(status, body), want, "{status} {body:?}");
        }
    }
}
