//! Whether a request comes from the operator: it has the token of `--admin-token-file`.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::bans::network_of;
use crate::http::{Request, Response};
use crate::limits::{TOKEN_FAILURE_ADDRESSES_MAX, TOKEN_FAILURES_MAX, TOKEN_FAILURES_MS};
use crate::origin::{Authority, Origin};
use crate::time::Millis;

const NO_TOKEN: &str = "This needs a token; start the server with --admin-token-file FILE.";
const OTHER_ORIGIN: &str = "Pages of other origins may not do this.";
const WRONG: &str = "The token is missing or wrong; send it as Authorization: Bearer TOKEN.";
const TOO_MANY: &str = "Too many requests of this address had a wrong token; wait a minute.";

/// The token, and the requests with another one.
#[derive(Debug, Default)]
pub struct Access {
    /// Its SHA-256.
    token: Option<[u8; 32]>,
    /// When requests of an address had a wrong token, in the last minute.
    failures: HashMap<IpNet, Vec<Millis>>,
}

impl Access {
    /// Without a token nothing is allowed.
    #[must_use]
    pub fn new(token: Option<&str>) -> Access {
        let token = token.map(|token| Sha256::digest(token).into());
        Access { token, failures: HashMap::new() }
    }

    /// Checks that a request of `peer` has the token. A page of another origin is refused.
    ///
    /// # Errors
    /// The response.
    pub fn check(&mut self, peer: IpAddr, request: &Request, now: Millis) -> Result<(), Response> {
        let Some(token) = self.token else { return Err(Response::sentence(403, NO_TOKEN)) };
        // Browsers send the second one with every request, also where they send no Origin.
        let is_foreign = request.has("Origin") && !is_own_origin(request)
            || request.value("Sec-Fetch-Site").is_some_and(|site| site != "same-origin");
        if is_foreign {
            return Err(Response::sentence(403, OTHER_ORIGIN));
        }
        if self.has_failed_too_often(peer, now) {
            let wait_s = (TOKEN_FAILURES_MS / 1000).to_string();
            return Err(Response::sentence(429, TOO_MANY).with("Retry-After", wait_s));
        }
        if let Some(given) = request.bearer_token() {
            let given: [u8; 32] = Sha256::digest(given).into();
            if given.ct_eq(&token).into() {
                return Ok(());
            }
            self.failures.entry(network_of(peer)).or_default().push(now);
        }
        Err(Response::sentence(401, WRONG).with("WWW-Authenticate", "Bearer"))
    }

    fn has_failed_too_often(&mut self, peer: IpAddr, now: Millis) -> bool {
        let is_recent = |at: &Millis| now < at.after(TOKEN_FAILURES_MS);
        if let Some(failures) = self.failures.get_mut(&network_of(peer)) {
            failures.retain(is_recent);
            return failures.len() >= TOKEN_FAILURES_MAX;
        }
        if self.failures.len() >= TOKEN_FAILURE_ADDRESSES_MAX {
            self.failures.retain(|_, failures| failures.iter().any(is_recent));
        }
        self.failures.len() >= TOKEN_FAILURE_ADDRESSES_MAX
    }
}

fn is_own_origin(request: &Request) -> bool {
    let origin = request.value("Origin").and_then(Origin::parse);
    let authority = Authority::parse(request.host);
    origin.zip(authority).is_some_and(|(origin, authority)| origin.is_at(authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn status(access: &mut Access, peer: IpAddr, fields: &str, now: u64) -> u16 {
        let head = format!("POST /admin/kick HTTP/1.1\r\nHost: localhost:9\r\n{fields}\r\n");
        let request = Request::parse(head.as_bytes()).expect("a request");
        access.check(peer, &request, Millis(now)).map_or_else(|response| response.status, |()| 200)
    }

    #[test]
    fn only_the_token_is_right() {
        let mut access = Access::new(Some("correct horse"));
        for (fields, expected) in [
            ("Authorization: Bearer correct horse\r\n", 200),
            ("Authorization: bearer  correct horse\r\n", 200),
            ("Authorization: Bearer correct horse\r\nOrigin: http://localhost:9\r\n", 200),
            ("Authorization: Bearer correct horse\r\nOrigin: http://localhost:8\r\n", 403),
            ("Authorization: Bearer correct horse\r\nOrigin: null\r\n", 403),
            ("Authorization: Bearer correct horse\r\nSec-Fetch-Site: cross-site\r\n", 403),
            ("Authorization: Bearer correct horse\r\nSec-Fetch-Site: same-origin\r\n", 200),
            ("Authorization: Basic OmNvcnJlY3QgaG9yc2U=\r\n", 401),
            ("Authorization: Bearer correct\r\n", 401),
            ("Authorization: Bearer \r\n", 401),
            ("Authorization: correct horse\r\n", 401),
            ("", 401),
        ] {
            assert_eq!(status(&mut access, PEER, fields, 0), expected, "{fields}");
        }
        let mut access = Access::new(None);
        assert_eq!(status(&mut access, PEER, "Authorization: Bearer \r\n", 0), 403);
    }

    #[test]
    fn an_address_that_guesses_waits_and_others_do_not() {
        let mut access = Access::new(Some("correct horse"));
        let (wrong, right) =
            ("Authorization: Bearer guess\r\n", "Authorization: Bearer correct horse\r\n");
        for _ in 0..TOKEN_FAILURES_MAX {
            assert_eq!(status(&mut access, PEER, wrong, 1_000), 401);
        }
        // Without a token it does not guess.
        let other = IpAddr::from([192, 0, 2, 9]);
        for _ in 0..2 * TOKEN_FAILURES_MAX {
            assert_eq!(status(&mut access, other, "", 1_000), 401);
        }
        assert_eq!(status(&mut access, other, right, 1_000), 200);
        let later = 1_000 + TOKEN_FAILURES_MS;
        assert_eq!(status(&mut access, PEER, right, later - 1), 429);
        assert_eq!(status(&mut access, IpAddr::from([192, 0, 2, 1]), right, later - 1), 200);
        assert_eq!(status(&mut access, PEER, right, later), 200);
    }

    #[test]
    fn what_is_kept_about_guesses_is_bounded() {
        let mut access = Access::new(Some("correct horse"));
        for number in 0..TOKEN_FAILURE_ADDRESSES_MAX as u32 {
            let peer = IpAddr::from(number.to_be_bytes());
            let wrong = "Authorization: Bearer guess\r\n";
            assert_eq!(status(&mut access, peer, wrong, 0), 401);
        }
        let right = "Authorization: Bearer correct horse\r\n";
        let other = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(status(&mut access, other, right, 1), 429);
        assert_eq!(status(&mut access, other, right, TOKEN_FAILURES_MS), 200);
        assert!(access.failures.is_empty());
    }
}
