//! Range requests (RFC 9110, section 14): which part of a file a request asks for.

use std::ops::Range;

use super::request::{Method, Request};

/// What to send of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The whole file.
    Whole,
    /// These bytes.
    Bytes(Range<usize>),
    /// The range begins after the last byte (416).
    Unsatisfiable,
}

/// The part of the `bytes` of a file, tagged `etag`, that a request asks for.
///
/// One range is supported. Several ranges, an invalid field, another unit, and an `If-Range` that
/// differs from `etag` get the whole file, as section 14.2 allows. Files have no modification date,
/// so a date in `If-Range` never matches.
pub(super) fn part(request: &Request, etag: &str, bytes: usize) -> Part {
    let is_current = match (request.has("If-Range"), request.value("If-Range")) {
        (true, tag) => tag == Some(etag),
        (false, _) => true,
    };
    if request.method != Method::Get || !is_current {
        return Part::Whole;
    }
    request.value("Range").and_then(|field| parse(field, bytes)).unwrap_or(Part::Whole)
}

/// Parses the value of `Range`; `None` if it is to be ignored.
fn parse(field: &str, bytes: usize) -> Option<Part> {
    let (unit, ranges) = field.split_once('=')?;
    if !unit.trim_ascii().eq_ignore_ascii_case("bytes") {
        return None;
    }
    // A list may have empty elements (section 5.6.1.2).
    let mut ranges = ranges.split(',').map(str::trim_ascii).filter(|range| !range.is_empty());
    let (first, last) = ranges.next().filter(|_| ranges.next().is_none())?.split_once('-')?;
    if first.is_empty() {
        return match number(last)? {
            0 => Some(Part::Unsatisfiable),
            // No range describes an empty file.
            _ if bytes == 0 => None,
            most => Some(Part::Bytes(bytes.saturating_sub(most)..bytes)),
        };
    }
    let first = number(first)?;
    let end = match last {
        "" => bytes,
        last => number(last).filter(|last| *last >= first)?.saturating_add(1).min(bytes),
    };
    Some(if first < bytes { Part::Bytes(first..end) } else { Part::Unsatisfiable })
}

/// A number of any length; what does not fit is larger than any file.
fn number(digits: &str) -> Option<usize> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUGE: &str = "99999999999999999999999999";

    fn asked(start: &str, fields: &str) -> Part {
        let head = format!("{start} / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        part(&Request::parse(head.as_bytes()).unwrap(), "\"tag\"", 10)
    }

    fn range(value: &str) -> Part {
        asked("GET", &format!("Range: {value}\r\n"))
    }

    #[test]
    fn one_range_is_sent() {
        for (value, expected) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-1", 0..2),
            ("bytes=0-", 0..10),
            ("bytes=9-", 9..10),
            ("bytes=2-4", 2..5),
            ("bytes=2-99", 2..10),
            (&format!("bytes=2-{HUGE}"), 2..10),
            ("bytes=-1", 9..10),
            ("bytes=-10", 0..10),
            (&format!("bytes=-{HUGE}"), 0..10),
            ("Bytes= 2-4 ,", 2..5),
            ("bytes=002-04", 2..5),
        ] {
            assert_eq!(range(value), Part::Bytes(expected), "{value}");
        }
    }

    #[test]
    fn a_range_after_the_end_cannot_be_sent() {
        for value in ["bytes=10-", "bytes=10-20", "bytes=-0", &format!("bytes={HUGE}-")] {
            assert_eq!(range(value), Part::Unsatisfiable, "{value}");
        }
    }

    #[test]
    fn what_is_not_one_range_of_bytes_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=4-2",
            "bytes=0-1,3-4",
            "bytes=0-0,-1",
            "bytes=+1-2",
            "bytes=1--2",
            "bytes=1 -2",
            "lines=0-1",
            "0-1",
            "bytes:0-1",
        ] {
            assert_eq!(range(value), Part::Whole, "{value}");
        }
        assert_eq!(asked("GET", "Range: bytes=0-1\r\nRange: bytes=2-3\r\n"), Part::Whole);
        assert_eq!(asked("HEAD", "Range: bytes=0-1\r\n"), Part::Whole);
        assert_eq!(asked("GET", ""), Part::Whole);
    }

    #[test]
    fn if_range_must_be_the_strong_tag() {
        let with = |tag: &str| asked("GET", &format!("Range: bytes=0-1\r\nIf-Range: {tag}\r\n"));
        assert_eq!(with("\"tag\""), Part::Bytes(0..2));
        for tag in ["\"old\"", "W/\"tag\"", "tag", "*", "", "Sun, 06 Nov 1994 08:49:37 GMT"] {
            assert_eq!(with(tag), Part::Whole, "{tag}");
        }
        let twice = "Range: bytes=0-1\r\nIf-Range: \"tag\"\r\nIf-Range: \"tag\"\r\n";
        assert_eq!(asked("GET", twice), Part::Whole);
        let late = "Range: bytes=10-\r\nIf-Range: \"old\"\r\n";
        assert_eq!(asked("GET", late), Part::Whole, "the whole file instead of 416");
    }

    #[test]
    fn an_empty_file_has_no_range() {
        assert_eq!(parse("bytes=0-", 0), Some(Part::Unsatisfiable));
        assert_eq!(parse("bytes=-5", 0), None);
    }
}
