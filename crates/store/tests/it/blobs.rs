//! Uploads and blobs, on a real folder.

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest;
use bytes::Bytes;
use convene_im_core::Refusal;
use convene_proto::im::{self, Code, body::Kind};
use convene_store::{BlobOptions, Blobs, Checked, Engine, EngineOptions, Inspected, Op, Options, Outcome, Store};
use convene_types::{ConvId, UserId};

use crate::common::{self, ORG, client, code, text};

struct Place {
    folder: tempfile::TempDir,
    store: Store,
    blobs: Blobs,
    next: u64,
}

impl Place {
    /// Users 1 to 9; conversation 1 with users 1 and 2, conversation 2 with users 2 and 3.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.db");
        let mut world = common::World::new(Engine::open(&path, EngineOptions::default()).unwrap(), None);
        world.group(1, &[2]);
        world.group(2, &[3]);
        drop(world);
        let store = Store::start(Options::new(path)).unwrap();
        let blobs = Blobs::open(store.clone(), options(folder.path())).await.unwrap();
        Self { folder, store, blobs, next: 0 }
    }

    async fn upload(&self, user: u64, content: &[u8], mime: &str) -> Result<im::BlobRef, Refusal> {
        let user = UserId(user);
        let begun = self.blobs.begin(ORG, user, &begin(content, mime)).await?;
        send(&self.blobs, user, &begun, content).await?;
        assert!(matches!(self.blobs.check(user, &begun.upload_id).await?, Checked::File(_) | Checked::Done(_)));
        Ok(self.blobs.commit(user, &begun.upload_id, None).await?.blob.unwrap())
    }

    async fn share(&mut self, user: u64, conv: u64, blob: &im::BlobRef) -> Result<u64, Refusal> {
        let blob = Some(im::BlobRef { name: "a.bin".into(), ..blob.clone() });
        self.say(
            user,
            conv,
            im::Body { kind: Some(Kind::File(im::File { blob, ..Default::default() })), ..Default::default() },
        )
        .await
    }

    async fn say(&mut self, user: u64, conv: u64, body: im::Body) -> Result<u64, Refusal> {
        self.next += 1;
        let op = Op::Append { org: ORG, actor: UserId(user), client_id: client(self.next), conv: ConvId(conv), body };
        let Outcome::Appended(appended) = self.store.write_async(op).await? else { panic!() };
        Ok(appended.seq.0)
    }

    async fn get(&self, user: u64, conv: u64, id: &Bytes) -> Result<Bytes, Refusal> {
        let id = id.clone();
        let row = self.store.read(move |reader| reader.may_read_blob(UserId(user), ConvId(conv), &id)).await?;
        self.blobs.read(&row, 0, u64::MAX).await
    }

    fn objects(&self) -> usize {
        files(&self.folder.path().join("blobs"))
    }
}

fn options(folder: &Path) -> BlobOptions {
    BlobOptions { max_blob_bytes: 20_000_000, max_user_bytes: 25_000_000, ..BlobOptions::below(folder) }
}

fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

fn sha256(content: &[u8]) -> Bytes {
    Bytes::copy_from_slice(digest::digest(&digest::SHA256, content).as_ref())
}

fn begin(content: &[u8], mime: &str) -> im::BlobBegin {
    im::BlobBegin { sha256: sha256(content), size: content.len() as u64, mime: mime.into(), voice: false }
}

async fn send(blobs: &Blobs, user: UserId, begun: &im::BlobStatus, content: &[u8]) -> Result<(), Refusal> {
    let mut at = begun.offset;
    while at < content.len() as u64 {
        let data = Bytes::copy_from_slice(&content[at as usize..content.len().min(at as usize + 4_000_000)]);
        let part = im::BlobPart { upload_id: begun.upload_id.clone(), offset: at, sha256: sha256(&data), data };
        at = blobs.part(user, part).await?.offset;
    }
    Ok(())
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect()
}

#[tokio::test]
async fn i13_a_blob_is_read_through_an_event_and_by_nobody_else() {
    let mut place = Place::new().await;
    let content = noise(9_000_000);
    let blob = place.upload(1, &content, "image/png").await.unwrap();
    assert_eq!((blob.size, blob.mime.as_str()), (9_000_000, "application/octet-stream"));
    assert_eq!(code(&place.get(1, 1, &blob.id).await), Code::UnknownBlob, "no event carries it yet");
    assert_eq!(code(&place.share(2, 2, &blob).await), Code::UnknownBlob, "another's upload");
    place.share(1, 1, &blob).await.unwrap();
    assert_eq!(place.get(2, 1, &blob.id).await.unwrap(), content);
    assert_eq!(code(&place.get(3, 1, &blob.id).await), Code::UnknownConversation);
    assert_eq!(code(&place.get(3, 2, &blob.id).await), Code::UnknownBlob);
    // Who can read it can pass it on.
    place.share(2, 2, &blob).await.unwrap();
    assert_eq!(place.get(3, 2, &blob.id).await.unwrap().len(), content.len());
    // Pieces, and what is behind the end.
    let id = blob.id.clone();
    let row = place.store.read(move |reader| reader.may_read_blob(UserId(1), ConvId(1), &id)).await.unwrap();
    assert_eq!(place.blobs.read(&row, 8_999_990, 100).await.unwrap(), content[8_999_990..]);
    assert!(place.blobs.read(&row, 9_000_000, 100).await.unwrap().is_empty());
    place.store.stop();
}

#[tokio::test]
async fn equal_content_is_kept_once_and_not_revealed() {
    let mut place = Place::new().await;
    let blob = place.upload(1, b"hello, everybody", "text/plain").await.unwrap();
    assert_eq!(blob.mime, "text/plain");
    // A stranger to it has to bring the bytes.
    let begun = place.blobs.begin(ORG, UserId(3), &begin(b"hello, everybody", "")).await.unwrap();
    assert!(!begun.complete && begun.offset == 0);
    assert_eq!(place.upload(3, b"hello, everybody", "").await.unwrap().id, blob.id);
    place.blobs.sweep().await.unwrap();
    assert_eq!(place.objects(), 1);
    // Who can read it does not.
    place.share(1, 1, &blob).await.unwrap();
    let begun = place.blobs.begin(ORG, UserId(2), &begin(b"hello, everybody", "")).await.unwrap();
    assert!(begun.complete);
    let done = place.blobs.commit(UserId(2), &begun.upload_id, None).await.unwrap();
    assert_eq!(done.blob.unwrap().id, blob.id);
    place.store.stop();
}

#[tokio::test]
async fn an_upload_goes_on_after_a_restart() {
    let Place { folder, store, blobs, .. } = Place::new().await;
    let content = noise(9_000_000);
    let begun = blobs.begin(ORG, UserId(1), &begin(&content, "")).await.unwrap();
    send(&blobs, UserId(1), &begun, &content[..5_000_000]).await.unwrap();
    store.stop();
    drop((blobs, store));
    std::fs::write(folder.path().join("uploads/stray"), b"x").unwrap();

    let store = Store::start(Options::new(folder.path().join("chat.db"))).unwrap();
    let blobs = Blobs::open(store.clone(), options(folder.path())).await.unwrap();
    assert_eq!(files(&folder.path().join("uploads")), 1, "the stray file is gone");
    let again = blobs.begin(ORG, UserId(1), &begin(&content, "")).await.unwrap();
    assert_eq!((again.offset, &again.upload_id), (5_000_000, &begun.upload_id));
    send(&blobs, UserId(1), &again, &content).await.unwrap();
    let first = blobs.commit(UserId(1), &again.upload_id, None).await.unwrap();
    assert_eq!(blobs.commit(UserId(1), &again.upload_id, None).await.unwrap(), first, "repeatable");
    assert_eq!(files(&folder.path().join("uploads")), 0);
    store.stop();
}

#[tokio::test]
async fn pieces_that_overtake_each_other_wait_for_their_turn() {
    let place = Place::new().await;
    let (blobs, user, content) = (place.blobs.clone(), UserId(1), noise(3_000_000));
    let begun = blobs.begin(ORG, user, &begin(&content, "")).await.unwrap();
    let put = |at: usize, end: usize| {
        let (blobs, data) = (blobs.clone(), Bytes::copy_from_slice(&content[at..end]));
        let part = im::BlobPart { upload_id: begun.upload_id.clone(), offset: at as u64, data, sha256: Bytes::new() };
        tokio::spawn(async move { blobs.part_in_turn(user, part).await })
    };
    assert_eq!(code(&put(2_000_000, 2_000_001).await.unwrap()), Code::BadOffset, "too far ahead to wait for");
    let last = put(500_000, 900_000);
    let next = put(200_000, 500_000);
    tokio::task::yield_now().await;
    assert!(!last.is_finished() && !next.is_finished());
    put(0, 200_000).await.unwrap().unwrap();
    assert_eq!(next.await.unwrap().unwrap().offset, 500_000);
    assert_eq!(last.await.unwrap().unwrap().offset, 900_000);
    send(&blobs, user, &im::BlobStatus { offset: 900_000, ..begun.clone() }, &content).await.unwrap();
    blobs.commit(user, &begun.upload_id, None).await.unwrap();
    let strangers = im::BlobPart { upload_id: begun.upload_id.clone(), offset: 1, ..im::BlobPart::default() };
    assert_eq!(code(&blobs.part_in_turn(UserId(2), strangers).await), Code::UnknownUpload);
}

#[tokio::test]
async fn what_does_not_match_is_refused_and_can_be_sent_again() {
    let place = Place::new().await;
    let (blobs, user, content) = (&place.blobs, UserId(1), b"the right content".as_slice());
    let begun = blobs.begin(ORG, user, &begin(content, "")).await.unwrap();
    let part = |offset, data: &'static [u8], sha256| im::BlobPart {
        upload_id: begun.upload_id.clone(),
        offset,
        data: Bytes::from_static(data),
        sha256,
    };
    let wrong = b"the wrong content";
    assert_eq!(code(&blobs.part(user, part(0, wrong, sha256(content))).await), Code::HashMismatch);
    assert_eq!(code(&blobs.part(user, part(3, wrong, Bytes::new())).await), Code::BadOffset);
    assert_eq!(code(&blobs.part(user, part(0, b"the wrong content and more", Bytes::new())).await), Code::Malformed);
    assert_eq!(code(&blobs.part(UserId(2), part(0, wrong, Bytes::new())).await), Code::UnknownUpload);
    assert_eq!(code(&blobs.commit(user, &begun.upload_id, None).await), Code::BadOffset);
    assert!(blobs.part(user, part(0, wrong, Bytes::new())).await.unwrap().complete);
    assert_eq!(code(&blobs.check(user, &begun.upload_id).await), Code::HashMismatch);
    let again = blobs.begin(ORG, user, &begin(content, "")).await.unwrap();
    assert_eq!(again.offset, 0);
    send(blobs, user, &again, content).await.unwrap();
    blobs.commit(user, &again.upload_id, None).await.unwrap();
    let huge = im::BlobBegin { size: 20_000_001, ..begin(content, "") };
    assert_eq!(code(&blobs.begin(ORG, user, &huge).await), Code::BlobTooLarge);
    let big = |n: u8| im::BlobBegin { size: 15_000_000, sha256: vec![n; 32].into(), ..begin(content, "") };
    blobs.begin(ORG, user, &big(1)).await.unwrap();
    blobs.begin(ORG, user, &big(1)).await.unwrap();
    assert_eq!(code(&blobs.begin(ORG, user, &big(2)).await), Code::Flood);
    place.store.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_begin_at_once_a_user_has_so_many_uploads_and_no_more() {
    let place = Place::new().await;
    let first = place.blobs.begin(ORG, UserId(1), &begin(b"a", "")).await.unwrap();
    let other = |n: u8| im::BlobBegin { sha256: vec![n; 32].into(), ..begin(b"b", "") };
    let begun = (0..200).map(|n| {
        let (blobs, request) = (place.blobs.clone(), other(n));
        tokio::spawn(async move { blobs.begin(ORG, UserId(1), &request).await })
    });
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for (n, task) in (0..).zip(begun.collect::<Vec<_>>()) {
        match task.await.unwrap() {
            Ok(_) => taken.push(n),
            Err(refusal) => refused.push((n, refusal)),
        }
    }
    assert_eq!((taken.len(), refused.len()), (63, 137));
    assert!(refused.iter().all(|(_, refusal)| refusal.code == Code::Flood && refusal.retry_after_ms > 0));
    assert_eq!(files(&place.folder.path().join("uploads")), 64);
    // Others have places of their own, and what is under way goes on.
    place.blobs.begin(ORG, UserId(2), &other(0)).await.unwrap();
    place.blobs.begin(ORG, UserId(1), &other(taken[0])).await.unwrap();
    let next = other(refused[0].0);
    assert_eq!(code(&place.blobs.begin(ORG, UserId(1), &next).await), Code::Flood);
    send(&place.blobs, UserId(1), &first, b"a").await.unwrap();
    place.blobs.commit(UserId(1), &first.upload_id, None).await.unwrap();
    place.blobs.begin(ORG, UserId(1), &next).await.unwrap();
    place.store.stop();
}

#[tokio::test]
async fn uploads_that_were_given_up_make_room_and_those_at_work_do_not() {
    let place = Place::new().await;
    let soon = BlobOptions { idle_after: Duration::ZERO, ..options(place.folder.path()) };
    let (blobs, user) = (Blobs::open(place.store.clone(), soon).await.unwrap(), UserId(1));
    let content = |n: u8| [n, 1, 2, 3];
    let mut begun = Vec::new();
    for n in 0..64 {
        begun.push(blobs.begin(ORG, user, &begin(&content(n), "")).await.unwrap());
    }
    // The first is being committed, of the second something came just now: the third rests the longest.
    send(&blobs, user, &begun[0], &content(0)).await.unwrap();
    let Checked::File(commit) = blobs.check(user, &begun[0].upload_id).await.unwrap() else { panic!("a file") };
    send(&blobs, user, &begun[1], &content(1)[..2]).await.unwrap();
    blobs.begin(ORG, user, &begin(&content(64), "")).await.unwrap();
    assert_eq!(files(&place.folder.path().join("uploads")), 64);
    commit.finish(None).await.unwrap();
    let second = im::BlobStatus { offset: 2, ..begun[1].clone() };
    send(&blobs, user, &second, &content(1)).await.unwrap();
    blobs.commit(user, &begun[1].upload_id, None).await.unwrap();
    assert_eq!(code(&send(&blobs, user, &begun[2], &content(2)).await), Code::UnknownUpload);
    assert_eq!(code(&blobs.check(user, &begun[2].upload_id).await), Code::UnknownUpload);
    let again = blobs.begin(ORG, user, &begin(&content(2), "")).await.unwrap();
    assert!(again.upload_id != begun[2].upload_id && again.offset == 0);
    send(&blobs, user, &again, &content(2)).await.unwrap();
    blobs.commit(user, &again.upload_id, None).await.unwrap();
    place.store.stop();
}

#[tokio::test]
async fn uploads_that_were_given_up_make_room_for_bytes_too_and_none_does_in_vain() {
    let place = Place::new().await;
    let soon = BlobOptions { idle_after: Duration::ZERO, ..options(place.folder.path()) };
    let (blobs, user, content) = (Blobs::open(place.store.clone(), soon).await.unwrap(), UserId(1), noise(12_000_000));
    let big = |n: u8| im::BlobBegin { size: 15_000_000, sha256: vec![n; 32].into(), ..begin(b"", "") };
    blobs.begin(ORG, user, &big(1)).await.unwrap();
    let small = blobs.begin(ORG, user, &begin(b"small", "")).await.unwrap();
    let busy = blobs.begin(ORG, user, &begin(&content, "")).await.unwrap();
    assert_eq!(files(&place.folder.path().join("uploads")), 2, "the first is gone, and that is enough");
    send(&blobs, user, &busy, &content).await.unwrap();
    let commit = blobs.check(user, &busy.upload_id).await.unwrap();
    assert_eq!(code(&blobs.begin(ORG, user, &big(2)).await), Code::Flood, "what is at work takes the room");
    send(&blobs, user, &small, b"small").await.unwrap();
    blobs.commit(user, &small.upload_id, None).await.unwrap();
    drop(commit);
    blobs.begin(ORG, user, &big(2)).await.unwrap();
    place.store.stop();
}

#[tokio::test]
async fn a_voice_message_is_kept_as_it_was_inspected() {
    let mut place = Place::new().await;
    let (blobs, user) = (place.blobs.clone(), UserId(1));
    let request = im::BlobBegin { voice: true, ..begin(b"raw", "audio/webm") };
    let begun = blobs.begin(ORG, user, &request).await.unwrap();
    send(&blobs, user, &begun, b"raw").await.unwrap();
    let Checked::Voice(commit) = blobs.check(user, &begun.upload_id).await.unwrap() else { panic!("a voice message") };
    assert_eq!(commit.content().await.unwrap(), "raw");
    let other = blobs.check(user, &begun.upload_id).await.unwrap_err();
    assert!(other.code == Code::Unavailable && other.retry_after_ms > 0, "one at a time: {other:?}");
    assert_eq!(code(&commit.finish(None).await), Code::BadVoice);
    let voice = im::Voice { duration_ms: 1234, waveform: Bytes::from_static(&[1, 2]), ..Default::default() };
    let content = Bytes::from_static(b"OggS");
    let inspected = Inspected { content: content.clone(), mime: "audio/ogg".into(), voice };
    let done = blobs.commit(user, &begun.upload_id, Some(inspected)).await.unwrap();
    assert_eq!(blobs.commit(user, &begun.upload_id, None).await.unwrap(), done, "repeatable");
    let voice = done.voice.unwrap();
    assert_eq!((voice.duration_ms, voice.blob.clone().unwrap().id), (1234, sha256(&content)));
    // What a client claims is replaced by what was measured.
    let claimed = im::Voice { duration_ms: 9, ..voice.clone() };
    let body = im::Body { kind: Some(Kind::Voice(claimed)), ..Default::default() };
    let seq = place.say(1, 1, body).await.unwrap();
    let fetch = im::Fetch { conv: 1, after: seq - 1, ..Default::default() };
    let page = place.store.read(move |reader| reader.fetch(UserId(2), &fetch)).await.unwrap();
    assert_eq!(page.events[0].body.clone().unwrap().kind, Some(Kind::Voice(voice.clone())));
    assert_eq!(place.get(2, 1, &voice.blob.unwrap().id).await.unwrap(), content);
    // A plain file is no voice message.
    let file = place.upload(1, b"OggS and more", "").await.unwrap();
    let body = im::Body {
        kind: Some(Kind::Voice(im::Voice { blob: Some(file), ..Default::default() })),
        ..Default::default()
    };
    assert_eq!(code(&place.say(1, 1, body).await), Code::BadVoice);
    place.store.stop();
}

#[tokio::test]
async fn i14_a_blob_goes_with_the_last_event_that_carries_it() {
    let mut place = Place::new().await;
    let blob = place.upload(1, b"a secret", "").await.unwrap();
    let recall = |target| im::Body { kind: Some(Kind::Recall(im::Recall {})), target, ..Default::default() };
    let (first, second) = (place.share(1, 1, &blob).await.unwrap(), place.share(1, 1, &blob).await.unwrap());
    place.say(1, 1, recall(first)).await.unwrap();
    place.blobs.sweep().await.unwrap();
    assert_eq!(place.get(2, 1, &blob.id).await.unwrap(), "a secret");
    place.say(1, 1, recall(second)).await.unwrap();
    assert_eq!(code(&place.get(2, 1, &blob.id).await), Code::UnknownBlob);
    assert_eq!(code(&place.share(1, 1, &blob).await), Code::UnknownBlob);
    // The same content comes again before the old object is deleted, and outlives that.
    let again = place.upload(1, b"a secret", "").await.unwrap();
    place.share(1, 1, &again).await.unwrap();
    place.blobs.sweep().await.unwrap();
    assert_eq!(place.get(2, 1, &again.id).await.unwrap(), "a secret");
    assert_eq!(place.objects(), 1);
    place.say(1, 1, im::Body { kind: Some(text("end")), ..Default::default() }).await.unwrap();
    place.store.stop();
}

#[tokio::test]
async fn i14_a_blob_goes_with_what_retention_takes() {
    let mut place = Place::new().await;
    let blob = place.upload(1, b"a secret", "").await.unwrap();
    place.share(1, 1, &blob).await.unwrap();
    place.share(2, 1, &blob).await.unwrap();
    let sweep = Op::Sweep { conv: ConvId(1), before_ms: i64::MAX };
    let Ok(Outcome::Swept { bodies: 2, .. }) = place.store.write_async(sweep).await else { panic!() };
    assert_eq!(code(&place.get(2, 1, &blob.id).await), Code::UnknownBlob);
    place.blobs.sweep().await.unwrap();
    assert_eq!(place.objects(), 0);
    place.store.stop();
}

#[tokio::test]
async fn what_is_never_used_expires() {
    let mut place = Place::new().await;
    let used = place.upload(1, b"used", "").await.unwrap();
    place.share(1, 1, &used).await.unwrap();
    place.upload(1, b"unused", "").await.unwrap();
    let begun = place.blobs.begin(ORG, UserId(1), &begin(b"unfinished", "")).await.unwrap();
    place.blobs.sweep().await.unwrap();
    assert_eq!((place.objects(), files(&place.folder.path().join("uploads"))), (2, 1));
    let soon = BlobOptions { expire_after: Duration::ZERO, ..options(place.folder.path()) };
    let blobs = Blobs::open(place.store.clone(), soon).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    blobs.sweep().await.unwrap();
    assert_eq!((place.objects(), files(&place.folder.path().join("uploads"))), (1, 0));
    assert_eq!(code(&blobs.check(UserId(1), &begun.upload_id).await), Code::UnknownUpload);
    assert_eq!(place.get(2, 1, &used.id).await.unwrap(), "used");
    place.store.stop();
}
