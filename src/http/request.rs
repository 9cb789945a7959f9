//! Parses request heads (RFC 9112; stricter where the RFC leaves a choice).

use httparse::{EMPTY_HEADER, Header, Status};

use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX, HTTP_REQUEST_LINE_BYTES_MAX};
use crate::origin::{Authority, Origin};

/// The request method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `OPTIONS`
    Options,
    /// Any other.
    Other,
}

impl Method {
    /// The name; empty for any other method.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Options => "OPTIONS",
            Method::Other => "",
        }
    }
}

/// Why a request is rejected. The connection is closed after the response, because the start of the
/// next request is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRequest {
    /// The status code.
    pub status: u16,
    /// The body of the response: one plain sentence.
    pub sentence: &'static str,
    /// The protocol of the peer, if it is a known one and not HTTP/1.1.
    pub protocol: Option<OtherProtocol>,
}

const fn bad(sentence: &'static str) -> BadRequest {
    refusal(400, sentence)
}

pub(super) const fn refusal(status: u16, sentence: &'static str) -> BadRequest {
    BadRequest { status, sentence, protocol: None }
}

/// What a peer may speak by mistake on a port for HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OtherProtocol {
    /// TLS: the peer was given an `https:` or `wss:` URL.
    Tls,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// The PROXY protocol of a proxy, version 1 or 2.
    Proxy,
}

/// The start of the signature of the PROXY protocol, version 2, behind its first empty line. No
/// other protocol begins like this.
const PROXY_V2: &[u8] = b"\r\n\0";

impl OtherProtocol {
    /// Recognises a protocol by the first bytes of a connection.
    fn of(bytes: &[u8]) -> Option<OtherProtocol> {
        let begins = |start: &[u8]| bytes.starts_with(start);
        // A record of the type handshake. The bytes behind it may not have arrived.
        if begins(b"\x16") {
            Some(OtherProtocol::Tls)
        } else if begins(b"PRI * HTTP/2") {
            Some(OtherProtocol::Http2)
        } else if begins(b"PROXY TCP") || begins(b"PROXY UNKNOWN") {
            Some(OtherProtocol::Proxy)
        } else {
            None
        }
    }

    const fn refusal(self) -> BadRequest {
        let sentence = match self {
            OtherProtocol::Tls => "This port serves plain HTTP, not TLS.",
            OtherProtocol::Http2 => "This port serves HTTP/1.1, not HTTP/2.",
            OtherProtocol::Proxy => "This port does not accept the PROXY protocol.",
        };
        BadRequest { status: 400, sentence, protocol: Some(self) }
    }
}

/// The head of one request. All text borrows from the read buffer.
#[derive(Debug)]
pub struct Request<'b> {
    /// The method.
    pub method: Method,
    /// The path, not decoded, without the query; it begins with `/`. `*` for `OPTIONS *`.
    pub path: &'b str,
    /// The query, not decoded, without the `?`; empty if there is none.
    pub query: &'b str,
    /// `Host`, or the host of an absolute URL; empty if an HTTP/1.0 request has neither.
    pub host: &'b str,
    /// Whether the version is HTTP/1.1 (otherwise 1.0).
    pub is_http_11: bool,
    headers: [Header<'b>; HTTP_HEADERS_MAX],
    header_count: usize,
}

/// The bytes of an empty line at the start of `bytes`, which a server ignores before a request line
/// (RFC 9112, section 2.2); 0 if there is none, and `None` if more bytes are needed. Only one is
/// ignored: `is_second` says that there was one.
///
/// # Errors
/// 400 for a second empty line, or for the PROXY protocol, which begins with two.
pub fn empty_line(bytes: &[u8], is_second: bool) -> Result<Option<usize>, BadRequest> {
    match bytes {
        [] => Ok(None),
        [first, ..] if *first != b'\r' => Ok(Some(0)),
        _ if is_second && bytes.starts_with(PROXY_V2) => Err(OtherProtocol::Proxy.refusal()),
        _ if is_second && PROXY_V2.starts_with(bytes) => Ok(None),
        [b'\r'] => Ok(None),
        [b'\r', b'\n', ..] if !is_second => Ok(Some(2)),
        _ => Err(bad("Not an HTTP request.")),
    }
}

/// Finds the end of the head in `bytes`. Returns the length of the head, or `None` if it is not yet
/// complete. `scanned` keeps how far earlier calls have scanned the same bytes, so that a head that
/// arrives byte by byte is scanned once.
///
/// # Errors
/// 431 or 414 as soon as the head or its first line is too long; 400 if it does not begin like a
/// request, so that a peer with another protocol is rejected at once.
pub fn head_end(bytes: &[u8], scanned: &mut usize) -> Result<Option<usize>, BadRequest> {
    if let Some(protocol) = OtherProtocol::of(bytes) {
        return Err(protocol.refusal());
    }
    if bytes.first().is_some_and(|first| !first.is_ascii_uppercase()) {
        return Err(bad("Not an HTTP request."));
    }
    let window = &bytes[..bytes.len().min(HTTP_HEAD_BYTES_MAX)];
    // Check in the order in which a head that arrives byte by byte would fail, so that the response
    // does not depend on how the head was split.
    let line_is_long = window.len() > HTTP_REQUEST_LINE_BYTES_MAX
        && !window[..HTTP_REQUEST_LINE_BYTES_MAX].contains(&b'\n');
    if line_is_long {
        return Err(LINE_TOO_LONG);
    }
    let from = scanned.saturating_sub(3);
    let end = window[from..].windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.map(|at| from + at + 4);
    let has_bare_feed = (from..end.unwrap_or(window.len()))
        .any(|at| window[at] == b'\n' && (at == 0 || window[at - 1] != b'\r'));
    if has_bare_feed {
        return Err(bad("A line ends in a bare LF."));
    }
    if end.is_some() {
        *scanned = 0;
        return Ok(end);
    }
    *scanned = window.len();
    if bytes.len() >= HTTP_HEAD_BYTES_MAX {
        return Err(refusal(431, "The head is longer than 8 KiB."));
    }
    Ok(None)
}

const LINE_TOO_LONG: BadRequest = refusal(414, "The request line is longer than 2 KiB.");

impl<'b> Request<'b> {
    /// Parses a complete head, including the empty line (see [`head_end`]).
    ///
    /// # Errors
    /// [`BadRequest`] with 400, 414 or 431 and a sentence.
    pub fn parse(head: &'b [u8]) -> Result<Request<'b>, BadRequest> {
        let line_bytes = head.iter().position(|byte| *byte == b'\n').unwrap_or(head.len());
        if line_bytes >= HTTP_REQUEST_LINE_BYTES_MAX {
            return Err(LINE_TOO_LONG);
        }
        let bare = head.iter().enumerate().any(|(at, byte)| match byte {
            b'\n' => at == 0 || head[at - 1] != b'\r',
            b'\r' => head.get(at + 1) != Some(&b'\n'),
            0 => true,
            _ => false,
        });
        if bare {
            return Err(bad("The head contains a bare CR, a bare LF or a NUL."));
        }
        let mut headers = [EMPTY_HEADER; HTTP_HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(head) {
            Ok(Status::Complete(read)) if read == head.len() => {}
            Ok(_) => return Err(bad("Bytes follow the end of the head.")),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(refusal(431, "More than 64 header fields."));
            }
            Err(_) => return Err(bad("The head is not valid HTTP/1.1.")),
        }
        let method = match parsed.method {
            Some("GET") => Method::Get,
            Some("HEAD") => Method::Head,
            Some("POST") => Method::Post,
            Some("OPTIONS") => Method::Options,
            _ => Method::Other,
        };
        let target = parsed.path.unwrap_or_default();
        let is_http_11 = parsed.version == Some(1);
        let header_count = parsed.headers.len();
        let mut request =
            Request { method, path: "/", query: "", host: "", is_http_11, headers, header_count };
        request.host = request.find_host()?;
        (request.host, request.path, request.query) = split_target(target, request.host, method)?;
        request.check_body_framing()?;
        Ok(request)
    }

    /// The values of the header field `name` (in any case), in order. A value that is not UTF-8 is
    /// returned as the empty string.
    #[must_use]
    pub fn values<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'b str> + 'a {
        self.headers[..self.header_count]
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| str::from_utf8(header.value).unwrap_or_default().trim_ascii())
    }

    /// The value of the header field `name` if it occurs exactly once.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&'b str> {
        let mut values = self.values(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// Whether a header field has a name that begins with `prefix`, in any case.
    #[must_use]
    pub fn has_prefixed(&self, prefix: &str) -> bool {
        let begins = |name: &str| {
            name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        self.headers[..self.header_count].iter().any(|header| begins(header.name))
    }

    /// Whether the header field `name` is present.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// The items of the comma-separated list in the header field `name`, which may occur several
    /// times (RFC 9110, section 5.6.1).
    pub fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'b str> + 'a {
        let items = self.values(name).flat_map(|value| value.split(',')).map(str::trim_ascii);
        items.filter(|item| !item.is_empty())
    }

    /// Whether the comma-separated list in the header field `name` contains `token`, in any case.
    #[must_use]
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.list(name).any(|item| item.eq_ignore_ascii_case(token))
    }

    /// Whether the client requests a WebSocket upgrade: `Upgrade: websocket` and
    /// `Connection: upgrade`, both of which may be lists (RFC 6455, section 4.2.1).
    #[must_use]
    pub fn wants_websocket(&self) -> bool {
        self.method == Method::Get
            && self.lists("Upgrade", "websocket")
            && self.lists("Connection", "upgrade")
    }

    /// Whether the connection persists after the response (RFC 9112, section 9.3); never for
    /// HTTP/1.0.
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        self.is_http_11 && !self.lists("Connection", "close")
    }

    /// Whether a body follows the head.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.has("Transfer-Encoding") || self.value("Content-Length").is_some_and(|n| n != "0")
    }

    fn find_host(&self) -> Result<&'b str, BadRequest> {
        match (self.has("Host"), self.value("Host")) {
            (true, Some(host)) if Authority::parse(host).is_some() => Ok(host),
            (true, Some(_)) => Err(bad("Host is invalid.")),
            (true, None) => Err(bad("More than one Host.")),
            (false, _) if self.is_http_11 => Err(bad("Host is missing.")),
            (false, _) => Ok(""),
        }
    }

    /// Rejects what could make two parsers disagree about the length of the body (RFC 9112, section
    /// 6.3).
    fn check_body_framing(&self) -> Result<(), BadRequest> {
        let has_coding = self.has("Transfer-Encoding");
        if has_coding && !self.is_http_11 {
            return Err(bad("Transfer-Encoding requires HTTP/1.1."));
        }
        if has_coding && self.has("Content-Length") {
            return Err(bad("Transfer-Encoding and Content-Length exclude each other."));
        }
        if has_coding
            && !self.value("Transfer-Encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked"))
        {
            return Err(bad("Only the Transfer-Encoding chunked is supported."));
        }
        if self.has("Content-Length") {
            let length = self.value("Content-Length").unwrap_or_default();
            let is_number = (1..=18).contains(&length.len())
                && length.bytes().all(|byte| byte.is_ascii_digit());
            if !is_number {
                return Err(bad("Content-Length must be a single number."));
            }
        }
        Ok(())
    }
}

/// Splits a request target into host, path and query. The target is `/path?query`, an absolute URL
/// whose host equals `Host`, if there is one, or the `*` of `OPTIONS` (RFC 9112, section 3.2).
fn split_target<'b>(
    target: &'b str,
    host: &'b str,
    method: Method,
) -> Result<(&'b str, &'b str, &'b str), BadRequest> {
    let (host, origin_form) = if target.starts_with('/') {
        (host, target)
    } else if target == "*" && method == Method::Options {
        return Ok((host, target, ""));
    } else {
        let scheme = target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
        let scheme = scheme.ok_or(bad("The target must be a path or an http:// URL."))?;
        let path = target[scheme.len()..].find(['/', '?']).map(|at| scheme.len() + at);
        let (origin, rest) = target.split_at(path.unwrap_or(target.len()));
        let host = if host.is_empty() { &origin[scheme.len()..] } else { host };
        let is_same = Origin::parse(origin).zip(Authority::parse(host));
        if !is_same.is_some_and(|(origin, host)| origin.is_at(host)) {
            return Err(bad("The target and Host name different hosts."));
        }
        (host, rest)
    };
    if origin_form.contains('#') {
        return Err(bad("The target must not have a fragment."));
    }
    let (path, query) = origin_form.split_once('?').unwrap_or((origin_form, ""));
    Ok((host, if path.is_empty() { "/" } else { path }, query))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(head: &str) -> u16 {
        match Request::parse(head.as_bytes()) {
            Ok(_) => 200,
            Err(bad) => bad.status,
        }
    }

    #[test]
    fn requests_are_parsed() {
        let head = b"GET /a%20b?room=x HTTP/1.1\r\nhost: h:1\r\nUpgrade: x, WebSocket\r\n\
            connection: keep-alive\r\nConnection: Upgrade\r\n\r\n";
        let request = Request::parse(head).unwrap();
        assert_eq!((request.path, request.query, request.host), ("/a%20b", "room=x", "h:1"));
        assert!(request.wants_websocket() && request.keeps_alive() && request.is_http_11);
        assert_eq!(request.value("Connection"), None, "there are two");
    }

    // T26
    #[test]
    fn ambiguous_requests_are_rejected() {
        let get = |fields: &str| status(&format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
        assert_eq!(get(""), 200);
        assert_eq!(get("Content-Length: 0\r\n"), 200);
        assert_eq!(get("Transfer-Encoding: chunked\r\n"), 200);
        for fields in [
            "Content-Length: +5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length:\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding : chunked\r\n",
            "Host: h\r\n",
            "X: a\r\n b\r\n",
            "X: a\nY: b\r\n",
            "X: a\rY: b\r\n",
            "X: a\0b\r\n",
            "X y: a\r\n",
            ": a\r\n",
        ] {
            assert_eq!(get(fields), 400, "{fields:?}");
        }
        assert_eq!(get(&"A: b\r\n".repeat(63)), 200);
        assert_eq!(get(&"A: b\r\n".repeat(64)), 431);
        assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), 400, "Host is missing");
        assert_eq!(status("GET / HTTP/1.0\r\n\r\n"), 200);
        assert_eq!(status("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400);
        assert_eq!(status(&format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(2100))), 414);
    }

    #[test]
    fn targets() {
        let split = |target| {
            let (host, path, query) = split_target(target, "h:1", Method::Get)?;
            assert_eq!(host, "h:1");
            Ok::<_, BadRequest>((path, query))
        };
        assert_eq!(split("/"), Ok(("/", "")));
        assert_eq!(split("/a?b?c"), Ok(("/a", "b?c")));
        assert_eq!(split("http://h:1"), Ok(("/", "")));
        assert_eq!(split("HTTP://H:1/a?b"), Ok(("/a", "b")));
        assert_eq!(split("http://h:1?b"), Ok(("/", "b")));
        for target in ["*", "h:1", "http://other/", "http://h/", "https://h:1/", "//h#", "é", ""] {
            assert!(split(target).is_err(), "{target}");
        }
        assert_eq!(split_target("*", "h", Method::Options), Ok(("h", "*", "")));
        // HTTP/1.0 may have no Host.
        assert_eq!(split_target("http://h:1/a?b", "", Method::Get), Ok(("h:1", "/a", "b")));
        for target in ["http://", "http:///", "http://a@b/", "http://a b/", "http://?b"] {
            assert!(split_target(target, "", Method::Get).is_err(), "{target}");
        }
        for (target, host) in [("http://h:80/", "h"), ("http://h./", "H"), ("http://h/", "h:80")] {
            assert_eq!(
                split_target(target, host, Method::Get),
                Ok((host, "/", "")),
                "{target} at {host}"
            );
        }
    }

    // T04
    #[test]
    fn the_end_of_a_head_is_found_wherever_it_is_cut() {
        let head = b"GET / HTTP/1.1\r\nHost: h\r\n\r\nrest";
        let mut scanned = 0;
        for cut in 0..head.len() - 4 {
            assert_eq!(head_end(&head[..cut], &mut scanned), Ok(None), "cut at {cut}");
        }
        assert_eq!(head_end(head, &mut scanned), Ok(Some(head.len() - 4)));
    }

    #[test]
    fn one_empty_line_is_ignored_before_a_request_line() {
        assert_eq!(empty_line(b"", false), Ok(None));
        assert_eq!(empty_line(b"GET", false), Ok(Some(0)));
        assert_eq!(empty_line(b"\r", false), Ok(None));
        assert_eq!(empty_line(b"\r\n", false), Ok(Some(2)));
        assert_eq!(empty_line(b"\r\nGET", false), Ok(Some(2)));
        assert_eq!(empty_line(b"GET", true), Ok(Some(0)));
        for start in [&b"\r"[..], b"\r\n"] {
            assert_eq!(empty_line(start, true), Ok(None), "it may be the PROXY protocol");
        }
        for (bytes, is_second, protocol) in [
            (&b"\rG"[..], false, None),
            (b"\r\r", true, None),
            (b"\r\nGET", true, None),
            (b"\r\n\r\n", true, None),
            (b"\r\n\0", true, Some(OtherProtocol::Proxy)),
            (b"\r\n\0\r\nQUIT\n\x20\0\0\0", true, Some(OtherProtocol::Proxy)),
        ] {
            let bad = empty_line(bytes, is_second).unwrap_err();
            assert_eq!((bad.status, bad.protocol), (400, protocol), "{}", bytes.escape_ascii());
        }
    }

    // T04
    #[test]
    fn long_heads_are_rejected_before_their_end() {
        let mut scanned = 0;
        let line = [b'A'; 2_049];
        assert_eq!(head_end(&line[..2_048], &mut scanned), Ok(None));
        assert_eq!(head_end(&line, &mut scanned).unwrap_err().status, 414);
        let mut head = b"GET / HTTP/1.1\r\n".to_vec();
        head.resize(8_191, b'a');
        assert_eq!(head_end(&head, &mut 0), Ok(None));
        head.push(b'a');
        assert_eq!(head_end(&head, &mut 0).unwrap_err().status, 431);
        assert_eq!(head_end(b"\x16\x03\x01", &mut 0).unwrap_err().status, 400);
    }

    #[test]
    fn other_protocols_are_recognised_by_their_first_bytes() {
        use OtherProtocol::{Http2, Proxy, Tls};
        for (bytes, protocol) in [
            (&b"\x16"[..], Some(Tls)),
            (b"\x16\x03\x01\x02\0\x01", Some(Tls)),
            (b"\x16\x16", Some(Tls)),
            (b"\x17\x03", None),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(Http2)),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Some(Proxy)),
            (b"PROXY TCP6 ::1 ::1 1 2\r\nGET / HTTP/1.1\r\n\r\n", Some(Proxy)),
            (b"PROXY UNKNOWN\r\n", Some(Proxy)),
        ] {
            let bad = head_end(bytes, &mut 0).unwrap_err();
            assert_eq!((bad.status, bad.protocol), (400, protocol), "{}", bytes.escape_ascii());
        }
        for bytes in ["P", "PRI * HTTP/", "PROXY ", "PROXY / HTTP/1.1\r\n", "PRI / HTTP/1.1\r\n"] {
            assert_eq!(head_end(bytes.as_bytes(), &mut 0), Ok(None), "{bytes}");
        }
    }
}
