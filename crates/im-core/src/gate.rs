//! What may come in: which request on which stream, which before the handshake is confirmed, how often, and what a
//! `Hello` and a `Sync` must look like. The session asks before it does anything else with a frame.

mod rate;
#[cfg(test)]
mod tests;

use convene_proto::im::{self, Code, frame::Body, hint};
use convene_proto::limits::{
    ID_BYTES, MAX_CLIENT_BYTES, MAX_CURSORS, MAX_FOUND_USERS, MAX_TOKEN_BYTES, MAX_WATCHED_USERS, VERSION,
};
use convene_types::{ClientId, DeviceId};

use crate::model::Refusal;
pub use rate::{Bucket, Buckets, Rate};

/// Longest name of an organisation: as long as one in a token.
const MAX_ORG_BYTES: usize = 128;

/// What a frame came over. A WebSocket is all three at once, and says `Control`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The stream of the session.
    Control,
    /// A stream for one page or one blob.
    Bulk,
    /// No stream at all.
    Datagram,
}

/// What a request of a kind may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pass {
    control: bool,
    bulk: bool,
    datagram: bool,
    early: bool,
}

const CONTROL: Pass = Pass { control: true, bulk: false, datagram: false, early: false };
/// Repeating it changes nothing (I15), so an attacker who replays the flight gains nothing.
const EARLY: Pass = Pass { early: true, ..CONTROL };
const BULK: Pass = Pass { bulk: true, ..CONTROL };

/// Whether this frame may come over this, and so early. It says nothing of the frame's content.
pub fn allowed(body: &Body, place: Place, early: bool) -> Result<(), Refusal> {
    let Some(pass) = pass(body) else {
        return Err(Refusal::new(Code::Malformed, "what a server says, a client does not"));
    };
    let placed = match place {
        Place::Control => pass.control,
        Place::Bulk => pass.bulk,
        Place::Datagram => pass.datagram,
    };
    if !placed {
        return Err(Refusal::new(Code::WrongStream, "not on this kind of stream"));
    }
    if early && !pass.early {
        return Err(Refusal::new(Code::TooEarly, "not before the handshake is confirmed"));
    }
    Ok(())
}

fn pass(body: &Body) -> Option<Pass> {
    Some(match body {
        Body::Hello(_) | Body::Send(_) | Body::Sync(_) | Body::Read(_) => EARLY,
        Body::Fetch(_) => Pass { early: true, ..BULK },
        Body::Create(_) | Body::ChangeSettings(_) | Body::FindUsers(_) | Body::GetMembers(_) => CONTROL,
        Body::GetReceipts(_) | Body::WatchPresence(_) | Body::BlobUrl(_) | Body::Ping(_) => CONTROL,
        Body::BlobBegin(_) | Body::BlobPart(_) | Body::BlobCommit(_) | Body::BlobGet(_) => BULK,
        Body::Hint(hint) => {
            // The other kinds are the server's to say.
            let Some(hint::Kind::Typing(_)) = hint.kind else { return None };
            Pass { datagram: true, ..CONTROL }
        }
        Body::Welcome(_) | Body::Ack(_) | Body::SyncReply(_) | Body::FetchReply(_) | Body::Done(_) => return None,
        Body::Created(_) | Body::Users(_) | Body::MembersPage(_) | Body::Receipts(_) => return None,
        Body::BlobStatus(_) | Body::BlobDone(_) | Body::BlobData(_) | Body::BlobLink(_) => return None,
        Body::Error(_) | Body::Deliver(_) | Body::DeliverUser(_) | Body::Goodbye(_) | Body::CallState(_) => {
            return None;
        }
    })
}

/// The limits of a request's own fields and its `rid`, for what no rule of [`crate::rules`] looks at.
pub fn check_request(frame: &im::Frame) -> Result<(), Refusal> {
    let Some(body) = &frame.body else {
        return Err(Refusal::new(Code::Malformed, "a frame of no known kind"));
    };
    match body {
        // It has no reply.
        Body::Hint(_) => return Ok(()),
        Body::Sync(sync) => check_sync(sync)?,
        Body::FindUsers(find) => at_most("users", find.ids.len() + find.names.len(), MAX_FOUND_USERS)?,
        Body::WatchPresence(watch) => at_most("users", watch.users.len(), MAX_WATCHED_USERS)?,
        Body::Send(send) => check_client_id(&send.client_id).map(drop)?,
        Body::Create(create) => check_client_id(&create.client_id).map(drop)?,
        Body::Hello(_) | Body::Fetch(_) | Body::Read(_) | Body::ChangeSettings(_) | Body::GetMembers(_) => {}
        Body::GetReceipts(_) | Body::BlobBegin(_) | Body::BlobPart(_) | Body::BlobCommit(_) | Body::BlobGet(_) => {}
        Body::BlobUrl(_) | Body::Ping(_) | Body::Welcome(_) | Body::Ack(_) | Body::SyncReply(_) => {}
        Body::FetchReply(_) | Body::Done(_) | Body::Created(_) | Body::Users(_) | Body::MembersPage(_) => {}
        Body::Receipts(_) | Body::BlobStatus(_) | Body::BlobDone(_) | Body::BlobData(_) | Body::BlobLink(_) => {}
        Body::Error(_) | Body::Deliver(_) | Body::DeliverUser(_) | Body::Goodbye(_) | Body::CallState(_) => {}
    }
    if frame.rid == 0 {
        return Err(Refusal::new(Code::Malformed, "a request without rid"));
    }
    Ok(())
}

/// Looks at the first frame of a session, all but the token's truth. Answers the device and the version to speak.
pub fn check_hello(hello: &im::Hello) -> Result<(DeviceId, u32), Refusal> {
    if hello.version == 0 {
        return Err(Refusal::new(Code::UnsupportedVersion, "this server speaks version 1"));
    }
    if hello.token.is_empty() || hello.token.len() > MAX_TOKEN_BYTES {
        return Err(Refusal::new(Code::Unauthenticated, "no token, or none of ours"));
    }
    let device = DeviceId::from_wire(&hello.device_id).filter(|device| *device != DeviceId::default());
    let Some(device) = device else {
        return Err(Refusal::new(Code::Malformed, format!("device_id: {ID_BYTES} random bytes")));
    };
    at_most("client", hello.client.len(), MAX_CLIENT_BYTES)?;
    at_most("org", hello.org.len(), MAX_ORG_BYTES)?;
    if let Some(sync) = &hello.sync {
        check_sync(sync)?;
    }
    Ok((device, hello.version.min(VERSION)))
}

/// The limits of a `Sync` that the store does not clamp by itself.
pub fn check_sync(sync: &im::Sync) -> Result<(), Refusal> {
    at_most("cursors", sync.cursors.len(), MAX_CURSORS)
}

/// A sender's name for what it sends.
pub fn check_client_id(bytes: &[u8]) -> Result<ClientId, Refusal> {
    let id = ClientId::from_wire(bytes);
    id.ok_or_else(|| Refusal::new(Code::Malformed, format!("client_id: {ID_BYTES} bytes")))
}

fn at_most(what: &str, len: usize, most: usize) -> Result<(), Refusal> {
    if len <= most { Ok(()) } else { Err(Refusal::new(Code::TooLong, format!("{what}: {len}, at most {most}"))) }
}
