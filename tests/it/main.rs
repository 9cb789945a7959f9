//! The integration tests: the real binary over real sockets, and the whole `Server` without
//! sockets. They are one binary, to link only once.

mod battle;
mod clients;
mod count;
mod credit;
mod deflate;
mod deflate_suite;
mod dots;
mod engineio;
mod files;
mod fuzz;
mod golden;
mod handshake;
mod harness;
mod http;
mod lifecycle;
mod load;
mod origins;
mod own_game;
mod own_pages;
mod polling_client;
mod proxy;
mod rates;
mod refusals;
mod resume;
mod sim;
mod slow_clients;
mod socketio;
mod socketio_battle;
mod states;
mod surroundings;
mod text;
mod tidy;
mod v1;
mod websocket;
mod words;
