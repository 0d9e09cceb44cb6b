//! Brings codes to phones.

use std::fmt;

use convene_accounts::phone::Phone;
use convene_accounts::verification::{Purpose, VerificationCode};
use convene_accounts::{Code, Refusal};

/// Seconds after which an operator may have set somebody up who sends.
const RETRY_S: u64 = 60;

/// Takes number, purpose and digits.
pub type Program = Box<dyn Fn(&Phone, Purpose, &str) -> Result<(), Refusal> + Send + Sync>;

/// Who brings codes to phones.
#[non_exhaustive]
pub enum Sender {
    /// Nobody: the code is written to the log. For development: whoever reads the log is in.
    Log,
    /// Nobody, and nothing is written: codes are refused.
    Nobody,
    /// The program that the service is part of.
    Program(Program),
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log => f.write_str("Log"),
            Self::Nobody => f.write_str("Nobody"),
            Self::Program(_) => f.write_str("Program"),
        }
    }
}

impl Sender {
    /// Hands a code over.
    pub(crate) fn send(&self, phone: &Phone, code: &VerificationCode, purpose: Purpose) -> Result<(), Refusal> {
        match self {
            Self::Log => {
                let purpose = purpose.name();
                tracing::info!(phone = %phone.masked(), purpose, code = code.digits(), "a code, in place of a message");
                Ok(())
            }
            Self::Program(take) => take(phone, purpose, code.digits()),
            Self::Nobody => Err(Refusal::later(Code::SmsUnavailable, RETRY_S)),
        }
    }
}
