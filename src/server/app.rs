//! What is done with those who have come in: the game, or an echo.

use super::call::Call;
use super::echo::Echo;
use super::engine::Said;
use super::ids::{ConnId, EngineId};
use super::route::Wish;
use super::state::State;
use super::{arrive, converse, echo, enter};
use crate::time::Millis;

/// The application that runs on top of the connections; chosen once.
#[derive(Debug)]
pub enum App {
    /// Players in rooms.
    Game,
    /// Whatever comes goes back.
    Echo(Echo),
}

impl App {
    /// A client's WebSocket is open.
    pub fn joined(&self, state: &mut State, id: ConnId, wish: Wish, now: Millis) {
        match self {
            App::Game => enter::join(state, id, wish, now),
            App::Echo(_) => {}
        }
    }

    /// The namespaces of Socket.IO that there are.
    const fn namespaces(&self) -> &'static [&'static str] {
        match self {
            App::Game => &["/"],
            App::Echo(_) => &echo::NAMESPACES,
        }
    }

    /// A client of Engine.IO said something.
    pub fn packet(&mut self, state: &mut State, id: EngineId, said: Said, now: Millis) {
        let Some(engine) = state.engines.get(id) else { return };
        if engine.talk.is_none() {
            return echo::packet(state, id, said, now);
        }
        if let Some(packet) = converse::assemble(state, id, said, now)
            && let Some(call) = converse::call(state, id, &packet, self.namespaces(), now)
        {
            match self {
                App::Game => match call {
                    Call::Connect { namespace, auth } => {
                        enter::connect(state, id, namespace, auth, now);
                    }
                    Call::Event(event) => arrive::event(state, id, &event, now),
                    Call::Disconnect => enter::disconnect(state, id, now),
                },
                App::Echo(echo) => echo.call(state, id, call, now),
            }
        }
    }

    /// A tick has come.
    pub fn tick(&mut self, state: &mut State, now: Millis) {
        match self {
            App::Game => {}
            App::Echo(echo) => echo.tick(state, now),
        }
    }

    /// A client sent a message.
    pub fn message(
        &self,
        state: &mut State,
        id: ConnId,
        (payload, is_text): (&[u8], bool),
        now: Millis,
    ) {
        match self {
            App::Game => {
                if let Some(session) = state.session_over(id) {
                    arrive::input(state, session, payload, now);
                }
            }
            App::Echo(_) => echo::message(state, id, payload, is_text, now),
        }
    }
}
