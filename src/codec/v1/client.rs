//! The messages of a client.

use super::bytes::Reader;
use super::schema::ARGUMENTS_MAX;
use super::{Course, Malformed};
use crate::time::Tick;

const INPUT: u8 = 0x10;
const RESYNC: u8 = 0x11;
const WHO: u8 = 0x12;
const RATE: u8 = 0x13;
const COMMAND: u8 = 0x14;

/// The maximum number of bodies in a WHO.
pub const WHO_MAX: usize = 64;
/// The number of attack presses, after which they count from 0 again.
pub const PRESSES: u8 = 32;

/// A message of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMessage<'a> {
    /// The keys as they are held.
    Input(Input),
    /// The client has lost its base and asks for a keyframe.
    Resync,
    /// The client asks for the players of some bodies.
    Who(Who<'a>),
    /// The client asks for this many ticks a second, 1 to 20.
    Rate(u8),
    /// A command of the game's own.
    Command(Command),
}

/// INPUT: the keys as they are held from step `seq` of the client on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// The direction in which the player wants to move.
    pub direction: Course,
    /// The presses of the attack key so far, modulo [`PRESSES`].
    pub presses: u8,
    /// The number of the client's own 50 ms step from which it holds; it wraps.
    pub seq: u16,
    /// The low bits of the newest tick that the client has applied.
    pub ack: u16,
    /// How far the drawn world is behind that tick, in 1/8 ticks.
    pub view_age: u8,
    /// The time since that tick was received, in units of 4 ms; 255 is any longer time.
    pub hold: u8,
}

impl Input {
    /// Whether the step `seq` comes after `other`, as serial numbers (RFC 1982).
    #[must_use]
    pub const fn is_after(seq: u16, other: u16) -> bool {
        (seq.wrapping_sub(other) as i16) > 0
    }

    /// The newest tick up to `now` with the low bits of `ack`.
    #[must_use]
    pub const fn acknowledged(&self, now: Tick) -> Tick {
        let behind = (now.0 as u16).wrapping_sub(self.ack);
        Tick(now.0.wrapping_sub(behind as u32))
    }
}

/// WHO: slots and generations of bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who<'a>(pub &'a [[u8; 3]]);

impl Iterator for Who<'_> {
    type Item = (u16, u8);

    fn next(&mut self) -> Option<(u16, u8)> {
        let ([low, high, generation], rest) = self.0.split_first()?;
        self.0 = rest;
        Some((u16::from_le_bytes([*low, *high]), *generation))
    }
}

/// Appends a WHO about at most [`WHO_MAX`] bodies.
pub fn encode_who(bodies: impl Iterator<Item = (u16, u8)>, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[WHO, 0]);
    for (id, generation) in bodies.take(WHO_MAX) {
        let [low, high] = id.to_le_bytes();
        out.extend_from_slice(&[low, high, generation]);
        out[start + 1] += 1;
    }
}

/// COMMAND: a command of the game's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// The index of the command in WELCOME.
    pub number: u8,
    /// How many arguments it has.
    pub count: u8,
    /// Its arguments; the rest is 0.
    pub arguments: [i32; ARGUMENTS_MAX],
}

impl<'a> ClientMessage<'a> {
    /// Appends the message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            ClientMessage::Input(input) => {
                let Input { direction, presses, seq, ack, view_age, hold } = input;
                out.extend_from_slice(&[INPUT, direction as u8 | presses << 3]);
                out.extend_from_slice(&seq.to_le_bytes());
                out.extend_from_slice(&ack.to_le_bytes());
                out.extend_from_slice(&[view_age, hold]);
            }
            ClientMessage::Resync => out.push(RESYNC),
            ClientMessage::Who(who) => encode_who(who, out),
            ClientMessage::Rate(hz) => out.extend_from_slice(&[RATE, hz]),
            ClientMessage::Command(Command { number, count, arguments }) => {
                out.extend_from_slice(&[COMMAND, number]);
                for argument in &arguments[..usize::from(count)] {
                    out.extend_from_slice(&argument.to_le_bytes());
                }
            }
        }
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// See [`Malformed`].
    pub fn decode(message: &'a [u8]) -> Result<ClientMessage<'a>, Malformed> {
        let mut from = Reader(message);
        let decoded = match from.u8()? {
            INPUT => {
                let buttons = from.u8()?;
                ClientMessage::Input(Input {
                    direction: Course::from_number(buttons & 0b111)?,
                    presses: buttons >> 3,
                    seq: from.u16()?,
                    ack: from.u16()?,
                    view_age: from.u8()?,
                    hold: from.u8()?,
                })
            }
            RESYNC => ClientMessage::Resync,
            WHO => {
                let count = usize::from(from.u8()?);
                if count > WHO_MAX {
                    return Err(Malformed::OutOfRange);
                }
                ClientMessage::Who(Who(from.take(count * 3)?.as_chunks().0))
            }
            RATE => match from.u8()? {
                hz @ 1..=20 => ClientMessage::Rate(hz),
                _ => return Err(Malformed::OutOfRange),
            },
            COMMAND => {
                let number = from.u8()?;
                let count = from.0.len() / 4;
                let mut arguments = [0; ARGUMENTS_MAX];
                let held = arguments.get_mut(..count).ok_or(Malformed::OutOfRange)?;
                for argument in held {
                    *argument = from.i32()?;
                }
                ClientMessage::Command(Command { number, count: count as u8, arguments })
            }
            _ => return Err(Malformed::UnknownKind),
        };
        from.end()?;
        Ok(decoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_acknowledged_ticks_wrap() {
        assert!(Input::is_after(0, u16::MAX) && !Input::is_after(u16::MAX, 0));
        assert!(!Input::is_after(7, 7) && Input::is_after(8, 7));
        let ack = |ack| Input { ack, ..Input::default() };
        assert_eq!(ack(5).acknowledged(Tick(5)), Tick(5));
        assert_eq!(ack(0xfffe).acknowledged(Tick(0x0001_0003)), Tick(0xfffe));
        assert_eq!(ack(0xfffe).acknowledged(Tick(3)), Tick(0xffff_fffe));
    }
}
