//! What a NATS server sends.

use skirmish::nats::decode::{LINE_BYTES_MAX, Operation, decode};
use skirmish::nats::subject::is_subject;

/// Small, so that mutations reach it.
const PAYLOAD_BYTES_MAX: usize = 64;

/// Operations are the same however the bytes are split: more bytes change nothing once one is
/// complete or invalid. Payloads stay within their limit.
pub fn check(bytes: &[u8]) {
    let mut rest = bytes;
    loop {
        let whole = decode(rest, PAYLOAD_BYTES_MAX);
        let decided =
            (0..=rest.len()).find_map(|end| match decode(&rest[..end], PAYLOAD_BYTES_MAX) {
                Ok(None) => None,
                result => Some((end, result)),
            });
        let Some((end, result)) = decided else {
            assert!(rest.len() < LINE_BYTES_MAX + PAYLOAD_BYTES_MAX, "{}", rest.len());
            return;
        };
        assert_eq!(result, whole, "{}", rest.escape_ascii());
        let Ok(Some((used, operation))) = result else { return };
        assert_eq!(used, end, "{}", rest.escape_ascii());
        if let Operation::Message(message) = operation {
            assert!(message.payload.len() <= PAYLOAD_BYTES_MAX);
            assert!(is_subject(message.subject), "{:?}", message.subject);
        }
        rest = &rest[used..];
    }
}
