//! HTTP/1.1, just enough and strict: requests in, responses out, and the files of `www/`.
//!
//! `server/` calls it. It turns bytes into values and back; it holds no socket and knows no route.
//! Where RFC 9112 lets a server choose between repairing a doubtful request and refusing it, it is
//! refused: two parsers that disagree about where a request ends are how requests are smuggled.

pub mod assets;
pub mod body;
mod bundle;
pub mod query;
pub mod request;
pub mod response;

pub use assets::Assets;
pub use request::{BadRequest, Method, Request};
pub use response::Response;
