//! What a model client of Socket.IO receives, and whether it may receive it.

use rand::RngExt;

use super::{Fault, Probe, Request, SocketIoClient, Stage, Transport};
use crate::sim::SimRng;
use crate::sim::client_model::Packet;
use crate::sim::fixture::{masked, text};
use crate::sim::response_reader::Received;

type Check = Result<(), String>;

impl SocketIoClient {
    /// Reads bytes from one of its connections. `now` is the server's clock, and `wall` the
    /// clients' clock.
    pub fn receive(
        &mut self,
        index: usize,
        bytes: &[u8],
        now: u64,
        wall: u64,
        is_draining: bool,
        rng: &mut SimRng,
    ) -> Check {
        let mut received = Vec::new();
        self.may_be_closed |= is_draining;
        let reader = &mut self.connections[index].reader;
        let before = reader.compressed;
        reader.read(bytes, &mut received)?;
        self.compressed += reader.compressed - before;
        for received in received {
            match received {
                Received::Response(status, _, body) => {
                    let body = String::from_utf8(body).map_err(|error| error.to_string())?;
                    self.handle_response(index, status, &body, now, wall, rng)?;
                }
                Received::Upgraded => self.handle_upgrade(index, now)?,
                Received::Text(packet) => self.handle_frame(index, &packet, wall, rng)?,
                Received::Close(code, reason) => self.handle_close(index, code, &reason)?,
                Received::Ping(ping) => {
                    self.connections[index].socket.inbound.extend(masked(0x8a, &ping));
                }
                Received::Pong(_) | Received::Binary(_) => {
                    return Err("a WebSocket pong, or a binary message".into());
                }
            }
        }
        Ok(())
    }

    fn handle_response(
        &mut self,
        index: usize,
        status: u16,
        body: &str,
        now: u64,
        wall: u64,
        rng: &mut SimRng,
    ) -> Check {
        let connection = &mut self.connections[index];
        let request = connection.awaiting.pop_front().ok_or("a response without a request")?;
        if !connection.keeps_alive || connection.is_websocket {
            connection.socket.end.get_or_insert(false);
        }
        match (request, status) {
            (Request::Open, 200) => {
                self.opened_at = Some(now);
                for packet in self.model.payload(body)? {
                    self.handle_packet(packet, rng)?;
                }
                Ok(())
            }
            (Request::Poll | Request::AnyAnswer, 200) if self.ignores_packets => {
                match body.rsplit('\x1e').next() == Some("1") {
                    true => self.session_ended(),
                    false => Ok(()),
                }
            }
            (Request::Poll, 200) => {
                self.polls_at = match self.fault {
                    Fault::LazyPolls => wall + rng.random_range(0..1_500),
                    _ => wall,
                };
                let packets = self.model.payload(body)?;
                if self.fault == Fault::LazyPolls && packets.contains(&Packet::Ping) {
                    self.pong_by = wall + 1_000;
                }
                self.has_empty_poll = packets == [Packet::Noop];
                let is_end = |packet: &Packet| *packet == Packet::Close;
                if packets.iter().rev().skip(1).any(is_end) {
                    return Err(format!("packets after the close packet: {body}"));
                }
                packets.into_iter().try_for_each(|packet| self.handle_packet(packet, rng))
            }
            (Request::Post, 200) if body == "ok" => {
                // Everything was sent, and the last packet was the close packet.
                if self.stage == Stage::Leaving && self.outgoing.is_empty() {
                    (self.stage, self.is_certainly_gone) = (Stage::Closed, true);
                }
                Ok(())
            }
            (Request::Poll | Request::Post | Request::AnyAnswer, 400) => self.session_ended(),
            (Request::Refused, 400) => Ok(()),
            (Request::Probe, 400) if self.may_be_closed => {
                self.connections[index].is_websocket = false;
                Ok(())
            }
            (_, 503) if self.may_be_closed => self.session_ended(),
            (_, 500) if self.is_struck => self.session_ended(),
            other => Err(format!("{other:?}: {body}")),
        }
    }

    fn handle_upgrade(&mut self, index: usize, now: u64) -> Check {
        let connection = &mut self.connections[index];
        let request = connection.awaiting.pop_front().ok_or("a response without a request")?;
        match request {
            Request::WebSocket => {
                self.websocket = Some(connection.socket.id);
                self.opened_at = Some(now);
            }
            Request::Probe => connection.socket.inbound.extend(text("2probe")),
            Request::Refused if self.fault == Fault::SecondProbe => {
                connection.is_websocket = true;
                connection.socket.inbound.extend(text("2probe"));
            }
            other => return Err(format!("{other:?} was answered with a WebSocket")),
        }
        Ok(())
    }

    fn handle_frame(&mut self, index: usize, packet: &str, wall: u64, rng: &mut SimRng) -> Check {
        if self.websocket == Some(self.connections[index].socket.id) {
            let packet = self.model.packet(packet)?;
            return match packet {
                Packet::Noop | Packet::Close | Packet::Probed => {
                    Err(format!("{packet:?} over WebSocket"))
                }
                packet => self.handle_packet(packet, rng),
            };
        }
        // Of two WebSockets that probe, one may be answered after the other has failed.
        let is_second = self.fault == Fault::SecondProbe && self.probe == Probe::Failed;
        match (packet, self.probe) {
            ("3probe", probe) if probe == Probe::Sent || is_second => {
                self.probe = Probe::Probed(wall + rng.random_range(0..600));
                self.probed = Some(self.connections[index].socket.id);
                Ok(())
            }
            other => Err(format!("{other:?} over a WebSocket before the upgrade")),
        }
    }

    fn handle_packet(&mut self, packet: Packet, rng: &mut SimRng) -> Check {
        match packet {
            Packet::Open(sid) if self.sid.is_none() => {
                self.sid = Some(sid);
                if self.stage == Stage::Opening {
                    self.stage = Stage::Open;
                }
            }
            Packet::Ping if self.fault == Fault::NoPong && self.may_be_closed => {}
            // The server tolerates some unsolicited packets.
            Packet::Ping => {
                self.outgoing.push("3".to_owned());
                if rng.random_ratio(1, 10) {
                    self.outgoing.push(["3", "6"][rng.random_range(0..2)].to_owned());
                }
            }
            Packet::Noop => {}
            Packet::Connected(_) => (self.has_just_joined, self.at) = (true, None),
            Packet::ConnectError(why) if why == "full" => {
                self.asked_at = None;
                (self.may_be_closed, self.leaves_at) = (true, 0);
            }
            // Another client takes over its player, and the end of its session may come later.
            Packet::Disconnect if self.may_be_closed => self.model.leave_room(),
            Packet::Close => return self.session_ended(),
            Packet::Fact | Packet::Moved(_) | Packet::Ack(..) => {}
            other => return Err(format!("unexpected {other:?}")),
        }
        Ok(())
    }

    fn handle_close(&mut self, index: usize, code: Option<u16>, reason: &str) -> Check {
        let connection = &mut self.connections[index];
        connection.socket.end.get_or_insert(false);
        let is_unread = !connection.socket.inbound.is_empty();
        if self.websocket != Some(connection.socket.id) {
            // Of two WebSockets that probe, the server closes one.
            if self.fault == Fault::SecondProbe && self.probed != Some(connection.socket.id) {
                connection.is_websocket = false;
                return Ok(());
            }
            let is_failure = matches!(self.fault, Fault::WrongProbe | Fault::SilentProbe);
            return match is_failure || self.may_be_closed || self.stage != Stage::Open {
                true => {
                    self.probe = Probe::Failed;
                    Ok(())
                }
                false => Err(format!("the upgrade failed: {code:?} {reason}")),
            };
        }
        let is_right = match code {
            Some(1011) => self.is_struck,
            Some(1012) => reason.starts_with(r#"{"retry_ms":"#),
            Some(4009) => self.may_be_closed,
            Some(4008) => self.fault == Fault::SlowReader || self.fault == Fault::Unresponsive,
            // Without a protocol violation the close frame has no code.
            code => code.is_none(),
        };
        // The server may close a WebSocket before it has read that the client upgrades to it.
        self.may_end_later =
            self.transport == Transport::Upgrading && (code == Some(1012) || is_unread);
        match is_right {
            true => self.session_ended(),
            false => Err(format!("closed with {code:?} {reason}")),
        }
    }

    /// Its session is closed, as far as it knows.
    pub fn session_ended(&mut self) -> Check {
        if self.stage == Stage::Open && !self.may_be_closed {
            return Err("its session ended for no reason".to_owned());
        }
        (self.stage, self.is_certainly_gone) = (Stage::Closed, !self.may_end_later);
        Ok(())
    }

    /// One of its connections is closed.
    pub fn disconnected(&mut self, index: usize) -> Check {
        let connection = self.connections.remove(index);
        let is_ours = connection.socket.is_end_reported;
        let is_lost = connection.awaiting.iter().any(|request| *request != Request::Refused);
        if is_lost && !self.may_be_closed && !is_ours {
            return Err(format!("no response to {:?}", connection.awaiting));
        }
        // It gives up after a lost request.
        if is_lost && !connection.is_websocket && self.stage == Stage::Open {
            self.stage = Stage::Closed;
        }
        let is_probe = self.probed.is_none_or(|probed| probed == connection.socket.id);
        let is_upgrading = self.probe != Probe::Done && self.websocket.is_none();
        if connection.is_websocket && is_probe && is_upgrading {
            self.probe = Probe::Failed;
        }
        match self.websocket == Some(connection.socket.id) {
            true => self.session_ended(),
            false => Ok(()),
        }
    }
}
