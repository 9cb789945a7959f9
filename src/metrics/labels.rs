//! What counters and histograms are divided by: closed lists, so that no peer can create a new
//! series.

/// Why a message from a peer was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// The peer exceeded its rate limit.
    Rate,
    /// The message is not valid JSON.
    InvalidJson,
    /// The type of the message, or a value in it, is unknown.
    Unknown,
}

impl Drop {
    pub(super) const ALL: [(Drop, &'static str); 3] =
        [(Drop::Rate, "rate"), (Drop::InvalidJson, "invalid_json"), (Drop::Unknown, "unknown")];
}

/// Why a connection or a join was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The address is banned.
    Banned,
    /// A request to an operator's route has no right token.
    Token,
    /// The address opens connections too often.
    AcceptRate,
    /// The address has too many connections.
    AddressFull,
    /// With `--proxy-protocol`: the peer is not a trusted proxy.
    UntrustedPeer,
    /// The address joins too often.
    JoinRate,
    /// All addresses together join too often.
    JoinRateTotal,
    /// The address requests pages too often, or too many bytes of them.
    PageRate,
    /// The Origin is not allowed.
    Origin,
    /// The Host is not allowed.
    Host,
    /// The client offers WebSocket subprotocols, and this server has none of them.
    Subprotocol,
    /// The server or the room is full.
    Full,
    /// The server holds too many bytes for clients.
    Memory,
    /// A player of an address with more than its share of a full room, or a room of an address with
    /// more than its share of all rooms, made room for another.
    RoomShare,
    /// The room does not exist and may not be created.
    NoRoom,
    /// The server has more clients than it can send states to.
    Overload,
    /// The server is shutting down.
    Draining,
}

impl Refusal {
    pub(super) const ALL: [(Refusal, &'static str); 17] = [
        (Refusal::Banned, "banned"),
        (Refusal::Token, "token"),
        (Refusal::AcceptRate, "accept_rate"),
        (Refusal::AddressFull, "address_full"),
        (Refusal::UntrustedPeer, "untrusted_peer"),
        (Refusal::JoinRate, "join_rate"),
        (Refusal::JoinRateTotal, "join_rate_total"),
        (Refusal::PageRate, "page_rate"),
        (Refusal::Origin, "origin"),
        (Refusal::Host, "host"),
        (Refusal::Subprotocol, "subprotocol"),
        (Refusal::Full, "full"),
        (Refusal::Memory, "memory"),
        (Refusal::RoomShare, "room_share"),
        (Refusal::NoRoom, "no_room"),
        (Refusal::Overload, "overload"),
        (Refusal::Draining, "draining"),
    ];
}

/// What the loop does in one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnPhase {
    /// Sockets are read, and what came is handled.
    Read,
    /// Worlds advance, and states are made.
    Tick,
    /// Connections are accepted.
    Accept,
    /// Waiting bytes are written.
    Flush,
    /// Sockets of ended connections are closed.
    Reap,
    /// Between two turns: signals are handled, and files are written and exchanged.
    Between,
}

impl TurnPhase {
    pub(super) const ALL: [(TurnPhase, &'static str); 6] = [
        (TurnPhase::Read, "read"),
        (TurnPhase::Tick, "tick"),
        (TurnPhase::Accept, "accept"),
        (TurnPhase::Flush, "flush"),
        (TurnPhase::Reap, "reap"),
        (TurnPhase::Between, "between"),
    ];
}

/// With what a round trip to a client was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RttSource {
    /// A ping of the server over a WebSocket, which is sent after a silence.
    WebSocketPing,
    /// A ping of the server over Engine.IO.
    EngineIoPing,
    /// A tick that the client has acknowledged; in whole ticks, rounded down.
    Acknowledgement,
}

impl RttSource {
    pub(super) const ALL: [(RttSource, &'static str); 3] = [
        (RttSource::WebSocketPing, "websocket_ping"),
        (RttSource::EngineIoPing, "engineio_ping"),
        (RttSource::Acknowledgement, "acknowledgement"),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_in_the_order_of_the_discriminants() {
        assert!(Drop::ALL.iter().enumerate().all(|(number, (drop, _))| *drop as usize == number));
        let mut refusals = Refusal::ALL.iter().enumerate();
        assert!(refusals.all(|(number, (refusal, _))| *refusal as usize == number));
        let mut phases = TurnPhase::ALL.iter().enumerate();
        assert!(phases.all(|(number, (phase, _))| *phase as usize == number));
        let mut sources = RttSource::ALL.iter().enumerate();
        assert!(sources.all(|(number, (source, _))| *source as usize == number));
    }
}
