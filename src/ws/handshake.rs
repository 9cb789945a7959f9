//! The opening handshake of servers and clients (RFC 6455, section 4).

use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::server::create_response;
use tungstenite::http::{Method, Request, Version};

/// Why an upgrade request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400: HTTP/1.0, or a key that is missing, duplicated, or not 16 bytes in base64.
    Bad(&'static str),
    /// 426 with `Sec-WebSocket-Version: 13`.
    Version,
}

/// The parts of a request that the handshake needs.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// `Sec-WebSocket-Key`, if it occurs exactly once.
    pub key: Option<&'a str>,
    /// `Sec-WebSocket-Version`, if it occurs exactly once.
    pub version: Option<&'a str>,
    /// Whether the request is HTTP/1.1.
    pub is_http_11: bool,
}

/// Returns the value of `Sec-WebSocket-Accept` for an upgrade request.
///
/// # Errors
/// The first violated rule, in the order of RFC 6455, section 4.2.1.
pub fn accept(offer: &Offer) -> Result<String, Refusal> {
    if !offer.is_http_11 {
        return Err(Refusal::Bad("A WebSocket requires HTTP/1.1."));
    }
    let Some(key) = offer.key else {
        return Err(Refusal::Bad("A WebSocket requires exactly one Sec-WebSocket-Key."));
    };
    if offer.version != Some("13") {
        return Err(Refusal::Version);
    }
    // The caller has checked Connection and Upgrade, which may be lists; one value is enough here.
    let request = Request::builder()
        .method(Method::GET)
        .version(Version::HTTP_11)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", key)
        .body(());
    let bad_key = Refusal::Bad("Sec-WebSocket-Key must be 16 bytes in base64.");
    let response = create_response(&request.map_err(|_| bad_key)?).map_err(|_| bad_key)?;
    let accept = response.headers().get("Sec-WebSocket-Accept").and_then(|v| v.to_str().ok());
    Ok(accept.expect("a handshake response has an accept key").to_owned())
}

/// Formats the upgrade request of a client.
#[must_use]
pub fn request(host: &str, target: &str, key: &str) -> Vec<u8> {
    request_with(host, target, key, "")
}

/// Formats the upgrade request of a client that offers to compress messages, as browsers do.
#[must_use]
pub fn request_deflate(host: &str, target: &str, key: &str) -> Vec<u8> {
    request_with(host, target, key, DEFLATE_OFFER)
}

/// The header field of a client that offers to compress messages.
pub const DEFLATE_OFFER: &str =
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

/// Formats the upgrade request of a client with more header fields, each with its line end.
#[must_use]
pub fn request_with(host: &str, target: &str, key: &str, fields: &str) -> Vec<u8> {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{fields}\r\n"
    )
    .into_bytes()
}

/// Whether `accept` is the correct `Sec-WebSocket-Accept` for `key`.
#[must_use]
pub fn is_accepted(key: &str, accept: &str) -> bool {
    derive_accept_key(key.as_bytes()) == accept
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455, section 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    #[test]
    fn the_example_of_the_standard() {
        let offer = Offer { key: Some(KEY), version: Some("13"), is_http_11: true };
        assert_eq!(accept(&offer).unwrap(), ACCEPT);
        assert!(is_accepted(KEY, ACCEPT));
        assert!(!is_accepted(KEY, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo"));
    }

    #[test]
    fn refusals() {
        let good = Offer { key: Some(KEY), version: Some("13"), is_http_11: true };
        assert_eq!(accept(&Offer { version: Some("8"), ..good }), Err(Refusal::Version));
        assert_eq!(accept(&Offer { version: None, ..good }), Err(Refusal::Version));
        assert!(matches!(accept(&Offer { key: None, ..good }), Err(Refusal::Bad(_))));
        assert!(matches!(accept(&Offer { is_http_11: false, ..good }), Err(Refusal::Bad(_))));
        for key in
            ["", "abc", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ==\u{e9}", &KEY[1..]]
        {
            assert!(
                matches!(accept(&Offer { key: Some(key), ..good }), Err(Refusal::Bad(_))),
                "{key}"
            );
        }
    }
}
