//! The tests that meet the whole: the real binary over real sockets, and the whole `Server` without
//! any. One binary, so that it links once.

mod count;
mod fuzz;
mod golden;
mod harness;
mod http;
mod lifecycle;
mod pressure;
mod sim;
mod tidy;
mod websocket;
