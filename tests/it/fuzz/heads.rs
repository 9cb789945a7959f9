//! Request heads near their limits.

use skirmish::limits::{HTTP_HEAD_BYTES_MAX, HTTP_REQUEST_LINE_BYTES_MAX};

use super::checks::http_head::read_head;

/// A head near a limit is treated alike however it is split.
pub fn bounds() {
    let line = |bytes: usize| {
        let path = "a".repeat(bytes - "GET / HTTP/1.1\r\n".len());
        format!("GET /{path} HTTP/1.1\r\nHost: h\r\n\r\n")
    };
    let head = |bytes: usize| {
        let value = "a".repeat(bytes - "GET / HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n".len());
        format!("GET / HTTP/1.1\r\nHost: h\r\nX: {value}\r\n\r\n")
    };
    let line_bytes = (HTTP_REQUEST_LINE_BYTES_MAX - 3..=HTTP_REQUEST_LINE_BYTES_MAX + 3).map(line);
    let head_bytes = (HTTP_HEAD_BYTES_MAX - 3..=HTTP_HEAD_BYTES_MAX + 3).map(head);
    let mut statuses = Vec::new();
    for text in line_bytes.chain(head_bytes) {
        let bytes = text.as_bytes();
        let whole = read_head(bytes, &[]);
        // Near the limits, near the ends, and at regular steps between.
        let is_relevant = |cut: usize| {
            let near = [0, HTTP_REQUEST_LINE_BYTES_MAX, HTTP_HEAD_BYTES_MAX, bytes.len()];
            near.into_iter().any(|at| cut.abs_diff(at) < 8) || cut.is_multiple_of(997)
        };
        for cut in (0..bytes.len()).filter(|cut| is_relevant(*cut)) {
            assert_eq!(read_head(bytes, &[cut]), whole, "{} bytes split at {cut}", bytes.len());
        }
        statuses.push(whole.map_or_else(|bad| bad.status, |_| 200));
    }
    // Each limit lies among them, and every longer head is refused.
    for (statuses, refused) in statuses.chunks(7).zip([414, 431]) {
        let good = statuses.iter().take_while(|status| **status == 200).count();
        assert!(0 < good && good < 7, "{statuses:?}");
        assert!(statuses[good..].iter().all(|status| *status == refused), "{statuses:?}");
    }
}
