//! Close frames: the payload and the allowed codes (RFC 6455, sections 5.5.1 and 7.4).

use tungstenite::protocol::frame::coding::CloseCode;

use super::Violation;
use super::frame::CONTROL_BYTES_MAX;

/// Parses the payload of a close frame into code and reason; `None` if it is empty.
///
/// # Errors
/// 1002 for a payload of one byte or a code that is not allowed, 1007 for a reason that is not
/// UTF-8.
pub fn parse(payload: &[u8]) -> Result<Option<(u16, &str)>, Violation> {
    match payload {
        [] => Ok(None),
        [_] => Err(Violation::Protocol("close payload of one byte")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !is_allowed_in_frame(code) {
                return Err(Violation::Protocol("close code not allowed in a frame"));
            }
            let reason = str::from_utf8(reason).map_err(|_| Violation::BadText)?;
            Ok(Some((code, reason)))
        }
    }
}

/// Formats the payload of a close frame. A reason that is too long is cut at a character boundary.
#[must_use]
pub fn payload(code: u16, reason: &str) -> Vec<u8> {
    let mut bytes = code.to_be_bytes().to_vec();
    let room = CONTROL_BYTES_MAX as usize - bytes.len();
    bytes.extend_from_slice(&reason.as_bytes()[..reason.floor_char_boundary(room)]);
    bytes
}

/// Whether a close frame may contain this code: 1000-1003, 1007-1014 or 3000-4999 (RFC 6455,
/// section 7.4, and its IANA registry).
#[must_use]
fn is_allowed_in_frame(code: u16) -> bool {
    // 1014 (bad gateway) was registered later than the list of tungstenite.
    code == 1014 || CloseCode::from(code).is_allowed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_codes() {
        let may: Vec<u16> = (0..=u16::MAX).filter(|code| is_allowed_in_frame(*code)).collect();
        let expected: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
        assert_eq!(may, expected);
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let bytes = payload(1000, &"é".repeat(100));
        assert_eq!(bytes.len(), 124);
        assert_eq!(parse(&bytes).unwrap().unwrap().1.chars().count(), 61);
    }

    #[test]
    fn bad_payloads() {
        assert_eq!(parse(&[]), Ok(None));
        assert!(matches!(parse(&[3]), Err(Violation::Protocol(_))));
        assert!(matches!(parse(&[3, 237]), Err(Violation::Protocol(_))));
        assert_eq!(parse(&[3, 232, 0xff]), Err(Violation::BadText));
        assert_eq!(parse(&[3, 232, b'o', b'k']), Ok(Some((1000, "ok"))));
    }
}
