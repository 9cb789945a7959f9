//! The application on top of the connections: the game, or an echo.

use super::echo::Echo;
use super::ids::{ConnId, EioId};
use super::join_request::JoinRequest;
use super::policy::Policy;
use super::session::RateVerdict;
use super::socketio::packets::{self, Call, Event};
use super::socketio::session::{EioMessage, EioSession};
use super::state::State;
use super::{echo, lobby, play, send};
use crate::time::{Millis, Tick};
use crate::wire;
use crate::ws::Data;

/// The application; chosen once.
#[derive(Debug)]
pub enum App {
    /// Players in rooms.
    Game,
    /// Messages are sent back (`--echo`).
    Echo(Echo),
}

impl App {
    /// The application of a policy.
    #[must_use]
    pub fn of(policy: &Policy) -> App {
        if policy.has_rooms { App::Game } else { App::Echo(Echo::default()) }
    }

    /// A plain WebSocket is open.
    pub fn joined(&self, state: &mut State, id: ConnId, join_request: JoinRequest, now: Millis) {
        match self {
            App::Game => lobby::join(state, id, join_request, now),
            App::Echo(_) => {}
        }
    }

    /// An Engine.IO message has arrived.
    pub fn eio_message(&mut self, state: &mut State, id: EioId, message: EioMessage, now: Millis) {
        let Some(eio) = state.eio_sessions.get(id) else { return };
        if eio.socketio.is_none() {
            return echo::eio_message(state, id, message, now);
        }
        let player = eio.session();
        let Some(packet) = packets::assemble(state, id, message, now) else { return };
        // The rates come first: what is dropped is not worth decoding.
        if let Some(player) = player
            && packets::is_event(&packet)
        {
            match play::admit(state, player, packet.bytes(), now) {
                RateVerdict::Take => {}
                RateVerdict::Drop => return play::drop(state, player, packets::ack(&packet), now),
                RateVerdict::Close => return,
            }
        }
        if let Some(call) = packets::call(state, id, &packet, now) {
            match self {
                App::Game => match call {
                    Call::Connect { namespace, auth } => {
                        lobby::connect(state, id, namespace, auth, now);
                    }
                    Call::Event(event) => event_of_player(state, id, &event, now),
                    Call::Acknowledgement(tick) => acknowledgement_of_player(state, id, tick),
                    Call::Disconnect => lobby::disconnect(state, id, now),
                },
                App::Echo(echo) => echo.call(state, id, call, now),
            }
        }
    }

    /// Called on each tick.
    pub fn tick(&mut self, state: &mut State, now: Millis) {
        match self {
            App::Game => {}
            App::Echo(echo) => echo.tick(state, now),
        }
    }

    /// A message on a plain WebSocket has arrived.
    pub fn message(&mut self, state: &mut State, id: ConnId, data: Data, now: Millis) {
        match self {
            App::Game => {
                if let Some(session) = send::session_over(state, id) {
                    // A message of a binary dialect is never text: as an empty one it is unknown.
                    let dialect = state.sessions.get(session).map(|it| it.view.dialect);
                    let is_unknown = data.is_text && dialect == Some(wire::Dialect::V1);
                    let message = wire::Message::Payload(if is_unknown { b"" } else { data.bytes });
                    match play::admit(state, session, data.bytes.len(), now) {
                        RateVerdict::Take => play::input(state, session, &message, now),
                        RateVerdict::Drop | RateVerdict::Close => {}
                    }
                }
            }
            App::Echo(echo) => echo.compressors.send_back(state, id, data, now),
        }
    }
}

/// The player of a session has acknowledged an event: only those that ask for a tick have ids.
fn acknowledgement_of_player(state: &mut State, id: EioId, ack: Option<u64>) {
    let session = state.eio_sessions.get(id).and_then(EioSession::session);
    if let (Some(session), Some(Ok(tick))) = (session, ack.map(u32::try_from)) {
        play::acknowledged(state, session, Tick(tick));
    }
}

/// Passes an event to the player of its session.
fn event_of_player(state: &mut State, id: EioId, event: &Event, now: Millis) {
    let Some(session) = state.eio_sessions.get(id).and_then(EioSession::session) else { return };
    let message = wire::Message::Event {
        name: event.name.as_deref().unwrap_or_default(),
        args: event.args(),
        ack: event.id,
        is_binary: !event.attachments.is_empty(),
    };
    play::input(state, session, &message, now);
}
