//! Panics of the server: what each of them ends. Nothing else may end.

use rand::RngExt;
use skirmish::server::ConnId;

use super::{Loss, Simulation, SocketIoClients};
use crate::sim::client::Kind;
use crate::sim::faults::{self, Armed, KINDS, Victim};

/// Before this time the observers join.
const QUIET_MS: u64 = 2_000;

impl Simulation {
    /// Sometimes makes the server panic, in this turn or one of the next.
    pub(super) fn plan_panic(&mut self) {
        if self.now > QUIET_MS && !self.is_ending && self.rng.random_ratio(1, 60) {
            self.panics_at = Some(self.rng.random_range(0..KINDS.len()));
        }
    }

    /// Observers, reference clients and the operator never panic: they check what others see.
    pub(super) fn arm_panic(&mut self) {
        let Some(kind) = self.panics_at else { return };
        let observers = self.clients.iter().filter(|client| client.kind == Kind::Observer);
        let observers = observers.filter_map(|client| Some(client.socket.as_ref()?.id));
        let references = self.socketio.clients.iter().filter(|client| client.is_reference);
        let references = references.flat_map(|client| &client.connections);
        let references = references.map(|connection| connection.socket.id);
        let spared_connections = observers.chain(references).chain(self.operator.id).collect();
        let spared_clients = (0..self.plan.rooms).map(SocketIoClients::address).collect();
        faults::arm(Armed { kind, spared_connections, spared_clients });
    }

    /// Records what the panic ends, if there was one. Returns whether there was one.
    pub(super) fn note_panic(&mut self) -> Option<Victim> {
        let victim = faults::disarm()?;
        let kind = self.panics_at.take().expect("it was armed");
        self.turn.sockets_mut().rare.panics[kind] += 1;
        self.panics += 1;
        self.socketio.found_close_while_writing = true;
        match &victim {
            Victim::Opening(_) => {}
            Victim::Connection(id) => self.strike_connection(*id),
            Victim::Client(address) => {
                let indexes = 0..self.socketio.clients.len();
                let index = indexes.into_iter().find(|i| SocketIoClients::address(*i) == *address);
                self.socketio.clients[index.expect("it has an address")].strike();
            }
            Victim::Room(name) => self.end_room(name),
        }
        Some(victim)
    }

    fn strike_connection(&mut self, id: ConnId) {
        if let Some(index) = self.owners.get(&id) {
            let index = *index;
            self.clients[index].is_struck = true;
            self.end_player(index, Loss::Maybe);
        } else if let Some(index) = self.socketio.owners.get(&id) {
            self.socketio.clients[*index].strike();
        }
    }
}
