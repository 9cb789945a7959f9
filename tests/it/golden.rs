//! Golden transcripts: whole sessions, byte for byte, in readable files.
//!
//! A file in `tests/golden/` lists what clients do, each step followed by the server's output. The
//! test plays it against a `Server` with a virtual clock and compares. `SKIRMISH_BLESS=1` rewrites
//! the output: its diff then shows every change that a client would see.
//!
//! ```text
//! # A comment.
//! serve --seed 7                 the flags; the first line after the comments
//! ann opens 192.0.2.1            a connection from that address
//! ann > GET / HTTP/1.1\r\n       bytes from her (\r \n \\ \xHH); adjacent lines are one read
//! ann > {81} {"type":"move"}     a masked frame with that first byte
//! ann takes 10                   from here on her socket takes 10 bytes per flush; `all` resets it
//! ann hangs up                   she shuts her side; `ann breaks`: with a reset
//! tick 3                         three ticks of 50 ms
//! drain                          the first signal
//! ann < HTTP/1.1 200 OK\r\n      bytes to her: heads by line, then frames: {81 5} is its header
//! ann shut | closed | reset      the end of her connection
//! at 150 ms                      the clock at a tick with output
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use skirmish::server::{ConnId, End};
use skirmish::ws::frame::{self, Mask};

use crate::sim::fixture::{self, Fixture, masked};

#[test]
fn handshake() {
    compare("handshake");
}

#[test]
fn one_player() {
    compare("one_player");
}

#[test]
fn two_players() {
    compare("two_players");
}

#[test]
fn battle() {
    compare("battle");
}

#[test]
fn full_room() {
    compare("full_room");
}

#[test]
fn pages() {
    compare("pages");
}

#[test]
fn closes() {
    compare("closes");
}

#[test]
fn slow_reader() {
    compare("slow_reader");
}

#[test]
fn drain() {
    compare("drain");
}

fn compare(name: &str) {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"));
    let path = folder.join(name).with_extension("txt");
    let golden = std::fs::read_to_string(&path).expect("the script is in the repository");
    let played = play(&golden);
    if std::env::var_os("SKIRMISH_BLESS").is_some() {
        return std::fs::write(&path, played).expect("tests/golden is writable");
    }
    for (number, (is, should_be)) in (1..).zip(played.lines().zip(golden.lines())) {
        assert_eq!(is, should_be, "line {number} of {name}.txt");
    }
    assert_eq!(played.lines().count(), golden.lines().count(), "{name}.txt has another length");
}

/// Whether a line of a script was written by the server.
fn is_server_line(line: &str) -> bool {
    let mut words = line.split(' ');
    let words = (words.next(), words.next());
    matches!(words, (Some("at"), _) | (_, Some("<" | "shut" | "closed" | "reset")))
}

/// Plays a script and returns it with the server's actual output.
fn play(golden: &str) -> String {
    let script: Vec<&str> = golden.lines().filter(|line| !is_server_line(line)).collect();
    let mut stage = None;
    let mut out = String::new();
    for (at, line) in script.iter().enumerate() {
        writeln!(out, "{line}").expect("memory");
        let is_comment = line.is_empty() || line.starts_with('#');
        match (&mut stage, line.strip_prefix("serve")) {
            _ if is_comment => {}
            (None, Some(flags)) => stage = Some(Stage::new(flags)),
            (None, None) => panic!("{line:?} before serve"),
            (Some(stage), _) => {
                // Consecutive lines of the same client are one read.
                let says = |line: &str| line.split_once(" > ").map(|(name, _)| name.to_owned());
                let next = script.get(at + 1).and_then(|next| says(next));
                let continues = says(line).is_some() && says(line) == next;
                stage.act(line, continues, &mut out);
            }
        }
    }
    out
}

struct Stage {
    fixture: Fixture,
    actors: BTreeMap<String, Actor>,
}

struct Actor {
    id: ConnId,
    /// The input of the read in progress.
    pending_input: Vec<u8>,
    /// Output received that is not a complete line or frame yet.
    received: Vec<u8>,
    is_upgrading: bool,
    is_websocket: bool,
    takes: usize,
}

impl Stage {
    fn new(flags: &str) -> Stage {
        let flags: Vec<&str> = flags.split_whitespace().collect();
        let seed = fixture::settings(&flags).seed.expect("a script chooses its seed");
        let fixture = Fixture {
            server: fixture::server(&flags, seed, fixture::pages()),
            now: Default::default(),
            panics: 0,
        };
        Stage { fixture, actors: BTreeMap::new() }
    }

    fn act(&mut self, line: &str, continues: bool, out: &mut String) {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (action, object) = rest.split_once(' ').unwrap_or((rest, ""));
        match (first, action) {
            ("tick", _) => {
                for _ in 0..rest.parse().unwrap_or(1) {
                    self.fixture.tick();
                    let mut pending_input = String::new();
                    self.flush(&mut pending_input);
                    if !pending_input.is_empty() {
                        write!(out, "at {} ms\n{pending_input}", self.fixture.now.0)
                            .expect("memory");
                    }
                }
                return;
            }
            ("drain", _) => self.fixture.server.drain(self.fixture.now),
            (name, "opens") => {
                let id = self.fixture.open(object);
                let actor = Actor {
                    id,
                    pending_input: Vec::new(),
                    received: Vec::new(),
                    is_upgrading: false,
                    is_websocket: false,
                    takes: usize::MAX,
                };
                self.actors.insert(name.to_owned(), actor);
            }
            (name, action) => {
                let actor =
                    self.actors.get_mut(name).unwrap_or_else(|| panic!("unknown client: {line}"));
                match action {
                    ">" => {
                        actor.pending_input.extend(bytes_of(object));
                        if continues {
                            return;
                        }
                        let pending_input = std::mem::take(&mut actor.pending_input);
                        self.fixture.send(actor.id, &pending_input);
                    }
                    "takes" => actor.takes = object.parse().unwrap_or(usize::MAX),
                    "hangs" => self.fixture.server.peer_closed(actor.id, false, self.fixture.now),
                    "breaks" => self.fixture.server.peer_closed(actor.id, true, self.fixture.now),
                    _ => panic!("what? {line}"),
                }
            }
        }
        self.flush(out);
    }

    /// Lets every client take its output, until the server has no more.
    fn flush(&mut self, out: &mut String) {
        for (name, actor) in &mut self.actors {
            loop {
                let bytes = self.fixture.take_up_to(actor.id, actor.takes);
                actor.received.extend(&bytes);
                if bytes.is_empty() || actor.takes != usize::MAX {
                    break;
                }
                self.fixture.send(actor.id, &[]);
            }
            actor.write_received(name, out);
        }
        let mut ended = Vec::new();
        self.fixture.server.take_ended(&mut ended);
        for (id, end) in ended {
            let actor = self.actors.iter().find(|(_, actor)| actor.id == id);
            let (name, actor) = actor.expect("only actors have connections");
            if !actor.received.is_empty() {
                writeln!(out, "{name} < {} (cut)", escaped(&actor.received)).expect("memory");
            }
            let word = match end {
                End::Shut => "shut",
                End::Close => "closed",
                End::Reset => "reset",
            };
            writeln!(out, "{name} {word}").expect("memory");
        }
    }
}

impl Actor {
    /// Writes out what the client received: heads by line, then one line per frame.
    fn write_received(&mut self, name: &str, out: &mut String) {
        loop {
            let (end, shown) = match self.is_websocket {
                true => {
                    let parsed = frame::parse(&self.received, Mask::Forbidden, false)
                        .expect("a valid frame");
                    let Some((header_bytes, header)) = parsed else { return };
                    let end = header_bytes + header.payload_bytes as usize;
                    let Some(payload) = self.received.get(header_bytes..end) else { return };
                    let head: Vec<String> = self.received[..header_bytes]
                        .iter()
                        .map(|byte| format!("{byte:02x}"))
                        .collect();
                    (end, format!("{{{}}} {}", head.join(" "), escaped(payload)))
                }
                false => {
                    let end = self.received.iter().position(|byte| *byte == b'\n');
                    let Some(end) = end.map(|at| at + 1) else { return };
                    (end, escaped(&self.received[..end]))
                }
            };
            writeln!(out, "{name} < {}", shown.trim_end()).expect("memory");
            let line: Vec<u8> = self.received.drain(..end).collect();
            self.is_upgrading |= line.starts_with(b"HTTP/1.1 101 ");
            self.is_websocket |= self.is_upgrading && line == b"\r\n";
        }
    }
}

/// The bytes of `text`: a frame if it starts with `{HH}`, otherwise the text itself.
fn bytes_of(text: &str) -> Vec<u8> {
    if let Some((first, payload)) = text.strip_prefix('{').and_then(|text| text.split_once('}'))
        && let Ok(first) = u8::from_str_radix(first, 16)
    {
        return masked(first, &unescaped(payload.strip_prefix(' ').unwrap_or(payload)));
    }
    unescaped(text)
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        (rest, _) = match (first, after) {
            (b'\\', [b'r', after @ ..]) => (after, bytes.push(b'\r')),
            (b'\\', [b'n', after @ ..]) => (after, bytes.push(b'\n')),
            (b'\\', [b'\\', after @ ..]) => (after, bytes.push(b'\\')),
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digit = |byte: u8| (byte as char).to_digit(16).expect("a hex digit") as u8;
                (after, bytes.push(digit(*high) << 4 | digit(*low)))
            }
            (b'\\', _) => panic!("invalid escape in {text:?}"),
            (plain, after) => (after, bytes.push(*plain)),
        };
    }
    bytes
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(*byte as char),
            other => write!(text, "\\x{other:02x}").expect("memory"),
        }
    }
    text
}
