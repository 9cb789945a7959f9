//! The packets of the server, and the payloads of polls.

use std::rc::Rc;

use super::session::LastPayloads;
use crate::close::CloseReason;
use crate::limits::LAST_PAYLOAD_BYTES;
use crate::outbox::{Encoded, Facts, Update};
use crate::socketio::engineio;
use crate::time::Tick;
use crate::wire::packet as packets;
use crate::ws::frame;

/// A packet in the frame that carries it.
pub fn packet(text: &[u8]) -> Encoded {
    Encoded::from(frame::whole(frame::TEXT, text))
}

/// The body of a poll: the packets that wait, with the update of a tick at its place among them.
pub fn body(waiting: &Facts, update: Option<&(Update, Tick)>) -> Rc<[u8]> {
    let Some((update, tick)) = update else { return packets::payload(waiting.iter()).into() };
    if let (true, Update::One(payload)) = (waiting.is_empty(), update) {
        return payload.clone().into();
    }
    let (before, behind) = waiting.around(*tick);
    let mut body = packets::payload(before);
    for payload in update.iter() {
        engineio::append(payload.bytes(), &mut body);
    }
    for packet in behind {
        engineio::append(&packets::payload([packet]), &mut body);
    }
    body.into()
}

/// The last payloads of a session that polls: for the poll that `is_held`, and for later polls.
pub fn last_payloads(
    reason: CloseReason,
    is_held: bool,
    waiting: &Facts,
    disconnects: &[Encoded],
) -> LastPayloads {
    let is_closing = reason == CloseReason::ClientClosed;
    let is_slow = matches!(reason, CloseReason::Slow | CloseReason::Memory);
    // What is kept for a later poll is bounded.
    let nothing = Facts::default();
    let is_large = !is_held && waiting.bytes() > LAST_PAYLOAD_BYTES;
    let waiting = if is_large { &nothing } else { waiting };
    // The client's own close is answered with a noop, any other end is a close packet.
    let last = packet(if is_closing { b"6" } else { b"1" });
    let last = std::slice::from_ref(&last);
    let bodies = match reason {
        // This client will not poll again.
        CloseReason::PeerClosed
        | CloseReason::PingTimeout
        | CloseReason::PollAbsence
        | CloseReason::Protocol
        | CloseReason::Parser
            if !is_held =>
        {
            Vec::new()
        }
        // The close is a payload of its own: clients ignore the rest of a payload that closes.
        _ if !disconnects.is_empty() => {
            vec![packets::payload(waiting.iter().chain(disconnects)), packets::payload(last)]
        }
        // A client that closed, or did not read, does not need the rest.
        _ if is_slow || is_closing && !is_held => vec![packets::payload(last)],
        _ => vec![packets::payload(waiting.iter().chain(last))],
    };
    bodies.into_iter().map(Rc::from).collect()
}
