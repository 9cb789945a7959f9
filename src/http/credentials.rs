//! Secrets in the field `Authorization`: a bearer token (RFC 6750, section 2.1), or the password of
//! the Basic scheme (RFC 7617).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Request;

impl<'b> Request<'b> {
    /// The token in `Authorization: Bearer TOKEN`.
    #[must_use]
    pub fn bearer_token(&self) -> Option<&'b str> {
        self.credentials("Bearer")
    }

    /// The password in `Authorization: Basic BASE64`, whatever the user is called.
    #[must_use]
    pub fn basic_password(&self) -> Option<Vec<u8>> {
        let mut pair = STANDARD.decode(self.credentials("Basic")?).ok()?;
        let colon = pair.iter().position(|byte| *byte == b':')?;
        Some(pair.split_off(colon + 1))
    }

    fn credentials(&self, wanted: &str) -> Option<&'b str> {
        let (scheme, credentials) = self.value("Authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case(wanted).then_some(credentials.trim_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(value: &str) -> Vec<u8> {
        format!("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: {value}\r\n\r\n").into_bytes()
    }

    #[test]
    fn bearer_tokens() {
        for (value, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer   a c ", Some("a c")),
            ("Basic dXNlcjpwYXNz", None),
            ("abc", None),
        ] {
            let head = head(value);
            let request = Request::parse(&head).unwrap();
            assert_eq!(request.bearer_token(), expected, "{value}");
        }
    }

    #[test]
    fn basic_passwords() {
        for (value, expected) in [
            // user:pass
            ("Basic dXNlcjpwYXNz", Some("pass")),
            ("basic  dXNlcjpwYXNz ", Some("pass")),
            // :a:b, and a user without a colon
            ("Basic OmE6Yg==", Some("a:b")),
            ("Basic dXNlcg==", None),
            ("Basic OmE6Yg", None),
            ("Basic ?", None),
            ("Basic ", None),
            ("Bearer dXNlcjpwYXNz", None),
        ] {
            let head = head(value);
            let password = Request::parse(&head).unwrap().basic_password();
            assert_eq!(password.as_deref(), expected.map(str::as_bytes), "{value}");
        }
    }
}
