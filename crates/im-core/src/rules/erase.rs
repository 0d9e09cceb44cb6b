//! What erasure leaves. Server and client both call [`tombstone`], so that their copies stay equal byte for byte.

use convene_proto::im::{self, body::Kind};
use convene_types::Seq;
use prost::Message as _;

use super::kinds::kind_number;

/// Which bodies of a conversation are erased by one event.
#[derive(Clone, Debug, PartialEq)]
pub struct Erasure {
    /// These, both ends included.
    pub ranges: Vec<im::SeqRange>,
    /// And every `Edit` of this event, wherever it stands: an edit of a recalled message still has its text.
    pub edits_of: Option<Seq>,
    /// Why.
    pub reason: im::EraseReason,
}

impl Erasure {
    /// What an event of the log erases, if anything.
    #[must_use]
    pub fn of(body: &im::Body) -> Option<Self> {
        match body.kind.as_ref()? {
            Kind::Recall(_) => Some(Self {
                ranges: vec![im::SeqRange { first: body.target, last: body.target }],
                edits_of: Some(Seq(body.target)),
                reason: im::EraseReason::Recalled,
            }),
            Kind::Erase(erase) => Some(Self { ranges: erase.ranges.clone(), edits_of: None, reason: erase.reason() }),
            Kind::Text(_) | Kind::Voice(_) | Kind::Image(_) | Kind::File(_) | Kind::Location(_) | Kind::Card(_) => None,
            Kind::Custom(_) | Kind::Edit(_) | Kind::React(_) | Kind::Pin(_) | Kind::Members(_) | Kind::Group(_) => None,
            Kind::Mute(_) | Kind::Call(_) | Kind::Tombstone(_) => None,
        }
    }

    /// Whether it takes the body of the event at `seq`.
    #[must_use]
    pub fn covers(&self, seq: Seq, body: &im::Body) -> bool {
        let within = self.ranges.iter().any(|range| (range.first..=range.last).contains(&seq.0));
        let edit = matches!(body.kind, Some(Kind::Edit(_))) && self.edits_of == Some(Seq(body.target));
        is_erasable(body) && (within || edit)
    }
}

/// Whether a body carries something that somebody said. What changes the state of a conversation stays readable under
/// any `Erase`: a client that comes by later has to learn of it, above all of other erasures.
#[must_use]
pub const fn is_erasable(body: &im::Body) -> bool {
    let Some(kind) = &body.kind else { return true };
    match kind {
        Kind::Text(_) | Kind::Voice(_) | Kind::Image(_) | Kind::File(_) | Kind::Location(_) | Kind::Card(_) => true,
        Kind::Custom(_) | Kind::Edit(_) | Kind::React(_) | Kind::Call(_) => true,
        Kind::Recall(_) | Kind::Pin(_) | Kind::Members(_) | Kind::Group(_) | Kind::Mute(_) => false,
        Kind::Erase(_) | Kind::Tombstone(_) => false,
    }
}

/// What stands in the place of an erased body. A body that is not [erasable](is_erasable) comes back as it is; so a
/// tombstone keeps its first reason.
#[must_use]
pub fn tombstone(body: &im::Body, reason: im::EraseReason) -> im::Body {
    if !is_erasable(body) {
        return body.clone();
    }
    let left = im::Tombstone { kind: kind_number(body), reason: reason.into() };
    im::Body { kind: Some(Kind::Tombstone(left)), ..im::Body::default() }
}

/// What two sends with one client id must agree in: the body as it was sent, before anything in it is replaced. The store
/// hashes it together with the conversation.
#[must_use]
pub fn payload_hash_input(body: &im::Body) -> Vec<u8> {
    body.encode_to_vec()
}
