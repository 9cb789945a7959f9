//! The phases of the shutdown: clients are closed, then listeners, then the rest.

use std::ops::ControlFlow;

use tracing::info;

use super::listeners::Listeners;
use super::sockets::Sockets;
use crate::server::Server;
use crate::time::Millis;

/// A shutdown in progress: clients are being closed, and what is queued goes out.
#[derive(Debug)]
pub struct Drain {
    until: Millis,
    is_listening: bool,
    leaves_backlog: bool,
}

impl Drain {
    /// A shutdown that is over at `until` at the latest. With `leaves_backlog` new connections wait
    /// for the next process, which has the same listeners.
    pub fn until(until: Millis, leaves_backlog: bool) -> Drain {
        Drain { until, is_listening: true, leaves_backlog }
    }

    /// Goes on to the next phase if the last one is over. Breaks after the last phase.
    pub fn advance<S: Sockets>(
        &mut self,
        server: &Server,
        listeners: &mut Listeners,
        sockets: &mut S,
        now: Millis,
    ) -> ControlFlow<()> {
        if self.until <= now {
            info!("drain time is over; closing the remaining connections");
            return ControlFlow::Break(());
        }
        let is_drained = server.is_drained(now);
        if self.is_listening && (is_drained || self.leaves_backlog) {
            listeners.close_public(sockets);
            self.is_listening = false;
        } else if !self.is_listening && is_drained && server.is_empty() {
            info!("all connections are closed");
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}
