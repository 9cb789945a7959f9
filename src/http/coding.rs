//! Content codings: which of them a client accepts, and compressing.

use std::fmt;
use std::io::Write;

use flate2::write::GzEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use super::request::Request;

/// How the bytes of a file are compressed (RFC 9110, section 8.4.1), the smallest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coding {
    /// Brotli (RFC 7932).
    Brotli,
    /// gzip (RFC 1952).
    Gzip,
    /// Not compressed.
    Identity,
}

impl Coding {
    /// The name in `Content-Encoding`; `None` if the field is left out.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Coding::Brotli => Some("br"),
            Coding::Gzip => Some("gzip"),
            Coding::Identity => None,
        }
    }

    /// Whether the client accepts it (RFC 9110, section 12.5.3).
    #[must_use]
    pub fn is_accepted(self, request: &Request) -> bool {
        self.weight(request) > 0.0
    }

    /// The weight that the client gives it, or else to `*`; 0 if it is not acceptable. Any client
    /// takes the bytes as they are, if there is nothing better.
    pub(super) fn weight(self, request: &Request) -> f32 {
        let Some(name) = self.name() else { return f32::MIN_POSITIVE };
        let weight_of = |wanted: &str| {
            request.values("Accept-Encoding").flat_map(|value| value.split(',')).find_map(|item| {
                let mut parts = item.split(';').map(str::trim_ascii);
                let coding = parts.next()?;
                let weight =
                    parts.find_map(|part| part.strip_prefix(['q', 'Q'])?.strip_prefix('='));
                let weight = weight.unwrap_or("1");
                coding.eq_ignore_ascii_case(wanted).then(|| weight.parse::<f32>().unwrap_or(0.0))
            })
        };
        weight_of(name).or_else(|| weight_of("*")).unwrap_or(0.0)
    }
}

/// Compresses `contents` with gzip; `None` if that is not smaller.
#[must_use]
pub fn gzip(contents: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let gzip = encoder.write_all(contents).and_then(|()| encoder.finish()).ok()?;
    (gzip.len() < contents.len()).then_some(gzip)
}

/// The head of a gzip file without a name or a time (RFC 1952, section 2.3.1): the system is
/// unknown.
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Compresses one response after another with gzip, fast rather than well. It takes about 300 KiB.
pub struct Gzipper(Compress);

impl fmt::Debug for Gzipper {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Gzipper").finish_non_exhaustive()
    }
}

impl Default for Gzipper {
    fn default() -> Gzipper {
        Gzipper(Compress::new(Compression::new(2), false))
    }
}

impl Gzipper {
    /// Compresses `contents`; `None` if that is not smaller.
    pub fn gzip(&mut self, contents: &[u8]) -> Option<Vec<u8>> {
        self.0.reset();
        let mut gzip = Vec::with_capacity(contents.len());
        gzip.extend_from_slice(&GZIP_HEAD);
        // What does not fit is not smaller.
        let finish = FlushCompress::Finish;
        let status = self.0.compress_vec(contents, &mut gzip, finish).ok()?;
        let mut crc = Crc::new();
        crc.update(contents);
        gzip.extend_from_slice(&crc.sum().to_le_bytes());
        gzip.extend_from_slice(&crc.amount().to_le_bytes());
        (status == Status::StreamEnd && gzip.len() < contents.len()).then_some(gzip)
    }
}

/// Whether `contents` begin like a gzip file.
#[must_use]
pub fn is_gzip(contents: &[u8]) -> bool {
    contents.starts_with(&[0x1f, 0x8b, 8])
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn accepts(encodings: &str) -> bool {
        let head = format!("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: {encodings}\r\n\r\n");
        Coding::Gzip.is_accepted(&Request::parse(head.as_bytes()).unwrap())
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
    fn responses_are_compressed_one_after_another() {
        let mut gzipper = Gzipper::default();
        for bytes in [100, 2_000, 100_000] {
            let contents: Vec<u8> =
                (0..bytes).flat_map(|number: u32| number.to_string().into_bytes()).collect();
            let gzip = gzipper.gzip(&contents).expect("it is smaller");
            let mut back = Vec::new();
            GzDecoder::new(&gzip[..]).read_to_end(&mut back).expect("a valid file");
            assert_eq!(back, contents);
        }
        assert_eq!(gzipper.gzip(b"short"), None);
        assert_eq!(gzipper.gzip(b""), None);
    }

    #[test]
    fn only_a_smaller_form_is_kept() {
        assert_eq!(gzip(b"short"), None);
        let small = gzip(&[b'a'; 1_000]).expect("it is smaller");
        assert!(small.len() < 100 && is_gzip(&small) && !is_gzip(b"text"));
    }
}
