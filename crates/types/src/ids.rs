//! Node-local ids. They are dense integers so that the media path can hash and compare them cheaply; the strings that
//! clients see (`RM_…`, `PA_…`, `TR_…`) belong to `signaling`, which maps them.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

id!(
    /// A room as the media plane knows it. Never reused while the process lives.
    RoomId, "room"
);
id!(
    /// One WebRTC transport (one ICE/DTLS association). A participant has one in single-connection mode and in
    /// WHIP/WHEP, two (publisher and subscriber) in the two-connection mode. Never reused while the process lives.
    PeerId, "peer"
);
id!(
    /// One published track: one audio source, or one video source with all its simulcast layers.
    TrackId, "track"
);
