//! A checksum of all that the loop did with its sockets.

use flate2::Crc;

/// Each update of a [`Crc`] copies its state, which is slow for a few bytes.
const BUFFER_BYTES: usize = 16 * 1024;

#[derive(Default)]
pub struct Transcript {
    crc: Crc,
    buffer: Vec<u8>,
}

impl Transcript {
    pub fn update(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush();
        }
    }

    /// The CRC-32 of all bytes so far.
    pub fn sum(&mut self) -> u32 {
        self.flush();
        self.crc.sum()
    }

    fn flush(&mut self) {
        self.crc.update(&self.buffer);
        self.buffer.clear();
    }
}
