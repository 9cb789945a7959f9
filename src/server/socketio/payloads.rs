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
/// It is put together in `buffer`, unless it is the update alone.
pub fn body(waiting: &Facts, update: Option<&(Update, Tick)>, buffer: &mut Vec<u8>) -> Rc<[u8]> {
    buffer.clear();
    match update {
        Some((Update::One(payload), _)) if waiting.is_empty() => return payload.clone().into(),
        Some((update, tick)) => {
            let (before, behind) = waiting.around(*tick);
            packets::append(before, buffer);
            for payload in update.iter() {
                engineio::append(payload.bytes(), buffer);
            }
            packets::append(behind, buffer);
        }
        None => packets::append(waiting.iter(), buffer),
    }
    Rc::from(&buffer[..])
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
    // What is kept for a later poll is bounded, and so is what a client gets at once by causing
    // its end.
    let is_own_doing = matches!(
        reason,
        CloseReason::ClientClosed
            | CloseReason::PeerClosed
            | CloseReason::Replaced
            | CloseReason::TooFast
            | CloseReason::Policy
            | CloseReason::Protocol
            | CloseReason::Parser
    );
    let nothing = Facts::default();
    let is_large = (!is_held || is_own_doing) && waiting.bytes() > LAST_PAYLOAD_BYTES;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_causes_its_end_gets_few_bytes_at_once() {
        let mut waiting = Facts::default();
        let last = |reason, waiting: &Facts| {
            let payloads = last_payloads(reason, true, waiting, &[]);
            payloads.iter().map(|payload| payload.len()).sum::<usize>()
        };
        let event = [b'e'; 1_000];
        (0..4).for_each(|_| waiting.push(packet(&event), None, false));
        const ITS_OWN: [CloseReason; 3] =
            [CloseReason::Protocol, CloseReason::PeerClosed, CloseReason::Replaced];
        for reason in ITS_OWN {
            assert!(last(reason, &waiting) > 4_000);
        }
        waiting.push(packet(&event), None, false);
        for reason in ITS_OWN {
            assert_eq!(last(reason, &waiting), 1);
        }
        assert!(last(CloseReason::Restart, &waiting) > 5_000, "the server ends it");
    }
}
