//! What players send, in every dialect: rate limits, decoding, the command to the world, and the
//! acknowledgement.

use tracing::warn;

use super::end;
use super::endings::Ended;
use super::ids::{EioId, Link, SessionId};
use super::session::Verdict;
use super::socketio::packets::Event;
use super::state::State;
use super::{log, send};
use crate::close::CloseReason;
use crate::codec::Malformed;
use crate::limits::WARNINGS_A_PEER;
use crate::metrics::Drop;
use crate::outbox::Lane;
use crate::time::Millis;
use crate::wire::events::{self, Failure};
use crate::wire::json::{self, Input};

/// A message of a player in the JSON dialect.
pub fn message(state: &mut State, id: SessionId, payload: &[u8], now: Millis) {
    let Some(session) = state.sessions.get_mut(id) else { return };
    let Link::Conn(link) = session.link else { return };
    match session.admit(&state.limits.input, payload.len(), now) {
        Verdict::Take => {}
        Verdict::Drop => return state.metrics.count_drop(Drop::Rate),
        Verdict::Close => {
            state.metrics.count_drop(Drop::Rate);
            return end::connection(state, link, CloseReason::TooFast, None, now);
        }
    }
    let Some(room) = state.rooms.get_mut(session.room) else { return };
    let malformed = match json::decode(payload, room.world.rules()) {
        Ok(input) => {
            match input {
                Input::Command(command) => {
                    session.acted_at = now;
                    // This dialect has no acknowledgement: the next state shows the outcome.
                    let _ = room.world.apply(session.player, command, &mut room.facts);
                    state.rooms.mark_eventful(session.room);
                }
                Input::Rate(hz) => session.hz = hz,
                Input::Ping(t) => {
                    let pong = json::pong(&t, &room.world);
                    send::frame(state, link, pong, Lane::Fact, now);
                }
            }
            return;
        }
        Err(malformed) => malformed,
    };
    state.metrics.count_drop(match malformed {
        Malformed::InvalidJson => Drop::InvalidJson,
        Malformed::Unknown => Drop::Unknown,
    });
    let player = session.player.0;
    let verdict = session.admit_malformed(&state.limits.input, now);
    if malformed == Malformed::InvalidJson
        && let Some(conn) = state.conns.get_mut(link)
        && conn.warnings < WARNINGS_A_PEER
    {
        conn.warnings += 1;
        warn!(player, text = %log::text(payload), "message is not valid JSON");
    }
    if verdict == Verdict::Close {
        end::connection(state, link, CloseReason::TooFast, None, now);
    }
}

/// An event of a player over Socket.IO. It is acknowledged if the client asks for it.
pub fn event(state: &mut State, link: EioId, event: &Event, now: Millis) {
    let session = state.eio_sessions.get(link).and_then(|eio| eio.session());
    let Some(session) = session.and_then(|id| state.sessions.get_mut(id)) else { return };
    let verdict = session.admit(&state.limits.input, event.bytes, now);
    if verdict != Verdict::Take {
        state.metrics.count_drop(Drop::Rate);
    }
    let Some(room) = state.rooms.get_mut(session.room) else { return };
    let rules = room.world.rules();
    let input = match verdict {
        Verdict::Take if !event.attachments.is_empty() => Err(Failure::Binary),
        Verdict::Take => {
            events::decode(event.name.as_deref().unwrap_or_default(), &event.args, rules)
        }
        Verdict::Drop => Err(Failure::Rate),
        Verdict::Close => return state.endings.push(Ended::Eio(link), CloseReason::TooFast),
    };
    let mut mover = None;
    let outcome = input.and_then(|input| {
        match input {
            events::Input::Command(command) => {
                session.acted_at = now;
                room.world.apply(session.player, command, &mut room.facts)?;
                mover = command.is_move().then_some(session.player);
            }
            events::Input::Rate(hz) => session.hz = hz,
            events::Input::Ping => {}
        }
        Ok(())
    });
    let answer = event.id.map(|id| events::answer(id, outcome, mover, &room.world));
    let is_malformed =
        matches!(outcome, Err(Failure::Binary | Failure::BadPosition | Failure::UnknownEvent));
    let verdict = match is_malformed {
        true => session.admit_malformed(&state.limits.input, now),
        false => Verdict::Take,
    };
    state.rooms.mark_eventful(session.room);
    if is_malformed {
        state.metrics.count_drop(Drop::Unknown);
    }
    if let Some(answer) = answer {
        send::packet(state, link, answer, Lane::Fact, now);
    }
    if verdict == Verdict::Close {
        state.endings.push(Ended::Eio(link), CloseReason::TooFast);
    }
}
