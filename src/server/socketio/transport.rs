//! Engine.IO sessions over their connections: packets in and out, the upgrade to WebSocket, and
//! the end (engine.io-protocol 4).
//!
//! Called for each payload and WebSocket message of a session, and when a connection of a session
//! ends.

use std::rc::Rc;

use tracing::warn;

use super::super::backlog::{Bounds, Verdict};
use super::super::conn::{Conn, Stage};
use super::super::end;
use super::super::endings::Ended;
use super::super::fault::{self, FaultPoint};
use super::super::ids::{ConnId, EioId, Owner};
use super::super::log::Warning;
use super::super::state::State;
use super::super::{exchange, memory, panics, player_log, send};
use super::payloads::{body, last_payloads, packet};
use super::session::{EioMessage, EioSession, EioSessions, LastPayloads, Transport};
use crate::close::CloseReason;
use crate::http::Response;
use crate::limits::{
    CLOSED_SESSION_MS, LAST_POLL_MS, Limits, PACKETS_A_PAYLOAD, POLL_BYTES_A_TURN,
    POLL_GZIP_BYTES_MIN,
};
use crate::metrics::RttSource;
use crate::outbox::{Encoded, Facts, Lane, Taken};
use crate::socketio::BadPacket;
use crate::socketio::engineio::{self, Refusal};
use crate::socketio::packet::{Header, Kind};
use crate::socketio::parser::ForeignParser;
use crate::time::Millis;
use crate::wire::{Dialect, packet as packets};
use crate::ws::Data;

/// A refusal in the format of the reference server.
pub fn refuse(refusal: Refusal) -> Response {
    let status = if refusal == Refusal::Forbidden { 403 } else { 400 };
    Response::new(status, "application/json", refusal.body().into_bytes())
        .with("Cache-Control", "no-store")
}

/// The refusal of a client that uses another parser than the default one.
fn refuse_parser() -> Response {
    bad_request(CloseReason::Parser.sentence())
}

/// A refusal of a request, for the reason in `sentence`, which must not need JSON escapes.
pub fn bad_request(sentence: &str) -> Response {
    Response::new(400, "application/json", Refusal::BadRequest.body_with(sentence).into_bytes())
        .with("Cache-Control", "no-store")
}

/// A payload for the client.
pub fn payload(body: impl Into<Rc<[u8]>>) -> Response {
    Response::new(200, "text/plain; charset=UTF-8", body).with("Cache-Control", "no-store")
}

/// Whether a connection receives a POST of a session for which so much waits that it must poll
/// first.
#[must_use]
pub fn is_post_paused(sessions: &EioSessions, conn: &Conn, limits: &Limits) -> bool {
    let owner = conn.upload().and_then(|upload| upload.owner);
    let Some(Owner::Eio(eio)) = owner else { return false };
    sessions.get(eio).is_some_and(|eio| {
        let bounds = Bounds::polling(limits, eio.session().is_some());
        eio.backlog.verdict(&bounds) >= Verdict::Pause
    })
}

/// Ends the session of a POST that was paused for too long: its client polls too little. Returns
/// whether it did.
pub fn end_if_post_paused(state: &mut State, id: ConnId, now: Millis) -> bool {
    let State { conns, eio_sessions, policy, .. } = &*state;
    let paused = conns.get(id).filter(|it| is_post_paused(eio_sessions, it, &policy.limits));
    let Some(Owner::Eio(eio)) = paused.and_then(Conn::owner) else { return false };
    end(state, eio, CloseReason::Slow, now);
    exchange::refuse(state, id, refuse(Refusal::BadRequest), false, now);
    true
}

/// Takes the packets that wait for a poll of a session. Its POST is read again.
fn take_waiting(state: &mut State, id: EioId, now: Millis) -> Facts {
    let Some(eio) = state.eio_sessions.get_mut(id) else { return Facts::default() };
    let waiting = eio.take_waiting();
    if let Some(post) = eio.polling().and_then(|polling| polling.post) {
        state.conns.mark_dirty(post);
    }
    memory::session_changed(state, id, now);
    waiting
}

/// Sends a packet over a WebSocket.
pub fn send_over(state: &mut State, id: ConnId, text: &[u8], now: Millis) {
    send::frame(state, id, packet(text), Lane::Fact, now);
}

/// Handles the complete body of a POST. Returns the messages for the application; none if the
/// payload is invalid.
pub fn receive_payload(
    state: &mut State,
    id: ConnId,
    eio_id: EioId,
    bytes: &[u8],
    now: Millis,
) -> Vec<EioMessage> {
    let mut messages = Vec::new();
    if let Some(eio) = state.eio_sessions.get_mut(eio_id) {
        eio.polled.received_bytes += bytes.len() as u64;
        state.traffic[Dialect::Events as usize].received_bytes += bytes.len() as u64;
        if let Some(polling) = eio.polling() {
            polling.post = None;
        }
    }
    let text = str::from_utf8(bytes).map_err(|_| CloseReason::Protocol);
    let result = text.and_then(|text| {
        // The official client puts everything that it has queued into one payload.
        let packets: Vec<&str> = engineio::split(text).take(PACKETS_A_PAYLOAD + 1).collect();
        if packets.len() > PACKETS_A_PAYLOAD {
            return Err(CloseReason::TooFast);
        }
        packets.into_iter().try_for_each(|packet| {
            let packet = engineio::Packet::decode(packet);
            let packet = packet.map_err(|BadPacket| CloseReason::Protocol)?;
            messages.extend(receive_packet(state, eio_id, packet, now)?);
            Ok(())
        })
    });
    let fault = result.err();
    let response = match fault {
        None if state.eio_sessions.get(eio_id).is_some() => {
            Response::new(200, "text/html", &b"ok"[..])
        }
        Some(CloseReason::Parser) => refuse_parser(),
        _ => refuse(Refusal::BadRequest),
    };
    if let Some(reason) = fault {
        state.endings.push(Ended::Eio(eio_id), reason);
        messages.clear();
    }
    exchange::answer(state, id, response, now);
    messages
}

/// Handles a packet of a client. Returns the message in it, if any.
///
/// # Errors
/// Why the session ends: clients must not send such packets.
fn receive_packet(
    state: &mut State,
    id: EioId,
    packet: engineio::Packet,
    now: Millis,
) -> Result<Option<EioMessage>, CloseReason> {
    let Some(eio) = state.eio_sessions.get_mut(id).filter(|eio| !eio.is_closing) else {
        return Ok(None);
    };
    // Messages have their own rates.
    let is_message = matches!(packet, engineio::Packet::Text(_) | engineio::Packet::Binary(_));
    if !is_message && !eio.control.allows(state.policy.limits.input.control(), 1, now) {
        state.endings.push(Ended::Eio(id), CloseReason::TooFast);
        return Ok(None);
    }
    // Packets of other parsers could only be the first: without CONNECT there is no second.
    if eio.socketio.as_ref().is_some_and(|socketio| socketio.namespaces.is_empty())
        && let Some(parser) = ForeignParser::of(&packet)
    {
        let client = eio.client;
        if state.warnings.may_log(Warning::Parser(parser), now) {
            let parser = parser.package();
            warn!(%client, parser, "refused a Socket.IO client with another parser");
        }
        return Err(CloseReason::Parser);
    }
    match packet {
        engineio::Packet::Text(text) => return Ok(Some(EioMessage::Text(text.to_owned()))),
        engineio::Packet::Binary(bytes) => {
            return Ok(Some(EioMessage::Binary(bytes.into_owned())));
        }
        engineio::Packet::Pong(_) if eio.pong_by != Millis::NEVER => {
            state.metrics.record_rtt(RttSource::EngineIoPing, now.since(eio.pinged_at));
            eio.pong_by = Millis::NEVER;
            eio.ping_at = now.after(state.settings.ping_interval_ms);
        }
        engineio::Packet::Close => eio.is_closing = true,
        engineio::Packet::Ping(_) => return Err(CloseReason::Protocol),
        _ => {}
    }
    Ok(None)
}

/// Handles a WebSocket message of a session. Returns the message for the application, if it is one.
pub fn receive_message(
    state: &mut State,
    link: ConnId,
    id: EioId,
    data: Data,
    now: Millis,
) -> Option<EioMessage> {
    let Data { bytes, is_text } = data;
    let eio = state.eio_sessions.get_mut(id)?;
    if eio.transport != Transport::WebSocket(link) {
        // A binary message is not a transport packet.
        upgrade(state, link, id, if is_text { bytes } else { b"" }, now);
        return None;
    }
    let packet = match is_text {
        true => str::from_utf8(bytes).map_err(|_| BadPacket).and_then(engineio::Packet::decode),
        false => Ok(engineio::Packet::Binary(bytes.into())),
    };
    let packet = packet.map_err(|BadPacket| CloseReason::Protocol);
    packet.and_then(|packet| receive_packet(state, id, packet, now)).unwrap_or_else(|reason| {
        state.endings.push(Ended::Eio(id), reason);
        None
    })
}

/// Handles a message on the WebSocket of an upgrade: `2probe`, then `5`.
fn upgrade(state: &mut State, link: ConnId, id: EioId, payload: &[u8], now: Millis) {
    let Some(eio) = state.eio_sessions.get_mut(id) else { return };
    if !eio.control.allows(state.policy.limits.input.control(), 1, now) {
        return state.endings.push(Ended::Eio(id), CloseReason::TooFast);
    }
    let Some(polling) = eio.polling() else { return };
    let held = polling.poll;
    match &mut polling.probe {
        Some(probe) if probe.link == link && payload == b"2probe" => {
            probe.is_probed = true;
            // The WebSocket is answered first, then the poll.
            send_over(state, link, b"3probe", now);
            noop(state, id, now);
        }
        Some(probe) if probe.link == link && payload == b"5" && probe.is_probed => {
            let waiting = take_waiting(state, id, now);
            if let Some(eio) = state.eio_sessions.get_mut(id) {
                eio.transport = Transport::WebSocket(link);
            }
            // An owed state now goes over the WebSocket.
            state.conns.mark_dirty(link);
            if let Some(held) = held {
                exchange::answer(state, held, refuse(Refusal::BadRequest), now);
            }
            for (packet, lane) in waiting.lanes() {
                send::packet(state, id, packet.clone(), lane, now);
            }
        }
        _ => {
            let last = Some(end::empty_close_frame());
            end::connection(state, link, CloseReason::Protocol, last, now);
        }
    }
}

/// Answers the held poll with a noop packet if nothing else waits. During an upgrade the client
/// then stops polling. Otherwise it polls again, before a proxy ends a response that takes long.
pub(super) fn noop(state: &mut State, id: EioId, now: Millis) {
    let bounds = Bounds::polling(&state.policy.limits, false);
    let Some(eio) = state.eio_sessions.get_mut(id) else { return };
    let Some(polling) = eio.polling() else { return };
    polling.noop_at = Millis::NEVER;
    if polling.poll.is_none() {
        return;
    }
    if eio.has_waiting() {
        // It is answered in this turn, with what this tick adds.
        return state.eio_sessions.mark_poll(id);
    }
    eio.queue([(packet(b"6"), None)], &bounds, now);
    answer_poll(state, id, &mut Vec::new(), now);
}

/// Answers the held polls of sessions that have something to send, oldest first, until
/// [`POLL_BYTES_A_TURN`] are in answers that no two clients share. Returns whether it is done. If
/// not, settle: polls are left for the next turn, and clients may hold too much now; or an answer
/// has panicked.
#[must_use]
pub fn answer_polls(state: &mut State, now: Millis) -> bool {
    let (mut own_bytes, mut is_done) = (0, true);
    let mut buffer = Vec::new();
    while let Some(id) = state.eio_sessions.pop_poll() {
        let answer = |state: &mut State| answer_poll(state, id, &mut buffer, now);
        match panics::caught(state, answer) {
            Some(bytes) => own_bytes += bytes,
            None => {
                state.endings.push(Ended::Eio(id), CloseReason::Fault);
                is_done = false;
            }
        }
        if own_bytes >= POLL_BYTES_A_TURN {
            return false;
        }
    }
    is_done
}

/// Answers the held poll of a session with the packets that wait, then the owed state. The answer
/// is put together in `buffer`. Returns how many of its bytes no other client shares.
fn answer_poll(state: &mut State, id: EioId, buffer: &mut Vec<u8>, now: Millis) -> usize {
    let Some(eio) = state.eio_sessions.get_mut(id) else { return 0 };
    let session = eio.session();
    if eio.polling().is_none_or(|polling| polling.poll.is_none()) {
        return 0;
    }
    let update = session.and_then(|session| send::poll_update(state, session));
    let Some(eio) = state.eio_sessions.get_mut(id) else { return 0 };
    if update.is_none() && !eio.has_waiting() {
        return 0;
    }
    fault::point(state.fault_hook, FaultPoint::Poll(eio.client));
    let body = body(&take_waiting(state, id, now), update.as_ref(), buffer);
    let has_update = update.is_some();
    // A first update is made for one client: only the body holds it from here on.
    drop(update);
    let own_bytes = if Rc::strong_count(&body) == 1 { body.len() } else { 0 };
    let polling = state.eio_sessions.get_mut(id).and_then(EioSession::polling);
    let Some(polling) = polling else { return 0 };
    let Some(poll) = polling.poll.take() else { return 0 };
    polling.answered = Some(poll);
    polling.answered_at = now;
    polling.absent_at = state.policy.absent_at(&state.settings, now);
    if has_update && let Some(session) = session.and_then(|session| state.sessions.get_mut(session))
    {
        // If the response is cut off, the session ends with it.
        session.view.taken(Taken::Whole);
        state.metrics.snapshots += 1;
    }
    let response = compressed(state, poll, body);
    if let Some(eio) = state.eio_sessions.get_mut(id) {
        eio.polled.sent_bytes += response.body_bytes() as u64;
        state.traffic[Dialect::Events as usize].sent_bytes += response.body_bytes() as u64;
    }
    exchange::answer(state, poll, response, now);
    own_bytes
}

/// The response to a poll, compressed if the client takes that and it is worth it.
fn compressed(state: &mut State, poll: ConnId, body: Rc<[u8]>) -> Response {
    let takes_gzip = match state.conns.get(poll).map(|conn| &conn.stage) {
        Some(Stage::Http(http)) => http.reply.takes_gzip,
        _ => false,
    };
    if !takes_gzip || body.len() < POLL_GZIP_BYTES_MIN || state.settings.no_deflate {
        return payload(body);
    }
    let State { poll_gzip, encoder, .. } = state;
    match poll_gzip.gzip(&body, |bytes| encoder.compression.takes_payload(bytes)) {
        None => payload(body),
        Some(gzip) => {
            payload(gzip).with("Content-Encoding", "gzip").with("Vary", "Accept-Encoding")
        }
    }
}

/// Queues the end of a session whose client has sent a close packet. Call it after the application
/// has handled the messages before it.
pub fn end_if_closing(state: &mut State, id: EioId) {
    if state.eio_sessions.get(id).is_some_and(|eio| eio.is_closing) {
        state.endings.push(Ended::Eio(id), CloseReason::ClientClosed);
    }
}

/// A connection of a session has ended. The session ends, too, if a request was in progress or if
/// it was its WebSocket; but not if a POST was refused as too large.
pub fn connection_ended(
    state: &mut State,
    link: ConnId,
    id: EioId,
    reason: CloseReason,
    now: Millis,
) {
    let Some(eio) = state.eio_sessions.get_mut(id) else { return };
    match &mut eio.transport {
        Transport::Polling(polling) if polling.probe.is_some_and(|probe| probe.link == link) => {
            polling.probe = None;
            // It polls again.
            if polling.poll.is_none() {
                polling.absent_at = state.policy.absent_at(&state.settings, now);
            }
        }
        Transport::Polling(polling)
            if polling.post == Some(link) && reason == CloseReason::TooBig =>
        {
            polling.post = None;
        }
        Transport::Polling(polling) => {
            polling.poll = polling.poll.filter(|poll| *poll != link);
            polling.post = polling.post.filter(|post| *post != link);
            end(state, id, CloseReason::PeerClosed, now);
        }
        Transport::WebSocket(socket) if *socket == link => end(state, id, reason, now),
        Transport::WebSocket(_) => {}
    }
}

/// Ends a session now: its client leaves the room, its WebSocket is closed, and a held poll is
/// answered. Later polls get what is left to send.
pub fn end(state: &mut State, id: EioId, reason: CloseReason, now: Millis) {
    let Some(eio) = state.eio_sessions.get_mut(id) else { return };
    let transport = eio.transport;
    // A DISCONNECT packet keeps the official client from coming back.
    let is_final =
        matches!(reason, CloseReason::TooFast | CloseReason::Replaced | CloseReason::Kicked);
    let socketio = eio.socketio.as_ref().filter(|_| is_final);
    let disconnects: Vec<Encoded> = socketio
        .iter()
        .flat_map(|socketio| &socketio.namespaces)
        .map(|namespace| packets::packet(&Header::new(Kind::Disconnect, namespace, None), ""))
        .collect();
    // To leave, a client disconnects first. The official one also closes when it has missed pings.
    let is_lost = reason == CloseReason::ClientClosed && eio.is_closing && state.settings.recovery;
    let reason_of_player = if is_lost { CloseReason::PeerClosed } else { reason };
    match eio.session() {
        Some(session) => {
            player_log::keep_carried(state, session);
            state.endings.push(Ended::Session(session), reason_of_player);
        }
        None => {
            state.admission.unjoined_ended(eio.client);
            state.eio_sessions.unjoined.remove(id);
        }
    }
    match transport {
        Transport::WebSocket(link) => {
            for disconnect in disconnects {
                send::frame(state, link, disconnect, Lane::Fact, now);
            }
            remove(state, id, LastPayloads::new(), now);
            if reason == CloseReason::Restart {
                return end::with_retry_hint(state, link, reason, now);
            }
            let last = reason.engineio_code().is_none().then(end::empty_close_frame);
            end::connection(state, link, reason, last, now);
        }
        Transport::Polling(polling) => {
            let is_held = polling.poll.is_some();
            let waiting = take_waiting(state, id, now);
            let mut payloads = last_payloads(reason, is_held, &waiting, &disconnects);
            state.metrics.count_close(reason);
            if let Some(poll) = polling.poll {
                let response = match (reason, payloads.pop_front()) {
                    (CloseReason::Fault, _) => Response::sentence(500, "Internal server error."),
                    (CloseReason::Parser, _) => refuse_parser(),
                    (_, last) => payload(last.unwrap_or_default()),
                };
                exchange::answer(state, poll, response, now);
                if state.drain.is_some() {
                    end::connection(state, poll, CloseReason::HttpDone, None, now);
                }
            }
            remove(state, id, payloads, now);
            if let Some(probe) = polling.probe {
                let last = Some(end::empty_close_frame());
                end::connection(state, probe.link, reason, last, now);
            }
        }
    }
}

fn remove(state: &mut State, id: EioId, last_payloads: LastPayloads, now: Millis) {
    let State { eio_sessions, memory, admission, drain, .. } = state;
    let kept_until = match drain {
        Some(drain) => drain.until.max(now).after(LAST_POLL_MS),
        None => now.after(CLOSED_SESSION_MS),
    };
    if let Some(eio) = eio_sessions.remove(id, last_payloads, kept_until) {
        memory.release(admission, eio.client, eio.counted.bytes());
    }
}
