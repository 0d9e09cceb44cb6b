//! Files and voice messages over bulk streams, over the control stream, and by signed address.

use aws_lc_rs::digest;
use bytes::Bytes;
use convene_proto::im::{self, Code, frame::Body};

use super::client::{Client, Lane, send};
use super::harness::{Harness, free};
use crate::Asker;

const PART: usize = 48 * 1024;

fn sha256(data: &[u8]) -> Bytes {
    Bytes::copy_from_slice(digest::digest(&digest::SHA256, data).as_ref())
}

fn begin(data: &[u8], voice: bool) -> Body {
    let (sha256, size) = (sha256(data), data.len() as u64);
    Body::BlobBegin(im::BlobBegin { sha256, size, mime: String::new(), voice })
}

fn part(upload_id: &Bytes, data: &[u8], offset: usize) -> Body {
    let data = Bytes::copy_from_slice(&data[offset..data.len().min(offset + PART)]);
    Body::BlobPart(im::BlobPart { upload_id: upload_id.clone(), offset: offset as u64, sha256: sha256(&data), data })
}

async fn status(lane: &mut Lane, body: Body) -> im::BlobStatus {
    match lane.ask(body).await {
        Body::BlobStatus(status) => status,
        reply => panic!("{reply:?}"),
    }
}

async fn upload(lane: &mut Lane, data: &[u8], voice: bool) -> Body {
    let mut at = status(lane, begin(data, voice)).await;
    while !at.complete {
        at = status(lane, part(&at.upload_id, data, usize::try_from(at.offset).unwrap())).await;
    }
    lane.ask(Body::BlobCommit(im::BlobCommit { upload_id: at.upload_id })).await
}

fn noise(len: usize) -> Vec<u8> {
    (0..len).map(|_| rand::random()).collect()
}

async fn download(lane: &mut Lane, get: im::BlobGet) -> Vec<u8> {
    lane.post(1, Body::BlobGet(get)).await;
    let mut all = Vec::new();
    loop {
        let Body::BlobData(data) = lane.next().await else { panic!("no data") };
        all.extend_from_slice(&data.data);
        if data.last {
            return all;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_goes_up_in_two_sessions_and_comes_down() {
    let harness = Harness::new(free()).await;
    let ana = Client::quic(&harness, "ana", 1).await;
    let data = noise(300_000);
    let mut lane = Lane::open(&ana).await;
    let mut at = status(&mut lane, begin(&data, false)).await;
    for _ in 0..2 {
        at = status(&mut lane, part(&at.upload_id, &data, usize::try_from(at.offset).unwrap())).await;
    }
    drop(ana);

    let mut ana = Client::quic(&harness, "ana", 1).await;
    let mut bob = Client::socket(&harness, "bob", 1).await;
    let mut eve = Client::quic(&harness, "eve", 1).await;
    let mut lane = Lane::open(&ana).await;
    assert_eq!(status(&mut lane, begin(&data, false)).await, at, "goes on where it was");
    let Body::BlobDone(done) = upload(&mut lane, &data, false).await else { panic!("not done") };
    let blob = done.blob.unwrap();
    assert_eq!((blob.id.clone(), blob.size), (sha256(&data), 300_000));

    let conv = ana.group(&[&bob]).await;
    let file = im::File { blob: Some(blob.clone()), caption: String::new() };
    let file = im::Body { kind: Some(im::body::Kind::File(file)), ..im::Body::default() };
    let Body::Ack(ack) = ana.ask(send(conv, file)).await else { panic!("no ack") };
    bob.delivered(conv, ack.seq).await;
    let get = im::BlobGet { id: blob.id.clone(), conv, offset: 0, length: 0 };
    assert_eq!(download(&mut Lane::open(&ana).await, get.clone()).await, data);
    let range = im::BlobGet { offset: 100_000, length: 60_000, ..get.clone() };
    assert_eq!(download(&mut Lane::open(&ana).await, range).await, data[100_000..160_000]);

    let rid = bob.post(Body::BlobGet(im::BlobGet { offset: 200_000, ..get.clone() })).await;
    let mut tail = Vec::new();
    loop {
        let Body::BlobData(piece) = bob.reply(rid).await else { panic!("no data") };
        tail.extend_from_slice(&piece.data);
        if piece.last {
            break;
        }
    }
    assert_eq!(tail, data[200_000..]);

    assert_eq!(
        eve.refused(Body::BlobUrl(im::BlobUrl { id: blob.id.clone(), conv, user: 0 })).await,
        Code::UnknownConversation
    );
    let Body::BlobLink(link) = bob.ask(Body::BlobUrl(im::BlobUrl { id: blob.id, conv, user: 0 })).await else {
        panic!("no link")
    };
    by_address(&harness, &link, &data).await;
    harness.counted("convene_im_blob_bytes_total{direction=\"in\"} 300000").await;
}

async fn by_address(harness: &Harness, link: &im::BlobLink, data: &[u8]) {
    let (path, query) = link.path.split_once('?').unwrap();
    let field = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).unwrap().1
    };
    let number = |name: &str| field(name).parse::<u64>().unwrap();
    let (conv, id, sig) = (number("conv"), path.rsplit('/').next().unwrap(), field("sig"));
    let asker = Asker::Signed { user: number("user"), expires_ms: link.expires_ms, sig };
    let found = harness.handle.blob(asker, conv, id).await.unwrap();
    assert_eq!(harness.handle.blob_read(&found, 10, 90).await.unwrap(), data[10..100]);
    let forged = Asker::Signed { user: number("user"), expires_ms: link.expires_ms + 1, sig };
    assert_eq!(harness.handle.blob(forged, conv, id).await.unwrap_err().code, Code::Forbidden);
}

/// A second of a tone.
fn tone() -> Vec<i16> {
    let sample = |n: u32| (f64::from(n) * 440.0 * std::f64::consts::TAU / 48_000.0).sin() * 8_000.0;
    (0..48_000).map(|n| sample(n) as i16).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voice_message_is_measured_by_the_server() {
    let harness = Harness::new(free()).await;
    let mut ana = Client::quic(&harness, "ana", 1).await;
    let ogg = convene_voice::encode::mono(&tone()).unwrap();
    let mut lane = Lane::open(&ana).await;
    let Body::BlobDone(done) = upload(&mut lane, &ogg, true).await else { panic!("not done") };
    let voice = done.voice.unwrap();
    assert!((990..=1010).contains(&voice.duration_ms), "{}", voice.duration_ms);
    assert!(!voice.waveform.is_empty() && (-300..0).contains(&voice.loudness_dlufs), "{voice:?}");
    assert_eq!(done.blob.unwrap().mime, "audio/ogg");
    let conv = ana.group(&[]).await;
    let lie = im::Voice { blob: voice.blob.clone(), duration_ms: 1, ..im::Voice::default() };
    let lie = im::Body { kind: Some(im::body::Kind::Voice(lie)), ..im::Body::default() };
    let Body::Ack(ack) = ana.ask(send(conv, lie)).await else { panic!("no ack") };
    let events = ana.delivered(conv, ack.seq).await;
    let Some(im::body::Kind::Voice(said)) = events.last().unwrap().body.clone().unwrap().kind else {
        panic!("no voice")
    };
    assert_eq!((said.duration_ms, &said.waveform), (voice.duration_ms, &voice.waveform));

    let Body::Error(error) = upload(&mut lane, &noise(5_000), true).await else { panic!("taken") };
    assert_eq!(error.code(), Code::BadVoice);
    assert_eq!(ana.ask(Body::Ping(im::Ping {})).await, Body::Done(im::Done {}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voice_message_is_read_when_it_is_its_turn_and_committed_once_at_a_time() {
    let harness = Harness::new(free()).await;
    let ana = Client::quic(&harness, "ana", 1).await;
    let mut lane = Lane::open(&ana).await;
    let ogg = convene_voice::encode::mono(&tone()).unwrap();
    let at = status(&mut lane, begin(&ogg, true)).await;
    status(&mut lane, part(&at.upload_id, &ogg, 0)).await;
    let commit = Body::BlobCommit(im::BlobCommit { upload_id: at.upload_id });
    // Two others are being decoded.
    let others = harness.handle.shared.inspections.acquire_many(2).await.unwrap();
    let mut again = Lane::open(&ana).await;
    lane.post(1, commit.clone()).await;
    again.post(1, commit.clone()).await;
    let (answer, waits) = tokio::select! {
        answer = lane.next() => (answer, &mut again),
        answer = again.next() => (answer, &mut lane),
    };
    let Body::Error(error) = answer else { panic!("not its turn: {answer:?}") };
    assert!(error.code() == Code::Unavailable && error.retry_after_ms > 0, "{error:?}");
    drop(others);
    let Body::BlobDone(done) = waits.next().await else { panic!("not done") };
    assert_eq!(waits.ask(commit).await, Body::BlobDone(done), "repeatable");
}
