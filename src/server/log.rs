//! Text of peers in the log.

use crate::limits::LOG_TEXT_CHARS;

/// Escapes bytes of a peer for the log: short, on one line, printable ASCII only.
pub fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * LOG_TEXT_CHARS)]);
    text.chars().take(LOG_TEXT_CHARS).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn text_is_short_and_escaped() {
        assert_eq!(text(b"a\nb\x1b[31m\xff"), "a\\nb\\u{1b}[31m\\u{fffd}");
        assert_eq!(text(&[b'x'; 1_000_000]).len(), 64);
        assert_eq!(text("\u{202e}".as_bytes()), "\\u{202e}");
    }
}
