//! What ends after a panic was caught, and no more than that.

use super::ids::{ConnId, RoomId};
use super::state::AtWork;
use super::{Server, carry, enter};
use crate::close::CloseReason;
use crate::time::Millis;

impl Server {
    /// A panic was caught while the bytes of a connection were handled: it ends (1011), and so does
    /// its room if that is no longer sound.
    pub fn recover_receive(&mut self, id: ConnId, now: Millis) {
        self.state.metrics.panics += 1;
        let AtWork { room, engine, .. } = std::mem::take(&mut self.state.at_work);
        let by_request = engine.and_then(|id| self.state.engines.get(id)?.session());
        let session = by_request.or_else(|| self.state.session_over(id));
        let session = session.and_then(|id| self.state.sessions.get(id));
        let room = room.or(session.map(|session| session.room));
        if let Some(engine) = engine {
            carry::give_up(&mut self.state, engine, now);
        }
        self.state.conns.close(id, CloseReason::Fault, None, now);
        self.settle(now);
        if let Some(room) = room
            && !self.state.rooms.get(room).is_some_and(|room| room.world.is_sound())
        {
            self.close_room(room, now);
        }
    }

    /// A panic was caught in a tick: the room whose world it was is closed whole, or the connection
    /// or session whose deadline it was ends (1011).
    pub fn recover_tick(&mut self, now: Millis) {
        self.state.metrics.panics += 1;
        let AtWork { room, conn, engine } = std::mem::take(&mut self.state.at_work);
        if let Some(id) = conn {
            self.state.conns.close_broken(id, now);
        }
        if let Some(id) = engine {
            carry::give_up(&mut self.state, id, now);
        }
        if let Some(id) = room {
            self.close_room(id, now);
        }
        self.settle(now);
    }

    fn close_room(&mut self, id: RoomId, now: Millis) {
        let state = &mut self.state;
        let Some(room) = state.rooms.get(id) else { return };
        tracing::error!(room = %room.name, "room closed after a fault of ours");
        let member = |id| state.sessions.get(id).map(|session| session.link);
        let links: Vec<_> = room.members().iter().copied().filter_map(member).collect();
        links.into_iter().for_each(|link| state.part(link, CloseReason::Fault, now));
        self.settle(now);
        let state = &mut self.state;
        state.rooms.remove(id);
        // A room that is always there is made anew; its rules were found good at the start.
        let _ = enter::make_named_rooms(state);
    }
}
