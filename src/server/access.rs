//! Whether a request comes from the operator: it has the token of `--admin-token-file`.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::bans::network_of;
use super::listener_kind::ListenerKind;
use crate::http::{Request, Response};
use crate::limits::{TOKEN_FAILURE_ADDRESSES_MAX, TOKEN_FAILURES_MAX, TOKEN_FAILURES_MS};
use crate::origin::{Authority, Origin};
use crate::time::Millis;

const NO_TOKEN: &str = "This needs a token; start the server with --admin-token-file FILE.";
const OTHER_ORIGIN: &str = "Pages of other origins may not do this.";
const WRONG: &str = "The token is missing or wrong; send it as Authorization: Bearer TOKEN.";
const WRONG_PASSWORD: &str = "The token is missing or wrong; it is the password, for any user.";
const TOO_MANY: &str = "Too many requests of this address had a wrong token; wait a minute.";

/// RFC 7617; without the charset some browsers send other bytes than UTF-8.
const ASK_PASSWORD: &str = "Basic realm=\"skirmish\", charset=\"UTF-8\"";

/// The token, and the requests with another one.
#[derive(Debug, Default)]
pub struct Access {
    /// Its SHA-256.
    token: Option<[u8; 32]>,
    /// Those to `--admin-listen`, and those to other listeners: a stranger who guesses there must
    /// not lock out the operator.
    failures: [Failures; 2],
}

/// When requests of an address had a wrong token, in the last minute.
#[derive(Debug, Default)]
struct Failures(HashMap<IpNet, Vec<Millis>>);

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The address of its client.
    pub client: IpAddr,
    /// The kind of the listener.
    pub kind: ListenerKind,
}

impl Access {
    /// Without a token nothing is allowed.
    #[must_use]
    pub fn new(token: Option<&str>) -> Access {
        let token = token.map(|token| Sha256::digest(token).into());
        Access { token, failures: Default::default() }
    }

    /// Whether there is a token.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Checks that a request to change something has the token, as a bearer token: a browser sends
    /// a password by itself, also for pages of others. A page of another origin is refused.
    ///
    /// # Errors
    /// The response.
    pub fn check(
        &mut self,
        source: Source,
        request: &Request,
        now: Millis,
    ) -> Result<(), Response> {
        let Some(token) = self.token else { return Err(Response::sentence(403, NO_TOKEN)) };
        if is_foreign(request) {
            return Err(Response::sentence(403, OTHER_ORIGIN));
        }
        let given = request.bearer_token().map(str::as_bytes);
        match self.judge(token, source, given, now)? {
            true => Ok(()),
            false => Err(Response::sentence(401, WRONG).with("WWW-Authenticate", "Bearer")),
        }
    }

    /// Checks that a request to read something has the token, as a bearer token or as a password.
    /// `asks` is for a page that a person opens: the browser asks for the password.
    ///
    /// # Errors
    /// The response.
    pub fn check_reader(
        &mut self,
        source: Source,
        request: &Request,
        asks: bool,
        now: Millis,
    ) -> Result<(), Response> {
        let Some(token) = self.token else { return Err(Response::sentence(403, NO_TOKEN)) };
        let password = request.basic_password();
        let given = request.bearer_token().map(str::as_bytes).or(password.as_deref());
        let challenge = if asks { ASK_PASSWORD } else { "Bearer" };
        match self.judge(token, source, given, now)? {
            true => Ok(()),
            false => {
                Err(Response::sentence(401, WRONG_PASSWORD).with("WWW-Authenticate", challenge))
            }
        }
    }

    /// Whether a token is right; `None` is not, and is not a guess either.
    fn judge(
        &mut self,
        token: [u8; 32],
        Source { client, kind }: Source,
        given: Option<&[u8]>,
        now: Millis,
    ) -> Result<bool, Response> {
        let failures = &mut self.failures[usize::from(kind.is_admin())];
        if failures.are_too_many(client, now) {
            let wait_s = (TOKEN_FAILURES_MS / 1000).to_string();
            return Err(Response::sentence(429, TOO_MANY).with("Retry-After", wait_s));
        }
        let Some(given) = given else { return Ok(false) };
        let given: [u8; 32] = Sha256::digest(given).into();
        let is_right: bool = given.ct_eq(&token).into();
        if !is_right {
            failures.0.entry(network_of(client)).or_default().push(now);
        }
        Ok(is_right)
    }
}

impl Failures {
    fn are_too_many(&mut self, client: IpAddr, now: Millis) -> bool {
        let is_recent = |at: &Millis| now < at.after(TOKEN_FAILURES_MS);
        if let Some(failures) = self.0.get_mut(&network_of(client)) {
            failures.retain(is_recent);
            return failures.len() >= TOKEN_FAILURES_MAX;
        }
        if self.0.len() >= TOKEN_FAILURE_ADDRESSES_MAX {
            self.0.retain(|_, failures| failures.iter().any(is_recent));
        }
        self.0.len() >= TOKEN_FAILURE_ADDRESSES_MAX
    }
}

/// Whether a page of another origin has sent the request. A person may have, too (`none`).
#[must_use]
pub fn is_foreign(request: &Request) -> bool {
    // Browsers send the second one with every request, also where they send no Origin.
    request.has("Origin") && !is_own_origin(request)
        || request.values("Sec-Fetch-Site").any(|site| !matches!(site, "same-origin" | "none"))
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
        let source = Source { client: peer, kind: ListenerKind::Admin };
        status_of(access.check(source, &request, Millis(now)))
    }

    fn status_of(result: Result<(), Response>) -> u16 {
        result.map_or_else(|response| response.status, |()| 200)
    }

    /// The status for a request to read, and the challenge.
    fn read(access: &mut Access, kind: ListenerKind, fields: &str, asks: bool) -> (u16, String) {
        let head = format!("GET /status HTTP/1.1\r\nHost: localhost:9\r\n{fields}\r\n");
        let request = Request::parse(head.as_bytes()).expect("a request");
        let source = Source { client: PEER, kind };
        match access.check_reader(source, &request, asks, Millis(0)) {
            Ok(()) => (200, String::new()),
            Err(response) => {
                let (head, _) = response.clone().into_bytes(false, false);
                let head = String::from_utf8(head).expect("text");
                let challenge =
                    head.lines().find_map(|line| line.strip_prefix("WWW-Authenticate: "));
                (response.status, challenge.unwrap_or_default().to_owned())
            }
        }
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
    fn a_reader_may_give_the_token_as_a_password() {
        let mut access = Access::new(Some("correct horse"));
        let mut ask = |fields: &str, asks| read(&mut access, ListenerKind::Admin, fields, asks);
        for right in [
            "Authorization: Bearer correct horse\r\n",
            // :correct horse, and ann:correct horse
            "Authorization: Basic OmNvcnJlY3QgaG9yc2U=\r\n",
            "Authorization: Basic YW5uOmNvcnJlY3QgaG9yc2U=\r\nSec-Fetch-Site: cross-site\r\n",
        ] {
            assert_eq!(ask(right, true).0, 200, "{right}");
        }
        assert_eq!(ask("", true), (401, ASK_PASSWORD.to_owned()));
        assert_eq!(ask("", false), (401, "Bearer".to_owned()), "no dialog");
        // correct horse:
        assert_eq!(ask("Authorization: Basic Y29ycmVjdCBob3JzZTo=\r\n", true).0, 401);
    }

    #[test]
    fn guesses_at_other_listeners_do_not_lock_out_the_operator() {
        let mut access = Access::new(Some("correct horse"));
        let (wrong, right) =
            ("Authorization: Basic OmE=\r\n", "Authorization: Bearer correct horse\r\n");
        for _ in 0..TOKEN_FAILURES_MAX {
            assert_eq!(read(&mut access, ListenerKind::Public, wrong, true).0, 401);
        }
        assert_eq!(read(&mut access, ListenerKind::Public, right, true).0, 429);
        assert_eq!(read(&mut access, ListenerKind::Admin, right, true).0, 200);
        assert_eq!(status(&mut access, PEER, right, 0), 200);
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
        assert!(access.failures.iter().all(|failures| failures.0.is_empty()));
    }
}
