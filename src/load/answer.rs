//! The server's answer to the opening handshake (RFC 6455, section 4.1), read as a client reads it.

use super::loss::Loss;
use crate::ws::handshake;

/// The key of every request: the example of RFC 6455. The key only proves that the server knows the
/// protocol, and the smallest of servers know no other answer.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Bytes of the longest head that is waited for.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// Characters of what a server says in its refusal that are told.
const WORDS_CHARS_MAX: usize = 200;

/// Whether the answer at the start of `bytes` takes the handshake: how long its head is, or `None`
/// if it has not all arrived.
///
/// # Errors
/// [`Loss::Status`] and [`Loss::BadHandshake`].
pub fn accepted(bytes: &[u8]) -> Result<Option<usize>, Loss> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let head_bytes = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
        Ok(httparse::Status::Partial) if bytes.len() <= HEAD_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(Loss::BadHandshake("head too long")),
        Err(_) => return Err(Loss::BadHandshake("not HTTP")),
    };
    if response.code != Some(101) {
        let status = response.code.unwrap_or_default();
        return Err(Loss::Status(status, words(&bytes[head_bytes..])));
    }
    let value = |name: &str| {
        let header = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        header.map(|header| str::from_utf8(header.value).unwrap_or_default().trim_ascii())
    };
    // Both may be lists, over several fields (RFC 9110, 5.3).
    let lists = |name: &str, wanted: &str| {
        let fields = response.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        let values = fields.filter_map(|field| str::from_utf8(field.value).ok());
        let mut items = values.flat_map(|value| value.split(','));
        items.any(|item| item.trim_ascii().eq_ignore_ascii_case(wanted))
    };
    if !lists("Upgrade", "websocket") {
        return Err(Loss::BadHandshake("no Upgrade: websocket"));
    }
    if !lists("Connection", "Upgrade") {
        return Err(Loss::BadHandshake("no Connection: Upgrade"));
    }
    if !value("Sec-WebSocket-Accept").is_some_and(|accept| handshake::is_accepted(KEY, accept)) {
        return Err(Loss::BadHandshake("wrong Sec-WebSocket-Accept"));
    }
    if value("Sec-WebSocket-Extensions").is_some() || value("Sec-WebSocket-Protocol").is_some() {
        return Err(Loss::BadHandshake("an extension or subprotocol that was not asked for"));
    }
    Ok(Some(head_bytes))
}

/// The first line of a refusal's body, as far as it came with the head, unless it is a page.
fn words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.trim_start().lines().next().unwrap_or_default();
    if line.starts_with('<') { String::new() } else { line.chars().take(WORDS_CHARS_MAX).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &str = "Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n";
    const ACCEPT: &str = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

    #[test]
    fn an_answer_cut_anywhere_is_waited_for() {
        let head = format!("HTTP/1.1 101 Fine\r\n{FIELDS}{ACCEPT}\r\n");
        for cut in 0..head.len() {
            assert_eq!(accepted(&head.as_bytes()[..cut]), Ok(None), "cut at {cut}");
        }
        let with_more = format!("{head}\u{1}");
        assert_eq!(accepted(with_more.as_bytes()), Ok(Some(head.len())));
    }

    #[test]
    fn other_answers_are_told_apart() {
        let answer = |text: &str| accepted(text.as_bytes()).unwrap_err();
        assert_eq!(
            answer("HTTP/1.1 503 No\r\nRetry-After: 2\r\n\r\n"),
            Loss::Status(503, String::new())
        );
        let told = answer("HTTP/1.1 400 No\r\n\r\nNo such room.\nAsk Ann.\n").sentence();
        assert_eq!(told, "handshake status 400, \"No such room.\"");
        let page = answer("HTTP/1.1 404 No\r\n\r\n<!DOCTYPE html><p>No").sentence();
        assert_eq!(page, "handshake status 404");
        assert_eq!(answer("SSH-2.0-x\r\n"), Loss::BadHandshake("not HTTP"));
        for (fields, rule) in [
            (ACCEPT.to_owned(), "no Upgrade: websocket"),
            (format!("Upgrade: websocket\r\n{ACCEPT}"), "no Connection: Upgrade"),
            (format!("{FIELDS}Upgrade: h2c\r\n"), "wrong Sec-WebSocket-Accept"),
            (
                format!("{FIELDS}{ACCEPT}Sec-WebSocket-Protocol: a\r\n"),
                "an extension or subprotocol that was not asked for",
            ),
        ] {
            let head = format!("HTTP/1.1 101 Fine\r\n{fields}\r\n");
            assert_eq!(answer(&head), Loss::BadHandshake(rule));
        }
        let long = format!("HTTP/1.1 101 Fine\r\nA: {}", "a".repeat(HEAD_BYTES_MAX));
        assert_eq!(answer(&long), Loss::BadHandshake("head too long"));
    }
}
