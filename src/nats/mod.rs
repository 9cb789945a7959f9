//! The client side of the NATS protocol: lines of text, some of which announce a payload.
//!
//! Functions of bytes: [`decode`] reads what a server sends, and [`encode`] writes what a client
//! sends. The source is
//! <https://docs.nats.io/reference/reference-protocols/nats-protocol>, and for headers ADR-4 of
//! <https://github.com/nats-io/nats-architecture-and-design>.

pub mod decode;
pub mod encode;
pub mod subject;
