//! The bearer token of a request (RFC 6750, section 2.1).

use super::Request;

impl<'b> Request<'b> {
    /// The token in `Authorization: Bearer TOKEN`.
    #[must_use]
    pub fn bearer_token(&self) -> Option<&'b str> {
        let (scheme, token) = self.value("Authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("Bearer").then_some(token.trim_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_tokens() {
        for (value, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer   a c ", Some("a c")),
            ("Basic dXNlcjpwYXNz", None),
            ("abc", None),
        ] {
            let head = format!("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: {value}\r\n\r\n");
            let request = Request::parse(head.as_bytes()).unwrap();
            assert_eq!(request.bearer_token(), expected, "{value}");
        }
    }
}
