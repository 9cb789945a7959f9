//! The keys of a player: what its INPUTs say.

use crate::codec::v1::Course;
use crate::codec::v1::client::{Input, PRESSES};
use crate::codec::v1::server::Head;
use crate::time::TICK_MS;

/// The length of a step.
pub const STEP_US: u64 = TICK_MS * 1_000;
/// A client runs its steps up to 2 % faster or slower.
const CORRECTION_US: u64 = STEP_US / 50;
/// Steps from which on an INPUT waits too long. The server keeps 4 INPUTs that wait.
const WAITING_MAX: i8 = 4;
/// The unit of `hold`.
const HOLD_US: u64 = 4_000;

/// The state of the keys, and the client's own steps.
#[derive(Debug)]
pub struct Controls {
    /// The direction that is held.
    pub direction: Course,
    presses: u8,
    /// The current step, when the next one begins, and the length of the steps.
    step: u16,
    next_us: u64,
    length_us: u64,
    /// The `seq` of the last INPUT.
    seq: Option<u16>,
    /// The newest step that the server has received.
    received: Option<u16>,
}

impl Controls {
    /// No key is held. The first step has the number `step`.
    pub fn new(step: u16, now_us: u64) -> Controls {
        Controls {
            direction: Course::None,
            presses: 0,
            step,
            next_us: now_us + STEP_US,
            length_us: STEP_US,
            seq: None,
            received: None,
        }
    }

    /// The attack key is pressed.
    pub fn press(&mut self) {
        self.presses = (self.presses + 1) % PRESSES;
    }

    /// The keys as they are held now. Each INPUT has a step of its own. A client that draws what it
    /// has received draws the newest tick: its view age is 0.
    pub fn input(&mut self, head: &Head, received_us: u64, now_us: u64) -> Input {
        while now_us >= self.next_us {
            self.step = self.step.wrapping_add(1);
            self.next_us += self.length_us;
        }
        let seq = match self.seq {
            Some(last) if !Input::is_after(self.step, last) => last.wrapping_add(1),
            _ => self.step,
        };
        self.seq = Some(seq);
        Input {
            direction: self.direction,
            presses: self.presses,
            seq,
            ack: head.tick.0 as u16,
            view_age: 0,
            hold: u8::try_from((now_us - received_us) / HOLD_US).unwrap_or(u8::MAX),
        }
    }

    /// Runs the steps faster or slower: the first HEAD after an INPUT says how early it was. After
    /// a stall of the server, INPUTs would wait for as long as the stall was: the steps wait
    /// instead.
    pub fn adjust(&mut self, head: &Head, now_us: u64) {
        let received = newest_received(head);
        if self.received.replace(received) != Some(received) {
            self.length_us = match head.lead {
                WAITING_MAX.. => {
                    self.next_us = now_us + u64::from(head.lead.unsigned_abs()) * STEP_US;
                    STEP_US
                }
                1.. => STEP_US + CORRECTION_US,
                // The step that was running when it was received has been run.
                -1..=0 => STEP_US,
                _ => STEP_US - CORRECTION_US,
            };
        }
    }
}

/// Whether the server had received and run the INPUT `seq` before this HEAD.
pub fn is_run(seq: u16, head: &Head) -> bool {
    !Input::is_after(seq, head.applied) && !Input::is_after(seq, newest_received(head))
}

fn newest_received(head: &Head) -> u16 {
    head.applied.wrapping_add_signed(i16::from(head.lead))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Tick;

    fn head(applied: u16, lead: i8) -> Head {
        Head { applied, lead, tick: Tick(0x0001_0002), ..Head::default() }
    }

    #[test]
    fn inputs_have_steps_of_their_own() {
        let mut controls = Controls::new(u16::MAX, 0);
        let mut seq = |now_us| controls.input(&head(0, 0), 0, now_us).seq;
        assert_eq!([0, 10, 20, 49_999].map(&mut seq), [u16::MAX, 0, 1, 2]);
        assert_eq!([50_000, 200_000, 250_000].map(&mut seq), [3, 4, 5]);
        assert_eq!(seq(1_000_000), 19);
    }

    #[test]
    fn an_input_acknowledges_the_tick_with_its_age() {
        let mut controls = Controls::new(0, 0);
        controls.direction = Course::Left;
        (0..33).for_each(|_| controls.press());
        let input = controls.input(&head(0, 0), 1_000, 41_000);
        assert_eq!((input.ack, input.hold, input.view_age), (2, 10, 0));
        assert_eq!((input.direction, input.presses), (Course::Left, 1));
        assert_eq!(controls.input(&head(0, 0), 1_000, 5_000_000).hold, 255);
    }

    #[test]
    fn late_inputs_make_the_steps_faster() {
        let mut controls = Controls::new(0, 0);
        let mut adjust = |head: &Head| {
            controls.adjust(head, 0);
            controls.length_us
        };
        assert_eq!(adjust(&head(10, -3)), 49_000);
        // The same INPUT on later ticks says nothing more.
        assert_eq!(adjust(&head(17, -10)), 49_000);
        assert_eq!(adjust(&head(20, -1)), 50_000);
        assert_eq!(adjust(&head(30, 2)), 51_000);
    }

    #[test]
    fn the_steps_wait_for_a_server_that_has_stalled() {
        let mut controls = Controls::new(0, 0);
        let seq = |controls: &mut Controls, now_us| controls.input(&head(0, 0), 0, now_us).seq;
        assert_eq!(seq(&mut controls, 1_000_000), 20);
        controls.adjust(&head(10, 10), 1_000_000);
        assert_eq!([1_100_000, 1_499_999].map(|now_us| seq(&mut controls, now_us)), [21, 22]);
        assert_eq!(seq(&mut controls, 1_650_000), 24);
    }

    #[test]
    fn an_input_is_run_when_it_was_received_and_its_step_is_over() {
        assert!(is_run(7, &head(7, 0)) && is_run(7, &head(9, -2)));
        assert!(!is_run(7, &head(6, 1)), "it waits");
        assert!(!is_run(7, &head(8, -2)), "it is not there");
        assert!(is_run(u16::MAX, &head(0, 0)));
    }
}
