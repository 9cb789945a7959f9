//! Reads the flags, and runs the server or the load test. The only place that prints for people and
//! decides how to exit.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use signal_hook::consts::SIGINT;
use signal_hook::flag;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;

use crate::config::{self, Config, Load, LogFormat, LogLevel, Serve};
use crate::game::{Games, Rules};
use crate::limits::LOG_LINES_QUEUED;
use crate::load;
use crate::reactor::{Reactor, StartError};

/// The whole program, with these games: what the flags ask for, until it is over. The first game is
/// played in rooms that name none. Call it from `main` and return its answer.
#[must_use]
pub fn run(games: &[&'static Rules]) -> ExitCode {
    match config::parse(std::env::args_os()) {
        Ok(Config::Serve(settings)) => serve(*settings, games),
        Ok(Config::Load(options)) => measure(&options),
        Err(answer) if answer.exit_code == 0 => {
            say(&answer.text);
            ExitCode::SUCCESS
        }
        Err(answer) => {
            complain(&answer.text);
            ExitCode::from(answer.exit_code)
        }
    }
}

fn measure(options: &Load) -> ExitCode {
    let is_stopped = Arc::new(AtomicBool::new(false));
    // The first Ctrl-C ends the measurement, a second one the process.
    let heard = flag::register_conditional_default(SIGINT, Arc::clone(&is_stopped))
        .and_then(|_| flag::register(SIGINT, Arc::clone(&is_stopped)));
    if let Err(error) = heard {
        complain(&format!("skirmish: the system takes no signal handler: {error}.\n"));
        return ExitCode::FAILURE;
    }
    match load::run(options, &is_stopped) {
        Ok(report) => {
            say(&if options.json { report.json() } else { report.text() });
            match report.is_whole() {
                _ if is_stopped.load(Ordering::Relaxed) => ExitCode::from(load::STOPPED),
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            }
        }
        Err(failure) => {
            complain(&format!("skirmish: {failure}\n"));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn serve(settings: Serve, games: &[&'static Rules]) -> ExitCode {
    let games = match Games::new(games) {
        Ok(games) => games,
        Err(sentence) => {
            complain(&format!("skirmish: {sentence}\n"));
            return ExitCode::from(2);
        }
    };
    let (writer, log_dropped) = start_log(&settings);
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let what = panic.payload_as_str().unwrap_or_default().escape_default().to_string();
        tracing::error!(place, what, "a fault of ours");
    }));
    let is_echo = settings.echo;
    let takes_any_host = settings.host.is_empty();
    let mut reactor = match Reactor::start(settings, games, rand::random(), log_dropped) {
        Ok(reactor) => reactor,
        Err(StartError::Refused(sentence)) => {
            complain(&format!("skirmish: {sentence}\n"));
            return ExitCode::from(2);
        }
        Err(StartError::Failed(sentence)) => {
            complain(&format!("skirmish: {sentence}\n"));
            return ExitCode::FAILURE;
        }
    };
    let addrs: Vec<SocketAddr> = reactor.addrs().collect();
    let admin_addrs: Vec<SocketAddr> = reactor.admin_addrs().collect();
    for variable in config::stray_variables() {
        tracing::warn!(variable, "unknown variable; skirmish --help has those that there are");
    }
    say(&greeting((&addrs, &admin_addrs), is_echo, takes_any_host));
    loop {
        match reactor.turn() {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(0)) => return ExitCode::SUCCESS,
            Ok(ControlFlow::Break(code)) => {
                // At once means at once: a log that nobody reads is not waited for.
                std::mem::forget(writer);
                return ExitCode::from(code);
            }
            Err(error) => {
                complain(&format!("skirmish: the system cannot be waited for: {error}.\n"));
                return ExitCode::FAILURE;
            }
        }
    }
}

/// Starts the one thread besides the loop: it writes the log, from a queue that is bounded, so that
/// a pipe that nobody reads never stops the game. Answers what ends it, and what counts its losses.
fn start_log(settings: &Serve) -> (WorkerGuard, Box<dyn Fn() -> u64>) {
    let lost = Arc::new(AtomicU64::new(0));
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LOG_LINES_QUEUED)
        .thread_name("log")
        .finish(LogOutput { lost: Arc::clone(&lost) });
    let counter = writer.error_counter();
    let level = match settings.log_level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(writer);
    match settings.log {
        LogFormat::Text => builder.with_ansi(false).with_target(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).with_target(false).init(),
    }
    let dropped = move || counter.dropped_lines() as u64 + lost.load(Ordering::Relaxed);
    (guard, Box::new(dropped))
}

/// Standard error, for the log. A line that cannot be written, because the disk is full, say, is
/// counted and is no reason to stop.
struct LogOutput {
    lost: Arc<AtomicU64>,
}

impl Write for LogOutput {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if std::io::stderr().write_all(line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// How to reach the server: the address on this machine first.
fn greeting(
    (addrs, admin_addrs): (&[SocketAddr], &[SocketAddr]),
    is_echo: bool,
    takes_any_host: bool,
) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let what = if is_echo { "echoes" } else { "is open" };
    let mut text = format!("Skirmish {version} {what}:\n");
    for host in hosts(addrs) {
        text += &format!("  http://{host}/   ws://{host}/\n");
    }
    for host in hosts(admin_addrs) {
        text += &format!("Metrics: http://{host}/metrics\n");
    }
    if takes_any_host && !is_echo {
        text += "It answers to any host name; on the internet say --host play.example.com.\n";
    }
    text += "Ctrl-C ends it.\n";
    text
}

/// Host and port by which the addresses are reached.
fn hosts(addrs: &[SocketAddr]) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for addr in addrs {
        let port = addr.port();
        let names = match addr.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => {
                let mut names = vec!["localhost".to_owned()];
                names.extend(outward_ip().map(|ip| ip.to_string()));
                names
            }
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) if addrs.len() > 1 => Vec::new(),
            IpAddr::V6(ip) => vec![format!("[{ip}]")],
            IpAddr::V4(ip) => vec![ip.to_string()],
        };
        // The port that goes without saying is left out, as browsers do.
        let port = if port == 80 { String::new() } else { format!(":{port}") };
        hosts.extend(names.into_iter().map(|name| name + &port));
    }
    hosts
}

/// The address from which this machine would speak to others. Nothing is sent: connecting a UDP
/// socket only asks the routing table.
fn outward_ip() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|addr| addr.ip()).filter(|ip| !ip.is_loopback())
}

/// Prints for people. A closed pipe is no reason to stop.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
    let _ = std::io::stdout().flush();
}

fn complain(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_leaves_out_the_port_that_goes_without_saying() {
        let addrs = ["127.0.0.1:80", "[::1]:8765"].map(|addr| addr.parse().expect("an address"));
        let admin = ["127.0.0.1:9100".parse().expect("an address")];
        let text = greeting((&addrs, &admin), false, true);
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "  http://127.0.0.1/   ws://127.0.0.1/",
                "  http://[::1]:8765/   ws://[::1]:8765/",
                "Metrics: http://127.0.0.1:9100/metrics",
                "It answers to any host name; on the internet say --host play.example.com.",
                "Ctrl-C ends it.",
            ]
        );
    }
}
