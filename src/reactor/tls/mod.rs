//! TLS on the public listeners (`--cert`, `--key`; README.md, "TLS").
//!
//! `rustls` is driven by hand, without threads: [`Session`] is the layer between a socket and the
//! server, and [`Certificate`] has the files, which it reads again when they change.

mod certificate;
mod session;

pub use certificate::Certificate;
pub use session::Session;
