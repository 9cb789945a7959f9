//! The connections of a model client of Socket.IO.

use std::collections::{BTreeMap, VecDeque};

use skirmish::server::ConnId;

use super::{Fault, Request, SocketIoClient, Stage};
use crate::sim::fixture::{DEFLATE, with_fields};
use crate::sim::response_reader::ResponseReader;
use crate::sim::simulated_socket::{SimulatedSocket, take_front};

pub struct Connection {
    pub socket: SimulatedSocket,
    pub(super) reader: ResponseReader,
    pub awaiting: VecDeque<Request>,
    pub(super) keeps_alive: bool,
    pub(super) is_websocket: bool,
}

/// A connection that the client wants to open, and its first bytes.
pub struct PendingConnection {
    pub bytes: Vec<u8>,
    pub request: Request,
    pub keeps_alive: bool,
}

impl Connection {
    /// Whether it awaits the response to a poll, and nothing of that was sent yet.
    pub fn is_poll_unanswered(&self) -> bool {
        let is_poll = self.awaiting.front() == Some(&Request::Poll);
        // Its response may have started.
        is_poll && self.socket.is_drained() && !self.reader.has_partial_input()
    }

    /// Whether the server has read everything that was sent.
    pub fn is_read(&self) -> bool {
        self.socket.inbound.is_empty() && !self.socket.is_input_pending
    }

    fn is_reusable(&self) -> bool {
        let is_open = self.socket.end.is_none() && !self.socket.is_write_shut;
        !self.is_websocket && self.keeps_alive && self.awaiting.is_empty() && is_open
    }

    fn send(&mut self, request: Request, bytes: &[u8]) {
        self.awaiting.push_back(request);
        self.reader.expect_response(false);
        self.socket.inbound.extend(bytes);
    }
}

impl SocketIoClient {
    pub(super) fn request(&mut self, request: Request, mut bytes: Vec<u8>) {
        let is_websocket = matches!(request, Request::WebSocket | Request::Probe);
        if !self.keeps_alive && !is_websocket && request != Request::Refused {
            let at = bytes.windows(2).position(|two| two == b"\r\n").expect("a first line") + 2;
            bytes.splice(at..at, b"Connection: close\r\n".iter().copied());
        }
        // Requests that must be refused use a connection of their own.
        let is_reusable =
            |connection: &&mut Connection| connection.is_reusable() && request != Request::Refused;
        match self.connections.iter_mut().find(is_reusable) {
            Some(connection) => {
                connection.send(request, &bytes);
                connection.is_websocket = is_websocket;
            }
            None => self.pending_connections.push(PendingConnection {
                bytes,
                request,
                keeps_alive: self.keeps_alive,
            }),
        }
    }

    /// Adds a connection that the client asked for.
    pub fn connect(&mut self, pending: &PendingConnection, socket: SimulatedSocket) {
        let is_websocket = matches!(pending.request, Request::WebSocket | Request::Probe);
        let (reader, awaiting, keeps_alive) =
            (ResponseReader::default(), VecDeque::new(), pending.keeps_alive);
        let mut connection = Connection { socket, reader, awaiting, keeps_alive, is_websocket };
        connection.send(pending.request, &pending.bytes);
        self.connections.push(connection);
    }

    pub fn connection(&mut self, id: ConnId) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|connection| connection.socket.id == id)
    }

    pub(super) fn awaiting(&self, request: Request) -> bool {
        let is_it = |other: &Request| *other == request;
        self.connections.iter().any(|connection| connection.awaiting.iter().any(is_it))
            || self.pending_connections.iter().any(|pending| pending.request == request)
            || self.connecting.iter().any(|(_, pending)| pending.request == request)
    }

    /// If its pong is not sent by the time, it may be too late: its posts are parts of what it has
    /// to send, and take up to a second each.
    pub(super) fn check_pong(&mut self, now: u64) {
        if now >= self.pong_by {
            let has_pong = self.outgoing.iter().any(|packet| packet == "3");
            self.may_be_closed |= has_pong || self.awaiting(Request::Post);
            self.pong_by = u64::MAX;
        }
    }

    /// Notes its polls and probes before a run of the loop.
    pub fn note_before_run(&mut self) {
        (self.has_empty_poll, self.had_probe) = (false, self.has_probe());
    }

    fn has_probe(&self) -> bool {
        self.connections.iter().any(|connection| connection.is_websocket)
    }

    /// Whether it has received everything, given that the server has flushed. `polls` are the
    /// connections with a waiting poll before that flush.
    pub fn is_up_to_date(&self, polls: &[ConnId]) -> bool {
        let is_in =
            self.model.has_player_list && !self.model.is_connecting && !self.ignores_packets;
        if self.stage != Stage::Open || self.is_frozen || self.is_struck || !is_in {
            return false;
        }
        let is_drained = |connection: &Connection| {
            connection.socket.is_drained() && !connection.reader.has_partial_input()
        };
        match self.websocket {
            Some(id) => self.connections.iter().any(|connection| {
                let has_taken_over =
                    connection.awaiting.is_empty() && connection.socket.inbound.is_empty();
                connection.socket.id == id
                    && is_drained(connection)
                    && has_taken_over
                    && !connection.socket.is_input_pending
            }),
            None => {
                // With a probe in progress, polls are answered just before the tick.
                !self.has_probe()
                    && !self.had_probe
                    && self.connections.iter().all(is_drained)
                    && self
                        .connections
                        .iter()
                        .any(|connection| polls.contains(&connection.socket.id))
            }
        }
    }

    /// Whether the server has read everything the client sent.
    pub fn is_fully_read(&self) -> bool {
        self.outgoing.is_empty()
            && !self.awaiting(Request::Post)
            && self.connections.iter().all(Connection::is_read)
    }

    /// Takes what the client reads now from its sockets, by connection.
    pub fn read(&mut self, span_ms: u64) -> BTreeMap<usize, Vec<u8>> {
        let mut read = BTreeMap::new();
        if self.fault == Fault::SlowReader {
            self.read_credit = (self.read_credit + 3 * span_ms).min(3_000);
        }
        for (index, connection) in self.connections.iter_mut().enumerate() {
            let mut count = connection.socket.outbound.len();
            if self.is_frozen {
                count = 0;
            } else if self.fault == Fault::SlowReader {
                count = count.min(self.read_credit as usize);
                self.read_credit -= count as u64;
            }
            if count > 0 {
                read.insert(index, take_front(&mut connection.socket.outbound, count));
            }
        }
        read
    }
}

/// A WebSocket handshake that in one of eight cases offers to compress messages, which takes long.
pub(super) fn offering(now: u64, request: Vec<u8>) -> Vec<u8> {
    if now.is_multiple_of(8) { with_fields(request, DEFLATE) } else { request }
}
