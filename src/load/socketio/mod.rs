//! A player of the battle over Socket.IO: joins, moves, attacks, and receives events
//! (docs/protocol.md, "The Socket.IO dialect").
//!
//! In reading order: [`message`] decodes packets, [`tracker`] keeps what the player knows, [`acks`]
//! the pending acknowledgements, [`steps`] chooses positions, [`engineio`] is the session.

mod acks;
mod engineio;
mod message;
mod steps;
mod tracker;

use self::engineio::Session;
pub use self::message::Position;
use self::steps::Area;
use self::tracker::Tracker;
use super::connect;
use super::context::Context;
use super::course::Course;
use super::loss::Loss;
use super::player::{Player, Role, Stage};
use super::probe::Due;
use crate::codec::events::ClientEvent;
use crate::codec::json::Direction;
use crate::config::{Acks, Dialect, Load, Pattern};
use crate::socketio::packet::{Header, Kind};

/// The packet that disconnects from the namespace.
const DISCONNECT: &[u8] = b"41";

/// The session of one player, and what it knows.
#[derive(Debug)]
pub struct Driver {
    session: Session,
    tracker: Tracker,
    /// The packet that joins, until it is sent.
    connect: Option<String>,
    acks: Acks,
    pattern: Pattern,
    course: Course,
    area: Area,
}

impl Driver {
    /// Opens a session for the client `index`.
    pub fn begin(options: &Load, index: usize, player: &mut Player) -> Driver {
        let target = connect::target(options, Dialect::SocketIo, index, "");
        let transport = options.transport();
        let authority = &options.url.authority;
        // A room name has no characters that JSON escapes.
        let auth = connect::room(options, index).map(|room| format!(r#"{{"room":"{room}"}}"#));
        Driver {
            session: Session::begin(
                authority,
                target,
                transport,
                options.deflate,
                &mut player.links,
            ),
            tracker: Tracker::default(),
            connect: Some(format!("40{}", auth.unwrap_or_default())),
            acks: options.acks(),
            pattern: options.pattern,
            course: Course::default(),
            area: Area::new(options.pattern, options.has_duels()),
        }
    }

    /// Handles bytes read from a connection.
    ///
    /// # Errors
    /// Why the client is lost.
    pub fn receive(
        &mut self,
        link: usize,
        bytes: &[u8],
        player: &mut Player,
        context: &mut Context,
    ) -> Result<(), Loss> {
        // Received events change the player, and responses change its connections.
        let mut links = std::mem::take(&mut player.links);
        let was_established = self.session.is_established();
        let tracker = &mut self.tracker;
        let mut handle = |received: engineio::Received, context: &mut Context| {
            tracker.handle(received, player, context)
        };
        let result = self.session.receive(link, bytes, &mut links, context, &mut handle);
        player.links = links;
        match result {
            // Prefer this to the end of the session, but not to a close frame, which has a code.
            Ok(()) | Err(Loss::Ended) if self.tracker.is_disconnected() => {
                return Err(Loss::Disconnected);
            }
            result => result?,
        }
        if self.session.is_open()
            && let Some(connect) = self.connect.take()
        {
            self.session.send(connect.as_bytes(), &mut player.links, context);
        }
        if self.session.is_established() && !was_established {
            self.tracker.separate_by_pauses();
        }
        if player.stage == Stage::Joining
            && self.session.is_established()
            && self.tracker.has_joined()
        {
            player.enter(context);
        }
        Ok(())
    }

    /// Handles the end of a connection.
    ///
    /// # Errors
    /// [`Loss::Eof`] if that ends the session.
    pub fn hang_up(&mut self, link: usize, player: &mut Player) -> Result<(), Loss> {
        self.session.hang_up(link, &mut player.links)
    }

    /// Makes a move of its pattern.
    pub fn make_move(&mut self, intended_us: u64, player: &mut Player, context: &mut Context) {
        let at = self.tracker.place().unwrap_or(steps::MIDDLE);
        let to = match self.pattern {
            Pattern::Straight => {
                let direction = self.course.ahead(context.now_us, context.rng);
                self.area.ahead(at, direction)
            }
            Pattern::Random | Pattern::Crowd => Some(self.area.anywhere(at, context.rng)),
        };
        match to {
            Some(to) => self.go(to, intended_us, self.acks == Acks::All, player, context),
            None => self.course.turn(),
        }
    }

    /// Moves towards the place of the crowd.
    pub fn gather(&mut self, intended_us: u64, player: &mut Player, context: &mut Context) {
        let at = self.tracker.place().unwrap_or(steps::MIDDLE);
        if let Some(to) = self.area.nearer(at).filter(|_| self.tracker.is_alive(context.now_us)) {
            player.forget_moves();
            self.go(to, intended_us, self.acks == Acks::All, player, context);
        }
    }

    /// Makes the move of a probe for the moment `intended_us`.
    pub fn probe(&mut self, intended_us: u64, player: &mut Player, context: &mut Context) -> Due {
        let asks = self.acks != Acks::None;
        if !self.tracker.is_alive(context.now_us) {
            return Due::NotReady;
        }
        let due = player.due(intended_us, context);
        let at = self.tracker.place();
        match (due, at) {
            (Due::Send(direction), Some(at)) => {
                let is_left = direction == Direction::Left;
                let x = if is_left { at.x - steps::STEP } else { at.x + steps::STEP };
                self.go(Position { x, ..at }, intended_us, asks, player, context);
            }
            // Some servers send the position of a player only when it moves.
            (Due::NotReady, None) => {
                self.go(steps::MIDDLE, intended_us, asks, player, context);
            }
            (Due::NotReady, Some(at)) => player.see(at.x, context),
            _ => {}
        }
        due
    }

    /// Attacks: in a duel for the moment `intended_us`; otherwise if no duel is in reach.
    pub fn attack(&mut self, intended_us: u64, player: &mut Player, context: &mut Context) {
        let is_duel_attack = matches!(player.role, Role::Duelist(_));
        let is_in_crowd = self.tracker.place().is_some_and(|at| steps::is_far_from_duels(at.x));
        let may = is_duel_attack || (is_in_crowd && self.tracker.is_alive(context.now_us));
        if !may {
            return;
        }
        let asks = self.acks == Acks::All || (is_duel_attack && self.acks == Acks::Probes);
        let is_sent = self.emit(&ClientEvent::Attack, asks.then_some(intended_us), player, context);
        context.tally.counters.record_attack(is_sent);
    }

    /// Moves towards the position of its duel.
    pub fn walk(&mut self, intended_us: u64, player: &mut Player, context: &mut Context) {
        let Role::Duelist(duelist) = &player.role else { return };
        let place = duelist.place;
        if self.tracker.place() != Some(place) && self.tracker.is_alive(context.now_us) {
            self.go(place, intended_us, self.acks == Acks::All, player, context);
        }
    }

    /// Whether it is alive and at the position of its duel.
    #[must_use]
    pub fn is_ready_to_fight(&self, player: &Player, now_us: u64) -> bool {
        let Role::Duelist(duelist) = &player.role else { return false };
        self.tracker.place() == Some(duelist.place) && self.tracker.is_alive(now_us)
    }

    /// Disconnects.
    pub fn close(&mut self, player: &mut Player, context: &mut Context) {
        self.session.leave(DISCONNECT, &mut player.links, context);
    }

    /// Sends a move, and requests an acknowledgement if `asks` is set.
    fn go(
        &mut self,
        to: Position,
        intended_us: u64,
        asks: bool,
        player: &mut Player,
        context: &mut Context,
    ) {
        let event = ClientEvent::Move { x: to.x, y: to.y };
        let is_sent = self.emit(&event, asks.then_some(intended_us), player, context);
        context.tally.counters.record_move(is_sent);
    }

    /// Sends an event. With `asked_us`, requests an acknowledgement that is timed from then on.
    fn emit(
        &mut self,
        event: &ClientEvent,
        asked_us: Option<u64>,
        player: &mut Player,
        context: &mut Context,
    ) -> bool {
        let is_duel_attack =
            *event == ClientEvent::Attack && matches!(player.role, Role::Duelist(_));
        let id = asked_us.map(|intended_us| self.tracker.acks.add(intended_us, is_duel_attack));
        let mut packet = vec![b'4'];
        Header::new(Kind::Event, "/", id).encode(&mut packet);
        event.encode(&mut packet);
        let is_sent = self.session.send(&packet, &mut player.links, context);
        match (asked_us, id) {
            (Some(intended_us), _) if is_sent => context.tally.record_ack_asked(intended_us),
            // An event that was not sent is not acknowledged.
            (_, Some(id)) => drop(self.tracker.acks.take(id)),
            _ => {}
        }
        is_sent
    }
}

#[cfg(test)]
mod tests;
