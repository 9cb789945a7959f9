//! The loop over clients that take everything at once, each byte of which costs time.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Ipv4Addr};

use skirmish::reactor::{Event, Sockets, Turn};
use skirmish::server::ConnId;

use super::faults;

/// Bytes that a write passes on in a microsecond.
const BYTES_A_US: usize = 200;

/// A client that sends one request and takes everything at once.
#[derive(Debug)]
pub struct Client {
    pub number: usize,
    pub request: Vec<u8>,
}

/// What a client took at once.
#[derive(Debug)]
pub struct Taken {
    pub number: usize,
    pub bytes: usize,
    pub at_us: u64,
}

/// The clients, a clock that writes and slow worlds advance, and what each client took when.
#[derive(Debug, Default)]
pub struct Sink {
    pub now_us: u64,
    pub arriving: VecDeque<Client>,
    pub taken: Vec<Taken>,
    /// What the first client took last.
    pub newest: Vec<u8>,
}

impl Sockets for Sink {
    type Socket = Client;

    fn now_us(&mut self) -> u64 {
        self.now_us += faults::take_passed_us();
        self.now_us
    }

    fn wait(&mut self, timeout_us: u64, events: &mut Vec<Event>) -> io::Result<()> {
        self.now_us += timeout_us;
        events.push(Event::Listener(0));
        Ok(())
    }

    fn accept(&mut self, _: usize) -> io::Result<(Client, IpAddr)> {
        let client = self.arriving.pop_front().ok_or(ErrorKind::WouldBlock)?;
        // Far fewer than an address may have.
        let peer = Ipv4Addr::new(198, 51, 100, client.number as u8).into();
        Ok((client, peer))
    }

    fn close_listener(&mut self, _: usize) {}

    fn watch_readable(&mut self, _: &mut Client, _: ConnId) -> io::Result<()> {
        Ok(())
    }

    fn watch_writable(&mut self, _: &mut Client, _: ConnId) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, client: &mut Client, buffer: &mut [u8]) -> io::Result<usize> {
        let count = client.request.len();
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        buffer[..count].copy_from_slice(&client.request);
        client.request.clear();
        Ok(count)
    }

    fn write(&mut self, client: &mut Client, slices: &[IoSlice]) -> io::Result<usize> {
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        self.now_us += 2 + (bytes / BYTES_A_US) as u64;
        self.taken.push(Taken { number: client.number, bytes, at_us: self.now_us });
        if client.number == 0 {
            self.newest = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        }
        Ok(bytes)
    }

    fn unacknowledged_bytes(&mut self, _: &mut Client) -> Option<u32> {
        Some(0)
    }

    fn shut_down(&mut self, _: &mut Client) {}

    fn close(&mut self, _: Client, _: bool) {}
}

/// Runs turns until a time.
pub fn run(turn: &mut Turn<Sink>, until_us: u64) {
    while turn.sockets_mut().now_us < until_us {
        assert!(turn.run().expect("it waits").is_continue());
    }
}
