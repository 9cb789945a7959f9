//! The states of players never wait for pages: the loop over sockets on which each byte costs time.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Ipv4Addr};

use skirmish::http::{Assets, Files, PagePolicy};
use skirmish::reactor::{Event, Sockets, Turn};
use skirmish::server::{ConnId, ListenerKind};
use skirmish::time::TICK_MS;

use super::fixture::{self, handshake};

/// Bytes that a write passes on in a microsecond.
const BYTES_A_US: usize = 200;
const PLAYERS: usize = 10;
const PAGES: usize = 40;
const PAGE_BYTES: usize = 1 << 20;

/// A client that sends one request and takes everything at once.
#[derive(Debug)]
struct Client {
    number: usize,
    request: Vec<u8>,
}

/// The clients, a clock that writes advance, and what each client took when.
#[derive(Debug, Default)]
struct Sink {
    now_us: u64,
    arriving: VecDeque<Client>,
    /// The number of the client, the bytes, and when they were taken.
    taken: Vec<(usize, usize, u64)>,
}

impl Sockets for Sink {
    type Socket = Client;

    fn now_us(&mut self) -> u64 {
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
        self.taken.push((client.number, bytes, self.now_us));
        Ok(bytes)
    }

    fn shut_down(&mut self, _: &mut Client) {}

    fn close(&mut self, _: Client, _: bool) {}
}

/// A folder with one large page.
fn large_page() -> Assets {
    let folder = std::env::temp_dir().join(format!("skirmish-large-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("large.bin"), vec![b'x'; PAGE_BYTES]).expect("a file");
    let assets = Files::read(&folder, &PagePolicy::default()).expect("a page").into();
    std::fs::remove_dir_all(folder).expect("it was made");
    assets
}

#[test]
fn states_never_wait_for_pages() {
    let server = fixture::server(&[], 1, large_page());
    let mut turn = Turn::new(Sink::default(), [ListenerKind::Public], server, 8_192);
    let run = |turn: &mut Turn<Sink>, until_us: u64| {
        while turn.sockets_mut().now_us < until_us {
            assert!(turn.run().expect("it waits").is_continue());
        }
    };
    let sink = turn.sockets_mut();
    let players = (0..PLAYERS).map(|number| Client { number, request: handshake("/?room=a") });
    sink.arriving.extend(players);
    run(&mut turn, 10 * TICK_MS * 1_000);

    // All pages are requested at once.
    let sink = turn.sockets_mut();
    let request = b"GET /large.bin HTTP/1.1\r\nHost: play.example\r\n\r\n".to_vec();
    let pages = (0..PAGES).map(|page| Client { number: PLAYERS + page, request: request.clone() });
    sink.arriving.extend(pages);
    sink.taken.clear();
    let until_us = sink.now_us + 10 * TICK_MS * 1_000;
    run(&mut turn, until_us);

    let taken = &turn.sockets_mut().taken;
    let of = |number: usize| taken.iter().filter(move |(taker, ..)| *taker == number);
    for page in PLAYERS..PLAYERS + PAGES {
        let bytes: usize = of(page).map(|(_, bytes, _)| bytes).sum();
        assert!(bytes > PAGE_BYTES, "page {page} is complete");
    }
    for player in 0..PLAYERS {
        let times: Vec<u64> = of(player).map(|(_, _, at)| *at).collect();
        assert!(times.len() >= 9, "{} states", times.len());
        let longest = times.windows(2).map(|two| two[1] - two[0]).max();
        // All pages together take 200 ms.
        assert!(longest < Some((TICK_MS + 2) * 1_000), "{longest:?} us between two states");
    }
}
