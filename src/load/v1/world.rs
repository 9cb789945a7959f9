//! A player in the game, after WELCOME.

use rand::RngExt;

use super::LINK;
use super::controls::{self, Controls, STEP_US};
use super::known::Known;
use super::turns::Turn;
use super::view::{Outcome, Resync, View};
use super::walk::Walked;
use crate::codec::json::Direction;
use crate::codec::v1::client::{ClientMessage, encode_who};
use crate::codec::v1::schema::Walls;
use crate::codec::v1::server::Head;
use crate::codec::v1::welcome::Welcome;
use crate::codec::v1::{Course, HEAD_TICKS, Schema};
use crate::config::Pattern;
use crate::load::context::Context;
use crate::load::player::Player;
use crate::load::probe::Due;
use crate::load::socket::{self, Outgoing};

const DIRECTIONS: [Course; 4] = [Course::Up, Course::Down, Course::Left, Course::Right];

/// Time to gather that is left for delays.
const SPARE_US: u64 = 2_000_000;

/// A player in the game.
#[derive(Debug)]
pub struct World {
    schema: Schema,
    slot: u16,
    generation: u8,
    observer: Option<u8>,
    room: u32,
    pattern: Pattern,
    /// The place of a crowd ends here.
    crowd: (u16, u16),
    /// Whether it is a player of a crowd on the way to its place.
    is_gathering: bool,
    view: View,
    resync: Resync,
    known: Known,
    controls: Controls,
    /// The newest HEAD that was applied, and when it was received.
    head: Option<(Head, u64)>,
    /// The `seq` of the pending move of a probe.
    probe_seq: Option<u16>,
}

impl World {
    /// The game of a player that has received WELCOME.
    pub fn new(
        welcome: &Welcome,
        observer: Option<u8>,
        room: u32,
        pattern: Pattern,
        context: &mut Context,
    ) -> World {
        let schema = welcome.schema();
        let [width, height] = welcome.view.map(|length| length / 2);
        let (left, top) = (schema.walls.left, schema.walls.top);
        World {
            view: View::new(&schema, observer.is_some()),
            slot: welcome.slot,
            generation: welcome.generation,
            observer,
            room,
            pattern,
            crowd: (left.saturating_add(width), top.saturating_add(height)),
            is_gathering: pattern == Pattern::Crowd,
            resync: Resync::default(),
            known: Known::default(),
            controls: Controls::new(context.rng.random(), context.now_us),
            head: None,
            probe_seq: None,
            schema,
        }
    }

    /// Handles another WELCOME. What the player uses of it never changes.
    pub fn receive_welcome(
        &mut self,
        message: &[u8],
        message_bytes: u64,
        player: &mut Player,
        context: &mut Context,
    ) {
        context.tally.counters.v1.welcome_bytes += message_bytes;
        let is_same = Welcome::decode(message).is_ok_and(|again| again.schema() == self.schema);
        if !is_same {
            self.refuse(Outcome::Malformed, player, context);
        }
    }

    /// Handles another message. `message_bytes` is its length with frame headers.
    pub fn receive(
        &mut self,
        message: &[u8],
        message_bytes: u64,
        player: &mut Player,
        context: &mut Context,
    ) {
        let walked = context.v1.walker.walk(message, &self.schema, |slot, generation| {
            self.known.see(slot, generation);
        });
        let Ok(walked) = walked else {
            context.tally.counters.v1.tick_bytes += message_bytes;
            self.view.refuse(message);
            return self.refuse(Outcome::Malformed, player, context);
        };
        self.count(&walked, message_bytes, context);
        let in_view = match self.observer {
            Some(_) => context.v1.turns.in_view(self.room, |slot| self.view.body(slot)),
            None => 0,
        };
        match self.view.receive(message, &walked) {
            Outcome::Applied => {
                if let Some(head) = walked.head {
                    self.apply(head, walked.quiet_ticks(), player, context);
                    self.observe(in_view, context);
                }
            }
            outcome => self.refuse(outcome, player, context),
        }
    }

    fn count(&self, walked: &Walked, message_bytes: u64, context: &mut Context) {
        let counts = &mut context.tally.counters.v1;
        counts.roster_entries += walked.roster_entries;
        counts.roster_bytes += walked.roster_bytes;
        let is_keyframe = walked.head.is_some_and(|head| head.age == 0);
        let bytes = if is_keyframe { &mut counts.keyframe_bytes } else { &mut counts.tick_bytes };
        *bytes += message_bytes.saturating_sub(walked.roster_bytes);
        if self.observer.is_some() {
            counts.checks += walked.checks;
        }
    }

    /// A message was refused: the player needs a keyframe.
    fn refuse(&mut self, outcome: Outcome, player: &mut Player, context: &mut Context) {
        let counts = &mut context.tally.counters.v1;
        match outcome {
            Outcome::Applied => {}
            Outcome::WrongBase => counts.refused += 1,
            Outcome::WrongSum => counts.check_errors += 1,
            Outcome::Malformed => counts.malformed += 1,
        }
        if self.resync.refuse() {
            counts.resyncs += 1;
            send(&ClientMessage::Resync, player, context);
        }
    }

    /// Handles a HEAD that was applied, after some ticks about which there was nothing to say. The
    /// player has seen these ticks, too.
    fn apply(&mut self, head: Head, quiet: u8, player: &mut Player, context: &mut Context) {
        self.resync.end();
        context.tally.counters.updates += 1;
        player.updates += 1 + u32::from(quiet);
        let counts = &mut context.tally.counters.v1;
        counts.quiet += u64::from(quiet);
        counts.keyframes += u64::from(head.age == 0);
        counts.skipped += u64::from(head.age > 1 + quiet);
        counts.crowded += u64::from(head.flags & Head::CROWDED != 0);
        let before = self.head.replace((head, context.now_us));
        if let Some((before, received_us)) = before {
            counts.ticks += u64::from(head.tick.0.wrapping_sub(before.tick.0));
            let seen_us = received_us + u64::from(quiet) * STEP_US;
            context.tally.record_gap(seen_us.min(context.now_us), context.now_us);
        }
        self.controls.adjust(&head, context.now_us);
        let is_dead = head.flags & Head::DEAD != 0;
        if is_dead {
            player.forget_moves();
            self.probe_seq = None;
        } else {
            player.stand(f64::from(head.x));
        }
        if self.probe_seq.take_if(|seq| controls::is_run(*seq, &head)).is_some() {
            player.see_move(context);
        }
        if before.is_none() || head.flags & Head::ACKNOWLEDGE != 0 {
            self.send_input(player, context);
        }
    }

    /// Ticks since its newest HEAD about which there was nothing to say so far. The next HEAD says
    /// so, on a tick that is divisible by 10 at the latest.
    #[must_use]
    pub fn quiet_ticks(&self, now_us: u64) -> u32 {
        let sent = self.head.as_ref().filter(|(head, _)| head.flags & Head::RATE_LOWERED == 0);
        let Some((head, received_us)) = sent else { return 0 };
        let passed = now_us.saturating_sub(*received_us) / STEP_US;
        (HEAD_TICKS - 1 - head.tick.0 % HEAD_TICKS).min(passed as u32)
    }

    /// An observer times the changes of course that it sees.
    fn observe(&self, in_view: u64, context: &mut Context) {
        let Some(observer) = self.observer else { return };
        let (place, body) = ((self.room, self.slot), |slot| self.view.body(slot));
        let seen = context.v1.turns.observe(observer, place, in_view, body);
        seen.into_iter().for_each(|at_us| context.tally.record_turn(at_us, context.now_us));
    }

    /// Sends INPUT, once a tick was received, and with it a WHO if there are bodies to ask about.
    /// Returns the `seq` of the INPUT, if it was sent.
    pub fn send_input(&mut self, player: &mut Player, context: &mut Context) -> Option<u16> {
        let (head, received_us) = self.head.as_ref()?;
        let input = self.controls.input(head, *received_us, context.now_us);
        let is_sent = send(&ClientMessage::Input(input), player, context);
        context.tally.counters.v1.inputs += u64::from(is_sent);
        if let Some(bodies) = self.known.next_who(context.now_us) {
            let mut who = Vec::with_capacity(2 + 3 * bodies.len());
            encode_who(bodies.into_iter(), &mut who);
            socket::send(Outgoing::Binary(&who), &mut player.links[LINK], context.rng);
        }
        is_sent.then_some(input.seq)
    }

    /// Changes the course as the pattern says.
    pub fn change_course(&mut self, player: &mut Player, context: &mut Context) {
        let Some((head, _)) = &self.head else { return };
        let at = (head.x, head.y);
        let is_free = |course: &Course| self.schema.walk(at, *course, 1) != at;
        let is_change = |course: &Course| *course != self.controls.direction;
        let mut courses: Vec<Course> = DIRECTIONS.into_iter().filter(is_free).collect();
        match self.pattern {
            Pattern::Random => courses.push(Course::None),
            Pattern::Straight => {}
            Pattern::Crowd => {
                let back = self.ways_to_crowd(at);
                if back.iter().any(is_change) {
                    courses = back;
                }
            }
        }
        courses.retain(is_change);
        if !courses.is_empty() {
            let course = courses[context.rng.random_range(0..courses.len())];
            self.turn(course, player, context);
        }
    }

    /// The directions that lead to the place of a crowd; none inside.
    fn ways_to_crowd(&self, (x, y): (u16, u16)) -> Vec<Course> {
        let (right, bottom) = self.crowd;
        let ways = [(x > right, Course::Left), (y > bottom, Course::Up)];
        ways.into_iter().filter(|(is_outside, _)| *is_outside).map(|(_, course)| course).collect()
    }

    /// How long it takes to cross the map in both directions.
    #[must_use]
    pub fn gather_us(&self) -> u64 {
        let Walls { left, top, right, bottom } = self.schema.walls;
        let units = u64::from(right.saturating_sub(left)) + u64::from(bottom.saturating_sub(top));
        // It may pass each corner before it turns.
        units * STEP_US / u64::from(self.schema.step.max(1)) + SPARE_US
    }

    /// Goes towards the place of the crowd, and stops there.
    pub fn gather(&mut self, player: &mut Player, context: &mut Context) {
        let Some((head, _)) = self.head.as_ref().filter(|_| self.is_gathering) else { return };
        let course = self.ways_to_crowd((head.x, head.y)).first().copied().unwrap_or_default();
        if course == Course::None {
            self.is_gathering = false;
            context.tally.counters.v1.gathered += 1;
        }
        if course != self.controls.direction {
            self.turn(course, player, context);
        }
    }

    /// Makes the move of a probe for the moment `intended_us`: left and right in turn.
    pub fn probe(&mut self, intended_us: u64, player: &mut Player, context: &mut Context) -> Due {
        if self.is_gathering {
            return Due::NotReady;
        }
        let due = player.due(intended_us, context);
        if let Due::Send(direction) = due {
            let course = match direction {
                Direction::Left => Course::Left,
                _ => Course::Right,
            };
            self.probe_seq = self.turn(course, player, context);
            let (room, slot, generation) = (self.room, self.slot, self.generation);
            context.v1.turns.begin(Turn { room, slot, generation, course, intended_us });
        }
        due
    }

    /// Presses the attack key.
    pub fn attack(&mut self, player: &mut Player, context: &mut Context) {
        if self.head.is_some() {
            self.controls.press();
            let is_sent = self.send_input(player, context).is_some();
            context.tally.counters.record_attack(is_sent);
        }
    }

    /// Holds another direction. Returns the `seq` of the INPUT, if it was sent.
    fn turn(&mut self, course: Course, player: &mut Player, context: &mut Context) -> Option<u16> {
        self.controls.direction = course;
        let seq = self.send_input(player, context);
        context.tally.counters.record_move(seq.is_some());
        seq
    }
}

fn send(message: &ClientMessage, player: &mut Player, context: &mut Context) -> bool {
    let mut bytes = Vec::with_capacity(8);
    message.encode(&mut bytes);
    socket::send(Outgoing::Binary(&bytes), &mut player.links[LINK], context.rng)
}
