//! Validates the placeholders of binary attachments in the data of a packet.
//!
//! A single pass over the text, so that the cost does not grow with the nesting depth. The text is
//! known to be valid JSON.

use super::BadPacket;
use super::packet;

/// Checks that each object with `"_placeholder":true` has a `num` below the number of
/// `attachments`. The last of duplicate keys counts, as in JavaScript.
///
/// # Errors
/// A placeholder has no valid `num`.
pub fn check(text: &str, attachments: usize) -> Result<(), BadPacket> {
    let mut open: Vec<Open> = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        let rest = &text[at..];
        let len = match byte {
            b'"' => string_len(rest),
            b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => 1,
            _ => scalar_len(rest),
        };
        match (byte, open.last_mut()) {
            (b'{' | b'[', _) => {
                open.push(Open { is_object: *byte == b'{', ..Open::default() });
            }
            (b'}' | b']', _) => {
                let is_bad = open.pop().ok_or(BadPacket)?.is_bad(attachments);
                let Some(around) = open.last_mut() else {
                    return if is_bad { Err(BadPacket) } else { Ok(()) };
                };
                around.has_bad |= is_bad;
                around.take("");
            }
            (b',', Some(around)) => around.key = None,
            (b':' | b' ' | b'\t' | b'\n' | b'\r', _) => {}
            (_, Some(around)) => around.take(&rest[..len]),
            (_, None) => {}
        }
        at += len;
    }
    Ok(())
}

/// The length of the JSON string at the start of `text`.
fn string_len(text: &str) -> usize {
    let mut is_escaped = true;
    let is_end = |byte: u8| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    };
    text.bytes().position(is_end).map_or(text.len(), |end| end + 1)
}

/// The length of the number, `true`, `false` or `null` at the start of `text`.
fn scalar_len(text: &str) -> usize {
    let is_end = |byte| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
    text.bytes().position(is_end).unwrap_or(text.len())
}

/// An open array or object.
#[derive(Default)]
struct Open<'a> {
    is_object: bool,
    /// The key whose value comes next.
    key: Option<Key>,
    is_placeholder: bool,
    num: &'a str,
    /// Whether a nested placeholder is invalid.
    has_bad: bool,
}

/// The keys that matter here.
#[derive(Clone, Copy)]
enum Key {
    Placeholder,
    Num,
    Other,
}

impl<'a> Open<'a> {
    /// Takes a key or a value; arrays and objects are passed as the empty string.
    fn take(&mut self, token: &'a str) {
        match self.key {
            _ if !self.is_object => {}
            None => self.key = Some(key(token)),
            Some(Key::Placeholder) => self.is_placeholder = token == "true",
            Some(Key::Num) => self.num = token,
            Some(Key::Other) => {}
        }
    }

    /// Whether this is an invalid placeholder, or contains one. The content of a valid placeholder
    /// is ignored, because the attachment replaces it.
    fn is_bad(&self, attachments: usize) -> bool {
        if !self.is_placeholder {
            return self.has_bad;
        }
        let is_attachment = |number: f64| number.fract() == 0.0 && number < attachments as f64;
        !self.num.parse().is_ok_and(|number| number >= 0.0 && is_attachment(number))
    }
}

fn key(token: &str) -> Key {
    let name = serde_json::from_str(token).ok().and_then(packet::string);
    match name.as_deref() {
        Some("_placeholder") => Key::Placeholder,
        Some("num") => Key::Num,
        _ => Key::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_valid(data: &str) -> bool {
        check(data, 2).is_ok()
    }

    #[test]
    fn valid_placeholders() {
        let deep = "[".repeat(8_000) + &"]".repeat(8_000);
        for data in [
            r#"["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#,
            r#"["a",{"_placeholder":true,"num":1},{"b":[{"num":0,"_placeholder":true}]}]"#,
            r#"["a",{"_placeholder":true,"num":1},{"_placeholder":false,"num":"x"}]"#,
            r#"["a",{"\u005fplaceholder":true,"num":1.0,"\ud800":"\udc00"}]"#,
            r#"[ "a" , { "_placeholder" : true , "num" : 1 } , 1e400 , null ]"#,
            r#"["a",{"num":9,"_placeholder":true,"num":1},{"_placeholder":true,"_placeholder":1}]"#,
            r#"["a",{"b":"_placeholder","c":"\"{[_placeholder\":true,\\"},"_placeholder",true]"#,
            r#"["a",{"_placeholder":true,"num":0,"x":{"_placeholder":true}}]"#,
            r#"["a",{"_placeholder":[true]},{"_placeholder":"true"},{"Num":1}]"#,
            r#"["a"]"#,
            "[]",
            &deep,
        ] {
            assert!(is_valid(data), "{data}");
        }
    }

    #[test]
    fn invalid_placeholders() {
        for number in ["2", "-1", "0.5", "\"0\"", "null", "1e400", "true", "[0]", "{\"num\":0}"] {
            for data in [
                format!(r#"["a",[{{"_placeholder":true,"num":{number}}}]]"#),
                format!(r#"["a",{{"b":{{"num":{number},"c":[],"_placeholder":true}}}},1]"#),
                format!(r#"["a",{{"_placeholder":true,"num":0,"num":{number}}}]"#),
            ] {
                assert!(!is_valid(&data), "{data}");
            }
        }
        assert!(!is_valid(r#"["a",{"_placeholder":true}]"#));
        assert!(!is_valid(r#"["a",[[{}, {"_placeholder":true}], "b"]]"#));
    }
}
