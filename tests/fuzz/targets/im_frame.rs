//! Any bytes as the frames of chat, cut from a stream in any pieces and standing alone: no panic; what was read is
//! written again as something that is read the same; and what every rule says of a frame's content it can say.

use bytes::Bytes;
use convene_im_core::gate::{self, Place};
use convene_im_core::model::Policy;
use convene_im_core::rules;
use convene_proto::frame::{self, Decoder, FrameError};
use convene_proto::im::{self, Frame, frame::Body};
use convene_proto::limits::{MAX_CHANGED_MEMBERS, MAX_FRAME_BYTES, MAX_MENTIONS};
use convene_types::UserId;

pub(crate) fn run(input: &[u8]) {
    let Some((piece, stream)) = input.split_first() else { return };
    let mut decoder = Decoder::default();
    for piece in stream.chunks(usize::from(*piece) + 1) {
        decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => check(&frame),
                Ok(None) => break,
                Err(FrameError::TooLarge) => return,
                Err(_malformed) => {}
            }
        }
    }
    if let Ok(frame) = frame::decode(Bytes::copy_from_slice(stream)) {
        check(&frame);
    }
}

fn check(frame: &Frame) {
    let bytes = frame::without_prefix(frame::encode(frame));
    assert!(bytes.len() <= MAX_FRAME_BYTES, "no longer than what was read");
    let again = frame::decode(bytes.clone()).expect("what we wrote");
    // Of the bytes, since a NaN does not equal itself.
    assert_eq!(frame::without_prefix(frame::encode(&again)), bytes);
    let asked = gate::check_request(frame);
    let Some(body) = &frame.body else {
        assert!(asked.is_err());
        return;
    };
    for place in [Place::Control, Place::Bulk, Place::Datagram] {
        let early = gate::allowed(body, place, true).is_ok();
        assert!(!early || gate::allowed(body, place, false).is_ok(), "what may come early may come late");
    }
    look_at(body);
}

#[allow(clippy::wildcard_enum_match_arm, reason = "those that a rule of their own looks at")]
fn look_at(body: &Body) {
    match body {
        Body::Hello(hello) => drop(gate::check_hello(hello)),
        Body::Send(send) => send.body.iter().for_each(content),
        Body::Create(create) => {
            let members: Vec<_> = create.members.iter().copied().map(UserId).collect();
            let policy = Policy::default();
            if let Ok(others) = rules::check_create(UserId(1), create.kind(), &create.title, &members, &policy) {
                assert!(others.is_sorted() && !others.contains(&UserId(1)) && !others.contains(&UserId(0)));
            }
        }
        Body::ChangeSettings(change) => change.settings.iter().for_each(|settings| {
            let _ = rules::check_settings(settings);
        }),
        Body::Deliver(deliver) => deliver.events.iter().filter_map(|event| event.body.as_ref()).for_each(content),
        Body::FetchReply(reply) => reply.events.iter().filter_map(|event| event.body.as_ref()).for_each(content),
        _ => {}
    }
}

fn content(body: &im::Body) {
    let checked = rules::check(body);
    assert_eq!(checked.is_ok(), rules::check(body).is_ok());
    if let Ok(needs) = checked {
        assert!(needs.users.len() <= MAX_MENTIONS + 3 * MAX_CHANGED_MEMBERS, "a bounded number of rows to load");
        assert!(needs.target.is_none_or(|target| target.0 == body.target));
        assert_ne!(rules::kind_number(body), 0, "of a kind that we know");
    }
    let left = rules::tombstone(body, im::EraseReason::Recalled);
    assert!(!rules::is_erasable(&left));
    assert_eq!(rules::tombstone(&left, im::EraseReason::Retention), left, "the first reason stays");
    assert!(!rules::is_erasable(body) || rules::kind_number(&left) == rules::TOMBSTONE);
}
