//! Clients that acknowledge states, and whose network stops: the loop over simulated sockets.

use skirmish::codec::v1::Course;
use skirmish::codec::v1::client::{ClientMessage, Input};
use skirmish::limits::{STALL_MS, UNACKNOWLEDGED_TICKS, UNACKNOWLEDGED_TICKS_MAX};
use skirmish::reactor::Turn;
use skirmish::time::{TICK_MS, TICKS_PER_SECOND};

use super::fixture::{handshake, masked, text, with_fields};
use super::network::Network;
use super::response_reader::{Received, ResponseReader};
use super::stalls::{client, pass, run, send_on_new, turn};
use super::v1_client::{OFFER, V1Client, put};

const OUTAGE_MS: u64 = 5_000;
const STALL_TICKS: u32 = (STALL_MS / TICK_MS) as u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Json,
    V1,
    SocketIo,
}

const DIALECTS: [Dialect; 3] = [Dialect::Json, Dialect::V1, Dialect::SocketIo];

/// A player in a room of bots, over the only connection of a loop.
struct Player {
    dialect: Dialect,
    reader: ResponseReader,
    v1: V1Client,
    /// Acknowledgements that it has not sent yet.
    acks: Vec<u8>,
    close: Option<Option<u16>>,
    /// The tick of the server after which its room was made.
    room_made: u32,
}

impl Player {
    /// A player that has received and acknowledged states for two seconds.
    fn join(turn: &mut Turn<Network>, dialect: Dialect) -> Player {
        let (target, fields) = match dialect {
            Dialect::Json => ("/ws?room=battle", ""),
            Dialect::V1 => ("/ws?room=battle", OFFER),
            Dialect::SocketIo => ("/socket.io/?EIO=4&transport=websocket", ""),
        };
        let mut reader = ResponseReader::default();
        reader.expect_response(false);
        send_on_new(turn, &with_fields(handshake(target), fields));
        run(turn);
        let (v1, acks) = (V1Client::default(), Vec::new());
        let mut player = Player { dialect, reader, v1, acks, close: None, room_made: 0 };
        let mut newest = None;
        for _ in 0..40 {
            pass(turn, TICK_MS);
            let received = player.receive(turn);
            if newest.is_none()
                && let Some(first) = received.first()
            {
                player.room_made = turn.server().metrics().ticks as u32 - first;
            }
            newest = received.last().copied().or(newest);
            player.acknowledge(turn);
        }
        let is_new = newest.is_some_and(|newest| newest + 10 > player.tick(turn));
        assert!(is_new, "{dialect:?}: tick {newest:?} of {}", player.tick(turn));
        player
    }

    /// The tick of its room.
    fn tick(&self, turn: &Turn<Network>) -> u32 {
        turn.server().metrics().ticks as u32 - self.room_made
    }

    /// Receives everything, and answers all but the states. Returns the ticks of these; over
    /// Socket.IO only of those that ask for an acknowledgement.
    fn receive(&mut self, turn: &mut Turn<Network>) -> Vec<u32> {
        let bytes: Vec<u8> = client(turn).outbound.drain(..).collect();
        let mut received = Vec::new();
        self.reader.read(&bytes, &mut received).expect("valid server output");
        received.into_iter().filter_map(|received| self.tick_of(received, turn)).collect()
    }

    fn tick_of(&mut self, received: Received, turn: &mut Turn<Network>) -> Option<u32> {
        let inbound = &mut client(turn).inbound;
        let (tick, ack) = match received {
            Received::Ping(ping) => {
                inbound.extend(masked(0x8a, &ping));
                return None;
            }
            Received::Close(code, _) => {
                self.close = Some(code);
                return None;
            }
            Received::Binary(payload) => {
                let tick = self.v1.receive(&payload).expect("a valid message").tick?;
                self.v1.first.get_or_insert((1, 0));
                let (direction, ack) = (Course::default(), tick as u16);
                let input = Input { direction, seq: 1, ack, ..Input::default() };
                let mut bytes = Vec::new();
                put(ClientMessage::Input(input), &mut bytes);
                (tick, bytes)
            }
            Received::Text(packet) if self.dialect == Dialect::SocketIo => {
                if packet.starts_with('0') {
                    inbound.extend(text(r#"40{"room":"battle","acks":true}"#));
                } else if packet == "2" {
                    inbound.extend(text("3"));
                }
                let id = packet.strip_prefix("42")?.split_once(r#"["tick","#)?.0;
                (id.parse().expect("a tick"), text(&format!("43{id}[]")))
            }
            Received::Text(json) if json.contains("state_update") => {
                let digits = json.rsplit_once(r#""tick":"#)?.1.split([',', '}']).next()?;
                let ack = text(&format!(r#"{{"type":"ack","tick":{digits}}}"#));
                (digits.parse().expect("a tick"), ack)
            }
            _ => return None,
        };
        self.acks.extend(ack);
        Some(tick)
    }

    fn acknowledge(&mut self, turn: &mut Turn<Network>) {
        client(turn).inbound.extend(self.acks.drain(..));
    }
}

fn bots() -> Turn<Network> {
    turn(&["--bots", "battle=4"])
}

// T79
#[test]
fn after_an_outage_a_client_has_the_newest_state_before_its_acknowledgement_arrives() {
    for dialect in DIALECTS {
        let mut turn = bots();
        let mut player = Player::join(&mut turn, dialect);
        let begin = player.tick(&turn);
        // The kernel takes what is written, and its peer gets nothing.
        pass(&mut turn, OUTAGE_MS);
        let old = player.receive(&mut turn);
        let last = *old.last().expect("some states before the credit ends");
        assert!(last <= begin + UNACKNOWLEDGED_TICKS_MAX, "{dialect:?}: {last} after {begin}");
        pass(&mut turn, TICK_MS);
        assert_eq!(player.receive(&mut turn), [player.tick(&turn)], "{dialect:?}: the newest one");
        for _ in 0..TICKS_PER_SECOND / 2 {
            pass(&mut turn, TICK_MS);
            let more = player.receive(&mut turn);
            assert!(more.is_empty(), "{dialect:?}: {more:?} without an acknowledgement");
        }
        player.acknowledge(&mut turn);
        pass(&mut turn, TICK_MS);
        assert_eq!(player.receive(&mut turn), [player.tick(&turn)], "{dialect:?}: it has credit");
    }
}

/// A page stops, while the kernel of its peer acknowledges everything on each of these ticks.
/// Returns the ticks that it is sent without credit, and how long it takes until it is closed.
fn freeze(dialect: Dialect, every: u32) -> (Vec<u32>, u32) {
    let mut turn = bots();
    let mut player = Player::join(&mut turn, dialect);
    let begin = player.tick(&turn);
    let mut received = Vec::new();
    while player.close.is_none() {
        pass(&mut turn, TICK_MS);
        let passed = player.tick(&turn) - begin;
        assert!(passed < 2 * STALL_TICKS, "{dialect:?}: it is not closed");
        if passed.is_multiple_of(every) {
            received.extend(player.receive(&mut turn));
        }
    }
    assert_eq!(player.close, Some(Some(4008)));
    // It has credit for 20 ticks and a round trip of one; in the last ones every fourth tick is sent.
    received.retain(|tick| *tick > begin + UNACKNOWLEDGED_TICKS + 5);
    (received, player.tick(&turn) - begin)
}

// T25
#[test]
fn a_frozen_page_gets_one_state_a_second_without_credit_at_most_and_is_closed_in_time() {
    for dialect in DIALECTS {
        let (uncredited, closed_after) = freeze(dialect, 1);
        assert!(uncredited.is_empty(), "{dialect:?}: {uncredited:?}");
        let in_time = STALL_TICKS..STALL_TICKS + 35;
        assert!(in_time.contains(&closed_after), "{dialect:?}: {closed_after} ticks");
        // A delayed acknowledgement does not count as a break of the network.
        let (uncredited, _) = freeze(dialect, 5);
        assert!(uncredited.is_empty(), "{dialect:?}: {uncredited:?}");
        // It stops for half a second, again and again.
        let (uncredited, late) = freeze(dialect, 10);
        assert!((5..=10).contains(&uncredited.len()), "{dialect:?}: {uncredited:?}");
        let are_apart = |two: &[u32]| two[1] - two[0] >= TICKS_PER_SECOND;
        assert!(uncredited.windows(2).all(are_apart), "{dialect:?}: {uncredited:?}");
        assert!((closed_after..closed_after + 10).contains(&late), "{dialect:?}: {late} ticks");
    }
}
