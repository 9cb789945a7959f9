//! The secret of a request: a bearer token, or the password of Basic (RFC 6750, section 2.1, and
//! RFC 7617).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Request;

impl<'b> Request<'b> {
    /// The bearer token in `Authorization`, or the password, whatever the user name is. `None` if
    /// there is neither.
    #[must_use]
    pub fn credentials(&self) -> Option<Cow<'b, str>> {
        let (scheme, rest) = self.value("Authorization")?.split_once(' ')?;
        let rest = rest.trim_ascii();
        if scheme.eq_ignore_ascii_case("Bearer") {
            return Some(Cow::Borrowed(rest));
        } else if !scheme.eq_ignore_ascii_case("Basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        decoded.split_once(':').map(|(_, password)| Cow::Owned(password.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials() {
        let of = |value: &str| {
            let head = format!("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: {value}\r\n\r\n");
            let request = Request::parse(head.as_bytes()).unwrap();
            request.credentials().map(Cow::into_owned)
        };
        for (value, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer   a c ", Some("a c")),
            // user:pass:word
            ("Basic dXNlcjpwYXNzOndvcmQ=", Some("pass:word")),
            ("BASIC Onh5", Some("xy")),
            ("Basic dXNlcg==", None),
            ("Basic %%%", None),
            ("Basic /w==", None),
            ("Digest abc", None),
            ("abc", None),
        ] {
            assert_eq!(of(value).as_deref(), expected, "{value}");
        }
    }
}
