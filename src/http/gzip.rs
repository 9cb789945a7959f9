//! gzip: whether a client accepts it, and compressing.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::request::Request;

/// Whether the client accepts gzip: it or `*` is listed with a weight above 0 (RFC 9110, 12.5.3).
#[must_use]
pub fn is_accepted(request: &Request) -> bool {
    let weight_of = |wanted: &str| {
        request.values("Accept-Encoding").flat_map(|value| value.split(',')).find_map(|item| {
            let mut parts = item.split(';').map(str::trim_ascii);
            let coding = parts.next()?;
            let weight = parts.find_map(|part| part.strip_prefix(['q', 'Q'])?.strip_prefix('='));
            let weight = weight.unwrap_or("1");
            coding.eq_ignore_ascii_case(wanted).then(|| weight.parse::<f32>().unwrap_or(0.0))
        })
    };
    weight_of("gzip").or_else(|| weight_of("*")).is_some_and(|weight| weight > 0.0)
}

/// Compresses `contents`; `None` if that is not smaller.
#[must_use]
pub fn compress(contents: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let gzip = encoder.write_all(contents).and_then(|()| encoder.finish()).ok()?;
    (gzip.len() < contents.len()).then_some(gzip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(encodings: &str) -> bool {
        let head = format!("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: {encodings}\r\n\r\n");
        is_accepted(&Request::parse(head.as_bytes()).unwrap())
    }

    #[test]
    fn gzip_is_sent_to_clients_that_accept_it() {
        for yes in ["gzip", "deflate, GZIP;q=0.5", "br, *", "gzip;q=1, *;q=0"] {
            assert!(accepts(yes), "{yes}");
        }
        for no in ["", "br", "gzip;q=0", "gzip; q=0.0, *", "gzip;Q=0", "gzipped", "gzip;q=x"] {
            assert!(!accepts(no), "{no}");
        }
    }

    #[test]
    fn only_a_smaller_form_is_kept() {
        assert_eq!(compress(b"short"), None);
        assert!(compress(&[b'a'; 1_000]).is_some_and(|gzip| gzip.len() < 100));
    }
}
