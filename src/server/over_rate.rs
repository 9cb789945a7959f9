//! Drops WebSocket messages above the rates of a player before anything but their header is read.

use super::conn::Stage;
use super::ids::{ConnId, Link};
use super::session::RateVerdict;
use super::socketio::session::EioSession;
use super::state::State;
use super::{play, send};
use crate::socketio::packet::{Header, Kind};
use crate::time::Millis;
use crate::ws::Begun;

/// Bytes of an event in which its header ends: its type, its namespace, and the id of the
/// acknowledgement.
const EVENT_HEADER_BYTES: usize = 64;

/// What happens to the next message.
#[derive(Debug)]
pub enum Fate {
    /// It is handled, unless its rate is found to be exceeded later.
    Handle,
    /// More bytes are needed.
    Wait,
    /// It was dropped, and this many bytes were consumed. The player may have ended.
    Dropped(usize),
}

/// Drops the next message of a connection, which begins with `bytes`, if it is above the rates of
/// its player. Messages in several frames, and all packets of Socket.IO that are not plain events,
/// are counted when they are complete.
pub fn check(state: &mut State, id: ConnId, bytes: &[u8], now: Millis) -> Fate {
    let Some(player) = send::session_over(state, id) else { return Fate::Handle };
    let Some(session) = state.sessions.get_mut(player) else { return Fate::Handle };
    let limits = &state.policy.limits;
    let Some(conn) = state.conns.get_mut(id) else { return Fate::Handle };
    let Stage::WebSocket(websocket) = &mut conn.stage else { return Fate::Handle };
    if !session.exceeds(&limits.input, websocket.message_bytes_max, now) {
        return Fate::Handle;
    }
    let Some(begun) = websocket.peek(bytes, limits) else { return Fate::Handle };
    if !session.exceeds(&limits.input, begun.payload_bytes(), now) {
        return Fate::Handle;
    }
    let ack = match session.link {
        Link::Conn(_) => None,
        Link::Eio(eio) => match state.eio_sessions.get(eio).map(|eio| event(eio, &begun, bytes)) {
            Some(Event::Plain { ack }) => ack,
            Some(Event::Unknown) => return Fate::Wait,
            Some(Event::Other) | None => return Fate::Handle,
        },
    };
    let used = websocket.discard(&begun, bytes);
    state.metrics.frames_in += 1;
    if play::admit(state, player, begun.payload_bytes(), now) == RateVerdict::Drop && ack.is_some()
    {
        play::drop(state, player, ack, now);
    }
    Fate::Dropped(used)
}

/// What the next message of a Socket.IO client is.
enum Event {
    /// An event without attachments; `ack` is the id of the requested acknowledgement.
    Plain { ack: Option<u64> },
    /// Too few bytes have arrived.
    Unknown,
    /// Another packet, an invalid one, or one with a long header.
    Other,
}

fn event(eio: &EioSession, begun: &Begun, bytes: &[u8]) -> Event {
    let is_waiting = eio.socketio.as_ref().is_none_or(|socketio| socketio.assembler.is_waiting());
    if is_waiting || eio.is_closing || !begun.is_plain_text() {
        return Event::Other;
    }
    let mut head = [0; EVENT_HEADER_BYTES];
    let head = &mut head[..begun.payload_bytes().min(EVENT_HEADER_BYTES)];
    if !begun.read(bytes, head) {
        return Event::Unknown;
    }
    // The header is ASCII, and data follow.
    let ascii = head.iter().position(|byte| !byte.is_ascii()).unwrap_or(head.len());
    let text = str::from_utf8(&head[..ascii]).unwrap_or_default();
    match text.strip_prefix('4').map(Header::decode) {
        Some(Ok((Header { kind: Kind::Event, attachments: 0, id, .. }, data)))
            if !data.is_empty() =>
        {
            Event::Plain { ack: id }
        }
        _ => Event::Other,
    }
}
