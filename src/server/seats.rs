//! The seats of a room by address, and when an address has to give one to a player of another. The
//! rooms of a server that only one address has are shared in a similar way.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;

use super::admission::{ByNetwork, Network, count_down};
use crate::limits::{ROOM_SHARES, SEATS_AN_ADDRESS};

/// The seats that the players of each address have. Players that are exempt from the limits per
/// address are not among them.
pub type Seats = ByNetwork;

/// In a full room with `capacity` seats, the network with the most, if it must give one to a new
/// player of `peer`.
#[must_use]
pub fn giver_for(seats: &Seats, peer: IpAddr, capacity: usize) -> Option<Network> {
    let capacity = u32::try_from(capacity).unwrap_or(u32::MAX);
    seats.giver_for(peer, capacity, (capacity / ROOM_SHARES).min(SEATS_AN_ADDRESS))
}

/// The rooms that only one network has: an IPv4 address, or a largest IPv6 network.
#[derive(Debug, Default)]
pub struct LoneRooms {
    rooms: HashMap<Network, u32>,
}

impl LoneRooms {
    /// The network that had a room alone was `before`, and is `after` from here on.
    pub fn change(&mut self, before: Option<Network>, after: Option<Network>) {
        if before != after {
            before.and_then(|network| count_down(&mut self.rooms, network));
            after.into_iter().for_each(|network| *self.rooms.entry(network).or_default() += 1);
        }
    }

    /// The rooms of a network.
    #[must_use]
    pub fn of(&self, network: Network) -> u32 {
        self.rooms.get(&network).copied().unwrap_or_default()
    }

    /// Of `rooms_max` rooms, the network that has the most, if it must give one to `peer`: it has
    /// more than the equal part of all and one more and, even then, not fewer than the network of
    /// `peer`.
    #[must_use]
    pub fn giver_for(&self, peer: IpAddr, rooms_max: usize) -> Option<Network> {
        let own = Network::all_of(peer).map(|(network, _)| self.of(network)).sum::<u32>();
        self.giver(rooms_max, own + 1)
    }

    /// Of `rooms_max` rooms, the network that has the most, if these are more than the equal part
    /// of all and one more, and more than `least`.
    #[must_use]
    pub fn giver(&self, rooms_max: usize, least: u32) -> Option<Network> {
        let by_count = |(network, count): (&Network, &u32)| (*count, Reverse(*network));
        let (most, Reverse(network)) = self.rooms.iter().map(by_count).max()?;
        let part = u32::try_from(rooms_max / (self.rooms.len() + 1)).unwrap_or(u32::MAX);
        (most > part.max(least)).then_some(network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(last: u8) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, last))
    }

    fn v6(network: u16) -> IpAddr {
        IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, 1))
    }

    fn seats(of: &[(IpAddr, u32)]) -> Seats {
        let mut seats = Seats::default();
        for (peer, count) in of {
            (0..*count).for_each(|_| seats.add(*peer));
        }
        seats
    }

    #[test]
    fn an_address_gives_seats_until_it_has_its_share() {
        let newcomer = v4(9);
        let giver = |of: &[(IpAddr, u32)], capacity| {
            giver_for(&seats(of), newcomer, capacity).map(|network| network.first())
        };
        assert_eq!(giver(&[], 400), None, "all players are exempt");
        assert_eq!(giver(&[(v4(1), 200), (v4(2), 200)], 400), Some(v4(1)));
        assert_eq!(giver(&[(v4(1), 133), (v4(2), 133)], 400), None, "a third each");
        let ten: Vec<_> = (10..20).map(|last| (v4(last), 40)).collect();
        assert_eq!(giver(&ten, 400), Some(v4(10)), "a tenth each");
        let twenty: Vec<_> = (10..30).map(|last| (v4(last), 20)).collect();
        assert_eq!(giver(&twenty, 400), None, "twenty families");
        assert_eq!(giver(&[(v4(1), 1)], 1), None);
    }

    #[test]
    fn an_address_with_as_many_seats_gets_none() {
        let seats = seats(&[(v4(1), 250), (v4(2), 249), (v4(3), 1)]);
        assert_eq!(giver_for(&seats, v4(1), 500), None);
        assert_eq!(giver_for(&seats, v4(2), 500), None, "the two would swap seats forever");
        assert_eq!(giver_for(&seats, v4(3), 500).map(|it| it.first()), Some(v4(1)));
    }

    #[test]
    fn the_networks_of_a_subscriber_are_a_few_addresses() {
        let many: Vec<_> = (0..400).map(|network| (v6(network), 1)).collect();
        let mut seats = seats(&many);
        assert_eq!((seats.of(v6(1)), seats.of(v6(9_999))), (128, 100));
        let given = giver_for(&seats, v4(9), 400).map(|network| network.factor());
        assert_eq!(given, Some(2), "the /56 with 256: more than a fifth");
        assert_eq!(giver_for(&seats, v4(9), 700), None);
        many.iter().for_each(|(peer, _)| seats.remove(*peer));
        assert!(seats.is_empty());
    }

    #[test]
    fn one_network_cannot_keep_a_room_of_any_size() {
        for (networks, capacity) in [
            (1, 200),
            (2, 400),
            (1_024, 600),
            (1_024, 1_000),
            (1_024, 20),
            (1_024, 60),
            (1_024, 128),
        ] {
            let one = |number: u16| (v6(number % networks * (1_024 / networks)), 1);
            let mut seats = seats(&(0..capacity).map(one).collect::<Vec<_>>());
            let mut given = 0;
            while giver_for(&seats, v4(9), capacity.into()).is_some() {
                seats.remove(one(given).0);
                seats.add(v4(9));
                given += 1;
            }
            assert!(given >= capacity / 7, "{given} of {capacity} in {networks} networks");
        }
    }

    #[test]
    fn a_network_gives_rooms_only_to_others() {
        let mut lone = LoneRooms::default();
        let outermost = |peer| Network::all_of(peer).last().map(|(network, _)| network);
        (0..39).for_each(|_| lone.change(None, outermost(v6(1))));
        assert_eq!(lone.giver_for(v6(2), 40), None, "they would be swapped forever");
        assert_eq!(lone.giver_for(v4(9), 40), outermost(v6(1)));
        (0..20).for_each(|_| lone.change(outermost(v6(1)), None));
        assert_eq!(lone.giver_for(v4(9), 40), None, "an equal part");
        (0..19).for_each(|_| lone.change(outermost(v6(1)), outermost(v4(1))));
        assert_eq!(lone.of(outermost(v4(1)).unwrap()), 19);
        assert_eq!(lone.rooms.len(), 1);
    }
}
