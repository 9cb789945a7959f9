//! The deadlines of a connection.

use super::super::ids::Owner;
use super::{Conn, Exchange, Http, Stage, WebSocket};
use crate::close::CloseReason;
use crate::limits::{HTTP_BODY_MS, HTTP_HEAD_MS, Limits};
use crate::time::Millis;

/// What follows when a deadline passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing until then.
    Wait(Millis),
    /// A ping: the peer was silent.
    Ping,
    /// The connection ends.
    End(CloseReason),
}

impl Conn {
    /// What follows from its deadlines at `now`. Between two requests it may be idle for
    /// `keep_alive_ms`.
    #[must_use]
    pub fn due(&self, limits: &Limits, keep_alive_ms: u64, now: Millis) -> Due {
        let slow_at = self.backlog.end_at(&self.bounds(limits));
        match &self.stage {
            Stage::Http(_) | Stage::WebSocket(_) if slow_at <= now => Due::End(CloseReason::Slow),
            Stage::Http(_) if !self.outbox.is_empty() => Due::Wait(slow_at),
            Stage::Http(Http { exchange: Exchange::Held(_), .. }) => Due::Wait(Millis::NEVER),
            Stage::Http(Http { exchange: Exchange::Body(..), since, .. }) => {
                match since.after(HTTP_BODY_MS) {
                    end if end > now => Due::Wait(end),
                    _ => Due::End(CloseReason::HttpTimeout),
                }
            }
            Stage::Http(http) => {
                let has_begun = self.has_spill();
                let span_ms = if http.is_urgent { HTTP_HEAD_MS } else { keep_alive_ms };
                match http.since.after(span_ms) {
                    end if end > now => Due::Wait(end),
                    _ if has_begun => Due::End(CloseReason::HttpTimeout),
                    _ => Due::End(CloseReason::HttpIdle),
                }
            }
            // Engine.IO has its own heartbeat. Where WebSockets are pinged, that notices a loss
            // earlier.
            Stage::WebSocket(WebSocket { owner: Some(Owner::Eio(_)), .. })
                if limits.ping_after_ms.is_none() =>
            {
                Due::Wait(slow_at)
            }
            Stage::WebSocket(websocket) => {
                // While the server does not read from a peer, silence means nothing.
                let dead_at = match self.may_read(limits) {
                    true => self.active_at.after(limits.silence_ms),
                    false => Millis::NEVER,
                };
                let ping_at = match limits.ping_after_ms {
                    Some(span_ms) if websocket.pinged_at == Millis::NEVER => {
                        self.active_at.after(span_ms)
                    }
                    _ => Millis::NEVER,
                };
                if dead_at <= now {
                    Due::End(CloseReason::PingTimeout)
                } else if ping_at <= now {
                    Due::Ping
                } else {
                    Due::Wait(slow_at.min(dead_at).min(ping_at))
                }
            }
            Stage::Lingering(lingering) if lingering.until <= now => Due::End(lingering.reason),
            Stage::Lingering(lingering) => Due::Wait(lingering.until),
            Stage::Closed(_) => Due::Wait(Millis::NEVER),
        }
    }
}
