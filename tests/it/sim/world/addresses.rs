//! What an address may have: so many connections, more with each player, and idle ones that give way
//! to new ones. How many players the server counts is known only roughly, so what must hold is, too.

use std::net::IpAddr;

use skirmish::metrics::Refusal;
use skirmish::server::ConnId;
use skirmish::time::Millis;

use super::plan::PROXY;
use super::{Check, World};
use crate::sim::client::Kind;

/// Numbers of the promise, not read from the server.
const CONNECTIONS: usize = 12;
const CONNECTIONS_A_PLAYER: usize = 3;

/// What was opened at one home in one turn.
#[derive(Default)]
pub struct Crowd {
    opened: usize,
    /// Somebody may have had to give way.
    is_full: bool,
    /// Connections that it may have behind that.
    most: usize,
}

impl World {
    /// A connection of a client, if it is let in.
    pub(super) fn open(&mut self, index: usize, peer: IpAddr) -> Result<Option<ConnId>, String> {
        let home = self.plan.home(index);
        let (direct, counted) = self.connections(home);
        let players = self.at_home(home).filter(|index| self.clients[*index].may_play()).count();
        match self.server.open(peer, Millis(self.now)) {
            Ok(id) => {
                if peer != PROXY {
                    let may_have = CONNECTIONS + CONNECTIONS_A_PLAYER * players;
                    // More than that may be left of players that are gone; it does not get more.
                    let before = self.crowds.get(&home).map_or(direct, |crowd| crowd.most);
                    let crowd = self.crowds.entry(home).or_default();
                    crowd.opened += 1;
                    crowd.is_full |= counted >= CONNECTIONS;
                    crowd.most = before.max(may_have);
                }
                Ok(Some(id))
            }
            Err(Refusal::AddressFull) if peer != PROXY => {
                self.turned_away += 1;
                let sure = |index: &usize| self.clients[*index].surely_plays() && !self.is_draining;
                let may_have =
                    CONNECTIONS + CONNECTIONS_A_PLAYER * self.at_home(home).filter(sure).count();
                if counted < may_have {
                    return Err(format!("{peer} has {counted}, and is refused one of {may_have}"));
                }
                let is_idle = |index: &usize| {
                    let client = &self.clients[*index];
                    client.forwarded_for.is_none() && client.is_idle()
                };
                let idle = self.at_home(home).filter(is_idle).count();
                // Some of them may have given way in this turn.
                match idle > self.crowds.get(&home).map_or(0, |crowd| crowd.opened) {
                    true => Err(format!("{peer} is refused, and {idle} idle ones stay")),
                    false => Ok(None),
                }
            }
            Err(why) => Err(format!("{peer} is refused: {why:?}")),
        }
    }

    /// Whether a connection may have given way to one that was opened in this turn.
    pub(super) fn may_give_way(&self, index: usize) -> bool {
        let (client, home) = (&self.clients[index], self.plan.home(index));
        let is_page = client.kind == Kind::Browser && client.forwarded_for.is_none();
        is_page && self.crowds.get(&home).is_some_and(|crowd| crowd.is_full)
    }

    /// At the end of a turn nobody has more than may be, whoever had to give way for it.
    pub(super) fn check_crowds(&mut self) -> Check {
        for (home, crowd) in std::mem::take(&mut self.crowds) {
            let (direct, _) = self.connections(home);
            if direct > crowd.most {
                return Err(format!("home {home} has {direct}, and may have {}", crowd.most));
            }
        }
        Ok(())
    }

    /// The connections that come straight from a home; and those with others that may count as its.
    fn connections(&self, home: usize) -> (usize, usize) {
        let is_direct = |index: &usize| {
            let client = &self.clients[*index];
            client.wire.is_some() && client.forwarded_for.is_none()
        };
        let direct = self.at_home(home).filter(is_direct).count();
        let is_proxied = |index: &usize| {
            let client = &self.clients[*index];
            client.may_play() && client.forwarded_for.is_some()
        };
        (direct, direct + self.at_home(home).filter(is_proxied).count())
    }

    fn at_home(&self, home: usize) -> std::ops::Range<usize> {
        let size = self.plan.clients_a_home;
        home * size..self.clients.len().min((home + 1) * size)
    }
}
