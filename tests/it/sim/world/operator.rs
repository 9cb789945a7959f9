//! An operator: a connection that is no player's, over which the server is asked how it is, now and
//! then. It reads at once, and what it is told must be true.

use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr};

use rand::RngExt;
use skirmish::server::{ConnId, End, ReadState};
use skirmish::time::Millis;

use super::{Check, World};
use crate::sim::ear::{Ear, Heard};
use crate::sim::lab;

#[derive(Default)]
pub struct Operator {
    pub id: Option<ConnId>,
    /// When it does something next, by the clients' clock.
    acts_at: u64,
    ear: Ear,
    /// What it has asked: the status of the answer, and a line that must stand in it.
    awaited: Option<(u16, String)>,
}

impl World {
    /// It comes, asks or leaves.
    pub(super) fn operate(&mut self) -> Check {
        let is_over = self.is_ending && self.connected() == 0;
        match self.operator.id {
            _ if self.wall < self.operator.acts_at && !is_over => {}
            None if is_over => {}
            None => {
                let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
                let opened = self.server.open_admin(address, Millis(self.now));
                let id = opened.map_err(|why| format!("the operator is refused: {why:?}"))?;
                self.opened += 1;
                self.operator = Operator { id: Some(id), ..Operator::default() };
                self.operator.acts_at = self.wall + self.rng.random_range(0..1_000);
            }
            Some(id) if is_over || self.rng.random_ratio(1, 10) => {
                let is_broken = self.rng.random_bool(0.5);
                self.server.hang_up(id, is_broken, Millis(self.now));
                self.operator.acts_at = u64::MAX;
            }
            Some(id) if self.operator.awaited.is_none() => self.ask(id)?,
            Some(_) => {}
        }
        Ok(())
    }

    fn ask(&mut self, id: ConnId) -> Check {
        // The operator is one of the connections, and those who were turned away are not.
        let connections = self.connected() + 1;
        let (path, status, line) = match self.rng.random_range(0..4) {
            0 if self.is_draining => ("/healthz", 503, "restarting".to_owned()),
            0 => ("/healthz", 200, "ok".to_owned()),
            1 => ("/rooms", 404, "not found".to_owned()),
            _ => ("/metrics", 200, format!("\nskirmish_connections {connections}\n")),
        };
        self.operator.awaited = Some((status, line));
        self.operator.ear.asked(false);
        self.operator.acts_at = self.wall + self.rng.random_range(100..5_000);
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes();
        match self.server.receive(id, &mut request, Millis(self.now)) {
            ReadState::Deferred => Err("the operator has asked for more than one thing".to_owned()),
            ReadState::Open | ReadState::Paused => Ok(()),
        }
    }

    /// It gets what waits for it, all at once.
    pub(super) fn tell_operator(&mut self, id: ConnId) -> Check {
        let mut slices = [IoSlice::new(&[]); 16];
        let count = self.server.slices(id, &mut slices);
        let bytes = lab::concat(&slices[..count]);
        self.server.written(id, bytes.len(), bytes.len(), Millis(self.now));
        let mut heard = Vec::new();
        self.operator.ear.hear(&bytes, &mut heard)?;
        for heard in heard {
            match (heard, self.operator.awaited.take()) {
                (Heard::Response(status, _, body), Some((expected, line)))
                    if status == expected && String::from_utf8_lossy(&body).contains(&line) => {}
                other => return Err(format!("the operator is told {other:?}")),
            }
        }
        Ok(())
    }

    pub(super) fn end_operator(&mut self, id: ConnId, end: End) -> Check {
        match end {
            End::Shut => self.server.hang_up(id, false, Millis(self.now)),
            End::Close | End::Reset => {
                self.ended += 1;
                self.stale.push(id);
                self.operator.id = None;
                self.operator.acts_at = self.wall + self.rng.random_range(500..3_000);
            }
        }
        Ok(())
    }
}
