//! The server without sockets: connections, sessions, rooms, and what each client is owed.
//!
//! It performs no I/O and reads no clock: bytes, values and the time are arguments. The reactor and
//! the simulator call it.
//!
//! Inside, a module imports only from the rows below its own. The test `tidy` checks this table.
//!
//! ```layers
//! mod                -> *
//! receive            -> settle, app, http, over_rate, websocket, exchange, publish,
//!                       socketio/transport, panics, endings, state, socketio/session, conn, fault,
//!                       ids, read_state
//! settle             -> shed, publish, lobby, leave, socketio/transport, panics, endings, state,
//!                       ids
//! shed               -> memory, end, endings, state, socketio/session, conn, log, ids
//! app                -> lobby, play, echo, socketio/packets, send, state, socketio/session,
//!                       session, policy, join_request, ids
//! setup              -> state, socketio/session, socketio/poll_gzip, conn, endings, session,
//!                       held, room_list, rooms, bans, access, admission, overload, policy,
//!                       tokens, log, fault, ids
//! timeouts           -> resume, socketio/transport, exchange, websocket, end, panics, state,
//!                       conn, session, fault, ids
//! drain              -> end, endings, state, conn, ids
//! accept             -> places, memory, end, state, conn, admission, log, ids, listener_kind
//! publish            -> lobby, send, memory, end, panics, state, socketio/session, fault, ids
//! saved              -> lobby, membership, state, tokens, bans, ids
//! over_rate          -> play, send, state, socketio/session, conn, session, ids
//! play               -> lobby, send, end, state, session, log, ids
//! lobby              -> shares, leave, resume, membership, player_log, socketio/packets, send,
//!                       memory, end, endings, state, conn, rooms, bots, join_request, tokens, ids
//! shares             -> leave, resume, memory, end, panics, state, seats, ids
//! leave              -> resume, membership, player_log, state, ids
//! echo               -> socketio/packets, send, state, socketio/session, conn, ids
//! http               -> socketio/request, socketio/transport, operator, status_page, exchange,
//!                       websocket, places, status, memory, state, socketio/session, conn, access,
//!                       join_request, routes, log, ids
//! operator           -> resume, exchange, send, end, endings, state, conn, session, access,
//!                       bans, admission, tokens, routes, listener_kind, ids
//! status_page        -> status_data, status, exchange, state, shared_json, access, routes
//! resume             -> membership, player_log, end, endings, state, session, tokens, ids
//! membership         -> state, session, ids
//! socketio/request   -> socketio/deadlines, socketio/transport, exchange, websocket, end, status,
//!                       state, socketio/session, conn, join_request, routes, ids
//! socketio/deadlines -> socketio/transport, socketio/payloads, send, end, panics, endings, state,
//!                       socketio/session, backlog, fault, ids
//! socketio/transport -> socketio/payloads, exchange, send, player_log, memory, end, panics,
//!                       endings, state, socketio/session, conn, backlog, fault, log, ids
//! socketio/packets   -> send, memory, state, socketio/session, endings, ids
//! exchange           -> send, end, endings, state, conn, admission, log, ids
//! websocket          -> send, memory, end, endings, state, conn, session, log, ids
//! places             -> end, endings, state, conn, ids
//! send               -> memory, end, endings, state, socketio/session, conn, rooms, backlog,
//!                       fault, ids
//! status_data        -> status, player_log, memory, state, room_list, socketio/session,
//!                       session, rooms, traffic, ids
//! player_log         -> state, socketio/session, tokens, traffic, ids
//! status             -> memory, state, socketio/session, rooms, ids
//! end                -> memory, endings, state, conn, ids
//! memory             -> state, held, ids
//! panics             -> endings, state, rooms, ids
//! state              -> socketio/session, socketio/poll_gzip, conn, endings, session, held,
//!                       room_list, rooms, access, bans, admission, overload, policy, tokens, log,
//!                       shared_json, traffic, fault, ids
//! room_list          -> rooms, shared_json
//! socketio/payloads  -> socketio/session
//! socketio/poll_gzip ->
//! socketio/session   -> socketio/unjoined, join_request, backlog, held, traffic, ids
//! socketio/unjoined  -> ids
//! conn               -> routes, backlog, held, traffic, ids, listener_kind
//! endings            -> ids
//! session            -> tokens, traffic, ids
//! rooms              -> seats, admission, bots, ids
//! seats              -> admission
//! bots               -> ids
//! held               -> admission
//! access             -> bans, listener_kind
//! bans               -> admission
//! admission          -> listener_kind, ids
//! fault              -> ids
//! join_request       -> tokens
//! tokens             -> ids
//! routes             -> policy, listener_kind
//! overload           ->
//! policy             ->
//! backlog            ->
//! log                ->
//! traffic            ->
//! shared_json        ->
//! ids                ->
//! listener_kind      ->
//! read_state         ->
//! ```

use std::io::IoSlice;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::http::Assets;
use crate::limits::PAGE_WRITE_BYTES;
use crate::metrics::{Metrics, Refusal};
use crate::time::Millis;

mod accept;
mod access;
mod admission;
mod app;
mod backlog;
mod bans;
mod bots;
mod conn;
mod drain;
mod echo;
mod end;
mod endings;
mod exchange;
mod fault;
mod held;
mod http;
mod ids;
mod join_request;
mod leave;
mod listener_kind;
mod lobby;
mod log;
mod membership;
mod memory;
mod operator;
mod over_rate;
mod overload;
mod panics;
mod places;
mod play;
mod player_log;
mod policy;
mod publish;
mod read_state;
mod receive;
mod resume;
mod room_list;
mod rooms;
mod routes;
mod saved;
mod seats;
mod send;
mod session;
mod settle;
mod setup;
mod shared_json;
mod shares;
mod shed;
mod socketio;
mod state;
mod status;
mod status_data;
mod status_page;
mod timeouts;
mod tokens;
mod traffic;
mod websocket;

use app::App;
use conn::{Class, Conn};
use receive::Core;
use socketio::{deadlines, transport};
use state::State;

pub use crate::game::Games;
pub use conn::End;
pub use fault::{FaultHook, FaultPoint};
pub use ids::ConnId;
pub use listener_kind::ListenerKind;
pub use policy::Policy;
pub use read_state::ReadState;
pub use saved::Restored;
pub use setup::Setup;

/// The server.
#[derive(Debug)]
pub struct Server {
    state: State,
    app: App,
    assets: Assets,
    due: Vec<ConnId>,
}

impl Server {
    /// An empty server.
    ///
    /// # Errors
    /// One sentence, if a room of `--room` has unknown rules, or `--map` is too small.
    pub fn new(setup: Setup) -> Result<Server, String> {
        let (mut state, assets) = setup.into_state();
        state.settings.map.map_or(Ok(()), |map| state.games.check_map(map))?;
        lobby::make_permanent_rooms(&mut state)?;
        let app = App::of(state.policy);
        Ok(Server { state, app, assets, due: Vec::new() })
    }

    /// Accepts a connection of `peer` through a listener of a `kind`.
    ///
    /// # Errors
    /// Why it must be closed.
    pub fn open(
        &mut self,
        peer: IpAddr,
        kind: ListenerKind,
        now: Millis,
    ) -> Result<ConnId, Refusal> {
        // The simulator relies on its admin connection, so that one never fails.
        if !kind.is_admin() {
            fault::point(self.state.fault_hook, FaultPoint::Open(peer));
        }
        let opened = accept::open(&mut self.state, peer.to_canonical(), kind, now);
        settle::endings(&mut self.state, now);
        opened
    }

    /// The first bytes of a connection contained the address of its `client`, whose limits apply
    /// from here on. If they do not allow the connection, it is closed. `None` if they named none:
    /// then its requests belong to an unknown client.
    pub fn set_client_addr(&mut self, id: ConnId, client: Option<IpAddr>, now: Millis) {
        match client {
            Some(client) => {
                accept::set_client_addr(&mut self.state, id, client.to_canonical(), now);
            }
            None => accept::set_client_unknown(&mut self.state, id, now),
        }
        settle::all(&mut self.state, now);
    }

    /// The first bytes of a connection should have contained the address of its client, and are
    /// invalid. It is closed.
    pub fn refuse_preface(&mut self, id: ConnId, now: Millis) {
        accept::refuse_preface(&mut self.state, id, now);
        settle::all(&mut self.state, now);
    }

    /// Counts a step of a TLS handshake. Returns how many its address has made lately.
    pub fn count_handshake_step(&mut self, id: ConnId, now: Millis) -> u32 {
        let State { conns, admission, .. } = &mut self.state;
        conns.get(id).map_or(0, |conn| admission.count_handshake_step(conn.peer, now))
    }

    /// Processes bytes of a peer, which are unmasked in place. Bytes that cannot be processed yet
    /// are kept. Returns whether to read more.
    pub fn receive(&mut self, id: ConnId, bytes: &mut [u8], now: Millis) -> ReadState {
        let State { conns, eio_sessions, sessions, metrics, traffic, .. } = &mut self.state;
        let Some(conn) = conns.get_mut(id) else { return ReadState::Open };
        if !bytes.is_empty() {
            conn.active_at = now;
            conn.traffic.received_bytes += bytes.len() as u64;
            metrics.bytes_in += bytes.len() as u64;
            let session = send::session_of(eio_sessions, conn, id);
            if let Some(session) = session.and_then(|id| sessions.get(id)) {
                let dialect = session.view.dialect;
                traffic[dialect as usize].received_bytes += bytes.len() as u64;
            }
        }
        let mut spill = conn.take_spill();
        let read_state = if spill.is_empty() {
            let (used, read_state) = self.process(id, bytes, now);
            spill.extend_from_slice(&bytes[used..]);
            read_state
        } else {
            spill.extend_from_slice(bytes);
            let (used, read_state) = self.process(id, &mut spill, now);
            spill.drain(..used);
            read_state
        };
        fault::point(self.state.fault_hook, FaultPoint::Receive(id));
        self.state.conns.keep_spill(id, spill);
        memory::conn_changed(&mut self.state, id, now);
        settle::all(&mut self.state, now);
        read_state
    }

    fn process(&mut self, id: ConnId, bytes: &mut [u8], now: Millis) -> (usize, ReadState) {
        let Server { state, app, assets, .. } = self;
        receive::process(&mut Core { state, app, assets }, id, bytes, now)
    }

    /// Whether a peer that was [`ReadState::Paused`] or [`ReadState::Held`] may be read again.
    #[must_use]
    pub fn may_read(&self, id: ConnId) -> bool {
        let State { conns, eio_sessions, policy, .. } = &self.state;
        conns.get(id).is_some_and(|conn| {
            conn.may_read(&policy.limits)
                && !transport::is_post_paused(eio_sessions, conn, &policy.limits)
        })
    }

    /// A peer sends nothing more; if `is_broken`, it reads nothing more either.
    pub fn peer_closed(&mut self, id: ConnId, is_broken: bool, now: Millis) {
        end::peer_closed(&mut self.state, id, is_broken, now);
        fault::point(self.state.fault_hook, FaultPoint::PeerClosed(id));
        settle::all(&mut self.state, now);
    }

    /// Advances by one tick: worlds, deadlines, and what follows. Everything that peers had sent
    /// before `served_until` was read, and everything that their sockets could take was written:
    /// their deadlines are checked as of that point.
    pub fn tick(&mut self, now: Millis, served_until: Millis) {
        let state = &mut self.state;
        state.served_until = served_until;
        state.tick = state.tick.next();
        state.metrics.ticks += 1;
        publish::step(state);
        publish::facts(state, now);
        timeouts::run(state, &mut self.due, now);
        let is_short = memory::delete_empty_rooms(state, now);
        // The clients that end leave later in this tick. At the shutdown all rooms are kept.
        if is_short && !shed::enforce_parts(state, now) && state.drain.is_none() {
            shares::give_up_lone_rooms(state, now);
        }
        deadlines::run(state, now);
        self.app.tick(state, now);
        drain::step(state, now);
        settle::all(&mut self.state, now);
    }

    /// The WebSockets of the clients that had no credit left on the last tick, or some of them.
    #[must_use]
    pub fn out_of_credit(&self) -> &[ConnId] {
        &self.state.out_of_credit
    }

    /// How many of the bytes that were written to such a WebSocket the kernel of its peer has not
    /// acknowledged, if that is known. Call it before each publish.
    pub fn record_delivery(&mut self, id: ConnId, unacknowledged_bytes: Option<u32>) {
        send::record_delivery(&mut self.state, id, unacknowledged_bytes);
    }

    /// Sends the joins and leaves since the last tick, and makes the new states owed. Call it once
    /// after each tick.
    pub fn publish(&mut self, now: Millis) {
        publish::state(&mut self.state, now);
        settle::all(&mut self.state, now);
    }

    /// Ends a connection (1011) after a panic in a call for it, and the rooms whose world the panic
    /// left inconsistent.
    pub fn recover(&mut self, id: ConnId, now: Millis) {
        self.state.metrics.panics += 1;
        // What happened before goes out first: a join before the leave that follows.
        publish::facts(&mut self.state, now);
        panics::end_unsound_rooms(&mut self.state);
        end::after_fault(&mut self.state, id, now);
        settle::all(&mut self.state, now);
    }

    /// Whether [`Server::take_dirty`] would return a connection.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.state.conns.is_dirty() || self.state.eio_sessions.has_polls_to_answer()
    }

    /// Moves the connections that have bytes to send to the end of `dirty`, with duplicates, and
    /// those that send pages to the end of `pages`. Before, it answers polls, at most about
    /// [`POLL_BYTES_A_TURN`](crate::limits::POLL_BYTES_A_TURN); if some are left,
    /// [`Server::is_dirty`] is true.
    pub fn take_dirty(&mut self, dirty: &mut Vec<ConnId>, pages: &mut Vec<ConnId>, now: Millis) {
        if !transport::answer_polls(&mut self.state, now) {
            settle::all(&mut self.state, now);
        }
        self.state.conns.take_dirty(dirty, pages);
    }

    /// Whether what a connection sends is a page, or another response that no player waits for.
    #[must_use]
    pub fn sends_page(&self, id: ConnId) -> bool {
        self.state.conns.get(id).is_some_and(Conn::sends_page)
    }

    /// Reads what [`Server::slices`] and [`Server::written`] need for some connections.
    pub fn prefetch(&self, ids: impl Iterator<Item = ConnId>) {
        send::prefetch(&self.state, ids);
    }

    /// Fills `slices` with what goes next to a connection, and returns how many it filled. Call
    /// [`Server::written`] before anything else is done with the connection.
    pub fn slices<'a>(&'a mut self, id: ConnId, slices: &mut [IoSlice<'a>]) -> usize {
        send::slices(&mut self.state, id, slices, usize::MAX)
    }

    /// The same for a page, of which a part is enough.
    pub fn page_slices<'a>(&'a mut self, id: ConnId, slices: &mut [IoSlice<'a>]) -> usize {
        send::slices(&mut self.state, id, slices, PAGE_WRITE_BYTES)
    }

    /// The kernel took `taken` of the `shown` bytes. Returns whether there may be more to write.
    pub fn written(&mut self, id: ConnId, taken: usize, shown: usize, now: Millis) -> bool {
        send::written(&mut self.state, id, taken, shown, now)
    }

    /// Moves what must be done with sockets to the end of `ended`. The slots of those that close
    /// are free from here on.
    pub fn take_ended(&mut self, ended: &mut Vec<(ConnId, End)>) {
        let State { conns, admission, memory, metrics, fault_hook, .. } = &mut self.state;
        conns.take_ended(ended, |id, conn, reason| {
            let result = catch_unwind(AssertUnwindSafe(|| {
                metrics.count_close(reason);
                memory.release(admission, conn.client, conn.counted.bytes());
                match conn.class {
                    Class::Admin => admission.admin_connection_ended(),
                    _ => admission.connection_ended(conn.peer, id, conn.class.has_place()),
                }
                fault::point(*fault_hook, FaultPoint::Ended(id));
            }));
            metrics.panics += u64::from(result.is_err());
        });
    }

    /// Begins the shutdown: joins are refused, and clients are disconnected a few at a time.
    pub fn drain(&mut self, now: Millis) {
        drain::begin(&mut self.state, now);
        drain::step(&mut self.state, now);
        settle::all(&mut self.state, now);
    }

    /// Whether the server is shutting down, every client has ended, and those that poll know it.
    /// Clients that have stopped polling are not waited for.
    #[must_use]
    pub fn is_drained(&self, now: Millis) -> bool {
        self.state.drain.is_some()
            && self.state.sessions.len() == 0
            && self.state.eio_sessions.len() == 0
            && !self.state.eio_sessions.awaits_polls(now)
    }

    /// Rooms, players and tokens, for a file.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        saved::save(&self.state)
    }

    /// What the file has once its rooms were taken back.
    #[must_use]
    pub fn save_without_rooms(&self) -> Vec<u8> {
        saved::save_without_rooms(&self.state)
    }

    /// Takes back what [`Server::save`] of another server has returned. Call it before the first
    /// connection.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence; nothing has changed then.
    pub fn restore(&mut self, saved: &[u8], now: Millis) -> Result<Restored, String> {
        saved::restore(&mut self.state, saved, now)
    }

    /// Whether no connection is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state.conns.len() == 0
    }

    /// Replaces the pages. Returns the old ones.
    #[must_use]
    pub fn replace_assets(&mut self, assets: Assets) -> Assets {
        std::mem::replace(&mut self.assets, assets)
    }

    /// What the server allows, and what it serves.
    #[must_use]
    pub fn policy(&self) -> &'static Policy {
        self.state.policy
    }

    /// Checks the accounts of memory and of sessions without a player against what there is, for
    /// tests.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check_accounts(&self) -> Result<(), String> {
        memory::check(&self.state)
    }

    /// Checks the places of connections against what there is, for tests.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check_places(&self) -> Result<(), String> {
        places::check(&self.state)
    }

    /// The counters, so that the reactor counts its own part.
    pub fn metrics_mut(&mut self) -> &mut Metrics {
        &mut self.state.metrics
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.state.metrics
    }
}

#[cfg(test)]
mod tests;
