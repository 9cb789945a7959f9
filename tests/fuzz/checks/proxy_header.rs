//! The header of the PROXY protocol.

use skirmish::limits::PROXY_HEADER_BYTES_MAX;
use skirmish::reactor::parse_proxy_header;

/// A header is the same however it is split: more bytes change nothing once it is complete or
/// invalid, and it is one of the two within its limit.
pub fn check(bytes: &[u8]) {
    let whole = parse_proxy_header(bytes);
    let decided = (0..=bytes.len()).find_map(|end| match parse_proxy_header(&bytes[..end]) {
        Ok(None) => None,
        result => Some((end, result)),
    });
    let Some((end, result)) = decided else {
        assert!(bytes.len() < PROXY_HEADER_BYTES_MAX, "{}", bytes.escape_ascii());
        return;
    };
    assert_eq!(result, whole, "{}", bytes.escape_ascii());
    assert!(end <= PROXY_HEADER_BYTES_MAX);
    let Ok(Some(complete)) = result else { return };
    assert_eq!(complete.bytes, end, "{}", bytes.escape_ascii());
    for more in end..bytes.len() {
        assert_eq!(parse_proxy_header(&bytes[..more]), whole, "{}", bytes.escape_ascii());
    }
}
