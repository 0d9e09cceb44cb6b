//! Limits of the wire format. Clients read those that may differ between servers from `Welcome.limits`.

/// Longest frame, without its length prefix. It bounds what a stranger can make us hold per stream; a blob part or a page
/// of history has to fit. Raising it costs that much memory per stream that is being read.
pub const MAX_FRAME_BYTES: usize = 64 * 1024;
/// Bytes that a reply may fill with events or data, so that the fields around them fit into a frame.
pub const MAX_PAYLOAD_BYTES: usize = 48 * 1024;
/// Longest token in a `Hello`.
pub const MAX_TOKEN_BYTES: usize = 4 * 1024;
/// Length of a device id, client id and session id.
pub const ID_BYTES: usize = 16;
/// Longest client name and version.
pub const MAX_CLIENT_BYTES: usize = 64;
/// Longest text of a message, edit or caption.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;
/// Longest title of a group.
pub const MAX_TITLE_BYTES: usize = 256;
/// Longest announcement of a group, and longest draft.
pub const MAX_ANNOUNCEMENT_BYTES: usize = 4 * 1024;
/// Longest data of a custom message.
pub const MAX_CUSTOM_BYTES: usize = 16 * 1024;
/// Longest type name of a custom message.
pub const MAX_CUSTOM_TYPE_BYTES: usize = 128;
/// Longest reaction: the longest emoji sequences take 28 bytes.
pub const MAX_EMOJI_BYTES: usize = 32;
/// Most members one message calls by name.
pub const MAX_MENTIONS: usize = 100;
/// Most members added, removed, muted or given a role by one event.
pub const MAX_CHANGED_MEMBERS: usize = 500;
/// Longest preview of a picture.
pub const MAX_PREVIEW_BYTES: usize = 128;
/// Longest file name.
pub const MAX_FILE_NAME_BYTES: usize = 255;
/// Most points of a waveform.
pub const MAX_WAVEFORM_POINTS: usize = 256;
/// Most conversations whose cursors one `Sync` names.
pub const MAX_CURSORS: usize = 2_000;
/// Most events a page has.
pub const MAX_PAGE_EVENTS: u32 = 500;
/// Most bytes of events in the reply to a `Sync`.
pub const MAX_SYNC_BYTES: u32 = 1024 * 1024;
/// Most users one request looks up.
pub const MAX_FOUND_USERS: usize = 200;
/// Most users one session watches.
pub const MAX_WATCHED_USERS: usize = 500;
/// Feed streams a server opens.
pub const MAX_FEEDS: usize = 4;
/// Bulk streams a client may have open.
pub const MAX_BULK_STREAMS: u32 = 8;
/// Name of the protocol in the TLS handshake.
pub const ALPN: &[u8] = b"convene/1";
/// The protocol version of `Hello` and `Welcome`.
pub const VERSION: u32 = 1;
