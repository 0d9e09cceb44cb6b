//! Why a description was refused.

/// A refused description. The negotiation is as it was before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {reason}")]
pub struct SdpError {
    /// Stable code, `sdp_…`: for clients, tests and counters.
    pub code: &'static str,
    /// What is wrong, for a person. Holds no secret of the description.
    pub reason: String,
}

impl SdpError {
    pub(crate) fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}
