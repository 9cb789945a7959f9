//! Bytes that are encoded once and shared by all clients that receive them.

use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

/// Bytes ready for a socket: encoded once, shared by all clients that receive them.
#[derive(Clone, Debug)]
pub enum Encoded {
    /// Bytes of the loop, which they nearly always are.
    Own(Rc<[u8]>),
    /// A part of a file. The pointer keeps the type at two words.
    File(Rc<FilePart>),
}

/// A part of a file, which another thread has read.
#[derive(Debug)]
pub struct FilePart {
    contents: Arc<[u8]>,
    range: Range<usize>,
}

impl Encoded {
    /// A part of a file.
    #[must_use]
    pub fn file(contents: Arc<[u8]>, range: Range<usize>) -> Encoded {
        Encoded::File(Rc::new(FilePart { contents, range }))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Encoded::Own(bytes) => bytes,
            Encoded::File(part) => &part.contents[part.range.clone()],
        }
    }

    /// Whether both are the same bytes in memory.
    #[must_use]
    pub fn is_same(&self, other: &Encoded) -> bool {
        std::ptr::eq(self.bytes(), other.bytes())
    }

    /// The number of owners of the bytes.
    fn owners(&self) -> usize {
        match self {
            Encoded::Own(bytes) => Rc::strong_count(bytes),
            Encoded::File(part) => Arc::strong_count(&part.contents),
        }
    }

    /// Whether it has another owner.
    pub(super) fn is_shared(&self) -> bool {
        self.owners() > 1
    }

    /// The number of owners, without the room that encoded it; at least 1.
    pub(super) fn holders(&self) -> usize {
        (self.owners() - 1).max(1)
    }
}

impl PartialEq for Encoded {
    fn eq(&self, other: &Encoded) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Encoded {}

impl From<Encoded> for Rc<[u8]> {
    fn from(encoded: Encoded) -> Rc<[u8]> {
        match encoded {
            Encoded::Own(bytes) => bytes,
            Encoded::File(_) => Rc::from(encoded.bytes()),
        }
    }
}

impl From<Rc<[u8]>> for Encoded {
    fn from(bytes: Rc<[u8]>) -> Encoded {
        Encoded::Own(bytes)
    }
}

impl From<&[u8]> for Encoded {
    fn from(bytes: &[u8]) -> Encoded {
        Encoded::from(Rc::from(bytes))
    }
}

impl From<Vec<u8>> for Encoded {
    fn from(bytes: Vec<u8>) -> Encoded {
        Encoded::from(Rc::from(bytes))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_file_shares_its_bytes() {
        let contents: Arc<[u8]> = Arc::from(&b"abcdef"[..]);
        let part = Encoded::file(Arc::clone(&contents), 1..3);
        assert_eq!(part.bytes(), b"bc");
        assert_eq!(part.bytes().as_ptr(), contents[1..].as_ptr());
        assert_eq!(part, Encoded::from(&b"bc"[..]));
        assert!(part.is_shared());
        assert_eq!(&*Rc::<[u8]>::from(part), b"bc");
        assert_eq!(size_of::<Encoded>(), size_of::<Rc<[u8]>>());
    }
}
