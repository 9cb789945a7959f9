//! What one seed is about: how many clients, of which kinds, for how long, and what befalls the server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::sim::client::{Client, Kind};

/// What one seed is about. Each seed has its own mix, so that rare things meet each other.
pub struct Plan {
    pub clients: usize,
    pub span_ms: u64,
    pub rooms: usize,
    /// Clients of Socket.IO, the witnesses of the rooms aside.
    pub guests: usize,
    /// How many of them are of the dots game; the others are battles.
    dots_rooms: usize,
    kinds: Vec<(Kind, u32)>,
    pub is_drained: bool,
    pub pauses: bool,
    /// Clients that share an address.
    pub clients_a_home: usize,
    /// Whether there is a proxy that the server trusts, and half of the clients come through it.
    pub has_proxy: bool,
}

/// The proxy, if there is one.
pub const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));

impl Plan {
    pub fn draw(rng: &mut ChaCha8Rng) -> Plan {
        let all = [
            (Kind::Player, 10),
            (Kind::Staller, 8),
            (Kind::Trickler, 4),
            (Kind::Flooder, 2),
            (Kind::Garbler, 2),
            (Kind::Violator, 3),
            (Kind::Vanisher, 2),
            (Kind::Browser, 4),
            (Kind::SlowHead, 1),
        ];
        let kinds = all.map(|(kind, weight)| (kind, weight * [0, 1, 1, 3][rng.random_range(0..4)]));
        let mut kinds: Vec<_> = kinds.into();
        kinds.push((Kind::Player, 1));
        let mut plan = Plan {
            clients: [30, 100, 200][rng.random_range(0..3)],
            span_ms: rng.random_range(20_000..40_000),
            rooms: rng.random_range(1..=4),
            guests: [5, 10, 20][rng.random_range(0..3)],
            kinds,
            is_drained: rng.random_bool(0.4),
            pauses: rng.random_bool(0.5),
            clients_a_home: [3, 30][rng.random_range(0..2)],
            has_proxy: rng.random_bool(0.5),
            dots_rooms: 0,
        };
        plan.dots_rooms = rng.random_range(0..=plan.rooms);
        plan
    }

    /// Whether a room's game is battle.
    pub fn is_battle(&self, room: usize) -> bool {
        room >= self.dots_rooms
    }

    /// The name of a room, which says what its game is.
    pub fn room_name(&self, room: usize) -> String {
        match self.is_battle(room) {
            true => format!("battle-{room}"),
            false => format!("dots-{room}"),
        }
    }

    /// The number of the address at which a client lives.
    pub fn home(&self, index: usize) -> usize {
        index / self.clients_a_home
    }

    /// Where a client comes from. Every third home has IPv6 and is a /64: there each client has an
    /// address of its own, and they count as one.
    pub fn address(&self, index: usize) -> IpAddr {
        let home = self.home(index);
        match home % 3 {
            1 => Ipv6Addr::new(0x2001, 0xdb8, 0, home as u16, 0, 0, 0, index as u16).into(),
            _ => Ipv4Addr::new(198, 18, 0, home as u8).into(),
        }
    }

    /// Whether hardly anybody plays at the client's home, and most only look at pages: where many
    /// live together, so that their connections are too many.
    fn is_of_readers(&self, index: usize) -> bool {
        self.clients_a_home > 12 && self.home(index) % 2 == 1
    }

    fn kind(&self, rng: &mut ChaCha8Rng) -> Kind {
        let mut at = rng.random_range(0..self.kinds.iter().map(|(_, weight)| weight).sum());
        for (kind, weight) in &self.kinds {
            if at < *weight {
                return *kind;
            }
            at -= weight;
        }
        unreachable!("at is less than the sum")
    }
}

/// A client that is new here. One in ten makes a room of its own, which will be empty soon.
pub fn stranger(plan: &Plan, index: usize, now: u64, rng: &mut ChaCha8Rng) -> Client {
    let kind = match rng.random_range(0..10) {
        0..6 if plan.is_of_readers(index) => Kind::Browser,
        6..9 if plan.is_of_readers(index) => Kind::SlowHead,
        _ => plan.kind(rng),
    };
    let room = match rng.random_range(0..10) {
        0 => {
            let game = ["own", "battle"][rng.random_range(0..2)];
            (usize::MAX, format!("{game}-of-{}", rng.random_range(0..30)))
        }
        _ => {
            let index = rng.random_range(0..plan.rooms);
            (index, plan.room_name(index))
        }
    };
    Client::new(kind, room, now, rng)
}
