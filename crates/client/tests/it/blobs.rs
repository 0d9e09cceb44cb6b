//! Files and voice messages: up, cut, resumed, down.

use convene_client::{Source, Update, body};
use convene_proto::im::{self, body::Kind};

use crate::harness::{DEADLINE, Device, Server};

/// Waits for a message with a blob, and compares the blob.
pub(crate) async fn arrives(device: &Device, conv: u64, want: &[u8]) -> im::Body {
    let body = async {
        loop {
            let page = device.client.messages(conv, None, 10).await.unwrap();
            let bodies = page.messages.into_iter().rev().filter_map(|message| message.event.body);
            if let Some(found) = bodies.into_iter().find(|body| blob_of(body).is_some()) {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let body = tokio::time::timeout(DEADLINE, body).await.expect("a message with a blob");
    let blob = blob_of(&body).unwrap();
    assert_eq!(blob.size, want.len() as u64);
    let dest = device.dir().join("download");
    device.client.download(conv, &blob, &dest, |_, _| {}).await.unwrap();
    assert!(std::fs::read(&dest).unwrap() == want, "other bytes");
    body
}

fn blob_of(body: &im::Body) -> Option<im::BlobRef> {
    match body.kind.as_ref()? {
        Kind::Voice(voice) => voice.blob.clone(),
        Kind::File(file) => file.blob.clone(),
        _other => None,
    }
}

/// Half a second of 440 Hz, 16 bit mono at 48 kHz, in a WAV file.
fn wav() -> Vec<u8> {
    let samples: Vec<u8> = (0..24_000_u32)
        .flat_map(|n| {
            let phase = f64::from(n) * 440.0 / 48_000.0 * std::f64::consts::TAU;
            ((phase.sin() * 12_000.0) as i16).to_le_bytes()
        })
        .collect();
    let len = samples.len() as u32;
    let mut wav = Vec::new();
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(36 + len).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt ");
    for (value, size) in [(16_u32, 4), (1, 2), (1, 2), (48_000, 4), (96_000, 4), (2, 2), (16, 2)] {
        wav.extend_from_slice(&value.to_le_bytes()[..size]);
    }
    wav.extend_from_slice(b"data");
    wav.extend_from_slice(&len.to_le_bytes());
    wav.extend_from_slice(&samples);
    wav
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voice_message_is_measured_by_the_server() {
    let server = Server::start().await;
    let bob = server.client("bob").await.synced().await;
    let mut ana = server.client("ana").await.synced().await;
    let conv = ana.client.create_direct("bob").await.unwrap();
    let source = Source::Bytes { name: "hello.wav".to_owned(), bytes: wav() };
    let id = ana.client.send_voice(conv, source).await.unwrap();
    ana.client.send(conv, body::text("later, and sooner there or not")).await.unwrap();
    ana.until("acknowledgement", |update| match update {
        Update::Sent { client_id, .. } if client_id == id => Some(()),
        Update::SendFailed { error, .. } => panic!("{error}"),
        _other => None,
    })
    .await;
    let log = bob.client.log(conv);
    let voice = async {
        loop {
            let page = bob.client.messages(conv, None, 10).await.unwrap();
            let mut bodies = page.messages.into_iter().filter_map(|message| message.event.body?.kind);
            if let Some(Kind::Voice(voice)) = bodies.find(|kind| matches!(kind, Kind::Voice(_))) {
                return voice;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let voice = tokio::time::timeout(DEADLINE, voice).await.expect("a voice message");
    drop(log);
    assert!((490..=530).contains(&voice.duration_ms), "{} ms", voice.duration_ms);
    assert!(!voice.waveform.is_empty() && voice.waveform.len() <= 256);
    let blob = voice.blob.unwrap();
    assert_eq!(blob.mime, "audio/ogg");
    let dest = bob.dir().join("voice.ogg");
    bob.client.download(conv, &blob, &dest, |_, _| {}).await.unwrap();
    assert!(std::fs::read(&dest).unwrap().starts_with(b"OggS"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_after_a_server_restart() {
    let mut server = Server::start().await;
    let bob = server.client("bob").await.synced().await;
    let mut ana = server.client("ana").await.synced().await;
    let conv = ana.client.create_direct("bob").await.unwrap();
    // So much that it is not all there before this test has heard of its beginning.
    let bytes: Vec<u8> = (0..40_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let source = Source::Bytes { name: "data.bin".to_owned(), bytes: bytes.clone() };
    let id = ana.client.send_file(conv, source, "").await.unwrap();
    let progress = |update| match update {
        Update::UploadProgress { done, total, .. } if done > 0 && done < total => Some(done),
        _other => None,
    };
    let before = ana.until("the beginning of an upload", progress).await;
    server.stop().await;
    server.resume().await;
    ana.client.reconnect().await.unwrap();
    ana.until("another session", |update| matches!(update, Update::Connected { .. }).then_some(())).await;
    let after = ana
        .until("where it goes on", |update| match update {
            Update::UploadProgress { done, .. } => Some(done),
            _other => None,
        })
        .await;
    assert!(after >= before, "went on from {after}, had {before}");
    ana.until("acknowledgement", |update| match update {
        Update::Sent { client_id, .. } if client_id == id => Some(()),
        _other => None,
    })
    .await;
    arrives(&bob, conv, &bytes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_fails_and_says_so() {
    let mut server = Server::start().await;
    let _bob = server.client("bob").await.synced().await;
    let mut ana = server.client("ana").await.synced().await;
    let conv = ana.client.create_direct("bob").await.unwrap();
    server.stop().await;
    let path = ana.dir().join("short-lived.txt");
    std::fs::write(&path, b"text").unwrap();
    let id = ana.client.send_file(conv, Source::Path(path.clone()), "").await.unwrap();
    std::fs::remove_file(&path).unwrap();
    server.resume().await;
    ana.client.reconnect().await.unwrap();
    let error = ana
        .until("failure", |update| match update {
            Update::SendFailed { client_id, error, .. } if client_id == id => Some(error),
            _other => None,
        })
        .await;
    assert!(matches!(error, convene_client::Error::File(_)), "{error:?}");
    ana.client.discard(id).await.unwrap();
    assert_eq!(ana.client.outgoing(None).await.unwrap(), []);
}
