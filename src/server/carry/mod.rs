//! Engine.IO over its connections: handshakes, polls and posts, the change to WebSocket, the
//! heartbeat, and the end (engine.io-protocol 4).
//!
//! A verb: called for each request and message of such a session, on each tick, and when a
//! connection of one has ended.

use std::rc::Rc;

use super::conn::empty_close;
use super::engine::{Said, Transport, Words};
use super::ids::{ConnId, EngineId};
use super::state::State;
use crate::close::CloseReason;
use crate::http::Response;
use crate::limits::{OUTBOX_SOFT_MS, PACKETS_A_PAYLOAD};
use crate::outbox::{Encoded, Facts, Lane};
use crate::socketio::engineio::{self, Refusal};
use crate::socketio::packet::{Header, Kind};
use crate::time::{Millis, TICK_MS};
use crate::wire::events;
use crate::ws::frame;

mod request;

pub use request::request;

use request::{payload, refuse};

/// A packet in the frame that carries it.
fn packet(text: &[u8]) -> Encoded {
    Encoded::from(frame::whole(frame::TEXT, text))
}

/// Sends a packet over a WebSocket.
fn say(state: &mut State, id: ConnId, text: &[u8], now: Millis) {
    state.conns.push(id, packet(text), Lane::Fact, &state.limits, now);
}

/// A payload has arrived whole. Answers what it says for the application.
pub fn body(
    state: &mut State,
    id: ConnId,
    engine: EngineId,
    bytes: &[u8],
    now: Millis,
) -> Vec<Said> {
    let mut said = Vec::new();
    if let Some(polling) = state.engines.get_mut(engine).and_then(|engine| engine.polling()) {
        polling.post = None;
    }
    let mut hears_all = |text| {
        engineio::packets(text).all(|packet| match packet {
            Ok(packet) => hear(state, engine, packet, &mut said, now),
            Err(_) => false,
        })
    };
    let fault = match str::from_utf8(bytes) {
        // The official client fills a payload with all that it has not sent.
        Ok(text) if engineio::packet_count(text) > PACKETS_A_PAYLOAD => Some(CloseReason::TooFast),
        Ok(text) if hears_all(text) => None,
        _ => Some(CloseReason::Protocol),
    };
    let response = match fault {
        None if state.engines.get(engine).is_some() => Response::new(200, "text/html", &b"ok"[..]),
        _ => refuse(Refusal::BadRequest),
    };
    if let Some(reason) = fault {
        // What it was to end for already comes first.
        bury(state, now);
        end(state, engine, reason, b"1", now);
    }
    state.conns.answer(id, response, now);
    said
}

/// Takes a packet of a client. Answers whether it is one that clients may send.
fn hear(
    state: &mut State,
    id: EngineId,
    packet: engineio::Packet,
    said: &mut Vec<Said>,
    now: Millis,
) -> bool {
    let Some(engine) = state.engines.get_mut(id).filter(|engine| !engine.is_leaving) else {
        return true;
    };
    // Messages have rates of their own.
    let is_message = matches!(packet, engineio::Packet::Text(_) | engineio::Packet::Binary(_));
    if !is_message && !engine.control.allows(state.limits.input.control(), 1, now) {
        state.engines.doom(id, CloseReason::TooFast);
        return true;
    }
    match packet {
        engineio::Packet::Text(text) => said.push(Said::Text(text.to_owned())),
        engineio::Packet::Binary(bytes) => said.push(Said::Binary(bytes.into_owned())),
        engineio::Packet::Pong(_) if engine.pong_by != Millis::NEVER => {
            engine.pong_by = Millis::NEVER;
            engine.ping_at = now.after(state.settings.ping_interval_ms);
        }
        engineio::Packet::Close => engine.is_leaving = true,
        engineio::Packet::Ping(_) => return false,
        _ => {}
    }
    true
}

/// A WebSocket message of a session. Answers what it says for the application.
pub fn message(
    state: &mut State,
    link: ConnId,
    id: EngineId,
    (payload, is_text): (&[u8], bool),
    now: Millis,
) -> Option<Said> {
    let engine = state.engines.get_mut(id)?;
    if engine.transport != Transport::WebSocket(link) {
        // A binary message is no packet of the transport.
        probe(state, link, id, if is_text { payload } else { b"" }, now);
        return None;
    }
    let mut said = Vec::new();
    let packet = match is_text {
        true => str::from_utf8(payload).ok().and_then(|text| engineio::Packet::decode(text).ok()),
        false => Some(engineio::Packet::Binary(payload.into())),
    };
    if !packet.is_some_and(|packet| hear(state, id, packet, &mut said, now)) {
        end(state, id, CloseReason::Protocol, b"1", now);
    }
    said.pop()
}

/// A WebSocket that may take the session over says so.
fn probe(state: &mut State, link: ConnId, id: EngineId, payload: &[u8], now: Millis) {
    let Some(engine) = state.engines.get_mut(id) else { return };
    if !engine.control.allows(state.limits.input.control(), 1, now) {
        return state.engines.doom(id, CloseReason::TooFast);
    }
    let Some(polling) = engine.polling() else { return };
    let held = polling.poll;
    match &mut polling.probe {
        Some(probe) if probe.link == link && payload == b"2probe" => {
            probe.is_probed = true;
            // First the WebSocket learns of it, then the poll.
            say(state, link, b"3probe", now);
            noop(state, id, now);
        }
        Some(probe) if probe.link == link && payload == b"5" && probe.is_probed => {
            engine.transport = Transport::WebSocket(link);
            // A state that is owed goes by this way from now on.
            state.conns.mark_dirty(link);
            let waiting = engine.take_waiting();
            if let Some(held) = held {
                state.conns.answer(held, refuse(Refusal::BadRequest), now);
            }
            for packet in waiting.iter() {
                state.send_packet(id, packet.clone(), Lane::Fact, now);
            }
        }
        _ => {
            state.conns.close(link, CloseReason::Protocol, Some(empty_close()), now);
        }
    }
}

/// Answers the poll that waits beside a probe: the client is to stop polling.
fn noop(state: &mut State, id: EngineId, now: Millis) {
    let Some(engine) = state.engines.get_mut(id) else { return };
    let Some(polling) = engine.polling() else { return };
    polling.noop_at = None;
    if polling.poll.is_none() {
        return;
    }
    if !engine.has_waiting() {
        engine.queue(packet(b"6"), None, false);
    }
    answer(state, id, now);
}

/// Answers the polls of those who have something waiting.
pub fn answer_polls(state: &mut State, now: Millis) {
    for id in state.engines.take_ripe() {
        answer(state, id, now);
    }
}

/// Answers the poll of a session with what waits, and then the state that its client is owed.
fn answer(state: &mut State, id: EngineId, now: Millis) {
    let Some(engine) = state.engines.get_mut(id) else { return };
    let session = engine.session();
    if engine.polling().is_none_or(|polling| polling.poll.is_none()) {
        return;
    }
    let owed = session.and_then(|session| state.show_state(session));
    let Some(engine) = state.engines.get_mut(id) else { return };
    if owed.is_none() && !engine.has_waiting() {
        return;
    }
    let body = join(engine.take_waiting().iter().chain(&owed));
    let Some(polling) = engine.polling() else { return };
    let Some(poll) = polling.poll.take() else { return };
    polling.answered = Some(poll);
    if owed.is_some()
        && let Some(session) = session.and_then(|session| state.sessions.get_mut(session))
    {
        // If the answer is cut, the session ends with it.
        session.is_introduced = true;
        session.settle();
        state.metrics.snapshots += 1;
    }
    state.conns.answer(poll, payload(body), now);
}

/// Packets as one payload.
fn join<'a>(packets: impl Iterator<Item = &'a Encoded>) -> Vec<u8> {
    let mut body = Vec::new();
    for frames in packets {
        for (opcode, packet) in frame::payloads(frames.bytes()) {
            match opcode {
                frame::BINARY => {
                    engineio::append(engineio::binary_packet(packet).as_bytes(), &mut body);
                }
                _ => engineio::append(packet, &mut body),
            }
        }
    }
    body
}

/// What the passing of time asks for: pings, and the ends of sessions and probes.
pub fn beat(state: &mut State, now: Millis) {
    // A ping is sent on the last tick that is not after its time.
    let ahead = now.after(TICK_MS - 1);
    for id in state.engines.due(ahead) {
        state.at_work.engine = Some(id);
        if has_died(state, id, now) {
            continue;
        }
        let Some(engine) = state.engines.get_mut(id) else { continue };
        if engine.ping_at <= ahead {
            engine.pong_by = engine.ping_at.max(now).after(state.settings.ping_timeout_ms);
            engine.ping_at = Millis::NEVER;
            state.send_packet(id, packet(b"2"), Lane::Control, now);
        }
        let Some(polling) = state.engines.get_mut(id).and_then(|e| e.polling()) else { continue };
        let late = polling.probe.filter(|probe| probe.until <= now);
        let is_noop_due = polling.noop_at.is_some_and(|at| at <= now);
        if let Some(probe) = late {
            state.conns.close(probe.link, CloseReason::Protocol, Some(empty_close()), now);
        }
        if is_noop_due {
            noop(state, id, now);
        }
    }
    state.at_work.engine = None;
    state.engines.forget_words(now);
}

/// Ends a session whose pong did not come in time, or whose client did not come in, or left a
/// packet unfinished. Answers whether it did.
fn has_died(state: &mut State, id: EngineId, now: Millis) -> bool {
    let Some(engine) = state.engines.get_mut(id) else { return true };
    if engine.talk.as_ref().is_some_and(|talk| talk.connect_by.min(talk.whole_by) <= now) {
        end(state, id, CloseReason::Policy, b"1", now);
        return true;
    }
    if engine.full_since.after(OUTBOX_SOFT_MS) <= now {
        end(state, id, CloseReason::Slow, b"1", now);
        return true;
    }
    if engine.pong_by > now {
        return false;
    }
    // Either it is we who do not listen, or our ping is behind what it still reads; if it takes
    // nothing, it ends as slow.
    let is_busy = match engine.transport {
        Transport::WebSocket(link) => state
            .conns
            .get(link)
            .is_some_and(|conn| !conn.may_read(&state.limits) || conn.is_behind()),
        Transport::Polling(polling) => polling
            .answered
            .and_then(|poll| state.conns.get(poll))
            .is_some_and(|conn| conn.is_answering(id)),
    };
    if is_busy {
        engine.pong_by = now.after(state.settings.ping_timeout_ms);
        return false;
    }
    end(state, id, CloseReason::PingTimeout, b"1", now);
    true
}

/// Ends a session over which a fault of ours came up.
pub fn give_up(state: &mut State, id: EngineId, now: Millis) {
    end(state, id, CloseReason::Fault, b"1", now);
}

/// Ends those that are to end in this turn.
pub fn bury(state: &mut State, now: Millis) {
    while let Some((id, reason)) = state.engines.next_doomed() {
        end(state, id, reason, b"1", now);
    }
}

/// Ends a session whose client has said goodbye, once the application has heard the rest.
pub fn farewell(state: &mut State, id: EngineId, now: Millis) {
    if state.engines.get(id).is_some_and(|engine| engine.is_leaving) {
        end(state, id, CloseReason::ClientClosed, b"6", now);
    }
}

/// A connection of a session has ended. With a request under way, or with the WebSocket that
/// carries it, the session ends too; but not with a payload that was too large to be taken.
pub fn lost(state: &mut State, link: ConnId, id: EngineId, reason: CloseReason, now: Millis) {
    let Some(engine) = state.engines.get_mut(id) else { return };
    match &mut engine.transport {
        Transport::Polling(polling) if polling.probe.is_some_and(|probe| probe.link == link) => {
            (polling.probe, polling.noop_at) = (None, None);
        }
        Transport::Polling(polling)
            if polling.post == Some(link) && reason == CloseReason::TooBig =>
        {
            polling.post = None;
        }
        Transport::Polling(polling) => {
            polling.poll = polling.poll.filter(|poll| *poll != link);
            polling.post = polling.post.filter(|post| *post != link);
            end(state, id, CloseReason::HungUp, b"1", now);
        }
        Transport::WebSocket(socket) if *socket == link => end(state, id, reason, b"1", now),
        Transport::WebSocket(_) => {}
    }
}

/// Ends a session. A poll that waits is told `last` behind whatever else there is to tell.
fn end(state: &mut State, id: EngineId, reason: CloseReason, last: &[u8], now: Millis) {
    let Some(engine) = state.engines.get_mut(id) else { return };
    let transport = engine.transport;
    // Who is sent away for good is told so in the client's own terms: it does not come back.
    let talk = engine.talk.as_ref().filter(|_| reason == CloseReason::TooFast);
    let goodbyes: Vec<Encoded> = talk
        .iter()
        .flat_map(|talk| &talk.joined)
        .map(|namespace| events::packet(&Header::new(Kind::Disconnect, namespace, None), ""))
        .collect();
    let client = engine.client;
    match engine.session() {
        Some(session) => state.engines.part(session, reason),
        None => state.gate.unused_ended(client),
    }
    let Some(engine) = state.engines.get_mut(id) else { return };
    match transport {
        Transport::WebSocket(link) => {
            for goodbye in goodbyes {
                state.conns.push(link, goodbye, Lane::Fact, &state.limits, now);
            }
            state.engines.remove(id, Words::new(), now);
            if reason == CloseReason::Restart {
                return state.close_for_now(link, reason, now);
            }
            let last = reason.engineio_code().is_none().then(empty_close);
            state.conns.close(link, reason, last, now);
        }
        Transport::Polling(polling) => {
            let is_held = polling.poll.is_some();
            let waiting = engine.take_waiting();
            let mut words = last_words(reason, is_held, &waiting, &goodbyes, &packet(last));
            state.metrics.count_close(reason);
            if let Some(poll) = polling.poll {
                let response = match (reason, words.pop_front()) {
                    (CloseReason::Fault, _) => Response::sentence(500, "The fault is ours."),
                    (_, word) => payload(word.unwrap_or_default()),
                };
                state.conns.answer(poll, response, now);
                if state.drain.is_some() {
                    state.conns.close(poll, CloseReason::HttpDone, None, now);
                }
            }
            state.engines.remove(id, words, now);
            if let Some(probe) = polling.probe {
                state.conns.close(probe.link, reason, Some(empty_close()), now);
            }
        }
    }
}

/// What polls are told of the end of a session, the one that waits (if it `is_held`) and those that
/// may come.
fn last_words(
    reason: CloseReason,
    is_held: bool,
    waiting: &Facts,
    goodbyes: &[Encoded],
    last: &Encoded,
) -> Words {
    let last = std::slice::from_ref(last);
    let (is_leaving, is_slow) = (reason == CloseReason::ClientClosed, reason == CloseReason::Slow);
    let bodies = match reason {
        // Who has gone without a word asks no more.
        CloseReason::HungUp | CloseReason::PingTimeout | CloseReason::Protocol if !is_held => {
            Vec::new()
        }
        // On its own: clients hear nothing more of an answer that ends their session.
        _ if !goodbyes.is_empty() => {
            vec![join(waiting.iter().chain(goodbyes)), join(last.iter())]
        }
        // Who has said goodbye, or did not listen, need not hear the rest.
        _ if is_slow || is_leaving && !is_held => vec![join(last.iter())],
        _ => vec![join(waiting.iter().chain(last))],
    };
    bodies.into_iter().map(Rc::from).collect()
}
