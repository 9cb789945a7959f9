//! The states of players never wait for pages: the loop over sockets on which each byte costs time.

use skirmish::http::{Assets, PagePolicy};
use skirmish::reactor::Turn;
use skirmish::server::ListenerKind;
use skirmish::time::TICK_MS;

use super::fixture::{self, handshake};
use super::sink::{Client, Sink, run};

const PLAYERS: usize = 10;
const PAGES: usize = 40;
const PAGE_BYTES: usize = 1 << 20;

/// A folder with one large page.
fn large_page() -> Assets {
    let folder = std::env::temp_dir().join(format!("skirmish-large-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("large.bin"), vec![b'x'; PAGE_BYTES]).expect("a file");
    let assets = Assets::read(&folder, &PagePolicy::default()).expect("a page");
    std::fs::remove_dir_all(folder).expect("it was made");
    assets
}

// T72
#[test]
fn states_never_wait_for_pages() {
    let server = fixture::server(&[], 1, large_page());
    let mut turn = Turn::new(Sink::default(), [ListenerKind::Public], server, 8_192);
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
    let of = |number: usize| taken.iter().filter(move |taken| taken.number == number);
    for page in PLAYERS..PLAYERS + PAGES {
        let bytes: usize = of(page).map(|taken| taken.bytes).sum();
        assert!(bytes > PAGE_BYTES, "page {page} is complete");
    }
    for player in 0..PLAYERS {
        let times: Vec<u64> = of(player).map(|taken| taken.at_us).collect();
        assert!(times.len() >= 9, "{} states", times.len());
        let longest = times.windows(2).map(|two| two[1] - two[0]).max();
        // All pages together take 200 ms.
        assert!(longest < Some((TICK_MS + 2) * 1_000), "{longest:?} us between two states");
    }
}
