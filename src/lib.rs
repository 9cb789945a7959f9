//! Skirmish: a multiplayer game server for the browser. One binary, one thread, one port.
//!
//! A game is a [`game::Rules`], which declares its map, fields, commands and events, and a
//! [`game::Game`], which implements what happens. [`run`] reads the command line and serves the
//! games. `docs/your-own-game.md` explains `examples/tag.rs`, a whole game in one file.
//!
//! # How the code is structured
//!
//! ```text
//!            bytes in                                                     bytes out
//! kernel --> reactor --> server --> conn --> http | ws | socketio   outbox --> reactor --> kernel
//!            (read)      receive    advance  (decode)                 ^         (flush)
//!                          |                                          | push, offer_update
//!                          +-- View::decode --> Input --> World       |
//!                          |                               |          |
//!                          +-- tick / publish <------------+----------+  View::update <-- Frame
//! ```
//!
//! One turn of the loop has fixed phases: wait, read, tick if due, publish, accept, flush, reap.
//! Data flows one way, and nothing calls back up: a module imports only from the layers below it.
//! The test `tidy` checks every import against this table.
//!
//! ```layers
//! main     -> run, game
//! run      -> config, reactor, server, load, game, http, limits, qr
//! reactor  -> server, config, http, metrics, limits, time
//! load     -> config, codec, ws, http, socketio, time
//! server   -> wire, codec, http, ws, socketio, outbox, game, config, metrics, close, bucket,
//!             limits, origin, time
//! wire     -> codec, game, ws, socketio, outbox, limits, ordered, time
//! codec    -> time
//! http     -> limits, origin
//! ws       ->
//! nats     ->
//! socketio ->
//! outbox   -> limits, time
//! game     -> ordered, time
//! config   -> limits, origin
//! metrics  -> close
//! limits   -> bucket
//! bucket   -> time
//! close    ->
//! qr       ->
//! ordered  ->
//! origin   ->
//! time     ->
//! ```
//!
//! The modules are declared in reading order, lowest layer first.

#![warn(missing_docs)]

// The hidden modules are public for the tests and benches only.
#[doc(hidden)]
pub mod time;

mod bucket;

mod ordered;

mod origin;

mod qr;

#[doc(hidden)]
pub mod close;

#[doc(hidden)]
pub mod limits;

#[doc(hidden)]
pub mod metrics;

#[doc(hidden)]
pub mod config;

pub mod game;

mod outbox;

#[doc(hidden)]
pub mod nats;

#[doc(hidden)]
pub mod ws;

#[doc(hidden)]
pub mod http;

#[doc(hidden)]
pub mod socketio;

#[doc(hidden)]
pub mod codec;

#[doc(hidden)]
pub mod wire;

#[doc(hidden)]
pub mod server;

#[doc(hidden)]
pub mod reactor;

mod load;

mod run;

pub use run::run;
