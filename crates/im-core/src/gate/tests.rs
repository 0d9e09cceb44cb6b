use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;

fn code(result: Result<(), Refusal>) -> Option<Code> {
    result.err().map(|refusal| refusal.code)
}

#[test]
fn i15_only_what_can_be_repeated_travels_early() {
    let typing = im::Hint { kind: Some(hint::Kind::Typing(im::Typing::default())) };
    let presence = im::Hint { kind: Some(hint::Kind::Presence(im::Presence::default())) };
    // Control, bulk, datagram, control in a 0-RTT flight.
    let (ok, wrong, early) = (None, Some(Code::WrongStream), Some(Code::TooEarly));
    let (bad, none) = (Some(Code::Malformed), Body::Done(im::Done {}));
    let rows = [
        (Body::Hello(im::Hello::default()), [ok, wrong, wrong, ok]),
        (Body::Send(im::Send::default()), [ok, wrong, wrong, ok]),
        (Body::Sync(im::Sync::default()), [ok, wrong, wrong, ok]),
        (Body::Read(im::Read::default()), [ok, wrong, wrong, ok]),
        (Body::Fetch(im::Fetch::default()), [ok, ok, wrong, ok]),
        (Body::Create(im::Create::default()), [ok, wrong, wrong, early]),
        (Body::ChangeSettings(im::ChangeSettings::default()), [ok, wrong, wrong, early]),
        (Body::FindUsers(im::FindUsers::default()), [ok, wrong, wrong, early]),
        (Body::WatchPresence(im::WatchPresence::default()), [ok, wrong, wrong, early]),
        (Body::BlobGet(im::BlobGet::default()), [ok, ok, wrong, early]),
        (Body::BlobPart(im::BlobPart::default()), [ok, ok, wrong, early]),
        (Body::BlobUrl(im::BlobUrl::default()), [ok, wrong, wrong, early]),
        (Body::Ping(im::Ping {}), [ok, wrong, wrong, early]),
        (Body::Hint(typing), [ok, wrong, ok, early]),
        (Body::Hint(presence), [bad, bad, bad, bad]),
        (Body::Deliver(im::Deliver::default()), [bad, bad, bad, bad]),
        (none, [bad, bad, bad, bad]),
    ];
    for (body, want) in rows {
        let got = [
            code(allowed(&body, Place::Control, false)),
            code(allowed(&body, Place::Bulk, false)),
            code(allowed(&body, Place::Datagram, false)),
            code(allowed(&body, Place::Control, true)),
        ];
        assert_eq!(got, want, "{body:?}");
    }
}

#[test]
fn hellos() {
    let good = im::Hello {
        version: 1,
        token: "t".into(),
        device_id: Bytes::from_static(&[3; 16]),
        client: "test".into(),
        sync: None,
        org: String::new(),
    };
    let rows = [
        (good.clone(), Ok((DeviceId([3; 16]), 1))),
        (im::Hello { version: 7, ..good.clone() }, Ok((DeviceId([3; 16]), 1))),
        (im::Hello { version: 0, ..good.clone() }, Err(Code::UnsupportedVersion)),
        (im::Hello { token: String::new(), ..good.clone() }, Err(Code::Unauthenticated)),
        (im::Hello { token: "x".repeat(MAX_TOKEN_BYTES + 1), ..good.clone() }, Err(Code::Unauthenticated)),
        (im::Hello { device_id: Bytes::from_static(&[3; 15]), ..good.clone() }, Err(Code::Malformed)),
        (im::Hello { device_id: Bytes::from_static(&[0; 16]), ..good.clone() }, Err(Code::Malformed)),
        (im::Hello { client: "x".repeat(MAX_CLIENT_BYTES + 1), ..good.clone() }, Err(Code::TooLong)),
        (im::Hello { org: "x".repeat(MAX_ORG_BYTES + 1), ..good.clone() }, Err(Code::TooLong)),
        (
            im::Hello {
                sync: Some(im::Sync { cursors: vec![im::Cursor::default(); MAX_CURSORS + 1], ..im::Sync::default() }),
                ..good
            },
            Err(Code::TooLong),
        ),
    ];
    for (hello, want) in rows {
        assert_eq!(check_hello(&hello).map_err(|refusal| refusal.code), want);
    }
}

#[test]
fn requests() {
    let frame = |rid, body| im::Frame { rid, body };
    let send = |len| Body::Send(im::Send { client_id: Bytes::from(vec![1; len]), ..im::Send::default() });
    let watch = |len| Body::WatchPresence(im::WatchPresence { users: vec![1; len] });
    let rows = [
        (frame(1, None), Some(Code::Malformed)),
        (frame(0, Some(Body::Ping(im::Ping {}))), Some(Code::Malformed)),
        (frame(1, Some(Body::Ping(im::Ping {}))), None),
        (frame(0, Some(Body::Hint(im::Hint::default()))), None),
        (frame(1, Some(send(16))), None),
        (frame(1, Some(send(15))), Some(Code::Malformed)),
        (frame(1, Some(watch(MAX_WATCHED_USERS))), None),
        (frame(1, Some(watch(MAX_WATCHED_USERS + 1))), Some(Code::TooLong)),
    ];
    for (frame, want) in rows {
        assert_eq!(code(check_request(&frame)), want, "{frame:?}");
    }
}

#[test]
fn a_bucket_gives_its_burst_and_then_its_rate() {
    let rate = Rate { per_second: 10, burst: 3 };
    let (mut bucket, start) = (Bucket::default(), Instant::now());
    let at = |ms| start + Duration::from_millis(ms);
    let rows = [
        (0, Ok(())),
        (0, Ok(())),
        (0, Ok(())),
        (0, Err(100)),
        (40, Err(60)),
        (100, Ok(())),
        (100, Err(100)),
        (5000, Ok(())),
        (5000, Ok(())),
        (5000, Ok(())),
        (5000, Err(100)),
    ];
    for (row, (ms, want)) in rows.into_iter().enumerate() {
        assert_eq!(bucket.take(rate, at(ms)), want, "row {row}");
    }
    assert_eq!(Bucket::default().take(Rate { per_second: 0, burst: 0 }, start), Ok(()));
}

#[test]
fn buckets_are_bounded_and_forgotten_when_full() {
    let (mut buckets, start) = (Buckets::new(Rate { per_second: 1, burst: 1 }, 100), Instant::now());
    (0..1000).for_each(|key: u32| assert_eq!(buckets.take(key, start), Ok(())));
    assert_eq!(buckets.len(), 100);
    assert_eq!(buckets.take(5, start), Err(1000));
    assert_eq!(buckets.take(2000, start + Duration::from_secs(1)), Ok(()));
    assert_eq!(buckets.len(), 1);
}
