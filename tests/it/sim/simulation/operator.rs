//! An operator: a connection to the admin listener that now and then asks the server for its status.
//! It reads at once, and the responses must be correct.

use std::net::{IpAddr, Ipv4Addr};

use rand::RngExt;
use skirmish::server::{ConnId, End};

use super::{Check, Simulation};
use crate::sim::network::{ADMIN, Connected, Outcome, Owner};
use crate::sim::response_reader::{Received, ResponseReader};
use crate::sim::simulated_socket::SimulatedSocket;

#[derive(Default)]
pub struct Operator {
    pub id: Option<ConnId>,
    is_connecting: bool,
    /// When it acts next, by the clients' clock.
    acts_at: u64,
    reader: ResponseReader,
    /// The status of the response that it awaits, and what it asked for.
    expected: Option<(u16, Asked)>,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Health,
    Rooms,
    Metrics,
}

impl Simulation {
    /// Connects, sends a request, or disconnects.
    pub(super) fn act_operator(&mut self) {
        let is_over = self.is_ending && self.connected() == 0;
        let network = self.turn.sockets_mut();
        match self.operator.id {
            _ if self.operator.is_connecting => {}
            _ if self.wall < self.operator.acts_at && !is_over => {}
            None if is_over => {}
            None => {
                let socket = SimulatedSocket::new(true, &mut self.rng);
                let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
                network.connect(ADMIN, Owner::Operator, address, socket);
                self.operator = Operator { is_connecting: true, ..Operator::default() };
                self.operator.acts_at = self.wall + self.rng.random_range(0..1_000);
            }
            Some(_) if is_over || self.rng.random_ratio(1, 10) => {
                let is_broken = self.rng.random_bool(0.5);
                network.operator.as_mut().expect("it is connected").end.get_or_insert(is_broken);
                self.operator.acts_at = u64::MAX;
            }
            Some(_) if self.operator.expected.is_none() => self.send_request(),
            Some(_) => {}
        }
    }

    fn send_request(&mut self) {
        let (path, status, asked) = match self.rng.random_range(0..4) {
            0 if self.is_draining => ("/healthz", 503, Asked::Health),
            0 => ("/healthz", 200, Asked::Health),
            1 => ("/rooms", 404, Asked::Rooms),
            _ => ("/metrics", 200, Asked::Metrics),
        };
        self.operator.expected = Some((status, asked));
        self.operator.reader.expect_response(false);
        self.operator.acts_at = self.wall + self.rng.random_range(100..5_000);
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let socket = self.turn.sockets_mut().operator.as_mut().expect("it is connected");
        socket.inbound.extend(request.bytes());
    }

    /// Reads all of its output at once.
    pub(super) fn receive_operator(&mut self) -> Check {
        let network = self.turn.sockets_mut();
        // The operator counts as a connection; refused connections do not.
        let connections = network.operator_saw;
        let Some(socket) = &mut network.operator else { return Ok(()) };
        let bytes: Vec<u8> = std::mem::take(&mut socket.outbound).into();
        let mut received = Vec::new();
        self.operator.reader.read(&bytes, &mut received)?;
        for received in received {
            let expected = match (self.operator.expected.take(), &received) {
                // The server began to drain before it read the request.
                (Some((200, Asked::Health)), Received::Response(503, ..)) if self.is_draining => {
                    Some((503, Asked::Health))
                }
                (expected, _) => expected,
            };
            let line = match expected {
                Some((503, _)) => "restarting".to_owned(),
                Some((_, Asked::Health)) => "ok".to_owned(),
                Some((_, Asked::Rooms)) => "Page not found".to_owned(),
                _ => format!("\nskirmish_connections {connections}\n"),
            };
            match (received, expected) {
                (Received::Response(status, _, body), Some((expected, _)))
                    if status == expected && String::from_utf8_lossy(&body).contains(&line) => {}
                other => return Err(format!("the operator received {other:?}, not {line}")),
            }
        }
        Ok(())
    }

    pub(super) fn operator_connected(&mut self, connected: Connected) -> Check {
        self.operator.is_connecting = false;
        let Connected { socket, outcome, .. } = connected;
        if outcome != Outcome::Opened {
            return Err(format!("the operator is refused: {outcome:?}"));
        }
        self.opened += 1;
        self.operator.id = Some(socket.id);
        self.turn.sockets_mut().operator = Some(socket);
        Ok(())
    }

    pub(super) fn end_operator(&mut self, id: ConnId, end: End) -> Check {
        self.receive_operator()?;
        let operator = &mut self.turn.sockets_mut().operator;
        match end {
            End::Shut => {
                operator.as_mut().expect("it is connected").end.get_or_insert(false);
            }
            End::Close | End::Reset => {
                *operator = None;
                self.ended += 1;
                self.stale.push(id);
                self.operator.id = None;
                self.operator.acts_at = self.wall + self.rng.random_range(500..3_000);
            }
        }
        Ok(())
    }
}
