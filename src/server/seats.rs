//! The seats of a room by address, and when an address has to give one to a player of another. The
//! rooms of a server that only one address has are shared in the same way.

use std::collections::HashMap;
use std::net::IpAddr;

use super::admission::Network;
use crate::limits::{ROOM_SHARES, SEATS_AN_ADDRESS};

/// The seats that the players of each address have. Players that are exempt from the limits per
/// address are not among them.
#[derive(Debug, Default)]
pub struct Seats {
    taken: HashMap<Network, u32>,
}

impl Seats {
    /// A player of an address has joined.
    pub fn add(&mut self, peer: IpAddr) {
        for (network, _) in Network::all_of(peer) {
            *self.taken.entry(network).or_default() += 1;
        }
    }

    /// A player of an address has left.
    pub fn remove(&mut self, peer: IpAddr) {
        for (network, _) in Network::all_of(peer) {
            if let Some(count) = self.taken.get_mut(&network) {
                *count -= 1;
                if *count == 0 {
                    self.taken.remove(&network);
                }
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.outermost().map(|(_, count)| count).sum()
    }

    /// If one address has all of them: that, or the first one of its network.
    #[must_use]
    pub fn only(&self) -> Option<IpAddr> {
        let mut networks = self.outermost();
        let (network, _) = networks.next()?;
        networks.next().is_none().then_some(network.first())
    }

    fn outermost(&self) -> impl Iterator<Item = (&Network, &u32)> {
        self.taken.iter().filter(|(network, _)| network.is_outermost())
    }

    /// The seats that count for an address: its own, or those of a larger network, as far as its
    /// share is smaller than that of as many addresses.
    #[must_use]
    pub fn of(&self, peer: IpAddr) -> u32 {
        let count = |(network, factor)| {
            self.taken.get(&network).map_or(0, |count: &u32| count.div_ceil(factor))
        };
        Network::all_of(peer).map(count).max().unwrap_or_default()
    }

    /// In a full room with `capacity` seats, how many seats count for the addresses that have the
    /// most, if one of them must give a seat to a new player of `peer`: it has more than its share
    /// and, even then, not fewer than the address of `peer`.
    #[must_use]
    pub fn most_to_give_to(&self, peer: IpAddr, capacity: usize) -> Option<u32> {
        let count = |(network, count): (&Network, &u32)| count.div_ceil(network.factor());
        let most = self.taken.iter().map(count).max()?;
        (most > self.share(capacity).max(self.of(peer) + 1)).then_some(most)
    }

    /// The seats that no address can lose: the equal part of all addresses and one more, but at
    /// least [`SEATS_AN_ADDRESS`], or in a small room the part of [`ROOM_SHARES`] addresses.
    fn share(&self, capacity: usize) -> u32 {
        let capacity = u32::try_from(capacity).unwrap_or(u32::MAX);
        let addresses = self.outermost().count() as u32;
        let least = (capacity / ROOM_SHARES).min(SEATS_AN_ADDRESS);
        (capacity / (addresses + 1)).max(least).max(1)
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
        let most = |of: &[(IpAddr, u32)], capacity| seats(of).most_to_give_to(newcomer, capacity);
        assert_eq!(most(&[], 400), None, "all players are exempt");
        assert_eq!(most(&[(v4(1), 200), (v4(2), 200)], 400), Some(200));
        assert_eq!(most(&[(v4(1), 133), (v4(2), 133)], 400), None, "a third each");
        let ten: Vec<_> = (10..20).map(|last| (v4(last), 40)).collect();
        assert_eq!(most(&ten, 400), Some(40), "a tenth each");
        let twenty: Vec<_> = (10..30).map(|last| (v4(last), 20)).collect();
        assert_eq!(most(&twenty, 400), None, "twenty families");
        assert_eq!(most(&[(v4(1), 1)], 1), None);
    }

    #[test]
    fn an_address_with_as_many_seats_gets_none() {
        let seats = seats(&[(v4(1), 250), (v4(2), 249), (v4(3), 1)]);
        assert_eq!(seats.most_to_give_to(v4(1), 500), None);
        assert_eq!(seats.most_to_give_to(v4(2), 500), None, "the two would swap seats forever");
        assert_eq!(seats.most_to_give_to(v4(3), 500), Some(250));
    }

    #[test]
    fn the_networks_of_a_subscriber_are_a_few_addresses() {
        let many: Vec<_> = (0..400).map(|network| (v6(network), 1)).collect();
        let mut seats = seats(&many);
        assert_eq!((seats.of(v6(1)), seats.of(v6(9_999))), (128, 100));
        assert_eq!(seats.most_to_give_to(v4(9), 400), None, "of two addresses, it is one");
        assert_eq!(seats.most_to_give_to(v4(9), 200), Some(128));
        many.iter().for_each(|(peer, _)| seats.remove(*peer));
        assert!(seats.taken.is_empty());
    }
}
