//! Ids of people and what they belong to, ids and positions of chat.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! token {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// From a field of the wire: exactly 16 bytes.
            #[must_use]
            pub fn from_wire(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }
    };
}

number!(
    /// An organisation. Nothing crosses from one to another.
    OrgId
);
number!(
    /// A user of an organisation. 0 is the server itself, as the sender of an event.
    UserId
);
number!(
    /// A person with a phone number, whatever organisations they are in; a [`UserId`] is their seat in one of them.
    AccountId
);
number!(
    /// A department of an organisation. 0 is the organisation itself: the root of the tree.
    DeptId
);
number!(
    /// A position that members of an organisation can hold.
    PositionId
);
number!(
    /// An invitation into an organisation, or somebody's request to be let in.
    InviteId
);
number!(
    /// A conversation: direct or group.
    ConvId
);
number!(
    /// Position in a conversation's log: 1, 2, 3... without holes. As a cursor: everything up to it, 0 being nothing.
    Seq
);
number!(
    /// Countable events of a conversation up to some seq. Never falls along the log.
    Ordinal
);
number!(
    /// Position in a user's own log.
    Useq
);
number!(
    /// Position among all changes of all conversations of a node, in the order they were committed.
    Bump
);
token!(
    /// One installation of a client: made once by it, kept for good.
    DeviceId
);
token!(
    /// A sender's own name for something it sends; equal on every retry.
    ClientId
);

token!(
    /// A call: made by whoever begins it.
    CallId
);
token!(
    /// One sign-in of an account on a device, until it is ended or expires.
    SessionId
);

impl Seq {
    /// The position behind this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}
