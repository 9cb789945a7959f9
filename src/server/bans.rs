//! Addresses that may not connect, as the operator has asked (docs/protocol.md, "Operators").

use std::net::IpAddr;

use ipnet::IpNet;

use super::admission::Trust;
use crate::limits::BANS_MAX;
use crate::time::Millis;

/// The bans. One that has ended is removed at the next change.
#[derive(Debug, Default)]
pub struct Bans {
    all: Vec<Ban>,
}

/// A ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// The addresses.
    pub network: IpNet,
    /// When it ends; [`Millis::NEVER`] if it does not.
    pub until: Millis,
}

/// The addresses that a ban of one of them is about: of IPv6 the /64, as a user has all of it.
#[must_use]
pub fn network_of(address: IpAddr) -> IpNet {
    let address = address.to_canonical();
    let prefix = if address.is_ipv6() { 64 } else { 32 };
    IpNet::new(address, prefix).expect("the prefix fits the address").trunc()
}

/// Reads addresses: one, or a network. IPv4 in IPv6 is IPv4.
#[must_use]
pub fn parse_network(text: &str) -> Option<IpNet> {
    if let Ok(address) = text.parse() {
        return Some(network_of(address));
    }
    let network = text.parse::<IpNet>().ok()?.trunc();
    match (network.addr().to_canonical(), network.prefix_len().checked_sub(96)) {
        (IpAddr::V4(address), Some(prefix)) if network.addr().is_ipv6() => {
            IpNet::new(address.into(), prefix).ok()
        }
        _ => Some(network),
    }
}

impl Bans {
    /// Whether an address is banned.
    fn has(&self, address: IpAddr, now: Millis) -> bool {
        let address = address.to_canonical();
        self.all.iter().any(|ban| now < ban.until && ban.network.contains(&address))
    }

    /// Whether a client is refused. A trusted proxy never is: others come through it.
    #[must_use]
    pub fn refuse(&self, client: IpAddr, trust: &Trust, now: Millis) -> bool {
        self.has(client, now) && !trust.is_proxy(client)
    }

    /// Bans addresses, in place of an earlier ban of exactly these. Returns `false` if there are
    /// too many bans.
    pub fn add(&mut self, ban: Ban, now: Millis) -> bool {
        self.all.retain(|other| now < other.until && other.network != ban.network);
        let has_room = self.all.len() < BANS_MAX;
        if has_room {
            self.all.push(ban);
        }
        has_room
    }

    /// Ends the ban of exactly these addresses. Returns whether there was one.
    pub fn remove(&mut self, network: IpNet, now: Millis) -> bool {
        let had = self.iter(now).any(|ban| ban.network == network);
        self.all.retain(|ban| now < ban.until && ban.network != network);
        had
    }

    /// The bans that have not ended, the oldest first.
    pub fn iter(&self, now: Millis) -> impl Iterator<Item = Ban> + '_ {
        self.all.iter().copied().filter(move |ban| now < ban.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_ban_is_about_its_addresses_until_it_ends() {
        let mut bans = Bans::default();
        let of = |text| network_of(addr(text));
        assert!(bans.add(Ban { network: of("192.0.2.7"), until: Millis(500) }, Millis(0)));
        let never = Millis::NEVER;
        assert!(bans.add(Ban { network: of("2001:db8::7"), until: never }, Millis(0)));
        let wide = "198.51.100.0/24".parse().expect("a network");
        assert!(bans.add(Ban { network: wide, until: never }, Millis(0)));
        for (text, at, expected) in [
            ("192.0.2.7", 499, true),
            ("::ffff:192.0.2.7", 499, true),
            ("192.0.2.7", 500, false),
            ("192.0.2.8", 0, false),
            ("2001:db8::1:2:3:4", 500, true),
            ("2001:db8:0:1::", 500, false),
            ("198.51.100.255", 500, true),
        ] {
            assert_eq!(bans.has(addr(text), Millis(at)), expected, "{text} at {at}");
        }
        assert_eq!(bans.iter(Millis(500)).count(), 2);
        assert!(!bans.remove(of("192.0.2.7"), Millis(500)), "it has ended");
        assert!(bans.remove(wide, Millis(500)));
        assert!(!bans.has(addr("198.51.100.255"), Millis(500)));
    }

    #[test]
    fn networks_are_read_in_every_form() {
        for (text, expected) in [
            ("192.0.2.7", Some("192.0.2.7/32")),
            ("::ffff:192.0.2.7", Some("192.0.2.7/32")),
            ("192.0.2.7/24", Some("192.0.2.0/24")),
            ("::ffff:192.0.2.0/120", Some("192.0.2.0/24")),
            ("::ffff:0:0/96", Some("0.0.0.0/0")),
            ("2001:db8::7", Some("2001:db8::/64")),
            ("2001:db8::7/32", Some("2001:db8::/32")),
            ("::/0", Some("::/0")),
            ("192.0.2.0/33", None),
            ("nowhere", None),
        ] {
            let network = parse_network(text).map(|network| network.to_string());
            assert_eq!(network.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn there_are_not_too_many() {
        let mut bans = Bans::default();
        let ban = |number: usize| Ban {
            network: network_of(IpAddr::from((number as u32).to_be_bytes())),
            until: Millis::NEVER,
        };
        assert!((0..BANS_MAX).all(|number| bans.add(ban(number), Millis(0))));
        assert!(!bans.add(ban(BANS_MAX), Millis(0)));
        assert!(bans.add(ban(0), Millis(0)), "it replaces the earlier one");
    }
}
