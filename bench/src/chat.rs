//! What the chat load tools are made of: real QUIC sessions against the server binary, the store without a transport, and
//! what the disk allows, all measured in the same run.

pub mod catch_up;
pub mod closed_loop;
pub mod commits;
pub mod disk;
pub mod engine;
pub mod fan_out;
pub mod handshake;
pub mod idle;
pub mod net;
pub mod node;
pub mod paced;
pub mod pair;
pub mod plain_log;
pub mod prosody;
pub mod report;
pub mod rounds;
pub mod send;
pub mod session;
pub mod stats;
pub mod xmpp;
