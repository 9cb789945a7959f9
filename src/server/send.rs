//! Bytes to a client, over any transport: frames into an outbox, packets into an outbox or the
//! queue of a poll, the state that a client is owed, and what the kernel took of it.

use std::io::IoSlice;

use super::backlog::{Bounds, Verdict};
use super::conn::{Conn, Exchange, Stage};
use super::end;
use super::endings::Ended;
use super::fault::{self, FaultPoint};
use super::ids::{ConnId, EioId, Link, Owner, SessionId};
use super::memory;
use super::rooms::Room;
use super::socketio::session::{EioSessions, Transport};
use super::state::State;
use crate::close::CloseReason;
use crate::outbox::{Encoded, Lane, Taken, Topic, Update};
use crate::time::{Millis, Tick};
use crate::wire::Framing;

/// Queues a frame on a WebSocket. A reader that is too slow is ended.
pub fn frame(state: &mut State, id: ConnId, bytes: Encoded, lane: Lane, now: Millis) {
    let Some(conn) = state.conns.get_mut(id) else { return };
    let bounds = conn.bounds(&state.policy.limits);
    let merges = conn.backlog.verdict(&bounds) >= Verdict::Merge;
    conn.outbox.push(bytes, lane, merges);
    queued(state, id, 1, now);
}

/// Updates what depends on the outbox of a WebSocket after `frames` were queued there.
fn queued(state: &mut State, id: ConnId, frames: usize, now: Millis) {
    let verdict = update_backlog(state, id, now);
    state.conns.count_frames(frames);
    state.conns.mark_dirty(id);
    if verdict == Verdict::End {
        end::connection(state, id, CloseReason::Slow, None, now);
    }
}

/// Queues a pong in place of one that waits.
pub fn pong(state: &mut State, id: ConnId, bytes: Encoded, now: Millis) {
    let Some(conn) = state.conns.get_mut(id) else { return };
    conn.outbox.push_pong(bytes);
    update_backlog(state, id, now);
    state.conns.count_frames(1);
    state.conns.mark_dirty(id);
}

/// Queues the head of a response that must precede everything else, such as `101`.
pub fn head(state: &mut State, id: ConnId, bytes: Encoded, now: Millis) {
    let Some(conn) = state.conns.get_mut(id) else { return };
    conn.outbox.push(bytes, Lane::Control, false);
    update_backlog(state, id, now);
    state.conns.mark_dirty(id);
}

/// Queues the head and body of an HTTP response.
pub fn response(state: &mut State, id: ConnId, head: Vec<u8>, body: Option<Encoded>, now: Millis) {
    let Some(conn) = state.conns.get_mut(id) else { return };
    conn.outbox.push(Encoded::from(head), Lane::Fact, false);
    if let Some(body) = body {
        conn.outbox.push(body, Lane::Fact, false);
    }
    update_backlog(state, id, now);
    state.conns.mark_response(id);
}

fn update_backlog(state: &mut State, id: ConnId, now: Millis) -> Verdict {
    let Some(conn) = state.conns.get_mut(id) else { return Verdict::Ok };
    let bounds = conn.bounds(&state.policy.limits);
    let ends_sooner = conn.backlog.set_bytes(conn.outbox.waiting_bytes(), &bounds, now);
    let verdict = conn.backlog.verdict(&bounds);
    if ends_sooner {
        state.conns.wake(id);
    }
    memory::conn_changed(state, id, now);
    verdict
}

/// Sends a packet, in the WebSocket frame that carries it, to the client of an Engine.IO session:
/// at once over its WebSocket, in its `lane`, else with the next poll.
pub fn packet(state: &mut State, id: EioId, packet: Encoded, lane: Lane, now: Millis) {
    let Some(eio) = state.eio_sessions.get_mut(id) else { return };
    if let Transport::WebSocket(link) = eio.transport {
        return frame(state, link, packet, lane, now);
    }
    let bounds = Bounds::polling(&state.policy.limits, eio.session().is_some());
    let about = match lane {
        Lane::About(topic, shown) => Some((topic, shown)),
        Lane::Control | Lane::Fact => None,
    };
    let verdict = eio.queue([(packet, about)], &bounds, now);
    waits_for_poll(state, id, verdict, now);
}

/// Updates what depends on the packets of a session that wait for a poll, after some were queued.
fn waits_for_poll(state: &mut State, id: EioId, verdict: Verdict, now: Millis) {
    if verdict == Verdict::End {
        state.endings.push(Ended::Eio(id), CloseReason::Slow);
    }
    memory::session_changed(state, id, now);
    state.eio_sessions.mark_poll(id);
}

/// Sends what belongs in one WebSocket frame, or in several, to a client.
pub fn client(state: &mut State, link: Link, bytes: Encoded, lane: Lane, now: Millis) {
    match link {
        Link::Conn(id) => frame(state, id, bytes, lane, now),
        Link::Eio(id) => packet(state, id, bytes, lane, now),
    }
}

/// Sends facts one by one to a client for which facts are merged, see [`merges`].
pub fn merged(state: &mut State, link: Link, facts: &[(Topic, Encoded)], shown: Tick, now: Millis) {
    let State { conns, eio_sessions, policy, .. } = state;
    match (websocket_of(eio_sessions, link), link) {
        (Some(id), _) => {
            let Some(conn) = conns.get_mut(id) else { return };
            for (topic, fact) in facts {
                conn.outbox.push(fact.clone(), Lane::About(*topic, shown), true);
            }
            queued(state, id, facts.len(), now);
        }
        (None, Link::Eio(id)) => {
            let Some(eio) = eio_sessions.get_mut(id) else { return };
            let bounds = Bounds::polling(&policy.limits, eio.session().is_some());
            let facts = facts.iter().map(|(topic, fact)| (fact.clone(), Some((*topic, shown))));
            let verdict = eio.queue(facts, &bounds, now);
            waits_for_poll(state, id, verdict, now);
        }
        (None, Link::Conn(_)) => {}
    }
}

/// Whether so much waits for a client that facts are merged.
#[must_use]
pub fn merges(state: &State, link: Link) -> bool {
    let over_websocket = |id| {
        let conn = state.conns.get(id)?;
        Some(conn.backlog.verdict(&conn.bounds(&state.policy.limits)))
    };
    let pressure = match link {
        Link::Conn(id) => over_websocket(id),
        Link::Eio(id) => state.eio_sessions.get(id).and_then(|eio| match eio.transport {
            Transport::WebSocket(id) => over_websocket(id),
            Transport::Polling(_) => {
                let bounds = Bounds::polling(&state.policy.limits, eio.session().is_some());
                Some(eio.backlog.verdict(&bounds))
            }
        }),
    };
    pressure.is_some_and(|pressure| pressure >= Verdict::Merge)
}

/// The client that plays over a connection.
#[must_use]
pub fn session_over(state: &State, id: ConnId) -> Option<SessionId> {
    session_of(&state.eio_sessions, state.conns.get(id)?, id)
}

/// The client that plays over `conn`, whose id is `id`.
#[inline]
#[must_use]
pub fn session_of(eio_sessions: &EioSessions, conn: &Conn, id: ConnId) -> Option<SessionId> {
    match conn.owner()? {
        Owner::Session(session) => Some(session),
        Owner::Eio(eio) => {
            let eio = eio_sessions.get(eio)?;
            eio.session().filter(|_| eio.transport == Transport::WebSocket(id))
        }
    }
}

/// The WebSocket of a client, unless it polls.
#[must_use]
pub fn websocket_of(eio_sessions: &EioSessions, link: Link) -> Option<ConnId> {
    match link {
        Link::Conn(id) => Some(id),
        Link::Eio(id) => match eio_sessions.get(id)?.transport {
            Transport::WebSocket(id) => Some(id),
            Transport::Polling(_) => None,
        },
    }
}

/// How many of the bytes that were written to a connection are not acknowledged, if that is known.
pub fn record_delivery(state: &mut State, id: ConnId, unacknowledged_bytes: Option<u32>) {
    let session = session_over(state, id);
    if let Some(bytes) = unacknowledged_bytes
        && let Some(session) = session.and_then(|id| state.sessions.get_mut(id))
    {
        session.view.record_delivery(bytes == 0);
    }
}

/// What a client is owed.
enum Offer {
    /// An update whose bytes others share.
    Shared(Update),
    /// The message of the [`Encoder`](crate::wire::Encoder), until it makes another one.
    Own,
}

/// The update that a client over polling is owed, and the tick of the server on which it was made.
/// `None` if it is owed none, or if nothing has changed for it.
pub fn poll_update(state: &mut State, id: SessionId) -> Option<(Update, Tick)> {
    match offer(state, id, Framing::Polling)? {
        (Offer::Shared(update), tick) => Some((update, tick)),
        (Offer::Own, _) => None,
    }
}

/// The same for any client.
fn offer(state: &mut State, id: SessionId, framing: Framing) -> Option<(Offer, Tick)> {
    let State { sessions, rooms, encoder, first_room_slot, .. } = state;
    let session = sessions.get_mut(id).filter(|session| session.view.is_owed())?;
    let room = rooms.get_mut(session.room)?;
    debug_assert!(!room.has_new_facts(), "facts are encoded before an update that follows them");
    let made_at = room.frame_made;
    let (news, encodings) = room.news();
    if session.view.dialect.has_own_messages() {
        let is_made = session.view.message(news, encodings, encoder);
        return is_made.then_some((Offer::Own, made_at));
    }
    let was_used_up = encoder.compression.is_used_up();
    let update = session.view.update(news, encodings, framing, encoder)?;
    if !was_used_up && encoder.compression.is_used_up() {
        *first_room_slot = session.room.slot;
    }
    Some((Offer::Shared(update), made_at))
}

/// Reads what [`slices`] and [`written`] need for some connections.
pub fn prefetch(state: &State, ids: impl Iterator<Item = ConnId>) {
    for id in ids {
        let Some(conn) = state.conns.get(id) else { continue };
        std::hint::black_box((conn.outbox.is_empty(), conn.has_no_backlog(), conn.active_at));
        let session = session_of(&state.eio_sessions, conn, id);
        if let Some(session) = session.and_then(|id| state.sessions.get(id))
            && let Some(Room { frame, world, encodings, .. }) = state.rooms.get(session.room)
        {
            session.view.prefetch((frame, world), encodings);
        }
    }
}

/// Fills `slices` with what goes next to a connection: control, facts, and the update if one is
/// owed, at most `bytes_max` bytes. Returns how many it filled.
pub fn slices<'a>(
    state: &'a mut State,
    id: ConnId,
    slices: &mut [IoSlice<'a>],
    bytes_max: usize,
) -> usize {
    state.own_message = None;
    if let Some(conn) = state.conns.get(id)
        && conn.outbox.takes_update()
        && let framing = conn.framing()
        && let is_alone = conn.outbox.is_empty()
        && let Some(session) = session_of(&state.eio_sessions, conn, id)
        && let Some((offer, tick)) = offer(state, session, framing)
        && let Some(conn) = state.conns.get_mut(id)
    {
        match offer {
            Offer::Shared(update) => conn.outbox.offer_update(update, tick),
            Offer::Own if is_alone => state.own_message = Some((id, tick)),
            Offer::Own => {
                let message = Encoded::from(state.encoder.message());
                conn.outbox.offer_update(message.into(), tick);
            }
        }
    }
    fault::point(state.fault_hook, FaultPoint::Slices(id));
    if state.own_message.is_some() {
        slices[0] = IoSlice::new(state.encoder.message());
        return 1;
    }
    state.conns.get(id).map_or(0, |conn| conn.outbox.slices(slices, bytes_max))
}

/// Records that the kernel took `taken` of the `shown` bytes. Returns whether there may be more to
/// write to the connection.
pub fn written(state: &mut State, id: ConnId, taken: usize, shown: usize, now: Millis) -> bool {
    let State { conns, eio_sessions, sessions, metrics, traffic, encoder, own_message, .. } = state;
    let own_message = own_message.take_if(|(of, _)| *of == id);
    let Some(conn) = conns.get_mut(id) else { return false };
    metrics.bytes_out += taken as u64;
    conn.traffic.sent_bytes += taken as u64;
    metrics.short_writes += u64::from(taken < shown);
    let mut is_only_update = taken == shown && conn.has_no_backlog();
    if let Some((_, tick)) = own_message.filter(|_| !is_only_update) {
        conn.outbox.offer_update(Encoded::from(encoder.message()).into(), tick);
    } else if own_message.is_none() {
        is_only_update = is_only_update && conn.outbox.advance_by_update(taken);
    }
    if is_only_update {
        // Nearly every write.
        fault::point(state.fault_hook, FaultPoint::Written(id));
        let session = session_of(eio_sessions, conn, id).and_then(|id| sessions.get_mut(id));
        metrics.snapshots += 1;
        return session.is_some_and(|session| {
            traffic[session.view.dialect as usize].sent_bytes += taken as u64;
            session.view.taken(Taken::Whole);
            session.view.is_owed()
        });
    }
    let update_taken = write_outbox(state, id, taken, shown, now);
    fault::point(state.fault_hook, FaultPoint::Written(id));
    if let Some(session) = session_over(state, id).and_then(|id| state.sessions.get_mut(id)) {
        state.traffic[session.view.dialect as usize].sent_bytes += taken as u64;
        session.view.taken(update_taken);
    }
    state.metrics.snapshots += u64::from(update_taken == Taken::Whole);
    true
}

/// Advances the outbox. Returns how much of a state was written.
fn write_outbox(state: &mut State, id: ConnId, taken: usize, shown: usize, now: Millis) -> Taken {
    let limits = &state.policy.limits;
    let Some(conn) = state.conns.get_mut(id) else { return Taken::None };
    let had_backlog = !conn.has_no_backlog();
    let was_paused = had_backlog && !conn.may_read(limits);
    let was_stalled = conn.backlog.is_stalled();
    // The server does not read from it, or an Engine.IO session has a heartbeat that waits behind
    // what it reads: if it reads, that is not silence.
    let is_eio = matches!(conn.owner(), Some(Owner::Eio(_)));
    if (was_paused || was_stalled && is_eio) && taken > 0 {
        conn.active_at = now;
    }
    let state_taken = conn.outbox.advance(taken);
    let bounds = conn.bounds(limits);
    conn.backlog.record_write(taken, shown, now);
    conn.backlog.set_bytes(conn.outbox.waiting_bytes(), &bounds, now);
    let needs_check = conn.backlog.is_stalled() || was_stalled || was_paused;
    let is_empty = conn.outbox.is_empty();
    let needs_count = !is_empty || conn.counted.bytes() > 0;
    let mut is_done = false;
    match &mut conn.stage {
        // While a response waits only a stall counts; from now on, silence does.
        Stage::Http(http) if is_empty => {
            if matches!(http.exchange, Exchange::Answered(_)) {
                http.exchange = Exchange::None;
            }
            http.since = now;
        }
        Stage::Lingering(lingering) if !lingering.is_shut => {
            if taken > 0 {
                lingering.until = lingering.until.max(now.after(lingering.extension_ms));
            }
            is_done = is_empty;
        }
        _ => {}
    }
    if is_done {
        end::shut(state, id, now);
    }
    if needs_check {
        state.conns.wake(id);
    }
    if needs_count {
        memory::conn_changed(state, id, now);
    }
    state_taken
}
