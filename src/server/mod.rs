//! Who is here and what they are owed. It touches no socket and no clock: bytes, values and the
//! present come in as arguments. Its callers are the reactor and the simulator.
//!
//! *Nouns* own data and do not know each other: `conn`, `engine`, `session`, `room`, `gate`;
//! [`state`] holds them side by side, with what several verbs do to them. *Verbs* are functions
//! over them and do not call each other: `admit`, `arrive`, `carry`, `converse`, `enter`,
//! `publish`, `sweep`, `drain`. `app` chooses between the game and `echo`; `route`, `pages` and
//! `log` are plain functions; `recover` is what the surface does after a panic.

use std::io::IoSlice;
use std::net::IpAddr;

use rand::SeedableRng;
use rand_chacha::{ChaCha8Rng, ChaCha20Rng};

use crate::bucket::Bucket;
use crate::config::Serve;
use crate::http::Assets;
use crate::limits::{self, EVICTIONS, MESSAGES_A_TURN};
use crate::metrics::{Metrics, Refusal};
use crate::time::{Millis, Tick};
use crate::ws::Message;

mod admit;
mod app;
mod arrive;
mod call;
mod carry;
mod conn;
mod converse;
mod drain;
mod echo;
mod engine;
mod enter;
mod gate;
mod ids;
mod log;
mod pages;
mod publish;
mod recover;
mod room;
mod route;
mod session;
mod state;
mod sweep;

use app::App;
use conn::{Admission, Arrival, Conns};
use echo::Echo;
use engine::{Engines, Said};
use gate::{Gate, Names};
use ids::{EngineId, Owner};
use room::Rooms;
use session::Sessions;
use state::{AtWork, State};

pub use conn::End;
pub use ids::ConnId;

/// What a server is made with.
#[derive(Debug)]
pub struct Setup {
    /// What the operator wants.
    pub settings: Serve,
    /// The pages.
    pub assets: Assets,
    /// The ports on which it is reached.
    pub ports: Vec<u16>,
    /// Connections at most.
    pub connections_max: usize,
    /// Seed of all chance that players may see.
    pub seed: u64,
    /// Seed of what nobody may guess: the names of sessions.
    pub secret: [u8; 32],
}

/// What the reactor is to do with a peer next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appetite {
    /// Read on when there is something to read.
    Hungry,
    /// Enough for this turn: in the next one, call [`Server::receive`] without bytes before
    /// reading.
    Sated,
    /// Its outbox is full: read nothing until [`Server::may_read`] says so.
    Paused,
}

/// The server.
#[derive(Debug)]
pub struct Server {
    state: State,
    app: App,
    assets: Assets,
    due: Vec<ConnId>,
}

impl Server {
    /// A server in which nobody is.
    ///
    /// # Errors
    /// One sentence, if a room of `--room` asks for rules that there are not.
    pub fn new(setup: Setup) -> Result<Server, String> {
        let settings = setup.settings;
        let (app, limits) = match settings.echo {
            true => (App::Echo(Echo::default()), limits::ECHO),
            false => (App::Game, limits::GAME),
        };
        let names = Names {
            hosts: settings.host.clone(),
            origins: settings.allow_origin.clone(),
            proxies: settings.trusted_proxy.clone(),
            ports: setup.ports,
        };
        let gate = Gate::new(names, settings.limit_loopback);
        let mut state = State {
            conns: Conns::default(),
            engines: Engines::new(ChaCha20Rng::from_seed(setup.secret)),
            sessions: Sessions::default(),
            rooms: Rooms::default(),
            gate,
            metrics: Metrics::default(),
            limits,
            settings,
            connections_max: setup.connections_max,
            next_player: 1,
            rng: ChaCha8Rng::seed_from_u64(setup.seed),
            tick: Tick::default(),
            origin_warning_at: Millis::default(),
            drain: None,
            scratch: Vec::new(),
            evictions: Bucket::full(EVICTIONS, Millis::default()),
            at_work: AtWork::default(),
        };
        enter::make_named_rooms(&mut state)?;
        Ok(Server { state, app, assets: setup.assets, due: Vec::new() })
    }

    /// A connection from `peer` begins.
    ///
    /// # Errors
    /// Why it must be closed before a byte is read.
    pub fn open(&mut self, peer: IpAddr, now: Millis) -> Result<ConnId, Refusal> {
        admit::player(&mut self.state, peer.to_canonical(), now)
    }

    /// An operator's connection from `peer` begins, by `--admin-listen`.
    ///
    /// # Errors
    /// Why it must be closed before a byte is read.
    pub fn open_admin(&mut self, peer: IpAddr, now: Millis) -> Result<ConnId, Refusal> {
        admit::operator(&mut self.state, peer.to_canonical(), now)
    }

    /// Takes bytes that a peer sent. They are used up, or what is left of them is kept; `bytes` is
    /// unmasked in place. Answers whether to read on.
    pub fn receive(&mut self, id: ConnId, bytes: &mut [u8], now: Millis) -> Appetite {
        let Some(conn) = self.state.conns.get_mut(id) else { return Appetite::Hungry };
        if !bytes.is_empty() {
            conn.heard_at = now;
            self.state.metrics.bytes_in += bytes.len() as u64;
        }
        let mut spill = conn.take_spill();
        let appetite = if spill.is_empty() {
            let (used, appetite) = self.use_up(id, bytes, now);
            spill.extend_from_slice(&bytes[used..]);
            appetite
        } else {
            spill.extend_from_slice(bytes);
            let (used, appetite) = self.use_up(id, &mut spill, now);
            spill.drain(..used);
            appetite
        };
        self.state.conns.keep_spill(id, spill);
        self.settle(now);
        appetite
    }

    fn use_up(&mut self, id: ConnId, bytes: &mut [u8], now: Millis) -> (usize, Appetite) {
        let mut at = 0;
        for _ in 0..MESSAGES_A_TURN {
            let state = &mut self.state;
            let Some(conn) = state.conns.get_mut(id) else { return (at, Appetite::Hungry) };
            if !conn.may_read(&state.limits) {
                // A poll that waits is read on, so that we learn when its peer hangs up.
                let is_hungry = conn.is_held() && at == bytes.len();
                return (at, if is_hungry { Appetite::Hungry } else { Appetite::Paused });
            }
            match conn.advance(&mut bytes[at..], &state.limits, now) {
                Ok(None) => return (at, Appetite::Hungry),
                Ok(Some((taken, arrival))) => {
                    at += taken;
                    self.deal(id, arrival, now);
                }
                Err(fault) => {
                    arrive::fault(state, id, fault, now);
                    return (bytes.len(), Appetite::Hungry);
                }
            }
        }
        (at, Appetite::Sated)
    }

    /// Hands what came in to those whom it concerns.
    fn deal(&mut self, id: ConnId, arrival: Arrival, now: Millis) {
        let Server { state, app, assets, .. } = self;
        let Some(conn) = state.conns.get(id) else { return };
        let (owner, is_admin) = (conn.owner(), conn.admission == Admission::Admin);
        match arrival {
            Arrival::Request(request) => {
                let path = route::engine_path(request.path, state.settings.echo);
                if let Some(is_socketio) = path.filter(|_| !is_admin) {
                    carry::request(state, id, &request, is_socketio, now);
                } else if let Some(wish) = arrive::request(state, assets, id, &request, now) {
                    app.joined(state, id, wish, now);
                    publish::facts(state, now);
                }
            }
            Arrival::Body(engine, bytes) => {
                let said = carry::body(state, id, engine, &bytes, now);
                self.hear(engine, said, now);
            }
            Arrival::Message(message) => {
                let is_text = matches!(message, Message::Text(_));
                let Some(payload) = arrive::transport(state, id, message, now) else { return };
                let message = (payload.bytes(), is_text);
                if let Some(Owner::Engine(engine)) = owner {
                    let said = carry::message(state, id, engine, message, now);
                    self.hear(engine, said, now);
                } else {
                    app.message(state, id, message, now);
                }
            }
            Arrival::Part | Arrival::Ignored => {}
        }
    }

    /// What a client of Engine.IO said is heard, and what comes of it is told, one thing after the
    /// other.
    fn hear(&mut self, id: EngineId, said: impl IntoIterator<Item = Said>, now: Millis) {
        let Server { state, app, .. } = self;
        for said in said {
            state.at_work.engine = Some(id);
            app.packet(state, id, said, now);
            carry::bury(state, now);
            publish::facts(state, now);
            state.at_work.engine = None;
        }
        carry::bury(state, now);
        carry::farewell(state, id, now);
    }

    /// Whether a peer that was [`Appetite::Paused`] may be read again.
    #[must_use]
    pub fn may_read(&self, id: ConnId) -> bool {
        self.state.conns.get(id).is_some_and(|conn| conn.may_read(&self.state.limits))
    }

    /// A peer will send nothing more; if `is_broken`, it will take nothing more either.
    pub fn hang_up(&mut self, id: ConnId, is_broken: bool, now: Millis) {
        self.state.conns.hang_up(id, is_broken, now);
        self.settle(now);
    }

    /// Goes on by one tick: worlds, deadlines, departures.
    pub fn tick(&mut self, now: Millis) {
        let state = &mut self.state;
        state.tick = state.tick.next();
        state.metrics.ticks += 1;
        publish::step(state);
        publish::facts(state, now);
        sweep::run(state, &mut self.due, now);
        carry::beat(state, now);
        self.app.tick(state, now);
        drain::step(state, now);
        self.settle(now);
    }

    /// Encodes what is new and owes it to those who should have it. Call it once after each tick.
    pub fn publish(&mut self) {
        publish::state(&mut self.state);
    }

    /// Whether there is somebody whom [`Server::take_dirty`] would answer.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.state.conns.is_dirty() || self.state.engines.is_ripe()
    }

    /// Moves the connections that have bytes to send to the end of `dirty`; some may stand there
    /// more than once.
    pub fn take_dirty(&mut self, dirty: &mut Vec<ConnId>, now: Millis) {
        carry::answer_polls(&mut self.state, now);
        self.state.conns.take_dirty(dirty);
    }

    /// Fills `slices` with what goes next to a connection and answers how many it filled. Say with
    /// [`Server::written`] what became of them before anything else is done with the connection.
    pub fn slices<'a>(&'a mut self, id: ConnId, slices: &mut [IoSlice<'a>]) -> usize {
        publish::slices(&mut self.state, id, slices)
    }

    /// The kernel took `taken` bytes of the `shown` ones.
    pub fn written(&mut self, id: ConnId, taken: usize, shown: usize, now: Millis) {
        publish::written(&mut self.state, id, taken, shown, now);
    }

    /// Moves what is to be done with sockets to the end of `ended`. The handles of those that close
    /// are free from here on.
    pub fn take_ended(&mut self, ended: &mut Vec<(ConnId, End)>) {
        let State { conns, gate, metrics, .. } = &mut self.state;
        conns.take_ended(ended, |id, conn, reason| {
            match conn.admission {
                Admission::Admin => gate.admin_connection_ended(),
                Admission::Regular | Admission::Surplus => gate.connection_ended(conn.peer, id),
            }
            metrics.count_close(reason);
        });
    }

    /// Begins to go away: joins are refused, and clients are told to come back later.
    pub fn drain(&mut self, now: Millis) {
        drain::begin(&mut self.state, now);
        drain::step(&mut self.state, now);
        self.settle(now);
    }

    /// Whoever lost its connection is told, and what has happened is told to the others; of which
    /// more may come.
    fn settle(&mut self, now: Millis) {
        let state = &mut self.state;
        loop {
            carry::bury(state, now);
            while let Some((link, owner, reason)) = state.conns.next_departed() {
                match owner {
                    Owner::Session(session) => enter::leave(state, session, reason, now),
                    Owner::Engine(engine) => carry::lost(state, link, engine, reason, now),
                }
            }
            while let Some((session, reason)) = state.engines.next_parted() {
                enter::leave(state, session, reason, now);
            }
            if !publish::facts(state, now) {
                break;
            }
        }
    }

    /// Whether the server is going away and everybody has been told.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.state.drain.is_some()
            && self.state.sessions.len() == 0
            && self.state.engines.len() == 0
    }

    /// Whether no connection is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state.conns.len() == 0
    }

    /// Replaces the pages.
    pub fn set_assets(&mut self, assets: Assets) {
        self.assets = assets;
    }

    /// What is counted, for the reactor to count its own part.
    pub fn metrics_mut(&mut self) -> &mut Metrics {
        &mut self.state.metrics
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.state.metrics
    }
}

#[cfg(test)]
mod tests;
