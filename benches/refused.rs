//! What a large message above the rates costs, beside one within them. A server without sockets.
//!
//! `cargo bench --bench refused` compares times. For instructions, run the program under callgrind
//! with a case and the number of messages of each player within the rates and above them
//! (docs/measurements.md).

use std::hint::black_box;
use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

#[path = "fixture.rs"]
#[expect(dead_code, reason = "this bench sends messages of its own")]
mod fixture;

use fixture::{Dialect, Fixture};
use skirmish::metrics::Drop;
use skirmish::server::{ConnId, ListenerKind};
use skirmish::ws::frame;

/// Players that send.
const PLAYERS: usize = 20;
/// Messages above the rates that each sends. About 25 of 16 KiB would close the connection.
const REFUSED: usize = 15;

/// A kind of message, and how it is sent.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    transport: Transport,
    /// The text around the part that is repeated.
    text: [&'static str; 2],
    repeated: &'static str,
    /// Bytes of the whole text at most: the largest message that is read.
    bytes: usize,
    /// How many the rates allow at once.
    burst: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Json,
    SocketIo,
    Polling,
}

const EVENT: [&str; 2] = [r#"42["move",{"x":1,"y":1,"pad":""#, r#""}]"#];
const NUMBERS: [&str; 2] = [r#"42["move",{"x":1,"y":1,"pad":[0"#, "]}]"];

const CASES: [Case; 5] = [
    Case {
        name: "json",
        transport: Transport::Json,
        text: [r#"{"type":"move","direction":"UP","pad":""#, r#""}"#],
        repeated: "a",
        bytes: 4_096,
        burst: 8,
    },
    Case::events("socketio", Transport::SocketIo, EVENT, "a"),
    Case::events("socketio-numbers", Transport::SocketIo, NUMBERS, ",1"),
    Case::events("polling", Transport::Polling, EVENT, "a"),
    Case::events("polling-numbers", Transport::Polling, NUMBERS, ",1"),
];

impl Case {
    const fn events(
        name: &'static str,
        transport: Transport,
        text: [&'static str; 2],
        repeated: &'static str,
    ) -> Case {
        Case { name, transport, text, repeated, bytes: 16_384, burst: 2 }
    }

    /// A message as it comes from a client.
    fn message(&self, sid: &str) -> Vec<u8> {
        let [before, behind] = self.text;
        let count = (self.bytes - before.len() - behind.len()) / self.repeated.len();
        let text = format!("{before}{}{behind}", self.repeated.repeat(count));
        if self.transport == Transport::Polling {
            return post(sid, &text);
        }
        let mut bytes = Vec::new();
        frame::encode_masked(frame::TEXT, text.as_bytes(), [1, 2, 3, 4], &mut bytes);
        bytes
    }
}

fn post(sid: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Players with what each of them sends.
struct Players {
    fixture: Fixture,
    messages: Vec<(ConnId, Vec<u8>)>,
}

impl Players {
    fn new(case: &Case) -> Players {
        let dialect = match case.transport {
            Transport::Json => Dialect::Json,
            Transport::SocketIo | Transport::Polling => Dialect::Events,
        };
        let mut fixture = Fixture::with_players(dialect, 0, 1);
        let messages = (0..PLAYERS).map(|place| match case.transport {
            Transport::Polling => {
                let (id, sid) = join_polling(&mut fixture);
                (id, case.message(&sid))
            }
            Transport::Json | Transport::SocketIo => {
                fixture.join(place);
                (fixture.players[place], case.message(""))
            }
        });
        let messages = messages.collect();
        fixture.flush();
        Players { fixture, messages }
    }

    /// Each player sends `count` messages. Returns how long the server took.
    fn send(&mut self, count: usize) -> Duration {
        let mut duration = Duration::ZERO;
        for _ in 0..count {
            for (id, message) in &self.messages {
                let mut bytes = message.clone();
                let begin = Instant::now();
                self.fixture.server.receive(*id, black_box(&mut bytes), self.fixture.now);
                duration += begin.elapsed();
                read(&mut self.fixture, *id);
            }
        }
        duration
    }

    fn refused(&self) -> u64 {
        self.fixture.server.metrics().drops(Drop::Rate)
    }
}

/// A player that polls: the connection of its posts, and its session.
fn join_polling(fixture: &mut Fixture) -> (ConnId, String) {
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (server, now) = (&mut fixture.server, fixture.now);
    let id = server.open(peer, ListenerKind::Public, now).expect("loopback has no limits");
    let mut get =
        b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: localhost\r\n\r\n"[..].to_vec();
    server.receive(id, &mut get, now);
    let answer = String::from_utf8(read(fixture, id)).expect("the open packet is text");
    let (_, sid) = answer.split_once(r#""sid":""#).expect("a session");
    let sid = sid.split('"').next().unwrap_or_default().to_owned();
    fixture.server.receive(id, &mut post(&sid, "40"), now);
    read(fixture, id);
    (id, sid)
}

/// Reads what waits for a peer.
fn read(fixture: &mut Fixture, id: ConnId) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); 16];
    let count = fixture.server.slices(id, &mut slices);
    let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
    fixture.server.written(id, bytes.len(), bytes.len(), fixture.now);
    bytes
}

#[expect(clippy::print_stdout, reason = "it is the output of a bench")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [name, accepted, refused] = &arguments[..] {
        let case = CASES.iter().find(|case| case.name == name).expect("the name of a case");
        let mut players = Players::new(case);
        players.send(accepted.parse().expect("a number"));
        players.send(refused.parse().expect("a number"));
        println!("{name}: {} refused", players.refused());
        return;
    }
    for case in CASES {
        let best = |measure: &dyn Fn(&mut Players) -> Duration, count: usize| {
            let times = (0..20).map(|_| measure(&mut Players::new(&case)));
            times.min().unwrap_or_default() / (PLAYERS * count) as u32
        };
        let accepted = best(&|players| players.send(case.burst), case.burst);
        let refused = best(
            &|players| {
                players.send(case.burst);
                assert_eq!(players.refused(), 0);
                let duration = players.send(REFUSED);
                assert_eq!(players.refused(), (PLAYERS * REFUSED) as u64);
                duration
            },
            REFUSED,
        );
        let ratio = accepted.as_secs_f64() / refused.as_secs_f64();
        let name = case.name;
        println!("{name:18} accepted {accepted:9.2?}  refused {refused:9.2?}  1/{ratio:.1}");
    }
}
