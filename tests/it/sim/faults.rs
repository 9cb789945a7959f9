//! Panics on demand: a hook that makes the server panic at a chosen kind of place, or a world slow.
//! Its state is per thread, because each simulation runs on its own thread.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::net::IpAddr;
use std::panic::resume_unwind;

use skirmish::server::{ConnId, FaultPoint};

/// The kinds of places.
pub const KINDS: [&str; 13] = [
    "open",
    "receive",
    "peer closed",
    "slices",
    "written",
    "ended",
    "deadline",
    "message",
    "poll",
    "heartbeat",
    "world",
    "facts",
    "state",
];

/// What the server was processing when it panicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Victim {
    Opening(IpAddr),
    Connection(ConnId),
    /// The client of an Engine.IO session.
    Client(IpAddr),
    Room(String),
}

/// Which of [`KINDS`] panics next, and what never panics.
#[derive(Clone, Debug, Default)]
pub struct Armed {
    pub kind: usize,
    pub spared_connections: HashSet<ConnId>,
    pub spared_clients: HashSet<IpAddr>,
}

thread_local! {
    static ARMED: RefCell<Option<Armed>> = const { RefCell::new(None) };
    static STRUCK: RefCell<Option<Victim>> = const { RefCell::new(None) };
    static TICK_US: Cell<u64> = const { Cell::new(0) };
    static PASSED_US: Cell<u64> = const { Cell::new(0) };
}

/// From now on a tick of each world takes `us` microseconds of [`take_passed_us`].
pub fn slow_worlds(us: u64) {
    TICK_US.set(us);
}

/// The time that slow worlds took since the last call, for a simulated clock.
pub fn take_passed_us() -> u64 {
    PASSED_US.take()
}

/// Makes the server panic once, at the next place of the kind.
pub fn arm(armed: Armed) {
    ARMED.set(Some(armed));
}

/// Stops the panics. Returns what the server was processing if it panicked.
pub fn disarm() -> Option<Victim> {
    ARMED.set(None);
    STRUCK.take()
}

/// Called at each place.
pub fn hook(point: FaultPoint) {
    if matches!(point, FaultPoint::World(_)) {
        PASSED_US.set(PASSED_US.get() + TICK_US.get());
    }
    let strikes = ARMED.with_borrow(|armed| armed.as_ref().is_some_and(|it| it.strikes(point)));
    if strikes {
        ARMED.set(None);
        STRUCK.set(Some(victim(point)));
        // This prints no message.
        resume_unwind(Box::new("a fault on demand"));
    }
}

impl Armed {
    /// Panics at a place of this kind, whatever is processed there.
    pub fn at(kind: &str) -> Armed {
        let kind = KINDS.iter().position(|it| *it == kind).expect("a kind");
        Armed { kind, ..Armed::default() }
    }

    fn strikes(&self, point: FaultPoint) -> bool {
        let kind = match point {
            FaultPoint::Open(_) => 0,
            FaultPoint::Receive(_) => 1,
            FaultPoint::PeerClosed(_) => 2,
            FaultPoint::Slices(_) => 3,
            FaultPoint::Written(_) => 4,
            FaultPoint::Ended(_) => 5,
            FaultPoint::Deadline(_) => 6,
            FaultPoint::Message(_) => 7,
            FaultPoint::Poll(_) => 8,
            FaultPoint::Heartbeat(_) => 9,
            FaultPoint::World(_) => 10,
            FaultPoint::Facts(_) => 11,
            FaultPoint::State(_) => 12,
        };
        kind == self.kind
            && match victim(point) {
                Victim::Opening(_) => true,
                Victim::Connection(id) => !self.spared_connections.contains(&id),
                Victim::Client(address) => !self.spared_clients.contains(&address),
                // A room with an observer must be complete.
                Victim::Room(name) => name.contains("-of-"),
            }
    }
}

fn victim(point: FaultPoint) -> Victim {
    match point {
        FaultPoint::Open(peer) => Victim::Opening(peer),
        FaultPoint::Receive(id)
        | FaultPoint::PeerClosed(id)
        | FaultPoint::Slices(id)
        | FaultPoint::Written(id)
        | FaultPoint::Ended(id)
        | FaultPoint::Deadline(id) => Victim::Connection(id),
        FaultPoint::Message(client) | FaultPoint::Poll(client) | FaultPoint::Heartbeat(client) => {
            Victim::Client(client)
        }
        FaultPoint::World(name) | FaultPoint::Facts(name) | FaultPoint::State(name) => {
            Victim::Room(name.to_owned())
        }
    }
}
