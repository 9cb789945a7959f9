//! A message of a client of skirmish.v1.

use skirmish::codec::v1::client::{ClientMessage, WHO_MAX};
use skirmish::codec::v1::schema::ARGUMENTS_MAX;

/// What is accepted is within the limits, and is encoded as it was read.
pub fn check(message: &[u8]) {
    let Ok(decoded) = ClientMessage::decode(message) else { return };
    let is_in_range = match decoded {
        ClientMessage::Input(input) => input.presses < 32,
        ClientMessage::Resync => true,
        ClientMessage::Who(who) => who.count() <= WHO_MAX,
        ClientMessage::Rate(hz) => (1..=20).contains(&hz),
        ClientMessage::Command(command) => usize::from(command.count) <= ARGUMENTS_MAX,
    };
    assert!(is_in_range, "{message:02x?}");
    let mut again = Vec::new();
    decoded.encode(&mut again);
    assert_eq!(again, message);
}
