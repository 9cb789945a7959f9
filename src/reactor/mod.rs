//! The server on the kernel's sockets. No other part of the server has a socket or a clock.
//!
//! `run` starts a [`Reactor`] and calls [`Reactor::turn`] until it returns an exit code. The loop
//! itself is [`Turn`], which is generic over the trait [`Sockets`]: `kernel` implements it with
//! `mio`, and the simulator in `tests/it` with sockets of its own. Signals and pages are handled
//! here, between two turns.

use std::fmt;
use std::net::SocketAddr;
use std::ops::ControlFlow;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use tracing::{error, info, warn};

use crate::config::Serve;
use crate::server::{Games, ListenerKind, Policy};

mod admin_token;
mod bind;
mod clock;
mod drain;
mod handshakes;
mod io;
mod kernel;
mod listeners;
mod memory;
mod notify;
mod pages;
mod prepared;
mod process;
mod progress;
mod proxy_protocol;
mod queue;
mod schedule;
mod sock_diag;
mod sockets;
mod state_file;
mod stream;
mod streams;
mod terminal;
mod tls;
mod turn;

use kernel::Kernel;
use pages::Pages;
use prepared::{ForServer, Prepared, Seeds};
use state_file::StateFile;
use terminal::Terminal;
use tls::Certificate;

pub use io::Layer;
pub use listeners::Acceptor;
pub use proxy_protocol::parse_proxy_header;
pub use sockets::{Event, Sockets};
pub use stream::{BadPreface, CompletePreface, ParsePreface, Phase, Stream};
pub use tls::Session as TlsSession;
pub use turn::Turn;

/// The server on the kernel's sockets.
pub struct Reactor {
    turn: Turn<Kernel>,
    signals: Signals,
    terminal: Terminal,
    listening: Vec<(ListenerKind, SocketAddr)>,
    /// The time over which clients are disconnected when the server drains.
    drain_ms: u64,
    /// Whether another process has opened the public listeners, and keeps them.
    is_activated: bool,
    pages: Pages,
    certificate: Option<Certificate>,
    state_file: Option<StateFile>,
    /// Returns how many lines the log has dropped so far.
    log_dropped: Box<dyn Fn() -> u64>,
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Reactor").field("turn", &self.turn).finish_non_exhaustive()
    }
}

/// Why the server could not start.
#[derive(Debug, PartialEq, Eq)]
pub enum StartError {
    /// The settings cannot be used. The text is a sentence.
    Refused(String),
    /// The machine failed. The text is a sentence.
    Failed(String),
}

fn failed(error: &std::io::Error) -> StartError {
    StartError::Failed(format!("cannot start: {error}."))
}

impl Reactor {
    /// Starts to listen. `seed` is used if the operator has not chosen one, and `secret` seeds what
    /// must not be guessed; `log_dropped` returns how many lines the log has dropped.
    ///
    /// # Errors
    /// One sentence: an address is in use, a folder cannot be read, or the machine failed.
    pub fn start(
        settings: Serve,
        games: Games,
        seed: u64,
        secret: [u8; 32],
        log_dropped: Box<dyn Fn() -> u64>,
    ) -> Result<Reactor, StartError> {
        let Prepared { pages, certificate, mut state_file, for_server } = Prepared::of(&settings)?;
        let ForServer { connections_max, memory_max, .. } = for_server;
        let policy = Policy::of(&settings);
        let bound = bind::bind(&settings, policy.limits.kernel_unsent_bytes)
            .map_err(StartError::Refused)?;
        let is_activated = bound.iter().any(|one| one.is_inherited);
        let listening: Vec<(ListenerKind, SocketAddr)> =
            bound.iter().map(|one| (one.kind, one.addr)).collect();
        let addrs_of = |wanted: ListenerKind| -> Vec<SocketAddr> {
            listening.iter().filter(|(kind, _)| *kind == wanted).map(|(_, addr)| *addr).collect()
        };
        let (addrs, admin_addrs) = (addrs_of(ListenerKind::Public), addrs_of(ListenerKind::Admin));
        let has_tls = certificate.is_some();
        let acceptors: Vec<Acceptor> = listening
            .iter()
            .map(|(kind, _)| Acceptor {
                layer: certificate
                    .as_ref()
                    .filter(|_| *kind == ListenerKind::Public)
                    .map(Certificate::layers),
                ..Acceptor::of(*kind, &settings)
            })
            .collect();
        let terminal = Terminal::at_start();
        let mut signals =
            Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|error| failed(&error))?;
        let kernel = Kernel::watch(bound, &mut signals).map_err(|error| failed(&error))?;
        let drain_ms = u64::from(settings.drain_s) * 1000;
        let room_players_max = settings.full_state_capacity(usize::MAX);
        let ports = addrs.iter().map(SocketAddr::port).collect();
        let mut server = for_server.server(settings, games, ports, Seeds { seed, secret })?;
        let metrics = server.metrics_mut();
        metrics.read_process = Some(process::read);
        metrics.started_at_s = process::started_at_s();
        if let Some(file) = &mut state_file {
            file.load(&mut server).map_err(StartError::Refused)?;
        }
        let version = env!("CARGO_PKG_VERSION");
        let memory_mib = memory_max.map(|bytes| bytes >> 20);
        info!(
            version,
            ?addrs,
            ?admin_addrs,
            connections_max,
            memory_mib,
            room_players_max,
            has_tls,
            "started"
        );
        notify::ready();
        let turn = Turn::new(kernel, acceptors, server, policy.limits.read_bytes);
        Ok(Reactor {
            turn,
            signals,
            terminal,
            listening,
            drain_ms,
            is_activated,
            pages,
            certificate,
            state_file,
            log_dropped,
        })
    }

    /// Checks the settings as [`Reactor::start`] does, with what they name. It listens nowhere and
    /// leaves `--state` as it is, so it may run beside the server.
    ///
    /// # Errors
    /// The one of [`Reactor::start`], except that an address may be in use.
    pub fn check(settings: Serve, games: Games) -> Result<(), StartError> {
        let Prepared { state_file, for_server, .. } = Prepared::of(&settings)?;
        bind::check(&settings).map_err(StartError::Refused)?;
        let seeds = Seeds { seed: 0, secret: [0; 32] };
        let mut server = for_server.server(settings, games, Vec::new(), seeds)?;
        state_file.map_or(Ok(()), |file| file.check(&mut server)).map_err(StartError::Refused)
    }

    /// What the server allows, and what it serves.
    pub fn policy(&self) -> &'static Policy {
        self.turn.server().policy()
    }

    /// The addresses on which it listens.
    pub fn listening(&self) -> &[(ListenerKind, SocketAddr)] {
        &self.listening
    }

    /// Whether the public listeners have TLS.
    pub fn has_tls(&self) -> bool {
        self.certificate.is_some()
    }

    /// Writes the state file. Returns the exit code.
    fn finish(&mut self) -> u8 {
        let written = self.state_file.as_mut().map(|file| file.finish(self.turn.server()));
        match written.transpose() {
            Ok(_) => 0,
            Err(sentence) => {
                error!("{sentence}");
                1
            }
        }
    }

    /// Runs one turn, and then handles the signals received. Breaks with the exit code when the
    /// server has drained, or at once on a second signal.
    ///
    /// # Errors
    /// Waiting for the sockets failed.
    pub fn turn(&mut self) -> std::io::Result<ControlFlow<u8>> {
        if self.turn.run()?.is_break() {
            return Ok(ControlFlow::Break(self.finish()));
        }
        let start_us = self.turn.sockets_mut().now_us();
        let signals = self.between_turns();
        self.turn.record_between(start_us);
        Ok(signals)
    }

    /// The work that does not depend on sockets: files are written and exchanged, signals handled.
    fn between_turns(&mut self) -> ControlFlow<u8> {
        if let Some(file) = &mut self.state_file {
            file.run(self.turn.server_mut());
        }
        self.turn.server_mut().metrics_mut().log_dropped = (self.log_dropped)();
        // Each tick ends a turn, so a reload is seen within 50 ms.
        self.pages.finish_reload(self.turn.server_mut());
        if !self.turn.sockets_mut().take_signal() {
            return ControlFlow::Continue(());
        }
        for signal in self.signals.pending() {
            if signal == SIGHUP && self.terminal.is_closed() {
                // A shell and the kernel may both send it; the second one changes nothing.
                if self.turn.drain(self.drain_ms, self.is_activated) {
                    info!("SIGHUP: the terminal was closed; shutting down");
                    notify::stopping();
                }
            } else if signal == SIGHUP {
                self.pages.begin_reload();
                self.certificate.iter().for_each(Certificate::reload);
            } else if self.turn.drain(self.drain_ms, self.is_activated) {
                info!("signal: shutting down; a second signal exits at once");
                notify::stopping();
            } else {
                warn!("second signal: exiting at once");
                return ControlFlow::Break(128 + signal as u8);
            }
        }
        ControlFlow::Continue(())
    }
}
