//! Subjects, to which messages are published, and patterns of them.

/// Whether `text` is a subject to which a message may be published: tokens of visible ASCII between
/// dots, without wildcards.
#[must_use]
pub fn is_subject(text: &str) -> bool {
    text.split('.').all(is_token)
}

/// Whether `text` is a subject or a pattern: `*` is any token, and `>` at the end all that follow.
#[must_use]
pub fn is_pattern(text: &str) -> bool {
    let (before, last) = text.rsplit_once('.').unwrap_or(("", text));
    let is_token_or_any = |token: &str| token == "*" || is_token(token);
    let is_start = text == last || before.split('.').all(is_token_or_any);
    is_start && (last == ">" || is_token_or_any(last))
}

/// Whether `text` may be a part of a subject between two dots.
#[must_use]
pub fn is_token(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'.' | b'*' | b'>');
    !text.is_empty() && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_and_patterns() {
        for subject in ["a", "sk.main.r.battle-1.17.log", "$KV.sk-main.room.x", "_INBOX.a.1"] {
            assert!(is_subject(subject) && is_pattern(subject), "{subject}");
        }
        for pattern in [">", "*", "a.*", "a.>", "*.b", "a.*.c.>", "$SYS.>"] {
            assert!(is_pattern(pattern) && !is_subject(pattern), "{pattern}");
        }
        for neither in ["", ".", "a.", ".a", "a..b", "a b", "a\r\nb", ">.a", "a*", "a.>b", "\u{e9}"]
        {
            assert!(!is_pattern(neither) && !is_subject(neither), "{neither:?}");
        }
    }
}
