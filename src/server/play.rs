//! What players send, in every dialect: rate limits, decoding, the command to the world, and the
//! answer.

use tracing::warn;

use super::end;
use super::ids::{Link, SessionId};
use super::session::RateVerdict;
use super::state::State;
use super::{lobby, log, send};
use crate::close::CloseReason;
use crate::limits::WARNINGS_A_PEER;
use crate::metrics::{Drop, Metrics, RttSource};
use crate::outbox::Lane;
use crate::time::{Millis, TICK_MS, Tick, rate_hz};
use crate::wire::{Acknowledged, Input, Message, Rejection};

/// Counts a message of a player, which has `bytes` bytes, before it is decoded. `Close` has ended
/// the player.
pub fn admit(state: &mut State, id: SessionId, bytes: usize, now: Millis) -> RateVerdict {
    let Some(session) = state.sessions.get_mut(id) else { return RateVerdict::Close };
    let link = session.link;
    let verdict = session.admit(&state.policy.limits.input, bytes, now);
    if verdict != RateVerdict::Take {
        state.metrics.count_drop(Drop::Rate);
    }
    if verdict == RateVerdict::Close {
        end::link(state, link, CloseReason::TooFast, now);
    }
    verdict
}

/// Drops a message of a player that was not admitted. Its acknowledgement says so, if the client
/// has asked for one with the id `ack`.
pub fn drop(state: &mut State, id: SessionId, ack: Option<u64>, now: Millis) {
    let Some(session) = state.sessions.get(id) else { return };
    let Some(room) = state.rooms.get_mut(session.room) else { return };
    let message = Message::Event { name: "", args: &[], ack, is_binary: false };
    let (news, encodings) = room.news();
    let answer = session.view.answer(&message, Err(Rejection::Rate), news, encodings, now);
    if let Some(answer) = answer {
        send::client(state, session.link, answer, Lane::Fact, now);
    }
}

/// Handles a message of a player that was admitted.
pub fn input(state: &mut State, id: SessionId, message: &Message, now: Millis) {
    let Some(session) = state.sessions.get_mut(id) else { return };
    let link = session.link;
    let Some(room) = state.rooms.get_mut(session.room) else { return };
    if std::mem::take(&mut session.has_presented)
        && let Some(token) = session.token.as_deref()
    {
        state.tokens.forget_presented(token.hash);
    }
    let is_first = !std::mem::replace(&mut session.has_sent, true);
    let input = session.view.decode(message, room.world.rules());
    if let (Ok(Input::Resume(token)), true) = (input, is_first) {
        return lobby::resume(state, id, token, now);
    }
    let mut acknowledged = None;
    let outcome = input.and_then(|input| {
        match input {
            Input::Command(command) => {
                session.acted_at = now;
                room.world.apply(session.view.player(), command, &mut room.facts)?;
            }
            Input::Keys(input) => {
                if let Some(held) = session.view.hold(&input, &room.world) {
                    if held.is_new {
                        session.acted_at = now;
                    }
                    acknowledged = held.acknowledged;
                    room.world.hold(session.view.player(), held.keys);
                }
            }
            Input::Acknowledge(tick) => {
                acknowledged = session.view.acknowledge(tick, room.world.now());
            }
            Input::Rate(hz) => session.view.hz = rate_hz(hz),
            Input::Resync => session.view.resync(),
            Input::Who(bodies) => session.view.ask_who(bodies, room.world.now())?,
            Input::Ping(_) => {}
            Input::Resume(_) => return Err(Rejection::Unknown),
        }
        Ok(input)
    });
    if let Some(acknowledged) = acknowledged {
        record_acknowledged(&mut state.metrics, acknowledged);
    }
    let (news, encodings) = room.news();
    let answer = session.view.answer(message, outcome, news, encodings, now);
    if room.has_new_facts() {
        state.rooms.mark_facts(session.room);
    }
    let verdict = match outcome {
        Err(rejection) if rejection.is_malformed() => {
            let verdict = session.admit_malformed(&state.policy.limits.input, now);
            reject(state, id, message, rejection);
            verdict
        }
        Err(Rejection::Rate) => {
            state.metrics.count_drop(Drop::Rate);
            RateVerdict::Take
        }
        _ => RateVerdict::Take,
    };
    if let Some(answer) = answer {
        send::client(state, link, answer, Lane::Fact, now);
    }
    if verdict == RateVerdict::Close {
        end::link(state, link, CloseReason::TooFast, now);
    }
}

/// A player has acknowledged a tick that asked for it, over Socket.IO.
pub fn acknowledged(state: &mut State, id: SessionId, tick: Tick) {
    if let Some(session) = state.sessions.get_mut(id)
        && let Some(room) = state.rooms.get(session.room)
    {
        let acknowledged = session.view.answered(tick, room.world.now());
        if let Some(acknowledged) = acknowledged {
            record_acknowledged(&mut state.metrics, acknowledged);
        }
    }
}

fn record_acknowledged(metrics: &mut Metrics, acknowledged: Acknowledged) {
    let Acknowledged { age_ticks, rtt_ticks } = acknowledged;
    metrics.acknowledged_age.record(age_ticks.into());
    metrics.record_rtt(RttSource::Acknowledgement, u64::from(rtt_ticks) * TICK_MS);
}

/// Counts a malformed message, and logs the first ones of a plain WebSocket: only over Socket.IO
/// does the client receive an error.
fn reject(state: &mut State, id: SessionId, message: &Message, rejection: Rejection) {
    let (drop, problem) = match rejection {
        Rejection::InvalidJson => (Drop::InvalidJson, "message is not valid JSON"),
        _ => (Drop::Unknown, "message is unknown, or a field of it is invalid"),
    };
    state.metrics.count_drop(drop);
    let Some(session) = state.sessions.get(id) else { return };
    if let (Link::Conn(link), Message::Payload(payload)) = (session.link, message)
        && let Some(conn) = state.conns.get_mut(link)
        && conn.warnings < WARNINGS_A_PEER
    {
        conn.warnings += 1;
        let player = session.view.player().0;
        warn!(player, text = %log::text(payload), "{problem}");
    }
}
