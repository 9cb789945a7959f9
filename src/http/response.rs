//! Responses: a head for one request, and a body that may be shared.

use std::borrow::Cow;
use std::fmt::Write;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

/// A response to one request.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    fields: Vec<(&'static str, Cow<'static, str>)>,
    body: ResponseBody,
}

/// The body of a response. Its bytes may be shared with other responses.
#[derive(Clone, Debug)]
pub enum ResponseBody {
    /// All of these bytes.
    Bytes(Rc<[u8]>),
    /// A part of a file, or the whole file.
    File(Arc<[u8]>, Range<usize>),
}

impl ResponseBody {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            ResponseBody::Bytes(bytes) => bytes,
            ResponseBody::File(file, range) => &file[range.clone()],
        }
    }
}

impl Response {
    /// Creates a response with a body of the given type.
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Rc<[u8]>>) -> Response {
        let fields = vec![("Content-Type", Cow::Borrowed(content_type))];
        Response { status, fields, body: ResponseBody::Bytes(body.into()) }
    }

    /// Creates a response with a file of the given type.
    #[must_use]
    pub fn file(content_type: &'static str, file: Arc<[u8]>) -> Response {
        let range = 0..file.len();
        Response { status: 200, ..Response::part(content_type, file, range) }
    }

    /// Creates a response with a part of a file of the given type (206).
    #[must_use]
    pub fn part(content_type: &'static str, file: Arc<[u8]>, range: Range<usize>) -> Response {
        let fields = vec![("Content-Type", Cow::Borrowed(content_type))];
        Response { status: 206, fields, body: ResponseBody::File(file, range) }
    }

    /// Creates a response whose body is one plain sentence.
    #[must_use]
    pub fn sentence(status: u16, sentence: &str) -> Response {
        let body = format!("{sentence}\n").into_bytes();
        Response::new(status, "text/plain; charset=utf-8", body).with("Cache-Control", "no-store")
    }

    /// Creates a response without a body or a type, such as 101 or 304.
    #[must_use]
    pub fn empty(status: u16) -> Response {
        Response { status, fields: Vec::new(), body: ResponseBody::Bytes(Rc::from([])) }
    }

    /// Bytes of the body.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.body.bytes().len()
    }

    /// Adds a header field. Text from a peer may only be used as `value` if it was the value of a
    /// header field, because that contains no line ends.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Response {
        self.fields.push((name, value.into()));
        self
    }

    /// Formats the head and returns it with the body. `keeps_alive` says whether the connection
    /// persists. A response to `HEAD` has no body, but its length (RFC 9110, section 9.3.2).
    #[must_use]
    pub fn into_bytes(self, keeps_alive: bool, is_head: bool) -> (Vec<u8>, Option<ResponseBody>) {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.fields {
            write!(head, "{name}: {value}\r\n").expect("writing to memory cannot fail");
        }
        let has_body = !matches!(self.status, 101 | 204 | 304);
        if has_body {
            write!(
                head,
                "Content-Length: {}\r\nX-Content-Type-Options: nosniff\r\n",
                self.body_bytes()
            )
            .expect("writing to memory cannot fail");
        }
        if self.status != 101 && !keeps_alive {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        let has_bytes = has_body && !is_head && self.body_bytes() > 0;
        let body = has_bytes.then_some(self.body);
        (head.into_bytes(), body)
    }
}

/// The reason phrase of a status code (RFC 9110, section 15).
fn reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        304 => "Not Modified",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(response: Response, keeps_alive: bool, is_head: bool) -> String {
        let (mut head, body) = response.into_bytes(keeps_alive, is_head);
        head.extend_from_slice(body.as_ref().map_or(&[], ResponseBody::bytes));
        String::from_utf8(head).unwrap()
    }

    #[test]
    fn status_500_has_a_reason_phrase() {
        let response = Response::sentence(500, "Internal error.");
        assert!(text(response, false, false).starts_with("HTTP/1.1 500 Internal Server Error\r\n"));
    }

    #[test]
    fn a_sentence_is_formatted_with_its_fields() {
        let sentence = Response::sentence(404, "Not here.").with("Vary", "Origin");
        assert_eq!(
            text(sentence, false, false),
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Cache-Control: no-store\r\nVary: Origin\r\nContent-Length: 10\r\n\
             X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\nNot here.\n"
        );
    }

    #[test]
    fn no_body_for_head_and_for_304() {
        let head = text(Response::sentence(200, "Hi."), true, true);
        assert!(head.contains("Content-Length: 4\r\n") && head.ends_with("\r\n\r\n"));
        assert_eq!(text(Response::empty(304), true, false), "HTTP/1.1 304 Not Modified\r\n\r\n");
    }
}
