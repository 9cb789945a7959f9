//! One simulated player: bytes in, statistics and bytes out. It knows neither sockets nor clocks.
//!
//! `swarm` owns thousands of them, so each is small: what arrives is skimmed where it was read.

use rand::Rng;
use rand::rngs::SmallRng;

use super::answer;
use super::loss::Loss;
use super::probe::Probe;
use super::skim::{Found, Skimmer};
use super::snapshot;
use super::tally::Tally;
use crate::ws::close;
use crate::ws::frame::{self, CLOSE, PONG, TEXT};

/// Bytes that may wait for a server that does not read. What a client would say past them is
/// dropped and counted.
const OUT_BYTES_MAX: usize = 16 * 1024;

/// What a client can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word<'b> {
    /// A message of the dialect.
    Text(&'b [u8]),
    /// The answer to a ping, with what that bore.
    Pong(&'b [u8]),
    /// Farewell, with the payload of a close frame.
    Close(&'b [u8]),
}

/// How far a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its turn to connect has not come.
    Idle,
    /// The TCP connection is being made.
    Connecting,
    /// The request is on its way, or the answer.
    Shaking,
    /// It is a WebSocket.
    Playing,
    /// It was lost, or it has said farewell.
    Gone,
}

/// One simulated player.
#[derive(Debug)]
pub struct Client {
    /// How far it has come.
    pub stage: Stage,
    /// What it has to send, as frames.
    pub out: Vec<u8>,
    /// Snapshots that it has seen so far.
    pub snapshots: u32,
    /// When it was to connect, in microseconds of the run.
    pub connect_us: u64,
    /// What makes it a probe.
    pub probe: Option<Box<Probe>>,
    /// The answer to the handshake as far as it has come, if it came in pieces.
    head: Vec<u8>,
    skimmer: Skimmer,
    /// When it saw the last snapshot.
    seen_us: Option<u64>,
}

impl Client {
    /// A client that will connect at `connect_us`.
    #[must_use]
    pub fn new(connect_us: u64, probe: Option<Box<Probe>>) -> Client {
        Client {
            stage: Stage::Idle,
            out: Vec::new(),
            snapshots: 0,
            connect_us,
            probe,
            head: Vec::new(),
            skimmer: Skimmer::default(),
            seen_us: None,
        }
    }

    /// Takes what was read at `now_us`.
    ///
    /// # Errors
    /// Why the client is lost. What waits in `out` may still be sent: a close frame is answered.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        now_us: u64,
        tally: &mut Tally,
        rng: &mut SmallRng,
    ) -> Result<(), Loss> {
        tally.counters.read_bytes += bytes.len() as u64;
        if self.stage == Stage::Playing {
            return self.skim(bytes, now_us, tally, rng);
        }
        self.head.extend_from_slice(bytes);
        let Some(head_bytes) = answer::accepted(&self.head)? else {
            return Ok(());
        };
        self.stage = Stage::Playing;
        tally.playing += 1;
        tally.record_connect(self.connect_us, now_us);
        let head = std::mem::take(&mut self.head);
        self.skim(&head[head_bytes..], now_us, tally, rng)
    }

    /// Says one word, masked. Answers whether there was room for it.
    pub fn say(&mut self, word: Word, rng: &mut SmallRng) -> bool {
        if self.out.len() >= OUT_BYTES_MAX {
            return false;
        }
        let (opcode, payload) = match word {
            Word::Text(text) => (TEXT, text),
            Word::Pong(payload) => (PONG, payload),
            Word::Close(payload) => (CLOSE, payload),
        };
        frame::encode_masked(opcode, payload, rng.next_u32().to_ne_bytes(), &mut self.out);
        true
    }

    fn skim(
        &mut self,
        mut bytes: &[u8],
        now_us: u64,
        tally: &mut Tally,
        rng: &mut SmallRng,
    ) -> Result<(), Loss> {
        while !bytes.is_empty() {
            let keeps = self.probe.as_ref().is_some_and(|probe| probe.wants_snapshot());
            let (taken, found) = self.skimmer.next(bytes, keeps)?;
            bytes = &bytes[taken..];
            let Some(found) = found else { continue };
            tally.counters.frames += 1;
            match found {
                Found::Snapshot(text) => {
                    tally.counters.snapshots += 1;
                    self.snapshots += 1;
                    if let Some(seen_us) = self.seen_us.replace(now_us) {
                        tally.record_gap(seen_us, now_us);
                    }
                    if let (Some(probe), Some(text)) = (&mut self.probe, text)
                        && let Some(intended_us) = probe.look(text)
                    {
                        tally.record_visible(intended_us, now_us);
                    }
                }
                Found::Text(text) => {
                    if let (Some(probe), Some(text)) = (&mut self.probe, text)
                        && let Some(id) = snapshot::id_of_init(text)
                    {
                        probe.set_id(id);
                    }
                }
                Found::Ping(payload) => {
                    self.say(Word::Pong(&payload), rng);
                }
                Found::Pong => {}
                Found::Close(end) => {
                    let (code, reason) = end.unzip();
                    let payload = code.map(|code| close::payload(code, "")).unwrap_or_default();
                    self.say(Word::Close(&payload), rng);
                    return Err(Loss::Closed(code, reason.unwrap_or_default()));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::codec::json::Direction;
    use crate::load::probe::Due;
    use crate::ws::frame::{PING, encode};

    const ACCEPTED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    fn state(x: u16) -> String {
        format!(
            r##"{{"type":"state_update","players":[{{"id":"7","x":{x},"y":9,"color":"#000000"}}]}}"##
        )
    }

    #[test]
    fn a_whole_life_byte_by_byte() {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut tally = Tally::new();
        tally.window = 0..1_000_000;
        let mut client = Client::new(0, Some(Box::default()));
        client.stage = Stage::Shaking;
        let mut stream = ACCEPTED.to_vec();
        encode(TEXT, br#"{"type":"init","id":"7"}"#, &mut stream);
        encode(TEXT, state(100).as_bytes(), &mut stream);
        encode(PING, b"hi", &mut stream);
        for byte in &stream {
            client.receive(&[*byte], 500, &mut tally, &mut rng).unwrap();
        }
        assert_eq!((tally.playing, client.snapshots), (1, 1));
        assert_eq!((tally.counters.frames, tally.counters.snapshots), (3, 1));
        assert_eq!(tally.counters.read_bytes, stream.len() as u64);
        assert_eq!(client.out.len(), 2 + 4 + 2, "the pong");

        let probe = client.probe.as_mut().unwrap();
        assert_eq!(probe.due(1_000, 1_000), Due::Send(Direction::Left));
        let mut stream = Vec::new();
        encode(TEXT, state(90).as_bytes(), &mut stream);
        encode(CLOSE, &close::payload(1012, "later"), &mut stream);
        let end = client.receive(&stream, 31_000, &mut tally, &mut rng);
        assert_eq!(end, Err(Loss::Closed(Some(1012), "later".to_owned())));
        assert!(tally.visible_us.max().abs_diff(30_000) < 100, "three digits");
        assert_eq!(client.out.len(), 8 + 2 + 4 + 2, "the pong and the farewell");
    }

    #[test]
    fn a_server_that_does_not_read_is_not_written_to_without_end() {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut client = Client::new(0, None);
        let said = (0..100_000).filter(|_| client.say(Word::Text(&[0; 30]), &mut rng)).count();
        assert!(said < 500 && client.out.len() < OUT_BYTES_MAX + 50);
    }
}
