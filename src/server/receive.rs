//! From the bytes of a connection to the module that handles what arrived.

use super::app::App;
use super::conn::{Conn, ProtocolError, Received};
use super::endings::Ended;
use super::fault::{self, FaultPoint};
use super::http::{self, AppInput};
use super::ids::{ConnId, EioId, Owner};
use super::over_rate::{self, Fate};
use super::read_state::ReadState;
use super::socketio::session::EioMessage;
use super::socketio::transport;
use super::state::State;
use super::{exchange, panics, publish, settle, websocket};
use crate::close::CloseReason;
use crate::http::Assets;
use crate::limits::MESSAGES_A_TURN;
use crate::time::Millis;

/// The parts of the server that it needs.
#[derive(Debug)]
pub struct Core<'a> {
    pub state: &'a mut State,
    pub app: &'a mut App,
    pub assets: &'a Assets,
}

/// Processes what has arrived, at most a few messages. Returns how many bytes it has used.
pub fn process(server: &mut Core, id: ConnId, bytes: &mut [u8], now: Millis) -> (usize, ReadState) {
    let mut at = 0;
    for _ in 0..MESSAGES_A_TURN {
        let state = &mut *server.state;
        let Some(conn) = state.conns.get_mut(id) else { return (at, ReadState::Open) };
        let limits = &state.policy.limits;
        let is_paused = transport::is_post_paused(&state.eio_sessions, conn, limits);
        if is_paused || !conn.may_read(limits) {
            // A held poll is read, so that the end of its connection is noticed, unless bytes wait
            // behind it.
            let read_state = match (conn.is_held(), at == bytes.len()) {
                (true, true) => ReadState::Open,
                (true, false) => ReadState::Held,
                (false, _) => ReadState::Paused,
            };
            return (at, read_state);
        }
        match over_rate::check(state, id, &bytes[at..], now) {
            Fate::Handle => {}
            Fate::Wait => return (at, ReadState::Open),
            Fate::Dropped(used) => {
                at += used;
                settle::endings(state, now);
                continue;
            }
        }
        let State { conns, policy, .. } = state;
        let Some(conn) = conns.get_mut(id) else { return (at, ReadState::Open) };
        match conn.advance(&mut bytes[at..], &policy.limits, now) {
            Ok(None) => return (at, ReadState::Open),
            Ok(Some((used, received))) => {
                at += used;
                dispatch(server, id, received, now);
            }
            Err(ProtocolError::Http { bad, is_head }) => {
                exchange::refuse_invalid(state, id, &bad, is_head, now);
                return (bytes.len(), ReadState::Open);
            }
            Err(ProtocolError::WebSocket(violation)) => {
                websocket::end_invalid(state, id, violation, now);
                return (bytes.len(), ReadState::Open);
            }
        }
    }
    (at, ReadState::Deferred)
}

/// Passes what arrived to the module that handles it.
fn dispatch(server: &mut Core, id: ConnId, received: Received, now: Millis) {
    let Core { state, app, assets } = server;
    let Some(owner) = state.conns.get(id).map(Conn::owner) else { return };
    match received {
        Received::Request(head) => {
            let input = http::request(state, assets, id, &head, now);
            receive_input(server, id, input, now);
        }
        Received::Body(upload) => {
            let input = http::body(state, id, *upload, now);
            receive_input(server, id, input, now);
        }
        Received::Message(message) => {
            let message = websocket::decompress(state, id, message, now);
            let Some(message) = message else { return settle::endings(state, now) };
            let Some(data) = websocket::receive(state, id, &message, now) else { return };
            if let Some(Owner::Eio(eio)) = owner {
                let message = transport::receive_message(state, id, eio, data, now);
                receive_messages(server, eio, message, now);
            } else {
                app.message(state, id, data, now);
            }
        }
        Received::Part | Received::Ignored => {}
    }
}

/// Passes what a request means for the application to it.
fn receive_input(server: &mut Core, id: ConnId, input: Option<AppInput>, now: Millis) {
    match input {
        None => {}
        Some(AppInput::Join(join_request)) => {
            server.app.joined(server.state, id, join_request, now);
            publish::facts(server.state, now);
        }
        Some(AppInput::Messages(eio, messages)) => receive_messages(server, eio, messages, now),
    }
}

/// Processes the messages of an Engine.IO client in order, each with its consequences.
fn receive_messages(
    server: &mut Core,
    id: EioId,
    messages: impl IntoIterator<Item = EioMessage>,
    now: Millis,
) {
    let Core { state, app, .. } = server;
    for message in messages {
        let result = panics::caught(state, |state| {
            app.eio_message(state, id, message, now);
            if let Some(eio) = state.eio_sessions.get(id) {
                fault::point(state.fault_hook, FaultPoint::Message(eio.client));
            }
        });
        if result.is_none() {
            // If it joined, that goes out before it leaves.
            publish::facts(state, now);
            state.endings.push(Ended::Eio(id), CloseReason::Fault);
        }
        settle::endings(state, now);
        publish::facts(state, now);
    }
    transport::end_if_closing(state, id);
    settle::endings(state, now);
}
