//! Recovery after a panic: what ends, and nothing more.

use super::end;
use super::endings::Ended;
use super::ids::{ConnId, RoomId};
use super::state::AtWork;
use super::{Server, lobby, send, settle};
use crate::close::CloseReason;
use crate::time::Millis;

impl Server {
    /// Recovers from a panic in [`Server::receive`]: the connection ends (1011), and so does its
    /// room if the world is no longer consistent.
    pub fn recover_receive(&mut self, id: ConnId, now: Millis) {
        self.state.metrics.panics += 1;
        let AtWork { room, eio, .. } = std::mem::take(&mut self.state.at_work);
        let by_request = eio.and_then(|id| self.state.eio_sessions.get(id)?.session());
        let session = by_request.or_else(|| send::session_over(&self.state, id));
        let session = session.and_then(|id| self.state.sessions.get(id));
        let room = room.or(session.map(|session| session.room));
        if let Some(eio) = eio {
            self.state.endings.push(Ended::Eio(eio), CloseReason::Fault);
            settle::endings(&mut self.state, now);
        }
        end::connection(&mut self.state, id, CloseReason::Fault, None, now);
        settle::all(&mut self.state, now);
        if let Some(room) = room
            && !self.state.rooms.get(room).is_some_and(|room| room.world.is_sound())
        {
            self.close_room(room, now);
        }
    }

    /// Recovers from a panic in [`Server::tick`]: the room whose world panicked is closed, or the
    /// connection or session whose deadline was handled ends (1011).
    pub fn recover_tick(&mut self, now: Millis) {
        self.state.metrics.panics += 1;
        let AtWork { room, conn, eio } = std::mem::take(&mut self.state.at_work);
        if let Some(id) = conn {
            end::after_fault(&mut self.state, id, now);
        }
        if let Some(id) = eio {
            self.state.endings.push(Ended::Eio(id), CloseReason::Fault);
        }
        if let Some(id) = room {
            self.close_room(id, now);
        }
        settle::all(&mut self.state, now);
    }

    fn close_room(&mut self, id: RoomId, now: Millis) {
        let state = &mut self.state;
        let Some(room) = state.rooms.get(id) else { return };
        tracing::error!(room = %room.name, "room closed after a panic");
        let member = |id| state.sessions.get(id).map(|session| session.link);
        let links: Vec<_> = room.members().iter().copied().filter_map(member).collect();
        links.into_iter().for_each(|link| end::link(state, link, CloseReason::Fault, now));
        settle::all(&mut self.state, now);
        let state = &mut self.state;
        state.rooms.remove(id);
        // A permanent room is made again; its rules were checked at the start.
        let _ = lobby::make_permanent_rooms(state);
    }
}
