//! Certificates of the ports that speak TLS: those of HTTP and of chat.
//!
//! They come from PEM files, which are read again when they change, or are made by the server, which replaces them before
//! they are old. What is done with TLS is the shells' affair: `im` has QUIC, `server` the HTTP port.

mod certificate;

pub use certificate::{Certificate, CertificateError, Resolver};
