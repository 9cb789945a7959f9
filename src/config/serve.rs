//! The flags of `skirmish serve`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};
use ipnet::{IpNet, Ipv4Net};

use super::values::{address, at_least_one, boolean, whole};
use super::{Exit, refusal};
use crate::limits;
use crate::origin::{Host, Origin};

/// The settings of the server. Every field is a flag and an environment variable `SKIRMISH_...`.
#[derive(Clone, Debug, Args)]
#[allow(
    rustdoc::bare_urls,
    clippy::doc_markdown,
    reason = "the doc comments are also the help texts, where markup would show"
)]
pub struct Serve {
    /// Address and port to listen on (repeatable) [default: --port on every address]
    #[arg(long, value_name = "ADDR:PORT", env = "SKIRMISH_LISTEN", value_delimiter = ',')]
    #[arg(value_parser = address, help_heading = "Where")]
    pub listen: Vec<SocketAddr>,

    /// Port to listen on, on every address; 0 picks a free port [default: 8765, or PORT]
    #[arg(long, value_name = "PORT", env = "SKIRMISH_PORT", help_heading = "Where")]
    #[arg(value_parser = whole::<u16>(0, u16::MAX.into()))]
    pub port: Option<u16>,

    /// Address and port that serve only /metrics and /healthz, without access control
    /// (repeatable)
    #[arg(long, value_name = "ADDR:PORT", env = "SKIRMISH_ADMIN_LISTEN", value_delimiter = ',')]
    #[arg(value_parser = address, help_heading = "Where")]
    pub admin_listen: Vec<SocketAddr>,

    /// Folder of pages and games to serve over the built-in pages; read at start and on SIGHUP
    #[arg(long, value_name = "DIR", env = "SKIRMISH_WWW", help_heading = "Where")]
    pub www: Option<PathBuf>,

    /// Content Security Policy of the pages in --www, instead of one that allows their own code
    #[arg(long, value_name = "TEXT", env = "SKIRMISH_CSP", value_parser = csp)]
    #[arg(help_heading = "Where")]
    pub csp: Option<String>,

    /// Origin of pages that may show the pages in a frame, such as https://portal.example; self for
    /// the own pages, * for all (repeatable) [default: none]
    #[arg(long, value_name = "ORIGIN", env = "SKIRMISH_FRAME_ANCESTORS", value_delimiter = ',')]
    #[arg(value_parser = frame_ancestor, help_heading = "Where")]
    pub frame_ancestors: Vec<String>,

    /// The official Socket.IO client to serve as /socket.io/socket.io.js (it is not in the
    /// binary); read at start and on SIGHUP
    #[arg(long, value_name = "FILE", env = "SKIRMISH_SOCKETIO_CLIENT", help_heading = "Where")]
    pub socketio_client: Option<PathBuf>,

    /// Permanent room and its rules (repeatable)
    #[arg(long, value_name = "NAME=RULES", env = "SKIRMISH_ROOM", value_delimiter = ',')]
    #[arg(value_parser = named_room, help_heading = "Rooms")]
    pub room: Vec<NamedRoom>,

    /// Whether clients may create rooms; false allows only the rooms named by --room
    #[arg(long, value_name = "BOOL", env = "SKIRMISH_ROOMS_OPEN", default_value_t = true)]
    #[arg(action = ArgAction::Set, value_parser = boolean, help_heading = "Rooms")]
    pub rooms_open: bool,

    /// Maximum number of rooms
    #[arg(long, value_name = "N", env = "SKIRMISH_ROOMS_MAX", help_heading = "Rooms")]
    #[arg(default_value_t = limits::ROOMS_MAX, value_parser = at_least_one)]
    pub rooms_max: usize,

    /// Maximum number of players in a room
    #[arg(long, value_name = "N", env = "SKIRMISH_ROOM_PLAYERS_MAX", help_heading = "Rooms")]
    #[arg(default_value_t = limits::ROOM_PLAYERS_MAX, value_parser = at_least_one)]
    pub room_players_max: usize,

    /// Maximum number of players in a room whose players receive the full state
    #[arg(long, value_name = "N", env = "SKIRMISH_FULL_STATE_PLAYERS_MAX", help_heading = "Rooms")]
    #[arg(default_value_t = limits::FULL_STATE_PLAYERS_MAX, value_parser = at_least_one)]
    pub full_state_players_max: usize,

    /// Random seed; equal seeds give equal worlds [default: random]
    #[arg(long, value_name = "N", env = "SKIRMISH_SEED", help_heading = "Rooms")]
    #[arg(value_parser = whole::<u64>(0, u64::MAX))]
    pub seed: Option<u64>,

    /// Seconds without input after which a player is disconnected; 0 disables it
    #[arg(long, value_name = "S", env = "SKIRMISH_IDLE_KICK_S", default_value_t = 0)]
    #[arg(value_parser = whole::<u32>(0, u32::MAX.into()), help_heading = "Limits")]
    pub idle_kick_s: u32,

    /// Maximum number of connections [default: the file descriptor limit, less a tenth]
    #[arg(long, value_name = "N", env = "SKIRMISH_CONNECTIONS_MAX", help_heading = "Limits")]
    #[arg(value_parser = at_least_one)]
    pub connections_max: Option<usize>,

    /// Maximum memory held for clients, such as 200M or 2G [default: half of what the machine and
    /// its control group allow, less what the server takes at the start]
    #[arg(long, value_name = "SIZE", env = "SKIRMISH_MAX_MEMORY", help_heading = "Limits")]
    #[arg(value_parser = size)]
    pub max_memory: Option<u64>,

    /// Seconds that a connection may be idle between two requests; a proxy must close its idle
    /// connections earlier
    #[arg(long, value_name = "S", env = "SKIRMISH_KEEP_ALIVE_S", help_heading = "Limits")]
    #[arg(default_value_t = limits::KEEP_ALIVE_S, value_parser = whole::<u32>(1, 86_400))]
    pub keep_alive_s: u32,

    /// Apply the per-address limits to connections from this machine, too
    #[arg(long, env = "SKIRMISH_LIMIT_LOOPBACK", help_heading = "Limits")]
    #[arg(value_parser = boolean)]
    pub limit_loopback: bool,

    /// Origin of other pages and apps that may connect, such as https://example.com or
    /// capacitor://localhost; * allows any, null allows pages opened from files (repeatable)
    #[arg(long, value_name = "ORIGIN", env = "SKIRMISH_ALLOW_ORIGIN", value_delimiter = ',')]
    #[arg(value_parser = origin, help_heading = "Limits")]
    pub allow_origin: Vec<String>,

    /// Host name that browsers may use to reach the server (repeatable) [default: any]
    #[arg(long, value_name = "NAME", env = "SKIRMISH_HOST", value_delimiter = ',')]
    #[arg(value_parser = host, help_heading = "Limits")]
    pub host: Vec<String>,

    /// Address or network of a reverse proxy whose X-Forwarded-For is trusted, such as 127.0.0.1
    /// or 10.0.0.0/8 (repeatable)
    #[arg(long, value_name = "CIDR", env = "SKIRMISH_TRUSTED_PROXY", value_delimiter = ',')]
    #[arg(value_parser = network, help_heading = "Limits")]
    pub trusted_proxy: Vec<IpNet>,

    /// Milliseconds from the pong of an Engine.IO client to the next ping
    #[arg(long, value_name = "MS", env = "SKIRMISH_PING_INTERVAL_MS", default_value_t = 25_000)]
    #[arg(value_parser = whole::<u64>(50, 3_600_000), help_heading = "Socket.IO")]
    pub ping_interval_ms: u64,

    /// Milliseconds that an Engine.IO client has to answer a ping
    #[arg(long, value_name = "MS", env = "SKIRMISH_PING_TIMEOUT_MS", default_value_t = 20_000)]
    #[arg(value_parser = whole::<u64>(50, 3_600_000), help_heading = "Socket.IO")]
    pub ping_timeout_ms: u64,

    /// Milliseconds that a Socket.IO client has to join [default: 10000; with --echo 1000]
    #[arg(long, value_name = "MS", env = "SKIRMISH_CONNECT_TIMEOUT_MS")]
    #[arg(value_parser = whole::<u64>(50, 3_600_000), help_heading = "Socket.IO")]
    pub connect_timeout_ms: Option<u64>,

    /// Maximum size in bytes of a payload or message from an Engine.IO client
    #[arg(long, value_name = "BYTES", env = "SKIRMISH_MAX_PAYLOAD", default_value_t = limits::MAX_PAYLOAD)]
    #[arg(value_parser = whole::<usize>(1_024, 64 << 20), help_heading = "Socket.IO")]
    pub max_payload: usize,

    /// Seconds over which clients are disconnected when the server shuts down
    #[arg(long, value_name = "S", env = "SKIRMISH_DRAIN_S", default_value_t = 1)]
    #[arg(value_parser = whole::<u32>(0, 3600), help_heading = "Operation")]
    pub drain_s: u32,

    /// Log format; the log goes to standard error
    #[arg(long, value_name = "FORM", env = "SKIRMISH_LOG", default_value = "text")]
    #[arg(help_heading = "Operation")]
    pub log: LogFormat,

    /// Lowest level to log
    #[arg(long, value_name = "LEVEL", env = "SKIRMISH_LOG_LEVEL", default_value = "info")]
    #[arg(help_heading = "Operation")]
    pub log_level: LogLevel,

    /// Echo WebSocket messages instead of running the game: a target for conformance suites
    #[arg(long, env = "SKIRMISH_ECHO", value_parser = boolean, help_heading = "Operation")]
    pub echo: bool,
}

/// A permanent room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedRoom {
    /// Its name.
    pub name: String,
    /// The name of its rules.
    pub rules: String,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Plain text.
    Text,
    /// One JSON object per line.
    Json,
}

/// The lowest level to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// No log.
    Off,
    /// Bugs in the server and failures of the machine.
    Error,
    /// What an operator should look at.
    Warn,
    /// Players that join and leave.
    Info,
    /// Each request.
    Debug,
    /// Everything.
    Trace,
}

const PORT: u16 = 8765;

impl Serve {
    /// The port to listen on without `--listen`: `--port`, else `PORT`, else 8765.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(PORT)
    }

    /// Maximum number of players in a room: all of them receive the full state.
    #[must_use]
    pub fn room_capacity(&self) -> usize {
        self.room_players_max.min(self.full_state_players_max)
    }

    /// Applies `PORT`, and checks what involves more than one flag.
    pub(super) fn checked(mut self) -> Result<Serve, Exit> {
        if let Ok(port) = std::env::var("PORT")
            && self.port.is_none()
            && !port.is_empty()
        {
            let read = whole::<u16>(0, u16::MAX.into())(&port);
            let refuse =
                |expected| refusal(&format!("invalid value {port:?} for PORT: {expected}."));
            self.port = Some(read.map_err(refuse)?);
        }
        if let Some(folder) = self.www.as_ref().filter(|folder| !folder.is_dir()) {
            let sentence = "is not a folder; --www takes a folder of pages.";
            return Err(refusal(&format!("{} {sentence}", folder.display())));
        }
        if self.csp.is_some() && self.www.is_none() {
            return Err(refusal("--csp applies to the pages of --www; add --www DIR."));
        }
        if let Some(file) = self.socketio_client.as_ref().filter(|file| !file.is_file()) {
            let sentence =
                "is not a file; --socketio-client takes a file such as socket.io.min.js.";
            return Err(refusal(&format!("{} {sentence}", file.display())));
        }
        // Without --listen the server has two listeners, one for IPv4 and one for IPv6.
        let public = if self.listen.is_empty() { 2 } else { self.listen.len() };
        if public + self.admin_listen.len() > limits::LISTENERS_MAX {
            let most = limits::LISTENERS_MAX;
            let sentence = "--listen and --admin-listen take at most";
            return Err(refusal(&format!("{sentence} {most} addresses together.")));
        }
        if !self.rooms_open && self.room.is_empty() {
            let sentence =
                "--rooms-open false needs at least one --room; otherwise no player can join.";
            return Err(refusal(sentence));
        }
        self.check_rooms()?;
        Ok(self)
    }

    /// Checks that the rooms of `--room` agree with each other and with `--rooms-max`.
    fn check_rooms(&self) -> Result<(), Exit> {
        let mut rules: BTreeMap<&str, &str> = BTreeMap::new();
        for room in &self.room {
            let (name, other) = (&room.name, &room.rules);
            let first = rules.entry(name).or_insert(other);
            if *first != other {
                let both = format!("--room {name}={first} and --room {name}={other}");
                return Err(refusal(&format!("{both} name the same room; remove one of them.")));
            }
        }
        if rules.len() > self.rooms_max {
            let (count, most) = (rules.len(), self.rooms_max);
            let sentence = format!("--room names {count} rooms, but --rooms-max allows {most}.");
            return Err(refusal(&sentence));
        }
        Ok(())
    }
}

fn named_room(text: &str) -> Result<NamedRoom, String> {
    let (name, rules) = text.split_once('=').ok_or("expected NAME=RULES, such as lobby=dots")?;
    if !limits::is_room_name(name) {
        return Err("a room name has 1 to 32 of the characters a-z 0-9 _ -".to_owned());
    }
    Ok(NamedRoom { name: name.to_owned(), rules: rules.to_owned() })
}

/// Parses a number of bytes, or of KiB, MiB or GiB with the suffix K, M or G.
fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.as_bytes().last().map(u8::to_ascii_uppercase) {
        Some(b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'M') => (&text[..text.len() - 1], 1 << 20),
        Some(b'G') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<u64> = is_number.then(|| digits.parse().ok()).flatten();
    let bytes = number.and_then(|number| number.checked_mul(unit));
    bytes.filter(|bytes| *bytes >= limits::MEMORY_BYTES_MIN).ok_or_else(|| {
        let least = limits::MEMORY_BYTES_MIN >> 20;
        format!("expected a size of at least {least}M, such as 200M or 2G")
    })
}

fn origin(text: &str) -> Result<String, String> {
    if matches!(text, "*" | "null") || Origin::parse(text).is_some() {
        return Ok(text.to_owned());
    }
    Err(match text.is_ascii() {
        true => {
            "expected SCHEME://HOST[:PORT], such as https://example.com, \
            http://localhost:3000 or capacitor://localhost, or * or null"
        }
        false => "expected the name as browsers send it, such as https://xn--bcher-kva.example",
    }
    .to_owned())
}

/// Parses a Content Security Policy. A comma would begin another policy.
fn csp(text: &str) -> Result<String, String> {
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
    let is_text = text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b',');
    let text = text.trim_matches([' ', ';']);
    let mut names =
        text.split(';').filter_map(|directive| directive.split(' ').find(|n| !n.is_empty()));
    if !is_text || text.is_empty() || !names.all(is_name) {
        return Err("expected a policy on one line, such as \"default-src 'self'; img-src *\", \
                    with ; between directives and no commas"
            .to_owned());
    }
    Ok(text.to_owned())
}

/// Parses an origin of `frame-ancestors` into a source expression (CSP Level 3, section 2.3.1).
fn frame_ancestor(text: &str) -> Result<String, String> {
    if matches!(text, "self" | "'self'") {
        return Ok("'self'".to_owned());
    }
    if text == "*" || is_source(text) {
        return Ok(text.to_ascii_lowercase());
    }
    Err("expected an origin such as https://portal.example or https://*.portal.example, \
         or self or *"
        .to_owned())
}

/// Whether a text is `SCHEME://HOST[:PORT]`; the host may begin with `*.`, and the port be `*`.
fn is_source(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.parse::<Ipv6Addr>().is_ok() => ("", port),
        Some(_) => return false,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let name = host.strip_prefix("*.").unwrap_or(host);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        && (authority.starts_with('[') || name.split('.').all(is_label))
        && match port.strip_prefix(':') {
            Some(port) => port == "*" || port.parse::<u16>().is_ok_and(|port| port > 0),
            None => port.is_empty(),
        }
}

/// Parses a host, without the dot at its end.
fn host(text: &str) -> Result<String, String> {
    match Host::parse(text) {
        Some(Host::Name(name)) => Ok(name.to_owned()),
        Some(Host::Ip(ip)) => Ok(ip.to_string()),
        None => Err("expected a bare host name such as play.example.com".to_owned()),
    }
}

/// Parses an address or a network. An IPv4 network written as IPv6 becomes IPv4, as the addresses
/// of peers do.
fn network(text: &str) -> Result<IpNet, String> {
    let expected = "expected an address or a network, such as 127.0.0.1 or 10.0.0.0/8";
    let written = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse().map_err(|_| expected.to_owned())?,
    };
    let mapped = match written {
        IpNet::V6(net) => net.addr().to_ipv4_mapped().zip(net.prefix_len().checked_sub(96)),
        IpNet::V4(_) => None,
    };
    let narrow = mapped.and_then(|(address, bits)| Ipv4Net::new(address, bits).ok());
    Ok(narrow.map_or(written, IpNet::V4).trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_have_any_scheme() {
        for text in [
            "*",
            "null",
            "https://Friend.example:443",
            "capacitor://localhost",
            "tauri://localhost",
            "app://.",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            "file://",
            "wss://friend.example",
            "http://[2001:db8::1]:8080",
        ] {
            assert_eq!(origin(text).as_deref(), Ok(text));
        }
        for text in ["friend.example", "https://", "https://a/", "https://*.a", "https://a:x", ""] {
            assert!(origin(text).unwrap_err().starts_with("expected SCHEME://"), "{text}");
        }
        assert!(origin("https://bücher.example").unwrap_err().contains("xn--"));
    }

    #[test]
    fn hosts_are_bare_names() {
        for (text, kept) in [
            ("play.example", "play.example"),
            ("play.example.", "play.example"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:db8::1]", "2001:db8::1"),
        ] {
            assert_eq!(host(text).as_deref(), Ok(kept));
        }
        for text in ["", "a:80", "a:", "http://a", "a/b", "*.a", "bücher.example", "::1"] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn policies_are_one_line() {
        for (text, kept) in [
            ("default-src 'self'", "default-src 'self'"),
            (" default-src * ; img-src data: ;", "default-src * ; img-src data:"),
            ("upgrade-insecure-requests", "upgrade-insecure-requests"),
        ] {
            assert_eq!(csp(text).as_deref(), Ok(kept));
        }
        for text in [
            "",
            " ; ",
            "default-src 'self'\r\nX: y",
            "default-src 'self'\nimg-src *",
            "default-src 'self', img-src *",
            "default-src \u{e9}",
            "default-src\u{7f}",
            "'self'",
            "https://example.com",
            "default-src *; img_src *",
        ] {
            assert!(csp(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn frame_ancestors_are_origins() {
        for (text, source) in [
            ("*", "*"),
            ("self", "'self'"),
            ("'self'", "'self'"),
            ("https://Portal.example", "https://portal.example"),
            ("https://*.portal.example:8443", "https://*.portal.example:8443"),
            ("http://localhost:*", "http://localhost:*"),
            ("http://127.0.0.1:80", "http://127.0.0.1:80"),
            ("http://[::1]:80", "http://[::1]:80"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert_eq!(frame_ancestor(text).as_deref(), Ok(source), "{text}");
        }
        for text in [
            "",
            "none",
            "'none'",
            "null",
            "portal.example",
            "https:",
            "https://",
            "https://portal.example/",
            "https://portal.example/path",
            "https://a b",
            "https://a;script-src *",
            "https://a\r\nX: y",
            "https://a'",
            "https://a:",
            "https://a:0",
            "https://a:99999",
            "https://a..b",
            "https://*",
            "https://a.*.b",
            "https://user@a",
            "https://[a]",
            "://a",
            "1a://b",
        ] {
            assert!(frame_ancestor(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [("8388608", 8 << 20), ("200M", 200 << 20), ("2g", 2 << 30)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "1", "7M", "-8M", "+8M", "8 M", "8MB", "99999999999999999999G", "٨M"]
        {
            assert!(size(text).unwrap_err().contains("at least 8M"), "{text}");
        }
    }

    #[test]
    fn proxies_are_addresses_or_networks() {
        for (text, net) in [
            ("127.0.0.1", "127.0.0.1/32"),
            ("::1", "::1/128"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("2001:db8::7/32", "2001:db8::/32"),
            ("::ffff:127.0.0.1", "127.0.0.1/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(network(text).unwrap().to_string(), net, "{text}");
        }
        for text in ["", "nginx", "127.0.0.1:80", "10.0.0.0/33", "10.0.0.0/", "[::1]", "1.2.3"] {
            assert!(network(text).is_err(), "{text}");
        }
    }
}
