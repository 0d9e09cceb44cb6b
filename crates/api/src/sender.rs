//! Brings codes to phones.

use std::fmt;
use std::sync::Arc;

use convene_accounts::phone::Phone;
use convene_accounts::verification::{Purpose, VALID_FOR_S, VerificationCode};
use convene_accounts::{Code, Refusal};
use convene_outbound::{NotSent, Sms};
use convene_sms::Message;

/// Seconds after which an operator may have set somebody up who sends, or a provider works again.
const RETRY_S: u64 = 60;
/// Seconds after which providers write to a number again: their own limits are by the hour.
const LIMITED_RETRY_S: u64 = 60 * 60;

/// Takes number, purpose and digits.
pub type Program = Box<dyn Fn(&Phone, Purpose, &str) -> Result<(), Refusal> + Send + Sync>;

/// Who brings codes to phones.
#[non_exhaustive]
pub enum Sender {
    /// Nobody: the code is written to the log. For development: whoever reads the log is in.
    Log,
    /// Nobody, and nothing is written: codes are refused.
    Nobody,
    /// Text messages.
    Sms(Arc<Sms>),
    /// The program that the service is part of.
    Program(Program),
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log => f.write_str("Log"),
            Self::Nobody => f.write_str("Nobody"),
            Self::Sms(_) => f.write_str("Sms"),
            Self::Program(_) => f.write_str("Program"),
        }
    }
}

impl Sender {
    /// Hands a code over. When nobody takes it, the code is good for nothing: nobody has read it.
    pub(crate) async fn send(&self, phone: &Phone, code: &VerificationCode, purpose: Purpose) -> Result<(), Refusal> {
        match self {
            Self::Log => {
                let purpose = purpose.name();
                tracing::info!(phone = %phone.masked(), purpose, code = code.digits(), "a code, in place of a message");
                Ok(())
            }
            Self::Program(take) => take(phone, purpose, code.digits()),
            Self::Nobody => Err(Refusal::later(Code::SmsUnavailable, RETRY_S)),
            Self::Sms(sms) => {
                let minutes = u32::try_from(VALID_FOR_S / 60).unwrap_or(u32::MAX);
                let (phone, code, purpose) = (phone.e164(), code.digits(), purpose.name());
                sms.send(&Message { phone, code, purpose, minutes }).await.map_err(|error| match error {
                    NotSent::BadNumber => Code::BadPhone.into(),
                    NotSent::Limited => Refusal::later(Code::TooManyRequests, LIMITED_RETRY_S),
                    NotSent::Failed => Refusal::later(Code::SmsUnavailable, RETRY_S),
                })
            }
        }
    }
}
