//! The payloads of polls, compressed with gzip.
//!
//! Most clients of a room receive the same payload on a tick, one after another, so the last one
//! that is shared is kept.

use std::rc::Rc;

use crate::http::coding::Gzipper;

/// Compresses the payloads of polls.
#[derive(Debug, Default)]
pub struct PollGzip {
    /// Made on first use.
    gzipper: Option<Box<Gzipper>>,
    last: Option<Last>,
}

/// A payload and its compressed form; `None` if that is not smaller.
#[derive(Debug)]
struct Last {
    payload: Rc<[u8]>,
    gzip: Option<Rc<[u8]>>,
}

impl PollGzip {
    /// The compressed form of a payload; `None` if it is not smaller, or if it would have to be
    /// made and `may_compress`, which is given its size, does not allow it.
    pub fn gzip(
        &mut self,
        payload: &Rc<[u8]>,
        may_compress: impl FnOnce(usize) -> bool,
    ) -> Option<Rc<[u8]>> {
        if let Some(last) = self.last.as_ref().filter(|last| Rc::ptr_eq(&last.payload, payload)) {
            return last.gzip.clone();
        }
        if !may_compress(payload.len()) {
            return None;
        }
        let gzipper = self.gzipper.get_or_insert_default();
        let gzip: Option<Rc<[u8]>> = gzipper.gzip(payload).map(Rc::from);
        // What is kept here counts for no client.
        if Rc::strong_count(payload) > 1 {
            self.last = Some(Last { payload: Rc::clone(payload), gzip: gzip.clone() });
        }
        gzip
    }

    /// Forgets the last payload.
    pub fn clear(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_compressed_once_for_all_that_receive_it() {
        let mut poll_gzip = PollGzip::default();
        let payload: Rc<[u8]> = Rc::from([b'a'; 2_000]);
        let shared = Rc::clone(&payload);
        assert_eq!(poll_gzip.gzip(&payload, |_| false), None);
        let first = poll_gzip.gzip(&payload, |bytes| bytes == 2_000).expect("it is smaller");
        let again = poll_gzip.gzip(&payload, |_| false).expect("it is kept");
        assert!(Rc::ptr_eq(&first, &again));
        let own: Rc<[u8]> = Rc::from([b'b'; 2_000]);
        let own_gzip = poll_gzip.gzip(&own, |_| true).expect("it is smaller");
        assert_eq!((Rc::strong_count(&own), Rc::strong_count(&own_gzip)), (1, 1), "not kept");
        assert!(poll_gzip.gzip(&shared, |_| false).is_some(), "it is still kept");
        poll_gzip.clear();
        assert_eq!(poll_gzip.gzip(&payload, |_| false), None);
    }
}
