//! A request: its head, its query, and a body.

use skirmish::http::body::Body;
use skirmish::http::request::{Request, head_end};
use skirmish::http::{BadRequest, query};
use skirmish::limits::HTTP_HEAD_BYTES_MAX;

use super::splits;

const BODY_BYTES_MAX: usize = 40;

/// The end of a head does not depend on how it is split, and an accepted request is unambiguous.
pub fn check(bytes: &[u8]) {
    let splits = splits(bytes);
    let whole = read_head(bytes, &splits[0]);
    for cuts in &splits[1..] {
        assert_eq!(read_head(bytes, cuts), whole, "{} at {cuts:?}", bytes.escape_ascii());
    }
    let Ok(Some(end)) = whole else { return };
    assert!(end <= HTTP_HEAD_BYTES_MAX && bytes[..end].ends_with(b"\r\n\r\n"));
    let request = Request::parse(&bytes[..end]).expect("it was accepted");
    let is_options = request.path == "*";
    assert!(is_options || request.path.starts_with('/'), "{}", request.path);
    assert!(!request.path.contains(['?', '#', ' ', '\r', '\n', '\0']), "{}", request.path);
    assert!(!request.is_http_11 || !request.host.is_empty());
    let lines = bytes[..end].windows(2).filter(|two| two == b"\r\n").count();
    assert!(lines <= 67, "{lines} lines");
    let framings = ["Content-Length", "Transfer-Encoding"].map(|name| request.values(name).count());
    assert!(framings.iter().sum::<usize>() <= 1, "two body framings: {}", bytes.escape_ascii());
    let _ = request.wants_websocket();
    check_query(request.query);
    check_body(&request, &bytes[end..]);
}

/// Where a head ends that arrives in pieces split at `cuts`, or why it is refused.
pub fn read_head(bytes: &[u8], cuts: &[usize]) -> Result<Option<usize>, BadRequest> {
    let mut scanned = 0;
    for cut in cuts.iter().copied().chain([bytes.len()]) {
        if let Some(end) = head_end(&bytes[..cut], &mut scanned)? {
            Request::parse(&bytes[..end])?;
            return Ok(Some(end));
        }
    }
    Ok(None)
}

/// Every query is valid, and plain values are returned unchanged.
fn check_query(text: &str) {
    for name in ["room", "name", ""] {
        let got = query::get(text, name);
        let plain = text.split('&').find(|pair| pair.split('=').next() == Some(name));
        let Some(pair) = plain.filter(|pair| !pair.is_empty() && !text.contains(['%', '+'])) else {
            continue;
        };
        let value = pair.split_once('=').map_or("", |(_, value)| value);
        assert_eq!(got.as_deref(), Some(value), "{name} in {text}");
    }
}

/// A body is the same however it is split, and never exceeds its limit.
fn check_body(request: &Request, bytes: &[u8]) {
    let read = |cuts: &[usize]| {
        let refused = |bad: BadRequest| bad.status;
        let mut body = Body::of(request, BODY_BYTES_MAX).map_err(refused)?;
        let (mut spill, mut start) = (Vec::new(), 0);
        for end in cuts.iter().copied().chain([bytes.len()]) {
            spill.extend_from_slice(&bytes[start..end]);
            start = end;
            let taken = body.take(&spill).map_err(refused)?;
            spill.drain(..taken);
        }
        let is_whole = body.is_whole();
        let body = body.into_bytes();
        assert!(body.len() <= BODY_BYTES_MAX && spill.len() <= bytes.len());
        Ok::<_, u16>((is_whole, is_whole.then_some((body, spill))))
    };
    let splits = splits(bytes);
    let whole = read(&splits[0]);
    for cuts in &splits[1..] {
        assert_eq!(read(cuts), whole, "{} at {cuts:?}", bytes.escape_ascii());
    }
}
