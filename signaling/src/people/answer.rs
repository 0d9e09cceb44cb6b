//! A call in the words of chat and of HTTP, and read back from those in which it is kept.

use convene_calls::{Call, Outcome, Person, Standing};
use convene_im::wire as im;
use convene_store::{calls, told};
use convene_types::{DeviceId, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use super::hex;

fn outcome(call: &Call) -> im::CallOutcome {
    match call.over.map(|over| over.outcome) {
        None => im::CallOutcome::Ringing,
        Some(Outcome::Ended) => im::CallOutcome::Ended,
        Some(Outcome::Missed) => im::CallOutcome::Missed,
        Some(Outcome::Declined) => im::CallOutcome::Declined,
        Some(Outcome::Cancelled) => im::CallOutcome::Cancelled,
        Some(Outcome::Busy) => im::CallOutcome::Busy,
        Some(Outcome::Interrupted) => im::CallOutcome::Interrupted,
    }
}

fn standing(standing: Standing) -> im::CallStanding {
    match standing {
        Standing::Ringing => im::CallStanding::Ringing,
        Standing::Accepted => im::CallStanding::Accepted,
        Standing::Declined => im::CallStanding::Declined,
        Standing::Busy => im::CallStanding::Busy,
        Standing::Missed => im::CallStanding::Missed,
        Standing::Left => im::CallStanding::Left,
        Standing::Removed => im::CallStanding::Removed,
    }
}

fn people(call: &Call) -> Vec<im::CallPerson> {
    let person = |(user, person): (&UserId, &Person)| im::CallPerson {
        user: user.0,
        standing: standing(person.standing).into(),
        device_id: person.device.map(|device| bytes::Bytes::copy_from_slice(&device.0)).unwrap_or_default(),
        joined_ms: person.joined_ms.unwrap_or(0),
        left_ms: person.left_ms.unwrap_or(0),
    };
    call.people.iter().map(person).collect()
}

/// As its people's devices are told.
pub(super) fn state(call: &Call) -> im::CallState {
    im::CallState {
        call_id: hex(&call.id.0),
        version: call.version,
        conv: call.conv.0,
        caller: call.caller.0,
        video: call.video,
        started_ms: call.started_ms,
        rings_until_ms: call.rings_until_ms(),
        people: people(call),
        outcome: outcome(call).into(),
        answered_ms: call.answered_ms.unwrap_or(0),
    }
}

/// A call as [`state`] has kept it; `None` where it cannot be read as one that is on.
pub(super) fn kept(open: calls::Open) -> Option<Call> {
    let calls::Open { begun: calls::Recorded { id, org, conv, .. }, state, kind } = open;
    let state = state.filter(|state| state.outcome() == im::CallOutcome::Ringing)?;
    let people = state.people.iter().map(|person| Some((UserId(person.user), kept_person(person)?)));
    Some(Call {
        id,
        org,
        conv,
        direct: kind == im::ConversationKind::Direct,
        caller: UserId(state.caller),
        video: state.video,
        started_ms: state.started_ms,
        answered_ms: moment(state.answered_ms),
        version: state.version,
        people: people.collect::<Option<_>>()?,
        over: None,
        interrupted: false,
    })
}

fn kept_person(person: &im::CallPerson) -> Option<Person> {
    let standing = match person.standing() {
        im::CallStanding::Unspecified => return None,
        im::CallStanding::Ringing => Standing::Ringing,
        im::CallStanding::Accepted => Standing::Accepted,
        im::CallStanding::Declined => Standing::Declined,
        im::CallStanding::Busy => Standing::Busy,
        im::CallStanding::Missed => Standing::Missed,
        im::CallStanding::Left => Standing::Left,
        im::CallStanding::Removed => Standing::Removed,
    };
    let device = person.device_id.as_ref().try_into().ok().map(DeviceId);
    Some(Person::kept(standing, device, moment(person.joined_ms), moment(person.left_ms)))
}

/// On the wire 0 is never.
fn moment(at_ms: i64) -> Option<i64> {
    Some(at_ms).filter(|at_ms| *at_ms != 0)
}

/// As the conversation's log keeps it when it begins: it rings.
pub(super) fn begun(call: &Call) -> im::CallRecord {
    im::CallRecord {
        call_id: hex(&call.id.0),
        outcome: im::CallOutcome::Ringing.into(),
        caller: call.caller.0,
        started_ms: call.started_ms,
        participants: call.people.keys().map(|user| user.0).collect(),
        video: call.video,
        ..im::CallRecord::default()
    }
}

/// And when it is over, or as it stands.
pub(super) fn record(call: &Call) -> im::CallRecord {
    let was_in = |person: &Person| person.device.is_some();
    im::CallRecord {
        outcome: outcome(call).into(),
        duration_ms: u32::try_from(call.duration_ms()).unwrap_or(u32::MAX),
        participants: call.people.iter().filter(|(_, person)| was_in(person)).map(|(user, _)| user.0).collect(),
        people: people(call),
        ..begun(call)
    }
}

/// A call.
#[derive(Serialize, ToSchema)]
pub(super) struct CallView {
    /// 32 hex digits.
    #[schema(example = "0f8fad5bd9cb469fa16570867728950e")]
    id: String,
    /// The conversation it belongs to.
    conversation: u64,
    /// The user of chat who called.
    caller: u64,
    /// Begun with camera.
    video: bool,
    /// `ringing` while it is on; then `ended`, `missed`, `declined`, `cancelled`, `busy`, `interrupted`.
    #[schema(example = "ringing")]
    outcome: String,
    /// Milliseconds since 1970.
    started_ms: i64,
    /// Milliseconds from the first answer to the end.
    duration_ms: u32,
    /// Everybody who was called, and the caller.
    people: Vec<CallPersonView>,
}

/// Somebody in a call.
#[derive(Serialize, ToSchema)]
pub(super) struct CallPersonView {
    /// The user of chat.
    user: u64,
    /// `ringing`, `accepted`, `declined`, `busy`, `missed`, `left`, `removed`.
    #[schema(example = "ringing")]
    standing: String,
    /// Where they answered: 32 hex digits, or empty.
    device_id: String,
    /// Milliseconds since 1970 when they first came into the room; 0: never.
    joined_ms: i64,
    /// And when they last left it.
    left_ms: i64,
}

impl CallView {
    pub(super) fn of(call: &Call) -> Self {
        Self::recorded(call.conv.0, record(call))
    }

    /// From what was written down of it.
    pub(super) fn recorded(conversation: u64, record: im::CallRecord) -> Self {
        let outcome = told::outcome(&record);
        let person = |person: im::CallPerson| CallPersonView {
            user: person.user,
            standing: told::standing(&person),
            device_id: person.device_id.iter().map(|byte| format!("{byte:02x}")).collect(),
            joined_ms: person.joined_ms,
            left_ms: person.left_ms,
        };
        Self {
            id: record.call_id,
            conversation,
            caller: record.caller,
            video: record.video,
            outcome,
            started_ms: record.started_ms,
            duration_ms: record.duration_ms,
            people: record.people.into_iter().map(person).collect(),
        }
    }
}
