//! How data packets are read and written is the wire protocol's matter: the room only asks for the parts it acts on.

use bytes::Bytes;
use convene_sfu::Channel;

use super::request::ServerData;

/// The sender of a data packet as the room knows it; what the packet says of its sender is not believed.
#[derive(Clone, Copy, Debug)]
pub struct DataSender<'a> {
    /// `PA_…`.
    pub sid: &'a str,
    /// Identity.
    pub identity: &'a str,
    /// Whether it is a program: some packets are taken from such only.
    pub agent: bool,
}

/// A packet ready to be sent on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// Bytes with the true sender in them.
    pub payload: Bytes,
    /// Receivers by identity; empty: everyone else.
    pub to_identities: Vec<String>,
    /// Receivers by sid, in addition.
    pub to_sids: Vec<String>,
    /// The sender's running number on the reliable path; 0: none.
    pub sequence: u32,
}

/// Reads and writes data packets.
pub trait DataFormat: Send + Sync {
    /// Puts the true sender into a packet. `Err` says why it is dropped; a label for a counter.
    fn stamp(&self, from: DataSender<'_>, channel: Channel, packet: &[u8]) -> Result<Stamped, &'static str>;

    /// What a packet names its data track by. `Err` says why it is dropped; a label for a counter.
    fn track_handle(&self, packet: &[u8]) -> Result<u16, &'static str>;

    /// The same packet under another name. Called with what [`Self::track_handle`] has read.
    fn with_track_handle(&self, packet: &[u8], handle: u16) -> Bytes;

    /// Writes a packet of the server itself.
    fn server_packet(&self, data: &ServerData) -> Bytes;
}
