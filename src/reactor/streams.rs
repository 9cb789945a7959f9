//! The streams of all connections, by the slots that these have in the server.

use super::queue::Queue;
use super::stream::Stream;
use crate::server::ConnId;

/// The streams.
#[derive(Debug)]
pub struct Streams<T> {
    slots: Vec<Option<Stream<T>>>,
}

impl<T> Default for Streams<T> {
    fn default() -> Streams<T> {
        Streams { slots: Vec::new() }
    }
}

impl<T> Streams<T> {
    /// The stream of a connection, unless it is closed.
    pub fn get(&self, id: ConnId) -> Option<&Stream<T>> {
        self.slots.get(id.slot as usize)?.as_ref().filter(|stream| stream.serial == id.serial)
    }

    /// The same.
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut Stream<T>> {
        let stream = self.slots.get_mut(id.slot as usize)?.as_mut();
        stream.filter(|stream| stream.serial == id.serial)
    }

    /// Adds the stream of a connection.
    pub fn insert(&mut self, id: ConnId, stream: Stream<T>) {
        let slot = id.slot as usize;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        self.slots[slot] = Some(stream);
    }

    /// Removes the stream of a connection.
    pub fn remove(&mut self, id: ConnId) -> Option<Stream<T>> {
        self.get(id)?;
        self.slots[id.slot as usize].take()
    }

    /// The highest number of connections so far.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Appends connections to a queue of those that are written to.
    pub fn queue_writes(&mut self, queue: &mut Queue, ids: impl Iterator<Item = ConnId>) {
        for id in ids {
            if let Some(stream) = self.get_mut(id) {
                queue.push(id, &mut stream.is_in_write_queue);
            }
        }
    }
}
