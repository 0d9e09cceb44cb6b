//! A device that speaks chat.

use bytes::Bytes;
use convene_im::wire::{self as im, Code, body::Kind, frame::Body};
use futures_util::{sink, stream};
use prost::Message as _;
use tokio::sync::mpsc;

use super::world::{DEADLINE, World};

/// A device with chat open.
pub(super) struct Phone {
    to: mpsc::Sender<Bytes>,
    from: mpsc::Receiver<Bytes>,
    seen: Vec<im::Frame>,
    rid: u64,
}

impl Phone {
    pub(super) async fn open(world: &World, access: &str, device: &str) -> Self {
        Self::try_open(world, access, device).await.unwrap_or_else(|code| panic!("{code:?}"))
    }

    pub(super) async fn try_open(world: &World, access: &str, device: &str) -> Result<Self, Code> {
        let ((to, inbox), (outbox, from)) = (mpsc::channel::<Bytes>(64), mpsc::channel::<Bytes>(1_024));
        let chat = world.chat.clone();
        tokio::spawn(async move {
            let sink = sink::unfold(outbox, |outbox, frame: Bytes| async move {
                outbox.send(frame).await.map(|()| outbox).map_err(|_| std::io::Error::other("gone"))
            });
            let stream =
                stream::unfold(inbox, |mut inbox| async move { inbox.recv().await.map(|frame| (frame, inbox)) });
            chat.serve_websocket(Box::pin(sink), Box::pin(stream)).await;
        });
        let mut phone = Self { to, from, seen: Vec::new(), rid: 0 };
        let device_id = Bytes::copy_from_slice(&device_bytes(device));
        let hello =
            im::Hello { version: 1, token: access.into(), device_id, client: "test".into(), ..im::Hello::default() };
        let answer = phone.request(Body::Hello(hello)).await;
        if let Body::Error(error) = &answer {
            return Err(error.code());
        }
        assert!(matches!(answer, Body::Welcome(_)), "{answer:?}");
        Ok(phone)
    }

    pub(super) async fn request(&mut self, body: Body) -> Body {
        self.rid += 1;
        let rid = self.rid;
        let frame = im::Frame { rid, body: Some(body) };
        self.to.send(frame.encode_to_vec().into()).await.unwrap();
        self.find(|frame| (frame.rid == rid).then(|| frame.body.clone().unwrap())).await
    }

    pub(super) async fn ping(&mut self) {
        assert_eq!(self.request(Body::Ping(im::Ping {})).await, Body::Done(im::Done {}));
    }

    /// What a frame says, of those that came and those that will.
    async fn find<T>(&mut self, wanted: impl Fn(&im::Frame) -> Option<T>) -> T {
        if let Some(found) = self.seen.iter().find_map(&wanted) {
            return found;
        }
        loop {
            let bytes = tokio::time::timeout(DEADLINE, self.from.recv()).await;
            let Ok(Some(bytes)) = bytes else { panic!("{bytes:?}; so far {:?}", self.seen) };
            let frame = im::Frame::decode(bytes).unwrap();
            let found = wanted(&frame);
            self.seen.push(frame);
            if let Some(found) = found {
                return found;
            }
        }
    }

    pub(super) async fn call_state(&mut self, wanted: impl Fn(&im::CallState) -> bool) -> im::CallState {
        self.find(|frame| {
            let Some(Body::CallState(state)) = &frame.body else { return None };
            wanted(state).then(|| state.clone())
        })
        .await
    }

    pub(super) async fn event(&mut self, conv: u64, wanted: impl Fn(&Kind) -> bool) -> im::Event {
        let is_meant =
            |event: &&im::Event| event.body.as_ref().and_then(|body| body.kind.as_ref()).is_some_and(&wanted);
        self.find(|frame| {
            let Some(Body::Deliver(deliver)) = &frame.body else { return None };
            deliver.events.iter().find(|event| deliver.conv == conv && is_meant(event)).cloned()
        })
        .await
    }

    /// What the user's own log says of their profile.
    pub(super) async fn profile(&mut self, wanted: impl Fn(&im::User) -> bool) {
        self.find(|frame| {
            let Some(Body::DeliverUser(deliver)) = &frame.body else { return None };
            let is_meant = |event: &im::UserEvent| {
                matches!(&event.kind, Some(im::user_event::Kind::Profile(user)) if wanted(user))
            };
            deliver.events.iter().any(is_meant).then_some(())
        })
        .await;
    }

    /// What somebody else who is watched goes by.
    pub(super) async fn shown(&mut self, wanted: impl Fn(&im::User) -> bool) -> im::User {
        self.find(|frame| {
            let Some(Body::Hint(im::Hint { kind: Some(im::hint::Kind::Profile(user)) })) = &frame.body else {
                return None;
            };
            wanted(user).then(|| user.clone())
        })
        .await
    }

    pub(super) async fn goodbye(&mut self) -> Code {
        self.find(|frame| {
            let Some(Body::Goodbye(goodbye)) = &frame.body else { return None };
            Some(goodbye.code())
        })
        .await
    }
}

/// The 16 bytes of a device's name.
pub(super) fn device_bytes(device: &str) -> [u8; 16] {
    u128::from_str_radix(device, 16).unwrap().to_be_bytes()
}
