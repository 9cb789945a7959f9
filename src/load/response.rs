//! Parses HTTP responses of the server: to the WebSocket handshake (RFC 6455, section 4.1), and to
//! polls and posts.

use super::loss::Loss;
use crate::http::body::Body;
use crate::ws::handshake;

/// The `Sec-WebSocket-Key` of every request: the example of RFC 6455. Minimal servers hard-code the
/// response to it.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Maximum bytes of a head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// Maximum characters of a refusal that are reported.
const REFUSAL_CHARS_MAX: usize = 200;
/// Maximum bytes of a poll response.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Parses the head at the start of `bytes` into `response`. Returns its length, or `None` if it is
/// incomplete.
fn read_head<'b>(
    bytes: &'b [u8],
    response: &mut httparse::Response<'_, 'b>,
) -> Result<Option<usize>, Loss> {
    match response.parse(bytes) {
        Ok(httparse::Status::Complete(head_bytes)) => Ok(Some(head_bytes)),
        Ok(httparse::Status::Partial) if bytes.len() <= HEAD_BYTES_MAX => Ok(None),
        Ok(httparse::Status::Partial) => Err(Loss::BadHandshake("head too long")),
        Err(_) => Err(Loss::BadHandshake("not HTTP")),
    }
}

/// The value of a header field.
fn value<'b>(response: &httparse::Response<'_, 'b>, name: &str) -> Option<&'b str> {
    let header = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    header.map(|header| str::from_utf8(header.value).unwrap_or_default().trim_ascii())
}

/// Whether a comma-separated header field contains an item (RFC 9110, section 5.3).
fn lists(response: &httparse::Response, name: &str, wanted: &str) -> bool {
    let fields = response.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
    let values = fields.filter_map(|field| str::from_utf8(field.value).ok());
    let mut items = values.flat_map(|value| value.split(','));
    items.any(|item| item.trim_ascii().eq_ignore_ascii_case(wanted))
}

/// A response that accepts the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The length of its head.
    pub head_bytes: usize,
    /// Whether messages may be compressed.
    pub is_compressed: bool,
}

/// Checks that the response at the start of `bytes` accepts the handshake. Returns `None` if its
/// head is incomplete. With `deflate` the handshake has offered to compress messages, and the
/// server must agree, except to compress a subprotocol. The handshake has asked for `subprotocol`,
/// and the server must name it.
///
/// # Errors
/// [`Loss::Status`] and [`Loss::BadHandshake`].
pub fn accepted(
    bytes: &[u8],
    deflate: bool,
    subprotocol: Option<&str>,
) -> Result<Option<Accepted>, Loss> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let Some(head_bytes) = read_head(bytes, &mut response)? else {
        return Ok(None);
    };
    if response.code != Some(101) {
        let status = response.code.unwrap_or_default();
        return Err(Loss::Status(status, first_line(&bytes[head_bytes..])));
    }
    if !lists(&response, "Upgrade", "websocket") {
        return Err(Loss::BadHandshake("no Upgrade: websocket"));
    }
    if !lists(&response, "Connection", "Upgrade") {
        return Err(Loss::BadHandshake("no Connection: Upgrade"));
    }
    let accept = value(&response, "Sec-WebSocket-Accept");
    if !accept.is_some_and(|accept| handshake::is_accepted(KEY, accept)) {
        return Err(Loss::BadHandshake("wrong Sec-WebSocket-Accept"));
    }
    let extension = value(&response, "Sec-WebSocket-Extensions");
    let extension = extension.map(|list| list.split(';').next().unwrap_or_default().trim_ascii());
    let named = value(&response, "Sec-WebSocket-Protocol");
    if extension.is_some_and(|name| !(deflate && name == "permessage-deflate"))
        || named.is_some_and(|named| subprotocol != Some(named))
    {
        return Err(Loss::BadHandshake("extension or subprotocol that was not requested"));
    }
    let is_compressed = extension.is_some();
    if deflate && !is_compressed && subprotocol.is_none() {
        return Err(Loss::BadHandshake("no permessage-deflate; remove --deflate"));
    }
    if subprotocol.is_some() && named.is_none() {
        return Err(Loss::BadHandshake("the server does not speak the subprotocol"));
    }
    Ok(Some(Accepted { head_bytes, is_compressed }))
}

/// A response to a poll or a post.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// The body; the status was 200.
    pub body: Vec<u8>,
    /// Whether the server closes the connection after it.
    pub is_last: bool,
}

/// Parses the consecutive responses on one connection.
#[derive(Debug, Default)]
pub struct Responses {
    /// An incomplete head, or an incomplete chunk header line.
    head: Vec<u8>,
    /// The current response: its status, whether it is the last, and its body.
    under_way: Option<(u16, bool, Body)>,
}

impl Responses {
    /// Consumes bytes from the start of `bytes`; returns a response if one is complete.
    ///
    /// # Errors
    /// [`Loss::Status`] for a status other than 200, and any violation of HTTP.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Response>, Loss> {
        let broken = |bad: crate::http::BadRequest| Loss::Protocol(bad.sentence);
        if self.under_way.is_none() {
            let before = self.head.len();
            self.head.extend_from_slice(bytes);
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let mut response = httparse::Response::new(&mut headers);
            let Some(head_bytes) = read_head(&self.head, &mut response)? else {
                *bytes = &[];
                return Ok(None);
            };
            let length = match value(&response, "Content-Length") {
                _ if lists(&response, "Transfer-Encoding", "chunked") => None,
                Some(digits) => Some(digits.parse().map_err(|_| Loss::BadHandshake("bad length"))?),
                None => return Err(Loss::BadHandshake("response without a length")),
            };
            let is_last = lists(&response, "Connection", "close") || response.version != Some(1);
            let body = Body::expecting(length, BODY_BYTES_MAX).map_err(broken)?;
            self.under_way = Some((response.code.unwrap_or_default(), is_last, body));
            *bytes = &bytes[head_bytes - before..];
            self.head.clear();
        }
        let Some((_, _, body)) = &mut self.under_way else { return Ok(None) };
        if self.head.is_empty() {
            let taken = body.take(bytes).map_err(broken)?;
            *bytes = &bytes[taken..];
        }
        if !body.is_whole() && !bytes.is_empty() {
            // An incomplete chunk header line: keep it until the rest arrives.
            self.head.extend_from_slice(bytes);
            *bytes = &[];
            let taken = body.take(&self.head).map_err(broken)?;
            self.head.drain(..taken);
        }
        match self.under_way.take_if(|(_, _, body)| body.is_whole()) {
            Some((200, is_last, body)) => Ok(Some(Response { body: body.into_bytes(), is_last })),
            Some((status, _, body)) => Err(Loss::Status(status, first_line(&body.into_bytes()))),
            None => Ok(None),
        }
    }

    /// Whether no response is incomplete.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.head.is_empty() && self.under_way.is_none()
    }
}

/// The first line of the body, as far as it arrived with the head; empty for an HTML page.
fn first_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.trim_start().lines().next().unwrap_or_default();
    if line.starts_with('<') {
        String::new()
    } else {
        line.chars().take(REFUSAL_CHARS_MAX).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &str = "Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n";
    const ACCEPT: &str = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

    #[test]
    fn incomplete_responses_are_awaited() {
        let head = format!("HTTP/1.1 101 Fine\r\n{FIELDS}{ACCEPT}\r\n");
        for cut in 0..head.len() {
            assert_eq!(accepted(&head.as_bytes()[..cut], false, None), Ok(None), "cut at {cut}");
        }
        let with_more = format!("{head}\u{1}");
        let accepted = accepted(with_more.as_bytes(), false, None).unwrap();
        assert_eq!(accepted.map(|accepted| accepted.head_bytes), Some(head.len()));
    }

    #[test]
    fn compression_must_be_agreed_if_it_is_offered_and_only_then() {
        let agreed = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n";
        for (deflate, field, is_accepted) in
            [(true, agreed, true), (false, "", true), (true, "", false), (false, agreed, false)]
        {
            let head = format!("HTTP/1.1 101 Fine\r\n{FIELDS}{ACCEPT}{field}\r\n");
            assert_eq!(
                accepted(head.as_bytes(), deflate, None).is_ok(),
                is_accepted,
                "{deflate} {field}"
            );
        }
    }

    #[test]
    fn the_subprotocol_must_be_the_one_that_was_requested() {
        let accepts = |wanted, field: &str| {
            let head = format!("HTTP/1.1 101 Fine\r\n{FIELDS}{ACCEPT}{field}\r\n");
            accepted(head.as_bytes(), false, wanted).is_ok()
        };
        assert!(accepts(Some("a.v1"), "Sec-WebSocket-Protocol: a.v1\r\n"));
        assert!(!accepts(Some("a.v1"), "Sec-WebSocket-Protocol: b.v1\r\n"));
        assert!(!accepts(Some("a.v1"), ""));
        let head =
            format!("HTTP/1.1 101 Fine\r\n{FIELDS}{ACCEPT}Sec-WebSocket-Protocol: a.v1\r\n\r\n");
        let plain = accepted(head.as_bytes(), true, Some("a.v1")).unwrap().unwrap();
        assert!(!plain.is_compressed);
    }

    #[test]
    fn responses_may_arrive_in_any_pieces() {
        let plain = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n4abcd";
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                       3\r\n4ab\r\n2;x=y\r\ncd\r\n0\r\n\r\n";
        let stream = [plain, chunked].concat();
        for size in 1..stream.len() {
            let mut answers = Responses::default();
            let mut all = Vec::new();
            for mut piece in stream.as_bytes().chunks(size) {
                while !piece.is_empty() {
                    all.extend(answers.next(&mut piece).unwrap());
                }
            }
            let answer = |is_last| Response { body: b"4abcd".to_vec(), is_last };
            assert_eq!(all, [answer(false), answer(true)], "in pieces of {size}");
            assert!(answers.is_idle());
        }
    }

    #[test]
    fn an_error_response_is_reported_with_its_text() {
        let body = r#"{"code":1,"message":"Session ID unknown"}"#;
        let text = format!("HTTP/1.1 400 No\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let end = Responses::default().next(&mut text.as_bytes());
        assert_eq!(end, Err(Loss::Status(400, body.to_owned())));
        for head in
            ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "SSH"]
        {
            assert!(Responses::default().next(&mut head.as_bytes()).is_err(), "{head}");
        }
    }

    #[test]
    fn other_responses_are_distinguished() {
        let answer = |text: &str| accepted(text.as_bytes(), false, None).unwrap_err();
        assert_eq!(
            answer("HTTP/1.1 503 No\r\nRetry-After: 2\r\n\r\n"),
            Loss::Status(503, String::new())
        );
        let refused = answer("HTTP/1.1 400 No\r\n\r\nNo such room.\nAsk Ann.\n").sentence();
        assert_eq!(refused, "handshake status 400, \"No such room.\"");
        let page = answer("HTTP/1.1 404 No\r\n\r\n<!DOCTYPE html><p>No").sentence();
        assert_eq!(page, "handshake status 404");
        assert_eq!(answer("SSH-2.0-x\r\n"), Loss::BadHandshake("not HTTP"));
        for (fields, rule) in [
            (ACCEPT.to_owned(), "no Upgrade: websocket"),
            (format!("Upgrade: websocket\r\n{ACCEPT}"), "no Connection: Upgrade"),
            (format!("{FIELDS}Upgrade: h2c\r\n"), "wrong Sec-WebSocket-Accept"),
            (
                format!("{FIELDS}{ACCEPT}Sec-WebSocket-Protocol: a\r\n"),
                "extension or subprotocol that was not requested",
            ),
        ] {
            let head = format!("HTTP/1.1 101 Fine\r\n{fields}\r\n");
            assert_eq!(answer(&head), Loss::BadHandshake(rule));
        }
        let long = format!("HTTP/1.1 101 Fine\r\nA: {}", "a".repeat(HEAD_BYTES_MAX));
        assert_eq!(answer(&long), Loss::BadHandshake("head too long"));
    }
}
