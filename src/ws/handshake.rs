//! The opening handshake (RFC 6455, section 4), as a server and as a client.

use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::server::create_response;
use tungstenite::http::{Method, Request, Version};

/// Why a request to upgrade is not taken. Each has its own HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400: HTTP/1.0, or the key is missing, doubled or no 16 bytes in base64.
    Bad(&'static str),
    /// 426 with `Sec-WebSocket-Version: 13`.
    Version,
}

/// The fields of a request that matter to the handshake.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// `Sec-WebSocket-Key`, if there is exactly one.
    pub key: Option<&'a str>,
    /// `Sec-WebSocket-Version`, if there is exactly one.
    pub version: Option<&'a str>,
    /// Whether the request is HTTP/1.1.
    pub is_http_11: bool,
}

/// The value of `Sec-WebSocket-Accept` for a request that asks to upgrade to `websocket`.
///
/// # Errors
/// What is missing or wrong, in the order in which RFC 6455 section 4.2.1 lists it.
pub fn accept(offer: &Offer) -> Result<String, Refusal> {
    if !offer.is_http_11 {
        return Err(Refusal::Bad("A WebSocket needs HTTP/1.1."));
    }
    let Some(key) = offer.key else {
        return Err(Refusal::Bad("A WebSocket needs exactly one Sec-WebSocket-Key."));
    };
    if offer.version != Some("13") {
        return Err(Refusal::Version);
    }
    // The lists in Connection and Upgrade were read by the caller: one header of each is enough.
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
    Ok(accept.expect("a response to a handshake bears its accept key").to_owned())
}

/// The request with which a client asks for a WebSocket.
#[must_use]
pub fn request(host: &str, target: &str, key: &str) -> Vec<u8> {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .into_bytes()
}

/// Whether `accept` is the right answer to `key`.
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
