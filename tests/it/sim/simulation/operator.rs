//! An operator: a connection without a player that now and then asks the server for its status. It
//! reads at once, and the responses must be correct.

use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr};

use rand::RngExt;
use skirmish::server::{ConnId, End, ReadState};
use skirmish::time::Millis;

use super::{Check, Simulation};
use crate::sim::fixture;
use crate::sim::response_reader::{Received, ResponseReader};

#[derive(Default)]
pub struct Operator {
    pub id: Option<ConnId>,
    /// When it acts next, by the clients' clock.
    acts_at: u64,
    reader: ResponseReader,
    /// The expected status, and a line of the expected body.
    expected: Option<(u16, String)>,
}

impl Simulation {
    /// Connects, sends a request, or disconnects.
    pub(super) fn act_operator(&mut self) -> Check {
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
            Some(id) if self.operator.expected.is_none() => self.send_request(id)?,
            Some(_) => {}
        }
        Ok(())
    }

    fn send_request(&mut self, id: ConnId) -> Check {
        // The operator counts as a connection; refused connections do not.
        let connections = self.connected() + 1;
        let (path, status, line) = match self.rng.random_range(0..4) {
            0 if self.is_draining => ("/healthz", 503, "restarting".to_owned()),
            0 => ("/healthz", 200, "ok".to_owned()),
            1 => ("/rooms", 404, "not found".to_owned()),
            _ => ("/metrics", 200, format!("\nskirmish_connections {connections}\n")),
        };
        self.operator.expected = Some((status, line));
        self.operator.reader.expect_response(false);
        self.operator.acts_at = self.wall + self.rng.random_range(100..5_000);
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes();
        match self.server.receive(id, &mut request, Millis(self.now)) {
            ReadState::Deferred => Err("the operator sent more than one request".to_owned()),
            ReadState::Open | ReadState::Paused => Ok(()),
        }
    }

    /// Takes all of its output at once.
    pub(super) fn write_to_operator(&mut self, id: ConnId) -> Check {
        let mut slices = [IoSlice::new(&[]); 16];
        let count = self.server.slices(id, &mut slices);
        let bytes = fixture::concat(&slices[..count]);
        self.server.written(id, bytes.len(), bytes.len(), Millis(self.now));
        let mut received = Vec::new();
        self.operator.reader.read(&bytes, &mut received)?;
        for received in received {
            match (received, self.operator.expected.take()) {
                (Received::Response(status, _, body), Some((expected, line)))
                    if status == expected && String::from_utf8_lossy(&body).contains(&line) => {}
                other => return Err(format!("the operator received {other:?}")),
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
