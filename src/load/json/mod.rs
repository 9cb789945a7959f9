//! A player of the JSON dialect: sends moves, and finds itself in the states.

pub mod state;

use self::state::Search;
use super::context::Context;
use super::course::Course;
use super::loss::Loss;
use super::player::Player;
use super::probe::Due;
use super::socket::{self, Incoming, Outgoing, Socket};
use crate::codec::json::{ClientMessage, Direction};
use crate::config::Pattern;
use crate::ws::close;

/// The only connection.
const LINK: usize = 0;

/// The state of its connection.
#[derive(Debug)]
pub struct Driver {
    socket: Socket,
    search: Option<Search>,
    pattern: Pattern,
    course: Course,
    /// When it received the last state.
    seen_us: Option<u64>,
}

impl Driver {
    /// Opens a WebSocket with the handshake `request`, which offers to compress messages if
    /// `deflate`.
    pub fn begin(request: &[u8], pattern: Pattern, deflate: bool, player: &mut Player) -> Driver {
        player.links[LINK].send(request);
        Driver {
            socket: Socket::new(state::is_state, deflate),
            search: None,
            pattern,
            course: Course::default(),
            seen_us: None,
        }
    }

    /// Handles received bytes.
    ///
    /// # Errors
    /// Why the client is lost.
    pub fn receive(
        &mut self,
        mut bytes: &[u8],
        player: &mut Player,
        context: &mut Context,
    ) -> Result<(), Loss> {
        while !bytes.is_empty() {
            let is_looking = player.probe().is_some_and(|probe| probe.is_looking());
            let keeps = is_looking && self.search.is_some();
            let link = &mut player.links[LINK];
            let (taken, incoming) = self.socket.next(bytes, keeps, link, context)?;
            bytes = &bytes[taken..];
            match incoming {
                Incoming::Opened => player.enter(context),
                Incoming::Bulk(text) => {
                    context.tally.counters.updates += 1;
                    player.updates += 1;
                    if let Some(seen_us) = self.seen_us.replace(context.now_us) {
                        context.tally.record_gap(seen_us, context.now_us);
                    }
                    let x =
                        self.search.as_mut().zip(text).and_then(|(search, text)| search.x_in(text));
                    if let Some(x) = x {
                        player.see(x, context);
                    }
                }
                Incoming::Text(text) => {
                    if let Some(id) = text.and_then(state::id_of_init) {
                        self.search = Some(Search::new(id));
                    }
                }
                Incoming::Nothing => {}
            }
        }
        Ok(())
    }

    /// Makes a step of its movement pattern.
    pub fn make_move(&mut self, player: &mut Player, context: &mut Context) {
        let direction = self.course.step(self.pattern, context.now_us, context.rng);
        self.step(direction, player, context);
    }

    /// Makes a step towards the place of the crowd.
    pub fn gather(&mut self, player: &mut Player, context: &mut Context) {
        let direction = self.course.corner_step();
        self.step(direction, player, context);
        player.forget_moves();
    }

    /// Makes the move of a probe for the moment `intended_us`.
    pub fn probe(&mut self, intended_us: u64, player: &mut Player, context: &mut Context) -> Due {
        let due = player.due(intended_us, context);
        if let Due::Send(direction) = due {
            self.step(direction, player, context);
        }
        due
    }

    /// Attacks.
    pub fn attack(&mut self, player: &mut Player, context: &mut Context) {
        let is_sent = self.send(&ClientMessage::Attack, player, context);
        context.tally.counters.record_attack(is_sent);
    }

    /// Sends a close frame.
    pub fn close(&mut self, player: &mut Player, context: &mut Context) {
        let payload = close::payload(1000, "");
        socket::send(Outgoing::Close(&payload), &mut player.links[LINK], context.rng);
    }

    fn step(&mut self, direction: Direction, player: &mut Player, context: &mut Context) {
        let is_sent = self.send(&ClientMessage::Move(direction), player, context);
        context.tally.counters.record_move(is_sent);
    }

    fn send(
        &mut self,
        message: &ClientMessage,
        player: &mut Player,
        context: &mut Context,
    ) -> bool {
        let mut text = Vec::with_capacity(64);
        message.encode(&mut text);
        socket::send(Outgoing::Text(&text), &mut player.links[LINK], context.rng)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;
    use crate::load::context::Common;
    use crate::load::duel::Duels;
    use crate::load::groups::{Group, Tallies};
    use crate::load::player::{Role, Stage};
    use crate::load::probe::Probe;
    use crate::load::v1::Shared;
    use crate::ws::frame::{CLOSE, PING, TEXT, encode};

    const ACCEPTED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    fn state(x: u16) -> String {
        format!(
            r##"{{"type":"state_update","players":[{{"id":"7","x":{x},"y":9,"color":"#000000"}}]}}"##
        )
    }

    #[test]
    fn a_session_byte_by_byte() {
        let mut tallies = Tallies::new();
        tallies.set_window(&(0..1_000_000));
        let mut common = Common {
            now_us: 500,
            tallies,
            duels: Duels::default(),
            v1: Shared::default(),
            rng: SmallRng::seed_from_u64(1),
        };
        let mut player = Player::new(0, Role::Probe(Box::<Probe>::default()));
        let mut driver = Driver::begin(b"GET", Pattern::Random, false, &mut player);
        assert_eq!(
            (player.links[LINK].is_wanted, &player.links[LINK].out[..]),
            (true, &b"GET"[..])
        );
        player.links[LINK].out.clear();
        let mut stream = ACCEPTED.to_vec();
        encode(TEXT, br#"{"type":"init","id":"7"}"#, &mut stream);
        encode(TEXT, state(100).as_bytes(), &mut stream);
        encode(PING, b"hi", &mut stream);
        for byte in &stream {
            driver.receive(&[*byte], &mut player, &mut common.context(Group::Json)).unwrap();
        }
        let tally = &common.tallies[Group::Json];
        assert_eq!((player.stage, tally.playing, player.updates), (Stage::Playing, 1, 1));
        assert_eq!((tally.counters.frames, tally.counters.updates), (3, 1));
        assert_eq!(player.links[LINK].out.len(), 2 + 4 + 2, "the pong");

        let mut context = common.context(Group::Json);
        let due = driver.probe(1_000, &mut player, &mut context);
        assert_eq!(due, Due::Send(Direction::Left));
        player.links[LINK].out.clear();
        context.now_us = 31_000;
        let mut stream = Vec::new();
        encode(TEXT, br#"{"type":"state_update","players":[]}"#, &mut stream);
        driver.receive(&stream, &mut player, &mut context).unwrap();
        assert_eq!(context.tally.counters.probes_visible, 0, "it is not there");
        let mut stream = Vec::new();
        encode(TEXT, state(90).as_bytes(), &mut stream);
        encode(CLOSE, &close::payload(4012, "later"), &mut stream);
        let end = driver.receive(&stream, &mut player, &mut context);
        assert_eq!(end, Err(Loss::Closed(Some(4012), "later".to_owned())));
        assert!(context.tally.visible_us.max().abs_diff(30_000) < 100, "three digits");
        assert_eq!(player.links[LINK].out.len(), 2 + 4 + 2, "the close frame");
    }
}
