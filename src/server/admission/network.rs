//! What the limits count as one address.

use std::net::{IpAddr, Ipv6Addr};

use crate::limits::IPV6_NETWORKS;

/// What the limits count as one address: an IPv4 address, or a network of IPv6 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

impl Network {
    /// The networks of an address, smallest first, each with the factor of its limits. A subscriber
    /// may have any of the three IPv6 networks, so none may act as many addresses.
    pub fn all_of(peer: IpAddr) -> impl Iterator<Item = (Network, u32)> {
        let networks = match peer.to_canonical() {
            first @ IpAddr::V4(_) => [Some(Network { first, prefix: 32 }), None, None],
            IpAddr::V6(v6) => IPV6_NETWORKS.map(|(prefix, _)| {
                let bits = v6.to_bits() & (u128::MAX << (128 - prefix));
                Some(Network { first: IpAddr::V6(Ipv6Addr::from_bits(bits)), prefix })
            }),
        };
        networks.into_iter().flatten().map(|network| (network, network.factor()))
    }

    /// Whether an address belongs to it.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        Network::all_of(addr).any(|(network, _)| network == *self)
    }

    /// How many times the limits of one address it may use.
    #[must_use]
    pub fn factor(&self) -> u32 {
        let is_it = |(prefix, _): &&(u8, u32)| *prefix == self.prefix;
        IPV6_NETWORKS.iter().find(is_it).map_or(1, |(_, factor)| *factor)
    }

    /// Its first address.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// The largest one that it is in, or it itself.
    #[must_use]
    pub fn outermost(&self) -> Network {
        Network::all_of(self.first).last().map_or(*self, |(network, _)| network)
    }

    /// Whether it contains no smaller one.
    #[must_use]
    pub fn is_innermost(&self) -> bool {
        self.first.is_ipv4() || self.prefix == IPV6_NETWORKS[0].0
    }

    /// Whether it is in no larger one.
    #[must_use]
    pub fn is_outermost(&self) -> bool {
        self.first.is_ipv4() || self.prefix == IPV6_NETWORKS[IPV6_NETWORKS.len() - 1].0
    }
}
