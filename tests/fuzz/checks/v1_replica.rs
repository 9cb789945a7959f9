//! The messages of a server of skirmish.v1, as a client receives them.

use skirmish::codec::v1::Replica;
use skirmish::codec::v1::replica::Received;
use skirmish::codec::v1::welcome::Welcome;

/// The size of a message is in two bytes before it, little-endian. The first one is WELCOME.
pub fn check(bytes: &[u8]) {
    let mut messages = messages(bytes);
    let Some(Ok(welcome)) = messages.next().map(Welcome::decode) else { return };
    let mut again = Vec::new();
    welcome.encode(&mut again);
    assert_eq!(Welcome::decode(&again).as_ref(), Ok(&welcome));
    let schema = welcome.schema();
    let mut replica = Replica::new(schema.clone());
    for message in messages {
        let received = replica.receive(message);
        assert!(received == Ok(Received::Applied) || replica.head().is_none(), "{message:02x?}");
        for (cell, list) in replica.cells() {
            assert!(list.bodies().is_sorted_by(|one, other| one.id < other.id), "cell {cell}");
            let is_in = |x, y| schema.is_in(cell, x, y);
            assert!(list.bodies().iter().all(|body| is_in(body.x, body.y)), "cell {cell}");
        }
    }
}

fn messages(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (size, rest) = bytes.split_first_chunk::<2>()?;
        let (message, rest) = rest.split_at(usize::from(u16::from_le_bytes(*size)).min(rest.len()));
        bytes = rest;
        Some(message)
    })
}
