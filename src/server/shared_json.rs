//! JSON that many requests ask for: made now and then, and compressed on first use.

use crate::http::coding::{self, Coding};
use crate::http::{Request, Response};

/// A body of JSON.
#[derive(Debug)]
pub struct SharedJson {
    plain: Vec<u8>,
    /// `None` inside if it is not smaller.
    gzip: Option<Option<Vec<u8>>>,
}

impl SharedJson {
    /// The body of this text.
    #[must_use]
    pub fn new(plain: Vec<u8>) -> SharedJson {
        SharedJson { plain, gzip: None }
    }

    /// The response to a request for it.
    pub fn answer(&mut self, request: &Request) -> Response {
        let gzip = match Coding::Gzip.is_accepted(request) {
            true => self.gzip.get_or_insert_with(|| coding::gzip(&self.plain)).as_deref(),
            false => None,
        };
        // A copy counts for its reader. A slow one would keep a body that has been replaced.
        let response = Response::new(200, "application/json", gzip.unwrap_or(&self.plain))
            .with("Cache-Control", "no-store")
            .with("Vary", "Accept-Encoding");
        match gzip {
            Some(_) => response.with("Content-Encoding", "gzip"),
            None => response,
        }
    }
}
