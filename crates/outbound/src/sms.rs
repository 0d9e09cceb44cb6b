//! Codes to phones: asks one provider after the other, as [`failover`] says.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use convene_sms::failover::{Delivery, Health, Next};
use convene_sms::{Answer, Message, Request, aliyun, tencent, webhook};
use convene_telemetry::Metrics;
use parking_lot::Mutex;
use tracing::{info, warn};

use crate::client::{Client, Outgoing, SendError};

/// Who takes messages, with what the operator has there.
#[derive(Clone, Debug)]
pub enum Provider {
    /// An endpoint of the operator's own.
    Webhook(Box<webhook::Account>),
    /// Alibaba Cloud.
    Aliyun(aliyun::Account),
    /// Tencent Cloud.
    Tencent(tencent::Account),
}

impl Provider {
    /// As in the configuration and in metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Aliyun(_) => "aliyun",
            Self::Tencent(_) => "tencent",
        }
    }

    fn request(&self, message: &Message<'_>, now_s: u64) -> Request {
        match self {
            Self::Webhook(account) => account.request(message, rand::random(), now_s),
            Self::Aliyun(account) => account.request(message, rand::random(), now_s),
            Self::Tencent(account) => account.request(message, now_s),
        }
    }

    fn answer(&self, status: u16, body: &[u8]) -> Answer {
        match self {
            Self::Webhook(_) => webhook::answer(status, body),
            Self::Aliyun(_) => aliyun::answer(status, body),
            Self::Tencent(_) => tencent::answer(status, body),
        }
    }
}

/// Why a message is not on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// The number cannot be written to.
    #[error("the number cannot be written to")]
    BadNumber,
    /// All providers have written to this number too often.
    #[error("the number was written to too often")]
    Limited,
    /// Nobody took it.
    #[error("no provider took the message")]
    Failed,
}

/// The providers, and how they did lately. One for the process.
pub struct Sms {
    providers: Vec<Provider>,
    health: Mutex<Health>,
    client: Client,
    metrics: Arc<Metrics>,
    began: Instant,
}

impl Sms {
    /// Asks `providers` in this order.
    #[must_use]
    pub fn new(providers: Vec<Provider>, client: Client, metrics: Arc<Metrics>) -> Self {
        let health = Mutex::new(Health::new(providers.len()));
        Self { providers, health, client, metrics, began: Instant::now() }
    }

    /// Brings a message to a phone, or says why not. Takes [`convene_sms::failover::MAX_TOTAL_MS`] at most.
    pub async fn send(&self, message: &Message<'_>) -> Result<(), NotSent> {
        let mut delivery = Delivery::begin(&self.health.lock(), self.now_ms());
        loop {
            let now_ms = self.now_ms();
            let (provider, deadline_ms) = match delivery.poll_next(now_ms) {
                Next::Ask { provider, deadline_ms } => (provider, deadline_ms),
                Next::Sent { .. } => return Ok(()),
                Next::BadNumber => return Err(NotSent::BadNumber),
                Next::Limited => return Err(NotSent::Limited),
                Next::Failed => {
                    warn!("no provider took a message");
                    return Err(NotSent::Failed);
                }
            };
            let answer = match self.providers.get(provider) {
                Some(one) => self.ask(one, message, deadline_ms.saturating_sub(now_ms)).await,
                None => None, // cannot happen: health counts these providers
            };
            delivery.handle_answer(answer.as_ref(), &mut self.health.lock(), self.now_ms());
        }
    }

    async fn ask(&self, provider: &Provider, message: &Message<'_>, patience_ms: u64) -> Option<Answer> {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let Request { url, headers, body } = provider.request(message, now_s);
        let outgoing = Outgoing { url: &url, headers: &headers, body };
        let reply = self.client.post(outgoing, Duration::from_millis(patience_ms)).await;
        let (answer, outcome) = match &reply {
            Ok(reply) => {
                let answer = provider.answer(reply.status, &reply.body);
                let outcome = outcome(&answer);
                (Some(answer), outcome)
            }
            Err(SendError::TimedOut) => (None, "timeout"),
            Err(_) => (None, "unreachable"),
        };
        let name = provider.name();
        self.metrics.sms.with_label_values(&[name, outcome]).inc();
        match (&answer, &reply) {
            (Some(Answer::Accepted { id }), _) => info!(provider = name, id, "a message is on its way"),
            (Some(Answer::Failed { code }), _) => warn!(provider = name, code, "a provider did not take a message"),
            (Some(Answer::BadNumber | Answer::Limited), _) => info!(provider = name, outcome, "a message was refused"),
            (None, Err(error)) => warn!(provider = name, %error, "a provider did not answer"),
            (None, Ok(_)) => {}
        }
        answer
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

const fn outcome(answer: &Answer) -> &'static str {
    match answer {
        Answer::Accepted { .. } => "sent",
        Answer::BadNumber => "bad_number",
        Answer::Limited => "limited",
        Answer::Failed { .. } => "failed",
    }
}

#[cfg(test)]
mod tests {
    use convene_sms::webhook::{Account, Received, Secret};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::client::Reach;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// A provider that verifies what comes, and answers `good` to what is signed and 401 to the rest. Counts requests.
    async fn provider(good: u16) -> (Provider, Arc<Mutex<Vec<u16>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let answers = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&answers);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut got = vec![0; 8192];
                let mut length = 0;
                while !std::str::from_utf8(&got[..length]).unwrap().ends_with('}') {
                    length += stream.read(&mut got[length..]).await.unwrap();
                }
                let status = if verify(std::str::from_utf8(&got[..length]).unwrap()) { good } else { 401 };
                noted.lock().push(status);
                let answer = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let secret = Secret::parse(SECRET).unwrap();
        (Provider::Webhook(Box::new(Account { url: format!("http://{host}/sms"), host, secret })), answers)
    }

    fn verify(request: &str) -> bool {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let header = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap_or_default()
        };
        let timestamp_s = header("webhook-timestamp").parse().unwrap_or(0);
        let (id, signature) = (header("webhook-id"), header("webhook-signature"));
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let received = Received { id, timestamp_s, signature, body: body.as_bytes() };
        Secret::parse(SECRET).unwrap().verify(&received, now_s).is_ok() && body.contains("+8613800138000")
    }

    fn sms(providers: Vec<Provider>) -> (Sms, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::new());
        (Sms::new(providers, Client::new(Reach::Anywhere).unwrap(), Arc::clone(&metrics)), metrics)
    }

    const MESSAGE: Message<'_> = Message { phone: "+8613800138000", code: "012345", purpose: "register", minutes: 5 };

    #[tokio::test]
    async fn the_next_one_is_asked_when_one_fails() {
        let (down, asked_first) = provider(500).await;
        let (up, asked_second) = provider(204).await;
        let (sms, metrics) = sms(vec![down, up]);
        assert_eq!(sms.send(&MESSAGE).await, Ok(()));
        assert_eq!((asked_first.lock().as_slice(), asked_second.lock().as_slice()), (&[500][..], &[204][..]));
        // The first rests.
        assert_eq!(sms.send(&MESSAGE).await, Ok(()));
        assert_eq!((asked_first.lock().len(), asked_second.lock().len()), (1, 2));
        let text = metrics.text();
        assert!(text.contains(r#"convene_sms_total{outcome="sent",provider="webhook"} 2"#), "{text}");
        assert!(text.contains(r#"convene_sms_total{outcome="failed",provider="webhook"} 1"#), "{text}");
    }

    #[tokio::test]
    async fn all_down_is_an_error_and_a_bad_number_asks_nobody_else() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        let secret = Secret::parse(SECRET).unwrap();
        let gone = Provider::Webhook(Box::new(Account { url: format!("http://{closed}/"), host: closed, secret }));
        let (failing, _) = provider(503).await;
        assert_eq!(sms(vec![gone, failing]).0.send(&MESSAGE).await, Err(NotSent::Failed));
        let (refusing, _) = provider(422).await;
        let (other, asked) = provider(204).await;
        assert_eq!(sms(vec![refusing, other]).0.send(&MESSAGE).await, Err(NotSent::BadNumber));
        assert!(asked.lock().is_empty());
        let (limited, _) = provider(429).await;
        assert_eq!(sms(vec![limited]).0.send(&MESSAGE).await, Err(NotSent::Limited));
        assert_eq!(sms(Vec::new()).0.send(&MESSAGE).await, Err(NotSent::Failed));
    }
}
