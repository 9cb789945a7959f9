//! Skirmish: a multiplayer game server for the browser. One binary, one thread, one port.
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
//! run      -> config, reactor, server, load, game, limits
//! reactor  -> server, config, http, limits, time
//! load     -> config, codec, ws, http, socketio
//! server   -> wire, codec, http, ws, socketio, outbox, game, config, metrics, close, bucket,
//!             limits, time
//! wire     -> codec, game, ws, socketio, outbox, time
//! codec    -> time
//! http     -> limits
//! ws       ->
//! socketio ->
//! outbox   -> time
//! game     -> time
//! config   -> limits
//! metrics  -> close
//! limits   -> bucket
//! bucket   -> time
//! close    ->
//! time     ->
//! ```
//!
//! The modules are declared in reading order, lowest layer first.

#![warn(missing_docs)]

pub mod time;

pub mod bucket;

pub mod close;

pub mod limits;

pub mod metrics;

pub mod config;

pub mod game;

pub mod outbox;

pub mod ws;

pub mod http;

pub mod socketio;

pub mod codec;

pub mod wire;

pub mod server;

pub mod reactor;

pub mod load;

mod run;

pub use run::run;
