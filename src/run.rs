//! Parses the flags and runs the server, the load test, or another command. Only this file prints
//! to the terminal and chooses the exit code.

use std::io::{ErrorKind, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use signal_hook::consts::SIGINT;
use signal_hook::flag;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;

use crate::config::{self, Config, Load, LogFormat, LogLevel, Pages, Serve, StrayVariables};
use crate::game::{Games, Rules};
use crate::http;
use crate::limits::LOG_LINES_QUEUED;
use crate::load;
use crate::qr::Code;
use crate::reactor::{Reactor, StartError};
use crate::server::ListenerKind;

/// Runs the program with these games until it ends, as the flags say. A room plays the game with
/// which its name begins, or else the first one. Call it from `main` and return its exit code.
#[must_use]
pub fn run(games: &[&'static Rules]) -> ExitCode {
    match config::parse(std::env::args_os()) {
        Ok(Config::Serve(settings)) => serve(*settings, games),
        Ok(Config::Check(settings)) => check(*settings, games),
        Ok(Config::Load(options)) => run_load(&options),
        Ok(Config::Pages(options)) => write_pages(&options),
        Err(exit) if exit.exit_code == 0 => {
            print(&exit.text);
            ExitCode::SUCCESS
        }
        Err(exit) => {
            print_error(&exit.text);
            ExitCode::from(exit.exit_code)
        }
    }
}

fn run_load(options: &Load) -> ExitCode {
    let is_stopped = Arc::new(AtomicBool::new(false));
    // The first Ctrl-C ends the measurement, the second one the process.
    let registered = flag::register_conditional_default(SIGINT, Arc::clone(&is_stopped))
        .and_then(|_| flag::register(SIGINT, Arc::clone(&is_stopped)));
    if let Err(error) = registered {
        print_error(&format!("skirmish: cannot install the signal handler: {error}.\n"));
        return ExitCode::FAILURE;
    }
    match load::run(options, &is_stopped) {
        Ok(report) => {
            print(&if options.json { report.json() } else { report.text() });
            if options.json {
                for failed in report.failed() {
                    print_error(&format!("skirmish: expectation not met: {failed}\n"));
                }
            }
            if let Err(failure) = load::write_page(options, &report) {
                print_error(&format!("skirmish: {failure}\n"));
                return ExitCode::from(failure.exit_code());
            }
            match is_stopped.load(Ordering::Relaxed) {
                true => ExitCode::from(load::STOPPED),
                false => ExitCode::from(report.exit_code()),
            }
        }
        Err(failure) => {
            print_error(&format!("skirmish: {failure}\n"));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn write_pages(options: &Pages) -> ExitCode {
    let folder = options.folder.display();
    match http::write_pages(&options.folder, options.force) {
        Ok(count) => {
            print(&format!("Wrote {count} files. Serve them with: skirmish --www {folder}\n"));
            ExitCode::SUCCESS
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            print_error(&format!("skirmish: {error}; --force replaces files.\n"));
            ExitCode::from(2)
        }
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            print_error(&format!("skirmish: {error}.\n"));
            ExitCode::from(2)
        }
        Err(error) => {
            print_error(&format!("skirmish: cannot write the pages: {error}.\n"));
            ExitCode::FAILURE
        }
    }
}

fn serve(settings: Serve, games: &[&'static Rules]) -> ExitCode {
    let games = match Games::new(games) {
        Ok(games) => games,
        Err(sentence) => return refused(StartError::Refused(sentence)),
    };
    let (writer, log_dropped) = start_log(&settings);
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let what = panic.payload_as_str().unwrap_or_default().escape_default().to_string();
        tracing::error!(place, what, "internal error");
    }));
    let accepts_any_host = settings.host.is_empty();
    let is_behind_proxy = settings.proxy_protocol;
    let (seed, secret) = rand::random();
    let mut reactor = match Reactor::start(settings, games, seed, secret, log_dropped) {
        Ok(reactor) => reactor,
        Err(error) => return refused(error),
    };
    log_stray_variables();
    let policy = reactor.policy();
    let (listening, has_tls) = (reactor.listening(), reactor.has_tls());
    let hints: Vec<&str> = [
        (accepts_any_host && policy.checks_host, HOST_HINT),
        (is_behind_proxy, PROXY_PROTOCOL_HINT),
    ]
    .into_iter()
    .filter_map(|(applies, hint)| applies.then_some(hint))
    .collect();
    let has_code = policy.has_rooms && !is_behind_proxy;
    let code = if has_code { lan_code(listening, has_tls) } else { None };
    print(&greeting(listening, has_tls, policy.activity, &hints, code.as_deref()));
    loop {
        match reactor.turn() {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(code @ 0..128)) => return ExitCode::from(code),
            Ok(ControlFlow::Break(code)) => {
                // Exit at once: do not wait for a log that is not being read.
                std::mem::forget(writer);
                return ExitCode::from(code);
            }
            Err(error) => {
                print_error(&format!("skirmish: waiting for socket events failed: {error}.\n"));
                return ExitCode::FAILURE;
            }
        }
    }
}

/// Checks what the server would start with. The log has the warnings of the start, and no more.
fn check(mut settings: Serve, games: &[&'static Rules]) -> ExitCode {
    if !matches!(settings.log_level, LogLevel::Off | LogLevel::Error) {
        settings.log_level = LogLevel::Warn;
    }
    // Dropped, it waits until the log is written.
    let (_writer, _) = start_log(&settings);
    let games = Games::new(games).map_err(StartError::Refused);
    match games.and_then(|games| Reactor::check(settings, games)) {
        Ok(()) => {
            log_stray_variables();
            print("The settings are valid.\n");
            ExitCode::SUCCESS
        }
        Err(error) => refused(error),
    }
}

/// Prints why the server cannot start. Returns the exit code.
fn refused(error: StartError) -> ExitCode {
    let (sentence, code) = match error {
        StartError::Refused(sentence) => (sentence, ExitCode::from(2)),
        StartError::Failed(sentence) => (sentence, ExitCode::FAILURE),
    };
    print_error(&format!("skirmish: {sentence}\n"));
    code
}

fn log_stray_variables() {
    let stray = StrayVariables::find();
    for variable in stray.unknown {
        tracing::warn!(
            variable,
            "unknown environment variable; skirmish --help lists the known ones"
        );
    }
    if !stray.service_links.is_empty() {
        let variables = stray.service_links.join(" ");
        let what = "skipped the environment variables that Kubernetes makes for a service";
        tracing::info!(variables, "{what}");
    }
}

/// Starts the log writer, the only thread besides the loop. Its queue is bounded, so that a blocked
/// pipe never stops the game. Returns its guard and a function that counts the dropped lines.
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

/// Standard error, for the log. A line that cannot be written, for example because the disk is
/// full, is counted and dropped.
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

const HOST_HINT: &str = "Any host name is accepted; on the internet, set --host play.example.com.";
const PROXY_PROTOCOL_HINT: &str =
    "Only a --trusted-proxy may connect, with the PROXY protocol (--proxy-protocol).";

/// The text printed at the start: the URLs of the server, the local one first, the `hints` that
/// apply, and the `code` of an address for phones.
fn greeting(
    listening: &[(ListenerKind, SocketAddr)],
    has_tls: bool,
    activity: &str,
    hints: &[&str],
    code: Option<&str>,
) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!("Skirmish {version} {activity}:\n");
    for kind in ListenerKind::ALL {
        let of_kind = listening.iter().filter(|(other, _)| *other == kind);
        let addrs: Vec<SocketAddr> = of_kind.map(|(_, addr)| *addr).collect();
        for host in hosts(&addrs, kind.default_port(has_tls)) {
            text += &kind.urls(&host, has_tls);
        }
    }
    for hint in hints {
        text += hint;
        text.push('\n');
    }
    text += code.unwrap_or_default();
    text += "Ctrl-C stops the server.\n";
    text
}

/// The QR code of the address at which other devices of the network reach the pages, if standard
/// output is a terminal that has room for it.
fn lan_code(listening: &[(ListenerKind, SocketAddr)], has_tls: bool) -> Option<String> {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() || std::env::var_os("TERM").is_none_or(|term| term == "dumb") {
        return None;
    }
    let public = listening.iter().filter(|(kind, _)| *kind == ListenerKind::Public);
    let default_port = ListenerKind::Public.default_port(has_tls);
    let host = public.filter_map(|(_, addr)| lan_host(*addr, default_port)).next()?;
    let scheme = if has_tls { "https" } else { "http" };
    let code = Code::new(&format!("{scheme}://{host}/")).ok()?;
    let size = rustix::termios::tcgetwinsize(stdout).ok()?;
    // One line stays for the cursor.
    if usize::from(size.ws_col) < code.columns() || usize::from(size.ws_row) <= code.rows() {
        return None;
    }
    // See https://no-color.org.
    let has_colors = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Some(code.text(has_colors))
}

/// The `HOST:PORT` under which other devices of the network can reach the address; none of a
/// loopback address. IPv6 counts only if the address is given, because a phone may have none.
fn lan_host(addr: SocketAddr, default_port: u16) -> Option<String> {
    let ip = match addr.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => outward_ip()?,
        ip if ip.is_loopback() || ip.is_unspecified() => return None,
        ip => ip,
    };
    let name = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
    Some(with_port(name, addr.port(), default_port))
}

/// Omits the default port, as browsers do.
fn with_port(host: String, port: u16, default_port: u16) -> String {
    if port == default_port { host } else { format!("{host}:{port}") }
}

/// The `HOST:PORT` under which the addresses can be reached.
fn hosts(addrs: &[SocketAddr], default_port: u16) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for addr in addrs {
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
        let names = names.into_iter();
        hosts.extend(names.map(|name| with_port(name, addr.port(), default_port)));
    }
    hosts
}

/// The source address of this machine for outgoing traffic. Connecting a UDP socket sends nothing;
/// it only consults the routing table.
fn outward_ip() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|addr| addr.ip()).filter(|ip| !ip.is_loopback())
}

/// Prints to standard output and ignores a closed pipe.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
    let _ = std::io::stdout().flush();
}

fn print_error(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_omits_the_default_port() {
        let listening = [
            (ListenerKind::Admin, "127.0.0.1:9100"),
            (ListenerKind::Public, "127.0.0.1:80"),
            (ListenerKind::Public, "[::1]:8765"),
        ];
        let listening = listening.map(|(kind, addr)| (kind, addr.parse().expect("an address")));
        let lines = |has_tls| {
            let text =
                greeting(&listening, has_tls, "is listening", &[HOST_HINT], Some("a code\n"));
            text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines(true)[0], "  https://127.0.0.1:80/   wss://127.0.0.1:80/");
        assert_eq!(
            lines(false),
            [
                "  http://127.0.0.1/   ws://127.0.0.1/",
                "  http://[::1]:8765/   ws://[::1]:8765/",
                "Metrics: http://127.0.0.1:9100/metrics   Status: http://127.0.0.1:9100/status",
                "Any host name is accepted; on the internet, set --host play.example.com.",
                "a code",
                "Ctrl-C stops the server.",
            ]
        );
    }

    #[test]
    fn phones_get_an_address_of_the_network_and_never_a_loopback_one() {
        let host = |addr: &str| lan_host(addr.parse().expect("an address"), 80);
        assert_eq!(host("192.168.1.2:8765").as_deref(), Some("192.168.1.2:8765"));
        assert_eq!(host("192.168.1.2:80").as_deref(), Some("192.168.1.2"));
        assert_eq!(host("[fd00::1]:8765").as_deref(), Some("[fd00::1]:8765"));
        for local in ["127.0.0.1:8765", "127.9.9.9:80", "[::1]:8765", "[::]:8765"] {
            assert_eq!(host(local), None, "{local}");
        }
        let outward = outward_ip().map(|ip| format!("{ip}:8765"));
        assert_eq!(host("0.0.0.0:8765"), outward);
    }
}
