//! A strict subset of HTTP/1.1: parses requests, formats responses, and holds the files of `www/`.
//!
//! `server/` calls it. It converts between bytes and values; it has no sockets and no routes. Where
//! RFC 9112 lets a server either repair or reject an ambiguous request, the request is rejected,
//! which prevents request smuggling.

mod assets;
pub mod body;
mod built_in;
mod bundle;
pub mod coding;
mod credentials;
mod folder;
mod inline;
mod media;
mod policy;
pub mod query;
mod range;
pub mod request;
pub mod response;

pub use assets::Assets;
pub use body::Body;
pub use built_in::write_pages;
pub use policy::PagePolicy;
pub use request::{BadRequest, Method, OtherProtocol, Request};
pub use response::{Response, ResponseBody};
