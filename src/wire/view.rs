//! What one client has received of its room, and what it receives next.

use std::hint::black_box;

use super::compression::{Compression, Window};
use super::credit::{Acknowledged, Credit, Grant};
use super::encodings::{Encodings, Framing};
use super::v1::{self, KeyframeBytes, Viewer};
use super::{Dialect, Input, Message, Rejection, Welcome};
use crate::codec::v1::client;
use crate::game::{Event, Fact, Frame, HeldKeys, PlayerId, Rules, World};
use crate::outbox::{Encoded, Taken, Update};
use crate::time::{Millis, TICKS_PER_SECOND, Tick};
use crate::ws::frame;

/// What one client has received of its room.
#[derive(Debug)]
pub struct View {
    /// Its dialect.
    pub dialect: Dialect,
    /// The requested states per second.
    pub hz: u8,
    /// The states per second that its room allows.
    pub hz_max: u8,
    player: PlayerId,
    /// The newest tick before it joined.
    joined: Tick,
    /// Whether it has received a part of a state that needs no other. Before that it receives no
    /// facts: this state shows their outcome.
    has_begun: bool,
    /// Whether it has recovered: it has all facts, and lacks positions until its next state.
    lacks_places: bool,
    /// The newest tick whose state is due.
    due: Tick,
    /// The newest tick whose state was taken completely.
    known: Tick,
    /// The tick of the state that was last made for it, if `has_made`.
    made: Tick,
    has_made: bool,
    /// What its inflater's window ends with; `None` for anything that is not known.
    window: Option<Window>,
    /// What the window will end with once the first byte of the update that was last made for it
    /// is taken; `None` if the update is not compressed.
    window_made: Option<Window>,
    /// What it has of a room, if its dialect is skirmish.v1.
    viewer: Option<Box<Viewer>>,
    /// From the first state on that it acknowledges, or from the join if it is asked to.
    credit: Option<Credit>,
    /// Whether the state that was last made for it asks for an acknowledgement.
    made_asks: bool,
}

/// What makes the encoded forms of updates, reused for all rooms.
#[derive(Debug, Default)]
pub struct Encoder {
    /// The compressor.
    pub compression: Compression,
    scratch: Vec<u8>,
    /// A frame of one client, behind [`frame::HEADROOM`], and where it begins.
    message: Vec<u8>,
    message_at: usize,
    /// The bytes for keyframes of skirmish.v1 on this tick.
    keyframe_bytes: KeyframeBytes,
    /// Keyframes that were not made on a tick, because others took all bytes for them.
    pub keyframes_deferred: u64,
}

impl Encoder {
    /// Renews what may be done until the next tick: `keyframe_bytes` of keyframes of skirmish.v1.
    pub fn begin_tick(&mut self, keyframe_bytes: usize) {
        self.compression.begin_tick();
        self.keyframe_bytes = KeyframeBytes::new(keyframe_bytes);
    }

    /// The frame that [`View::message`] has made.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message[self.message_at..]
    }
}

/// What a room has for its clients.
#[derive(Clone, Copy, Debug)]
pub struct News<'a> {
    /// The newest frame.
    pub frame: &'a Frame,
    /// What has happened since the frame.
    pub facts: &'a [Fact],
    /// The world as it is now.
    pub world: &'a World,
}

/// What an INPUT says.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// The keys.
    pub keys: HeldKeys,
    /// Whether they are not those that the client has sent before: it repeats them.
    pub is_new: bool,
    /// What follows from the tick that it acknowledges.
    pub acknowledged: Option<Acknowledged>,
}

/// What follows from a new tick for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owe {
    /// It is owed nothing: its rate gives it no state on this tick.
    Nothing,
    /// It is owed the state of this tick.
    Due,
    /// The same, and an earlier one, which it was still owed, is skipped.
    Skipped,
    /// It gets no state until it acknowledges earlier ones, or fewer of them.
    NoCredit,
    /// It has acknowledged none for too long.
    TooSlow,
    /// Its rate gives it no state on this tick, but it is still owed an earlier one. It receives
    /// the newest instead.
    Late,
}

impl View {
    /// The view of a player that joins after `tick` and before the next one.
    #[must_use]
    pub fn new(dialect: Dialect, player: PlayerId, tick: Tick) -> View {
        View {
            dialect,
            hz: TICKS_PER_SECOND as u8,
            hz_max: TICKS_PER_SECOND as u8,
            player,
            joined: tick,
            has_begun: dialect.has_full_updates(),
            lacks_places: false,
            due: tick,
            known: tick,
            made: tick,
            has_made: false,
            window: None,
            window_made: None,
            viewer: dialect.has_own_messages().then(Box::default),
            credit: None,
            made_asks: false,
        }
    }

    /// The same for a client that asks to be asked for acknowledgements.
    #[must_use]
    pub fn asking(self) -> View {
        let joined = self.joined;
        View { credit: Some(Credit::asking(joined)), ..self }
    }

    /// The client goes on where it was lost, at the `hz` that it had requested: it is sent the
    /// facts that it missed, and then a state with all positions.
    pub fn recover(&mut self, hz: u8) {
        (self.has_begun, self.lacks_places, self.hz) = (true, true, hz);
    }

    /// Its player.
    #[must_use]
    pub fn player(&self) -> PlayerId {
        self.player
    }

    /// The first message: its player, its room, and the numbers of the rules. `None` if the room
    /// has too many players for its dialect.
    #[must_use]
    pub fn welcome(&self, welcome: &Welcome, encodings: &mut Encodings) -> Option<Encoded> {
        self.dialect.welcome(self.player, welcome, encodings)
    }

    /// Decodes a message in a room of these rules.
    ///
    /// # Errors
    /// The message is malformed.
    pub fn decode<'a>(&self, message: &Message<'a>, rules: &Rules) -> Result<Input<'a>, Rejection> {
        self.dialect.decode(message, rules)
    }

    /// The answer to a message, if the client expects one. `outcome` is what was done, or why
    /// nothing was.
    #[must_use]
    pub fn answer(
        &self,
        message: &Message,
        outcome: Result<Input, Rejection>,
        news: News,
        encodings: &mut Encodings,
        now: Millis,
    ) -> Option<Encoded> {
        let News { frame, world, .. } = news;
        if let (Some(viewer), Ok(Input::Who(bodies))) = (&self.viewer, outcome) {
            let history = encodings.history(world);
            return viewer.is_ping(bodies).then(|| v1::roster(bodies, history, frame));
        }
        self.dialect.answer(message, outcome, self.player, world, now)
    }

    /// The client has lost its base: its next message needs no other.
    pub fn resync(&mut self) {
        if let Some(viewer) = &mut self.viewer {
            viewer.resync();
        }
    }

    /// What an INPUT that was received now says. `None` if the dialect of the client has none.
    pub fn hold(&mut self, input: &client::Input, world: &World) -> Option<Held> {
        let (viewer, joined) = (self.viewer.as_mut()?, self.joined);
        let credit = self.credit.get_or_insert_with(|| {
            Credit::since(joined).with_sent(viewer.base().unwrap_or(joined))
        });
        let (keys, acknowledged) = v1::hold(self.player, viewer, credit, input, world);
        Some(Held { keys, is_new: viewer.changes_keys(keys), acknowledged })
    }

    /// The client has the state of a tick, says a message that was received before the tick after
    /// `now`.
    pub fn acknowledge(&mut self, tick: Tick, now: Tick) -> Option<Acknowledged> {
        let (known, joined) = (self.known, self.joined);
        let credit = self.credit.get_or_insert_with(|| Credit::since(joined).with_sent(known));
        credit.acknowledge(tick, 0, known, now)
    }

    /// The client has answered the state of a tick that asked for an acknowledgement, says a
    /// message that was received before the tick after `now`.
    pub fn answered(&mut self, tick: Tick, now: Tick) -> Option<Acknowledged> {
        self.credit.as_mut()?.answer(tick, now)
    }

    /// The client asks for the players of bodies: slots and generations. It gets them with its next
    /// states, or at once, as an answer, if it asks for its own one alone: that is a ping.
    ///
    /// # Errors
    /// It asks too often, or for too many.
    pub fn ask_who(&mut self, bodies: &[[u8; 3]], now: Tick) -> Result<(), Rejection> {
        let Some(viewer) = &mut self.viewer else { return Err(Rejection::Unknown) };
        if viewer.ask_who(bodies, now) { Ok(()) } else { Err(Rejection::Rate) }
    }

    /// Makes the state of `tick` due, if it is at the rate of the client. The first one always is.
    pub fn owe(&mut self, tick: Tick) -> Owe {
        let was_owed = self.is_owed();
        // Kept no longer than it can be used.
        self.window.take_if(|window| !window.is_usable_on(tick));
        if let Some(credit) = &mut self.credit {
            match credit.grant(credit.sent(), tick) {
                Grant::Send => {}
                Grant::Skip => return Owe::NoCredit,
                Grant::End => return Owe::TooSlow,
            }
        }
        let needs_other = self.has_begun && !self.lacks_places;
        if needs_other && !tick.is_due_at(self.hz.min(self.hz_max).into()) {
            return if was_owed { Owe::Late } else { Owe::Nothing };
        }
        self.due = tick;
        if was_owed { Owe::Skipped } else { Owe::Due }
    }

    /// Whether it gets no state until it acknowledges others.
    #[must_use]
    pub fn is_out_of_credit(&self) -> bool {
        self.credit.as_ref().is_some_and(Credit::is_out_of_credit)
    }

    /// Call it once a tick while [`View::is_out_of_credit`]. `is_delivered`: whether the kernel of
    /// its peer has acknowledged all bytes. If it has, after a break of the network, a state is
    /// due.
    pub fn record_delivery(&mut self, is_delivered: bool) {
        if let Some(credit) = &mut self.credit {
            credit.record_delivery(is_delivered);
        }
    }

    /// Whether it is owed a state.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        self.due.is_after(self.known)
    }

    /// How many ticks older the newest state that the client has is than that of `now`: the one
    /// that it has acknowledged, if it does so, or else the one that the kernel has taken. 0 if it
    /// has all that it is owed.
    #[must_use]
    pub fn behind_ticks(&self, now: Tick) -> u32 {
        let untaken = if self.is_owed() { now.0.wrapping_sub(self.known.0) } else { 0 };
        let unacknowledged = self.credit.as_ref().map_or(0, |credit| credit.age_ticks(now));
        untaken.max(unacknowledged)
    }

    /// The round trip of the client in ticks, if it acknowledges states.
    #[must_use]
    pub fn rtt_ticks(&self) -> Option<u32> {
        self.credit.as_ref().and_then(Credit::rtt_ticks)
    }

    /// The update from what the client has received to the newest frame of the room, in a
    /// `framing`. `None` if it is owed none, or if nothing has changed since.
    pub fn update(
        &mut self,
        news: News,
        encodings: &mut Encodings,
        framing: Framing,
        encoder: &mut Encoder,
    ) -> Option<Update> {
        if !self.is_owed() {
            return None;
        }
        let News { frame, facts, world } = news;
        (self.made, self.has_made) = (frame.tick(), true);
        let (dialect, known) = (self.dialect, self.known);
        (self.window_made, self.made_asks) = (None, false);
        let update = if self.lacks_places {
            Some(encodings.recovered_update(self.player, frame.snapshot(), framing))
        } else if self.has_begun {
            let base = (!dialect.has_full_updates()).then_some(known);
            let Encoder { compression, scratch, .. } = encoder;
            let make = || dialect.update(known, frame.snapshot(), scratch);
            let found = encodings.find(dialect, base, make);
            self.made_asks = found.is_some()
                && self.credit.as_ref().is_some_and(|credit| credit.asks(frame.tick()));
            let is_polling = framing == Framing::Polling;
            let question =
                (self.made_asks && !is_polling).then(|| encodings.question(frame.tick()));
            found.map(|found| {
                let state = match framing {
                    Framing::WebSocket => encodings.frames(found),
                    Framing::Polling if self.made_asks => {
                        return encodings.asking_payload(found, frame.tick()).into();
                    }
                    Framing::Polling => encodings.payload(found),
                    Framing::Deflate { keeps_history } => {
                        let window = self.window.as_ref().filter(|_| keeps_history);
                        let plain = encodings.frames(found);
                        match encodings.compressed(found, window, compression) {
                            None => plain,
                            Some(compressed) => {
                                self.window_made = Some(Window::ending_with(plain, frame.tick()));
                                compressed
                            }
                        }
                    }
                };
                match question {
                    None => state.into(),
                    Some(question) => Update::Several(Box::new([question, state].into())),
                }
            })
        } else {
            let is_own = |fact: &Fact| fact.event == Event::OwnerFields(self.player);
            let own = facts.iter().any(is_own).then(|| dialect.own(self.player, world));
            let snapshot = frame.snapshot();
            Some(encodings.first_update(self.player, snapshot, own.flatten(), framing))
        };
        if update.is_none() {
            self.known = frame.tick();
        }
        update
    }

    /// Makes the frame with what the client has not received up to the newest frame of the room, if
    /// its dialect has its own messages. Returns whether there is one: if so, [`Encoder::message`]
    /// has it. Otherwise the client is owed none, or nothing has changed that it sees.
    pub fn message(
        &mut self,
        news: News,
        encodings: &mut Encodings,
        encoder: &mut Encoder,
    ) -> bool {
        let News { frame, world, .. } = news;
        let Some(viewer) = self.viewer.as_mut().filter(|_| self.due.is_after(self.known)) else {
            return false;
        };
        let Encoder { message, message_at, keyframe_bytes, keyframes_deferred, .. } = encoder;
        message.clear();
        message.extend_from_slice(&frame::HEADROOM);
        let history = encodings.history(world);
        let conditions = v1::Conditions {
            credit: self.credit.as_ref(),
            has_lower_rate: u32::from(self.hz_max) < TICKS_PER_SECOND,
            keyframe_bytes: *keyframe_bytes,
        };
        let viewers = (&mut **viewer, conditions);
        let is_made = v1::message(self.player, viewers, history, (frame, world), message);
        if !is_made {
            *keyframes_deferred += u64::from(viewer.waits_for_keyframe());
            self.known = frame.tick();
            return false;
        }
        if viewer.is_offered_keyframe() {
            keyframe_bytes.left = keyframe_bytes.left.saturating_sub(message.len());
        }
        let frame_bytes = frame::encode_in_place(frame::BINARY, message).len();
        *message_at = message.len() - frame_bytes;
        (self.made, self.has_made) = (frame.tick(), true);
        true
    }

    /// Reads what [`View::message`] needs.
    pub fn prefetch(&self, (frame, world): (&Frame, &World), encodings: &Encodings) {
        black_box((self.known, self.made, self.credit.as_ref().map(Credit::is_limited)));
        if let Some(viewer) = &self.viewer {
            viewer.prefetch();
            encodings.prefetch(viewer);
            if let Some(body) = world.find(self.player) {
                let shown = frame.snapshot().bodies.get(body).map(|body| body.at);
                black_box((world.steps(body).applied, shown));
            }
        }
    }

    /// Records how much of the last update was taken.
    pub fn taken(&mut self, taken: Taken) {
        // Before its first update, what was taken belongs to an earlier client of the connection.
        if self.has_made && taken != Taken::None {
            if let Some(viewer) = &mut self.viewer {
                viewer.receive();
            }
            if let Some(credit) = &mut self.credit {
                credit.record_sent(self.made);
                if std::mem::take(&mut self.made_asks) {
                    credit.record_asked(self.made);
                }
            }
            self.has_begun = true;
            self.lacks_places = false;
            if let Some(window) = self.window_made.take() {
                self.window = Some(window);
            }
            if taken == Taken::Whole {
                self.known = self.made;
            }
        }
    }

    /// The payload bytes of a state of its room as it is now, which is encoded for this.
    #[must_use]
    pub fn state_bytes(&self, world: &World) -> usize {
        if self.dialect.has_own_messages() {
            return v1::keyframe_bytes(world);
        }
        let state = self.dialect.update(self.known, world.snapshot(), &mut Vec::new());
        let state = state.as_ref().map_or(&[][..], Encoded::bytes);
        frame::payloads(state).map(|(_, payload)| payload.len()).sum()
    }

    /// Whether it receives what happens in the room.
    #[must_use]
    pub fn receives_facts(&self) -> bool {
        self.dialect.has_facts() && self.has_begun
    }

    /// The owner-only fields of its player, after a change; `None` if its first update will show
    /// them, or if it has left.
    #[must_use]
    pub fn own(&self, world: &World) -> Option<Encoded> {
        self.has_begun.then(|| self.dialect.own(self.player, world)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::game::{BATTLE, Command, Point};
    use crate::ws::Mask;
    use crate::ws::deflate::Inflater;

    const ANN: PlayerId = PlayerId(1);
    const BEN: PlayerId = PlayerId(2);

    /// A room with its newest frame.
    struct Room {
        world: World,
        facts: Vec<Fact>,
        frame: Frame,
        encodings: Encodings,
        /// The number of facts that are encoded.
        encoded: usize,
    }

    impl Room {
        fn new() -> Room {
            let world = World::new(&BATTLE, 7, 4);
            let frame = Frame::of(&world);
            let encodings = Encodings::default();
            Room { world, facts: Vec::new(), frame, encodings, encoded: 0 }
        }

        fn join(&mut self, id: PlayerId, dialect: Dialect) -> View {
            self.world.join(id, None, &mut self.facts);
            View::new(dialect, id, self.world.now())
        }

        fn tick(&mut self) -> Tick {
            self.world.tick(&mut self.facts);
            self.frame.renew(&self.world, &mut self.facts);
            self.encodings.renew(&self.frame, true, 1_200);
            self.encoded = 0;
            self.frame.tick()
        }

        /// Sends the facts since the frame.
        fn encode_facts(&mut self) {
            let encoded = self.encoded;
            self.encodings.encode_facts(Dialect::Events, &self.facts[encoded..], &self.world);
            self.encoded = self.facts.len();
            self.encodings.take_unsent();
        }

        fn update(&mut self, view: &mut View) -> Option<Update> {
            let Room { world, facts, frame, encodings, .. } = self;
            let news = News { frame, facts, world };
            view.update(news, encodings, Framing::WebSocket, &mut Encoder::default())
        }

        fn step(&mut self, id: PlayerId) {
            let x =
                if self.world.bodies()[self.world.find(id).unwrap()].at.x < 50 { 100 } else { 0 };
            let command = Command::MoveTo(Point { x, y: 50 });
            self.world.apply(id, command, &mut self.facts).unwrap();
        }
    }

    /// The names of the events in an update.
    fn events_in(update: &Update) -> Vec<String> {
        let frames = update.iter().flat_map(|buffer| frame::payloads(buffer.bytes()));
        let name = |text: &[u8]| {
            let text = str::from_utf8(text).unwrap();
            text.split('"').nth(1).unwrap().to_owned()
        };
        frames.map(|(_, text)| name(text)).collect()
    }

    #[test]
    fn a_state_is_owed_until_its_last_byte() {
        let mut room = Room::new();
        let mut view = room.join(ANN, Dialect::Json);
        assert_eq!(room.update(&mut view), None);
        let first = room.tick();
        assert_eq!(view.owe(first), Owe::Due);
        assert!(room.update(&mut view).is_some());
        view.taken(Taken::Begun);
        let second = room.tick();
        assert_eq!(view.owe(second), Owe::Skipped, "the first is not taken completely");
        view.taken(Taken::Whole);
        assert!(view.is_owed(), "the second is owed");
        assert!(room.update(&mut view).is_some());
        view.taken(Taken::Whole);
        assert!(!view.is_owed());
        assert_eq!(room.update(&mut view), None);
    }

    #[test]
    fn a_late_state_is_owed_on_every_tick() {
        let mut room = Room::new();
        let mut view = room.join(ANN, Dialect::Json);
        view.hz = 10;
        let mut owed = Vec::new();
        for _ in 0..4 {
            let tick = room.tick();
            owed.push(view.owe(tick));
        }
        assert_eq!(owed, [Owe::Nothing, Owe::Due, Owe::Late, Owe::Skipped]);
    }

    #[test]
    fn all_clients_of_a_dialect_share_the_bytes() {
        let mut room = Room::new();
        let mut views: Vec<View> =
            (1..=3).map(|id| room.join(PlayerId(id), Dialect::Json)).collect();
        let tick = room.tick();
        let updates: Vec<_> = views
            .iter_mut()
            .map(|view| {
                view.owe(tick);
                match room.update(view) {
                    Some(Update::One(bytes)) => bytes.bytes().as_ptr(),
                    other => panic!("{other:?}"),
                }
            })
            .collect();
        assert_eq!(updates, [updates[0]; 3]);
    }

    #[test]
    fn clients_that_are_asked_share_the_question_and_the_update() {
        let mut room = Room::new();
        let mut views = [ANN, BEN].map(|id| room.join(id, Dialect::Events).asking());
        room.join(PlayerId(3), Dialect::Events);
        let mut asked = Vec::new();
        for _ in 0..12 {
            room.step(PlayerId(3));
            let tick = room.tick();
            let updates = [0, 1].map(|index| {
                views[index].owe(tick);
                let update = room.update(&mut views[index]).expect("a player has moved");
                views[index].taken(Taken::Whole);
                update
            });
            if let [Update::Several(ann), Update::Several(ben)] = &updates
                && ann.len() == 2
                && events_in(&ann[0].clone().into()) == ["tick"]
            {
                assert!(ann.iter().zip(&**ben).all(|(one, other)| one.is_same(other)));
                asked.push(tick.0);
            }
        }
        assert_eq!(asked, [5, 10]);
        // Nothing changes, so nothing is asked.
        for _ in 0..40 {
            let tick = room.tick();
            for view in &mut views {
                assert_eq!(view.owe(tick), Owe::Due);
                assert_eq!(room.update(view), None);
            }
        }
        // Over polling the question is in the payload that they share.
        room.step(PlayerId(3));
        let tick = room.tick();
        let payloads = [0, 1].map(|index| {
            views[index].owe(tick);
            let Room { world, facts, frame, encodings, .. } = &mut room;
            let news = News { frame, facts, world };
            let encoder = &mut Encoder::default();
            match views[index].update(news, encodings, Framing::Polling, encoder) {
                Some(Update::One(payload)) => payload,
                other => panic!("{other:?}"),
            }
        });
        assert!(payloads[0].is_same(&payloads[1]));
        let text = str::from_utf8(payloads[0].bytes()).expect("text");
        let start = format!("42{0}[\"tick\",{{\"tick\":{0}}}]\x1e42[\"player_moved\"", tick.0);
        assert!(text.starts_with(&start), "{text}");
    }

    #[test]
    fn the_first_update_waits_for_the_frame_and_has_the_facts_since() {
        let mut room = Room::new();
        room.tick();
        room.join(ANN, Dialect::Events);
        room.encode_facts();
        let mut view = room.join(BEN, Dialect::Events);
        room.encode_facts();
        assert_eq!(room.update(&mut view), None, "no frame shows Ben");
        view.hz = 1;
        assert_eq!(view.owe(room.tick()), Owe::Due, "at any rate");
        room.join(PlayerId(3), Dialect::Json);
        room.encode_facts();
        assert!(!view.receives_facts());
        let update = room.update(&mut view).expect("the roster");
        let expected = ["new_player", "room", "player_moved", "new_player"];
        assert_eq!(events_in(&update), expected);
        view.taken(Taken::Begun);
        assert!(view.receives_facts());
    }

    #[test]
    fn a_late_update_shows_the_frame_and_not_what_came_after() {
        let mut room = Room::new();
        let mut view = room.join(ANN, Dialect::Events);
        room.join(BEN, Dialect::Events);
        view.owe(room.tick());
        room.update(&mut view);
        view.taken(Taken::Whole);
        room.step(BEN);
        view.owe(room.tick());
        room.step(ANN);
        room.world.leave(BEN, &mut room.facts);
        let update = room.update(&mut view).expect("Ben has moved");
        assert_eq!(events_in(&update), ["player_moved"], "of Ben, not of Ann");
    }

    #[test]
    fn an_update_of_an_earlier_client_of_the_connection_does_not_count() {
        let mut room = Room::new();
        let mut view = room.join(ANN, Dialect::Events);
        view.owe(room.tick());
        view.taken(Taken::Whole);
        assert!(view.is_owed() && !view.receives_facts());
    }

    /// A client that decompresses what it receives.
    struct Client {
        view: View,
        inflater: Inflater,
        /// Bytes of the frames that it received last, compressed or not.
        bytes: usize,
        /// How many states have asked for an acknowledgement.
        asked: usize,
    }

    impl Client {
        fn of(view: View) -> Client {
            Client { view, inflater: Inflater::keeping_history(), bytes: 0, asked: 0 }
        }

        /// Receives the newest update completely. It must be that of a client without compression.
        fn receive(&mut self, room: &mut Room, encoder: &mut Encoder) {
            let framing = Framing::Deflate { keeps_history: true };
            let Room { world, facts, frame, encodings, .. } = room;
            let news = News { frame, facts, world };
            let known = self.view.known;
            let Some(update) = self.view.update(news, encodings, framing, encoder) else { return };
            let bytes: Vec<u8> = update.iter().flat_map(Encoded::bytes).copied().collect();
            self.view.taken(Taken::Whole);
            self.bytes = bytes.len();
            let plain = self.view.dialect.update(known, frame.snapshot(), &mut Vec::new());
            let plain = plain.expect("there was an update");
            let mut expected = frame::payloads(plain.bytes());
            let mut frames = &bytes[..];
            while let Some((head, header)) = frame::parse(frames, Mask::Forbidden, true).unwrap() {
                let end = head + header.payload_bytes as usize;
                if frames[head..end].starts_with(format!("42{}[", frame.tick().0).as_bytes()) {
                    assert!(!header.is_compressed && frames.len() == bytes.len(), "it is first");
                    self.asked += 1;
                    self.view.answered(frame.tick(), frame.tick());
                    frames = &frames[end..];
                    continue;
                }
                let payload = match header.is_compressed {
                    true => self.inflater.message(&frames[head..end], 1 << 20).expect("valid"),
                    false => frames[head..end].to_vec(),
                };
                assert_eq!(Some((header.opcode, &payload[..])), expected.next());
                frames = &frames[end..];
            }
            assert_eq!(expected.next(), None);
        }
    }

    /// A room with `players`, all of them clients of a dialect that have received the first update.
    fn crowd(players: u32, dialect: Dialect, encoder: &mut Encoder) -> (Room, Vec<Client>) {
        let mut room = Room::new();
        let mut clients: Vec<Client> =
            (1..=players).map(|id| Client::of(room.join(PlayerId(id), dialect))).collect();
        room.encode_facts();
        let tick = room.tick();
        encoder.compression.begin_tick();
        for client in &mut clients {
            client.view.owe(tick);
            if dialect == Dialect::Json {
                client.receive(&mut room, encoder);
            } else {
                room.update(&mut client.view).expect("the roster");
                client.view.taken(Taken::Whole);
            }
        }
        (room, clients)
    }

    #[test]
    fn compressed_updates_are_those_of_the_others_for_clients_that_lag_join_or_have_other_rates() {
        for dialect in [Dialect::Json, Dialect::Events] {
            let mut encoder = Encoder::default();
            let (mut room, mut clients) = crowd(60, dialect, &mut encoder);
            let mut random = ChaCha8Rng::seed_from_u64(7);
            for client in clients.iter_mut().skip(50) {
                client.view.hz = [10, 5, 1][random.random_range(0..3)];
            }
            if dialect == Dialect::Events {
                for client in clients.iter_mut().step_by(2) {
                    client.view.credit = Some(Credit::asking(client.view.known));
                }
            }
            let mut usual = 0;
            for round in 0..200 {
                for id in (1..60).filter(|id| (id + round) % 10 == 0) {
                    room.step(PlayerId(id));
                }
                if round % 40 == 20 {
                    clients.push(Client::of(room.join(PlayerId(100 + round), dialect)));
                    room.encode_facts();
                }
                let tick = room.tick();
                encoder.compression.begin_tick();
                for (index, client) in clients.iter_mut().enumerate() {
                    client.view.owe(tick);
                    let is_first = !client.view.has_begun;
                    // Some lag now and then, one for a long time.
                    let lags = index % 7 == 0 && random.random_bool(0.3)
                        || index == 8 && (50..120).contains(&round);
                    if is_first {
                        room.update(&mut client.view);
                        client.view.taken(Taken::Whole);
                    } else if !lags {
                        client.receive(&mut room, &mut encoder);
                    }
                }
                if round > 2 {
                    usual += clients[1].bytes;
                }
            }
            let stats = encoder.compression.stats;
            assert!(stats.with_history > 300 && stats.alone > 5, "{stats:?}");
            assert_eq!(stats.over_budget, 0);
            let asked = |client: &Client| (dialect == Dialect::Events) == (client.asked > 2);
            assert!(clients[..50].iter().step_by(2).all(asked), "every fifth tick");
            assert!(clients[1..50].iter().step_by(2).all(|client| client.asked == 0));
            let plain = clients[1].view.state_bytes(&room.world);
            let bytes_a_tick = usual / 197;
            let expected = if dialect == Dialect::Json { plain / 15 } else { 250 };
            assert!(bytes_a_tick < expected, "{bytes_a_tick} bytes of {plain}, {dialect:?}");
        }
    }

    #[test]
    fn a_lower_rate_and_skipped_updates_cost_no_more_bytes() {
        let mut encoder = Encoder::default();
        let (mut room, mut clients) = crowd(200, Dialect::Json, &mut encoder);
        let mut random = ChaCha8Rng::seed_from_u64(3);
        clients[1].view.hz = 10;
        let (mut at_20_hz, mut at_10_hz) = (0, 0);
        for round in 0..60 {
            // Two moves a second each.
            for _ in 0..20 {
                room.step(PlayerId(random.random_range(1..=200)));
            }
            let tick = room.tick();
            encoder.compression.begin_tick();
            for (index, client) in clients.iter_mut().take(3).enumerate() {
                // The third client is skipped now and then.
                client.bytes = 0;
                if client.view.owe(tick) == Owe::Nothing || (index == 2 && round % 8 < 3) {
                    continue;
                }
                client.receive(&mut room, &mut encoder);
                if round > 1 && index == 2 {
                    assert!(client.bytes < 1_000, "{} bytes in round {round}", client.bytes);
                }
            }
            if round > 1 {
                at_20_hz += clients[0].bytes;
                at_10_hz += clients[1].bytes;
            }
        }
        assert!(at_10_hz <= at_20_hz, "{at_10_hz} bytes at 10 Hz, {at_20_hz} at 20 Hz");
        assert!(at_20_hz / 58 < clients[0].view.state_bytes(&room.world) / 20);
    }

    #[test]
    fn a_window_ends_with_what_the_kernel_took() {
        let mut encoder = Encoder::default();
        let (mut room, mut clients) = crowd(2, Dialect::Json, &mut encoder);
        let client = &mut clients[0];
        let offer = |room: &mut Room, client: &mut Client, encoder: &mut Encoder| {
            let tick = room.tick();
            encoder.compression.begin_tick();
            client.view.owe(tick);
            let Room { world, facts, frame, encodings, .. } = room;
            let framing = Framing::Deflate { keeps_history: true };
            let news = News { frame, facts, world };
            let update = client.view.update(news, encodings, framing, encoder).expect("a state");
            let Update::One(bytes) = update else { panic!("a state is one buffer") };
            bytes
        };
        // The kernel takes nothing: the client never sees it.
        offer(&mut room, client, &mut encoder);
        client.view.taken(Taken::None);
        // It takes a part. The rest follows, whatever happens.
        let begun = offer(&mut room, client, &mut encoder);
        client.view.taken(Taken::Begun);
        let (head, _) = frame::parse(begun.bytes(), Mask::Forbidden, true).unwrap().unwrap();
        client.inflater.message(&begun.bytes()[head..], 1 << 20).expect("it follows the first");
        let tick = room.tick();
        client.view.owe(tick);
        client.view.taken(Taken::Whole);
        encoder.compression.begin_tick();
        client.receive(&mut room, &mut encoder);
    }

    #[test]
    fn an_update_that_is_too_much_work_goes_out_as_it_is() {
        let mut encoder = Encoder::default();
        let (mut room, mut clients) = crowd(20, Dialect::Json, &mut encoder);
        for round in 0..6 {
            let tick = room.tick();
            // On every other tick other rooms have used up the work.
            encoder.compression = Compression::default();
            if round % 2 == 0 {
                encoder.compression.begin_tick();
            }
            for client in &mut clients {
                client.view.owe(tick);
                client.receive(&mut room, &mut encoder);
            }
            let stats = encoder.compression.stats;
            let expected = if round % 2 == 0 { (1, 0) } else { (0, 1) };
            assert_eq!((stats.with_history, stats.over_budget.min(1)), expected);
            assert_eq!(encoder.compression.is_used_up(), round % 2 == 1);
        }
    }

    #[test]
    fn a_client_without_history_receives_updates_that_stand_alone() {
        let mut encoder = Encoder::default();
        let (mut room, mut clients) = crowd(20, Dialect::Json, &mut encoder);
        let view = &mut clients[0].view;
        for _ in 0..3 {
            view.owe(room.tick());
            encoder.compression.begin_tick();
            let Room { world, facts, frame, encodings, .. } = &mut room;
            let news = News { frame, facts, world };
            let framing = Framing::Deflate { keeps_history: false };
            let update = view.update(news, encodings, framing, &mut encoder).expect("a state");
            view.taken(Taken::Whole);
            let Update::One(bytes) = update else { panic!("a state is one buffer") };
            let (head, _) = frame::parse(bytes.bytes(), Mask::Forbidden, true).unwrap().unwrap();
            Inflater::default().message(&bytes.bytes()[head..], 1 << 20).expect("alone");
        }
    }
}
