//! The places of binary attachments in the data of a packet.
//!
//! They are looked for in the text itself, once from its beginning to its end, so that it costs no
//! more to look the deeper the data are nested. The text is known to be JSON.

use serde_json::value::RawValue;

use super::BadPacket;
use super::packet;

/// Checks that each object with `"_placeholder":true` has a `num` that names one of so many
/// attachments. Of a key that is there twice the last counts, as in JavaScript.
///
/// # Errors
/// One of them does not.
pub fn check(data: &RawValue, attachments: usize) -> Result<(), BadPacket> {
    let text = data.get();
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

/// The length of the string with which a text begins.
fn string_len(text: &str) -> usize {
    let mut is_escaped = true;
    let is_end = |byte: u8| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    };
    text.bytes().position(is_end).map_or(text.len(), |end| end + 1)
}

/// The length of the number, `true`, `false` or `null` with which a text begins.
fn scalar_len(text: &str) -> usize {
    let is_end = |byte| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
    text.bytes().position(is_end).unwrap_or(text.len())
}

/// A list or an object that has begun.
#[derive(Default)]
struct Open<'a> {
    is_object: bool,
    /// The key whose value comes next.
    key: Option<Key>,
    is_placeholder: bool,
    num: &'a str,
    /// Whether something inside is wrong.
    has_bad: bool,
}

/// What a key is to us.
#[derive(Clone, Copy)]
enum Key {
    Placeholder,
    Num,
    Other,
}

impl<'a> Open<'a> {
    /// Takes a key, or a value, of which those that are no scalars are all the same.
    fn take(&mut self, token: &'a str) {
        match self.key {
            _ if !self.is_object => {}
            None => self.key = Some(key(token)),
            Some(Key::Placeholder) => self.is_placeholder = token == "true",
            Some(Key::Num) => self.num = token,
            Some(Key::Other) => {}
        }
    }

    /// Whether it is no right place for one of so many attachments, nor free of wrong ones. What is
    /// in a place is gone once the attachment is put there.
    fn is_bad(&self, attachments: usize) -> bool {
        if !self.is_placeholder {
            return self.has_bad;
        }
        let is_place = |number: f64| number.fract() == 0.0 && number < attachments as f64;
        !self.num.parse().is_ok_and(|number| number >= 0.0 && is_place(number))
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

    fn are_right(data: &str) -> bool {
        let data: &RawValue = serde_json::from_str(data).expect("JSON");
        check(data, 2).is_ok()
    }

    #[test]
    fn right_places() {
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
            assert!(are_right(data), "{data}");
        }
    }

    #[test]
    fn wrong_places() {
        for number in ["2", "-1", "0.5", "\"0\"", "null", "1e400", "true", "[0]", "{\"num\":0}"] {
            for data in [
                format!(r#"["a",[{{"_placeholder":true,"num":{number}}}]]"#),
                format!(r#"["a",{{"b":{{"num":{number},"c":[],"_placeholder":true}}}},1]"#),
                format!(r#"["a",{{"_placeholder":true,"num":0,"num":{number}}}]"#),
            ] {
                assert!(!are_right(&data), "{data}");
            }
        }
        assert!(!are_right(r#"["a",{"_placeholder":true}]"#));
        assert!(!are_right(r#"["a",[[{}, {"_placeholder":true}], "b"]]"#));
    }
}
