//! Counts by network, and which network has more than its part of a maximum.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;

use super::Network;

/// Counts something for each address and for the networks that it is in.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ByNetwork {
    counts: HashMap<Network, u32>,
    /// For each largest network the number of smallest ones in it that have a count.
    innermost: HashMap<Network, u32>,
    addresses: u32,
}

impl ByNetwork {
    /// Counts one more for an address.
    pub fn add(&mut self, peer: IpAddr) {
        for (network, _) in Network::all_of(peer) {
            let count = self.counts.entry(network).or_default();
            *count += 1;
            if *count == 1 && network.is_innermost() {
                let outermost = network.outermost();
                let inside = self.innermost.entry(outermost).or_default();
                *inside += 1;
                self.addresses += u32::from(*inside <= outermost.factor());
            }
        }
    }

    /// Counts one less for an address.
    pub fn remove(&mut self, peer: IpAddr) {
        for (network, _) in Network::all_of(peer) {
            if count_down(&mut self.counts, network) == Some(0) && network.is_innermost() {
                let outermost = network.outermost();
                let inside = count_down(&mut self.innermost, outermost);
                let was_counted = inside.is_some_and(|left| left < outermost.factor());
                self.addresses -= u32::from(was_counted);
            }
        }
    }

    /// How many are counted.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.outermost().map(|(_, count)| count).sum()
    }

    /// The network that has all of them: an IPv4 address, or a largest IPv6 network.
    #[must_use]
    pub fn only(&self) -> Option<Network> {
        let mut networks = self.outermost();
        let (network, _) = networks.next()?;
        networks.next().is_none().then_some(*network)
    }

    fn outermost(&self) -> impl Iterator<Item = (&Network, &u32)> {
        self.counts.iter().filter(|(network, _)| network.is_outermost())
    }

    /// What counts for an address: its own count, or that of a larger network, as far as its share
    /// is smaller than that of as many addresses.
    #[must_use]
    pub fn of(&self, peer: IpAddr) -> u32 {
        let count = |(network, factor)| {
            self.counts.get(&network).map_or(0, |count: &u32| count.div_ceil(factor))
        };
        Network::all_of(peer).map(count).max().unwrap_or_default()
    }

    /// An equal part of `most` for each address and one more. An IPv6 network is as many addresses
    /// as it has smaller ones, but not more than its limits are those of.
    #[must_use]
    pub fn part(&self, most: u32) -> u32 {
        most / (self.addresses + 1)
    }

    /// The network with the most, if it must give one to `peer`, of which there may be `most`: it
    /// has more than its part and `least` and, even then, not fewer than the address of `peer`. The
    /// count of a network of several addresses is divided among them.
    #[must_use]
    pub fn giver_for(&self, peer: IpAddr, most: u32, least: u32) -> Option<Network> {
        let own = self.of(peer) + 1;
        let has_more = |(network, count): (&Network, &u32)| {
            // What is kept in any case is for one address, also of a network of several.
            let kept = own.max(least.div_ceil(network.factor()));
            let count = count.div_ceil(network.factor());
            (count > kept).then_some((count, Reverse(*network)))
        };
        let (count, Reverse(network)) = self.counts.iter().filter_map(has_more).max()?;
        (count > self.part(most)).then_some(network)
    }

    /// Whether nothing is counted.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.innermost.is_empty() && self.addresses == 0
    }
}

/// Counts one less for a network. Returns what is left, if something was counted.
pub fn count_down(counts: &mut HashMap<Network, u32>, network: Network) -> Option<u32> {
    let count = counts.get_mut(&network)?;
    *count -= 1;
    let left = *count;
    if left == 0 {
        counts.remove(&network);
    }
    Some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_network_is_a_few_addresses() {
        let mut counts = ByNetwork::default();
        let peer = |network: u32| -> IpAddr {
            format!("2001:db8:0:{network:x}::1").parse().expect("an address")
        };
        let v4: IpAddr = "192.0.2.7".parse().expect("an address");
        assert_eq!(counts.part(120), 120);
        for (network, part) in [(0, 60), (0, 60), (1, 40), (2, 30), (3, 24), (4, 24), (5, 24)] {
            counts.add(peer(network));
            assert_eq!(counts.part(120), part, "with network {network}");
        }
        counts.add(v4);
        assert_eq!(counts.part(120), 20);
        for network in [5, 4, 0] {
            counts.remove(peer(network));
            assert_eq!(counts.part(120), 20, "four and one are left");
        }
        counts.remove(peer(0));
        assert_eq!(counts.part(120), 24);
        [peer(1), peer(2), peer(3), v4].into_iter().for_each(|peer| counts.remove(peer));
        assert!(counts.is_empty());
        assert_eq!(counts.part(120), 120);
    }
}
