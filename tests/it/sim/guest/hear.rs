//! What a model client of Socket.IO hears, and whether it may be told so.
//!
//! Part of `guest`.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Asked, Fault, Guest, Probe, Stage};
use crate::sim::ear::Heard;
use crate::sim::lab::text;
use crate::sim::mind::Said;

type Check = Result<(), String>;

impl Guest {
    /// Takes bytes that came over one of its connections. `now` is the server's clock, and `wall`
    /// that of the clients.
    pub fn hear(
        &mut self,
        index: usize,
        bytes: &[u8],
        (now, wall): (u64, u64),
        is_draining: bool,
        rng: &mut ChaCha8Rng,
    ) -> Check {
        let mut heard = Vec::new();
        self.is_excused |= is_draining;
        self.lines[index].ear.hear(bytes, &mut heard)?;
        for heard in heard {
            match heard {
                Heard::Response(status, _, body) => {
                    let body = String::from_utf8(body).map_err(|error| error.to_string())?;
                    self.answered(index, status, &body, (now, wall), rng)?;
                }
                Heard::Upgraded => self.upgraded(index, now)?,
                Heard::Text(packet) => self.packet(index, &packet, wall, rng)?,
                Heard::Close(code, reason) => self.closed(index, code, &reason)?,
                Heard::Ping(_) | Heard::Pong(_) => return Err("a ping of the transport".into()),
            }
        }
        Ok(())
    }

    fn answered(
        &mut self,
        index: usize,
        status: u16,
        body: &str,
        (now, wall): (u64, u64),
        rng: &mut ChaCha8Rng,
    ) -> Check {
        let line = &mut self.lines[index];
        let asked = line.awaits.pop_front().ok_or("an answer to nothing")?;
        if !line.keeps_alive || line.is_socket {
            line.wire.end.get_or_insert(false);
        }
        match (asked, status) {
            (Asked::Open, 200) => {
                self.opened_at = Some(now);
                for said in self.mind.payload(body)? {
                    self.said(said, rng)?;
                }
                Ok(())
            }
            (Asked::Poll | Asked::Doubtful, 200) if self.is_confused => {
                match body.rsplit('\x1e').next() == Some("1") {
                    true => self.ended(),
                    false => Ok(()),
                }
            }
            (Asked::Poll, 200) => {
                self.polls_at = match self.fault {
                    Fault::LazyPolls => wall + rng.random_range(0..1_500),
                    _ => wall,
                };
                let all = self.mind.payload(body)?;
                let is_end = |said: &Said| *said == Said::Close;
                if all.iter().rev().skip(1).any(is_end) {
                    return Err(format!("more after the end: {body}"));
                }
                all.into_iter().try_for_each(|said| self.said(said, rng))
            }
            (Asked::Post, 200) if body == "ok" => {
                // It has said all, and the last was that it goes.
                if self.stage == Stage::Leaving && self.say.is_empty() {
                    (self.stage, self.is_surely_gone) = (Stage::Over, true);
                }
                Ok(())
            }
            (Asked::Poll | Asked::Post | Asked::Doubtful, 400) => self.ended(),
            (Asked::Refusal, 400) => Ok(()),
            (Asked::Probe, 400) if self.is_excused => {
                self.lines[index].is_socket = false;
                Ok(())
            }
            (_, 503) if self.is_excused => self.ended(),
            other => Err(format!("{other:?}: {body}")),
        }
    }

    fn upgraded(&mut self, index: usize, now: u64) -> Check {
        let line = &mut self.lines[index];
        let asked = line.awaits.pop_front().ok_or("an answer to nothing")?;
        match asked {
            Asked::Socket => {
                self.carrier = Some(line.wire.id);
                self.opened_at = Some(now);
            }
            Asked::Probe => line.wire.inbound.extend(text("2probe")),
            Asked::Refusal if self.fault == Fault::SecondProbe => {
                line.is_socket = true;
                line.wire.inbound.extend(text("2probe"));
            }
            other => return Err(format!("{other:?} is no WebSocket")),
        }
        Ok(())
    }

    fn packet(&mut self, index: usize, packet: &str, wall: u64, rng: &mut ChaCha8Rng) -> Check {
        if self.carrier == Some(self.lines[index].wire.id) {
            let said = self.mind.packet(packet)?;
            return match said {
                Said::Noop | Said::Close | Said::Probed => Err(format!("{said:?} by WebSocket")),
                said => self.said(said, rng),
            };
        }
        match (packet, self.probe) {
            ("3probe", Probe::Asked) => {
                self.probe = Probe::Probed(wall + rng.random_range(0..600));
                self.probed = Some(self.lines[index].wire.id);
                Ok(())
            }
            other => Err(format!("{other:?} by a WebSocket that has not taken over")),
        }
    }

    fn said(&mut self, said: Said, rng: &mut ChaCha8Rng) -> Check {
        match said {
            Said::Open(sid) if self.sid.is_none() => {
                self.sid = Some(sid);
                if self.stage == Stage::Opening {
                    self.stage = Stage::Here;
                }
            }
            Said::Ping if self.fault == Fault::NoPong && self.is_excused => {}
            // Some packets that nobody asked for are borne.
            Said::Ping => {
                self.say.push("3".to_owned());
                if rng.random_ratio(1, 10) {
                    self.say.push(["3", "6"][rng.random_range(0..2)].to_owned());
                }
            }
            Said::Noop if self.probe != Probe::None || self.stage != Stage::Here => {}
            Said::Welcome(_) => (self.is_newly_in, self.at) = (true, None),
            Said::Refused(why) if why == "full" => {
                self.asked_at = None;
                (self.is_excused, self.leaves_at) = (true, 0);
            }
            Said::Close => return self.ended(),
            Said::Fact | Said::Place(_) | Said::Answer(..) => {}
            other => return Err(format!("{other:?} was not to be said")),
        }
        Ok(())
    }

    fn closed(&mut self, index: usize, code: Option<u16>, reason: &str) -> Check {
        let line = &mut self.lines[index];
        line.wire.end.get_or_insert(false);
        if self.carrier != Some(line.wire.id) {
            // Of two that want to take over one is sent away.
            if self.fault == Fault::SecondProbe && self.probed != Some(line.wire.id) {
                line.is_socket = false;
                return Ok(());
            }
            let is_failure = matches!(self.fault, Fault::WrongProbe | Fault::SilentProbe);
            return match is_failure || self.is_excused || self.stage != Stage::Here {
                true => {
                    self.probe = Probe::Failed;
                    Ok(())
                }
                false => Err(format!("the WebSocket may not take over: {code:?} {reason}")),
            };
        }
        let is_right = match code {
            Some(1012) => reason.starts_with(r#"{"retry_ms":"#),
            Some(4008) => self.fault == Fault::SlowReader || self.fault == Fault::Vanish,
            // What is masked and framed rightly ends without a code.
            code => code.is_none(),
        };
        match is_right {
            true => self.ended(),
            false => Err(format!("closed with {code:?} {reason}")),
        }
    }

    /// Its session is over, as far as it is told.
    pub fn ended(&mut self) -> Check {
        if self.stage == Stage::Here && !self.is_excused {
            return Err("its session ends for no reason".to_owned());
        }
        (self.stage, self.is_surely_gone) = (Stage::Over, true);
        Ok(())
    }

    /// One of its connections is no more.
    pub fn disconnected(&mut self, index: usize) -> Check {
        let line = self.lines.remove(index);
        let is_ours = line.wire.is_end_told;
        let is_lost = line.awaits.iter().any(|asked| *asked != Asked::Refusal);
        if is_lost && !self.is_excused && !is_ours {
            return Err(format!("no answer to {:?}", line.awaits));
        }
        // Whoever loses a request gives up.
        if is_lost && !line.is_socket && self.stage == Stage::Here {
            self.stage = Stage::Over;
        }
        if line.is_socket && self.probe != Probe::Done && self.carrier.is_none() {
            self.probe = Probe::Failed;
        }
        match self.carrier == Some(line.wire.id) {
            true => self.ended(),
            false => Ok(()),
        }
    }
}
