//! Socket.IO clients: Engine.IO sessions over long polling and WebSocket (engine.io-protocol 4),
//! and the Socket.IO packets inside them (socket.io-protocol 5).
//!
//! `request` answers the HTTP requests of a session, `transport` moves packets over its
//! connections, `payloads` makes those of polls, `poll_gzip` compresses them, `deadlines` ends what
//! is late, `packets` turns packets into calls of the application, `session` holds the state, and
//! `unjoined` the sessions without a player.

pub mod deadlines;
pub mod packets;
pub mod payloads;
pub mod poll_gzip;
pub mod request;
pub mod session;
pub mod transport;
pub mod unjoined;
