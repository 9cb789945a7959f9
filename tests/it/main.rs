//! The tests that meet the whole: the real binary over real sockets, and the whole `Server` without
//! any. One binary, so that it links once.

mod battle;
mod count;
mod dots;
mod engine;
mod events;
mod files;
mod fuzz;
mod golden;
mod handshake;
mod harness;
mod http;
mod lifecycle;
mod load;
mod polling;
mod pressure;
mod proxy;
mod rates;
mod refusals;
mod sim;
mod socketio;
mod states;
mod text;
mod tidy;
mod websocket;
