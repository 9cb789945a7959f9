//! Bytes that are encoded once and shared by all clients that receive them.

use std::collections::VecDeque;
use std::rc::Rc;

/// Bytes ready for a socket: encoded once, shared by all clients that receive them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded(Rc<[u8]>);

impl Encoded {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The number of owners, without the room that encoded it; at least 1.
    pub(super) fn holders(&self) -> usize {
        (Rc::strong_count(&self.0) - 1).max(1)
    }
}

impl From<Encoded> for Rc<[u8]> {
    fn from(encoded: Encoded) -> Rc<[u8]> {
        encoded.0
    }
}

impl From<Rc<[u8]>> for Encoded {
    fn from(bytes: Rc<[u8]>) -> Encoded {
        Encoded(bytes)
    }
}

impl From<&[u8]> for Encoded {
    fn from(bytes: &[u8]) -> Encoded {
        Encoded(Rc::from(bytes))
    }
}

impl From<Vec<u8>> for Encoded {
    fn from(bytes: Vec<u8>) -> Encoded {
        Encoded(Rc::from(bytes))
    }
}

/// The state of a room on one tick, as one client receives it: one or more buffers, written without
/// anything between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// One buffer, which is nearly always enough.
    One(Encoded),
    /// Several, in order.
    #[allow(clippy::box_collection, reason = "rare; `Update` stays two words")]
    Several(Box<VecDeque<Encoded>>),
}

impl Update {
    /// The buffers, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Encoded> {
        let (one, several) = match self {
            Update::One(buffer) => (Some(buffer), None),
            Update::Several(buffers) => (None, Some(buffers.iter())),
        };
        one.into_iter().chain(several.into_iter().flatten())
    }

    /// The first buffer, and the others.
    pub(super) fn split_first(self) -> Option<(Encoded, Option<Update>)> {
        match self {
            Update::One(buffer) => Some((buffer, None)),
            Update::Several(mut buffers) => {
                let first = buffers.pop_front()?;
                Some((first, (!buffers.is_empty()).then_some(Update::Several(buffers))))
            }
        }
    }
}

impl From<Encoded> for Update {
    fn from(buffer: Encoded) -> Update {
        Update::One(buffer)
    }
}
