#![forbid(unsafe_code)]
pub mod bucket;
pub mod close;
pub mod codec;
pub mod config;
pub mod game;
pub mod http;
pub mod limits;
pub mod metrics;
pub mod outbox;
pub mod reactor;
pub mod server;
pub mod time;
pub mod wire;
pub mod ws;
