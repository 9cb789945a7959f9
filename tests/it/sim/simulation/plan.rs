//! The plan of one seed: how many clients, of which kinds, for how long, and what happens to the
//! server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use rand::RngExt;

use crate::sim::SimRng;
use crate::sim::client::{Client, Kind};

/// The clients of a seed, of all kinds, and for how long they play: 1,200 ticks.
const CLIENTS: usize = 64;
const SPAN_MS: u64 = 60_000;

/// Each seed has its own mix, so that rare events coincide.
pub struct Plan {
    /// Those over WebSocket and HTTP.
    pub clients: usize,
    pub span_ms: u64,
    pub rooms: usize,
    /// Socket.IO clients, with the reference client of each room.
    pub socketio_clients: usize,
    /// How many rooms play dots; the others are battles.
    dots_rooms: usize,
    kinds: Vec<(Kind, u32)>,
    pub is_drained: bool,
    pub pauses: bool,
    pub clients_per_address: usize,
    /// How long players stay whose clients were lost.
    pub resume_s: u64,
    /// There is a trusted proxy, and half of the clients connect through it.
    pub has_proxy: bool,
    /// All clients connect through it, and each connection begins with a header of the PROXY
    /// protocol. It names a Socket.IO client, or another proxy that names the client in the request.
    pub has_header: bool,
}

pub const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));

impl Plan {
    pub fn draw(seed: u64, rng: &mut SimRng) -> Plan {
        let all = [
            (Kind::Player, 10),
            (Kind::StallingReader, 8),
            (Kind::SlowReader, 4),
            (Kind::Flooder, 2),
            (Kind::InvalidSender, 2),
            (Kind::ProtocolViolator, 3),
            (Kind::Unresponsive, 2),
            (Kind::Browser, 4),
            (Kind::SlowRequest, 1),
        ];
        let kinds = all.map(|(kind, weight)| (kind, weight * [0, 1, 1, 3][rng.random_range(0..4)]));
        let mut kinds: Vec<_> = kinds.into();
        kinds.push((Kind::Player, 1));
        let rooms = rng.random_range(1..=4);
        let socketio_clients = rooms + [4, 10, 20][rng.random_range(0..3)];
        let mut plan = Plan {
            clients: CLIENTS - socketio_clients,
            span_ms: SPAN_MS,
            rooms,
            socketio_clients,
            kinds,
            is_drained: rng.random_bool(0.4),
            pauses: rng.random_bool(0.5),
            clients_per_address: [3, 30][rng.random_range(0..2)],
            resume_s: [0, 2, 10][rng.random_range(0..3)],
            has_proxy: rng.random_bool(0.5),
            has_header: false,
            dots_rooms: 0,
        };
        plan.has_header = plan.has_proxy && seed.is_multiple_of(4);
        plan.dots_rooms = rng.random_range(0..=plan.rooms);
        plan
    }

    pub fn is_battle(&self, room: usize) -> bool {
        room >= self.dots_rooms
    }

    /// The name of a room, which determines its game.
    pub fn room_name(&self, room: usize) -> String {
        match self.is_battle(room) {
            true => format!("battle-{room}"),
            false => format!("dots-{room}"),
        }
    }

    /// The index of a client's address group. Clients in one group share an address. An observer
    /// has one of its own, so that it never gives its seat to a player of another address.
    pub fn address_group(&self, index: usize) -> usize {
        match index.checked_sub(self.rooms) {
            None => index,
            Some(index) => self.rooms + index / self.clients_per_address,
        }
    }

    /// The clients of an address group.
    pub fn clients_of_group(&self, address_group: usize) -> Range<usize> {
        match address_group.checked_sub(self.rooms) {
            None => address_group..address_group + 1,
            Some(group) => {
                let first = self.rooms + group * self.clients_per_address;
                first..self.clients.min(first + self.clients_per_address)
            }
        }
    }

    /// The number of address groups.
    pub fn address_groups(&self) -> usize {
        self.address_group(self.clients - 1) + 1
    }

    /// A client's address. Every third address group is an IPv6 /64: each client there has its own
    /// address, and all of them count as one.
    pub fn address(&self, index: usize) -> IpAddr {
        let address_group = self.address_group(index);
        match address_group % 3 {
            1 => {
                Ipv6Addr::new(0x2001, 0xdb8, address_group as u16, 0, 0, 0, 0, index as u16).into()
            }
            _ => Ipv4Addr::new(198, 18, 0, address_group as u8).into(),
        }
    }

    /// The first bytes of a connection: a header that names `client`, of either version.
    pub fn header(&self, client: IpAddr, index: usize) -> Vec<u8> {
        match client {
            _ if !self.has_header => Vec::new(),
            IpAddr::V4(ip) if index.is_multiple_of(2) => {
                let start = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f";
                [&start[..], &ip.octets(), &[127, 0, 0, 1, 0, 80, 0, 80], b"\x04\0\0"].concat()
            }
            IpAddr::V4(_) => format!("PROXY TCP4 {client} 127.0.0.1 80 80\r\n").into_bytes(),
            IpAddr::V6(_) => format!("PROXY TCP6 {client} ::1 80 80\r\n").into_bytes(),
        }
    }

    /// Whether most clients of the group only request pages, so that it has too many connections
    /// for its players.
    fn mostly_reads_pages(&self, index: usize) -> bool {
        self.clients_per_address > 12 && self.address_group(index) % 2 == 1
    }

    fn kind(&self, rng: &mut SimRng) -> Kind {
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

/// A new client. One in ten makes a room of its own, which is soon empty.
pub fn new_client(plan: &Plan, index: usize, now: u64, rng: &mut SimRng) -> Client {
    let kind = match rng.random_range(0..10) {
        0..6 if plan.mostly_reads_pages(index) => Kind::Browser,
        6..9 if plan.mostly_reads_pages(index) => Kind::SlowRequest,
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
