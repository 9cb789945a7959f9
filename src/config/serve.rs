//! The flags of the server.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};
use ipnet::{IpNet, Ipv4Net};

use super::values::{address, at_least_one, truth, whole};
use super::{Exit, refusal};
use crate::limits;

/// How to run the server. Every field is a flag, and an environment variable `SKIRMISH_...`.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// Address and port to listen on (repeatable) [default: every address, with --port]
    #[arg(long, value_name = "ADDR:PORT", env = "SKIRMISH_LISTEN", value_delimiter = ',')]
    #[arg(value_parser = address, help_heading = "Where")]
    pub listen: Vec<SocketAddr>,

    /// Port to listen on, at every address; 0 takes a free one [default: 8765, or PORT]
    #[arg(long, value_name = "PORT", env = "SKIRMISH_PORT", help_heading = "Where")]
    #[arg(value_parser = whole::<u16>(0, u16::MAX.into()))]
    pub port: Option<u16>,

    /// Address and port for /metrics and /healthz alone, which whoever reaches it may read
    /// (repeatable)
    #[arg(long, value_name = "ADDR:PORT", env = "SKIRMISH_ADMIN_LISTEN", value_delimiter = ',')]
    #[arg(value_parser = address, help_heading = "Where")]
    pub admin_listen: Vec<SocketAddr>,

    /// Folder of pages to serve instead of those in the binary; read at start and on SIGHUP
    #[arg(long, value_name = "DIR", env = "SKIRMISH_WWW", help_heading = "Where")]
    pub www: Option<PathBuf>,

    /// File to serve as /socket.io/socket.io.js: the official client for browsers, which is not in
    /// the binary; read at start and on SIGHUP
    #[arg(long, value_name = "FILE", env = "SKIRMISH_SOCKETIO_CLIENT", help_heading = "Where")]
    pub socketio_client: Option<PathBuf>,

    /// A room that is always there, and its rules (repeatable)
    #[arg(long, value_name = "NAME=RULES", env = "SKIRMISH_ROOM", value_delimiter = ',')]
    #[arg(value_parser = named_room, help_heading = "Rooms")]
    pub room: Vec<NamedRoom>,

    /// Whether clients may make rooms by asking for them; false allows only those of --room
    #[arg(long, value_name = "BOOL", env = "SKIRMISH_ROOMS_OPEN", default_value_t = true)]
    #[arg(action = ArgAction::Set, value_parser = truth, help_heading = "Rooms")]
    pub rooms_open: bool,

    /// Rooms at most
    #[arg(long, value_name = "N", env = "SKIRMISH_ROOMS_MAX", help_heading = "Rooms")]
    #[arg(default_value_t = limits::ROOMS_MAX, value_parser = at_least_one)]
    pub rooms_max: usize,

    /// Players in a room at most
    #[arg(long, value_name = "N", env = "SKIRMISH_ROOM_PLAYERS_MAX", help_heading = "Rooms")]
    #[arg(default_value_t = limits::ROOM_PLAYERS_MAX, value_parser = at_least_one)]
    pub room_players_max: usize,

    /// Players in a room at most for those whose dialect is sent the full state
    #[arg(long, value_name = "N", env = "SKIRMISH_FULL_STATE_PLAYERS_MAX", help_heading = "Rooms")]
    #[arg(default_value_t = limits::FULL_STATE_PLAYERS_MAX, value_parser = at_least_one)]
    pub full_state_players_max: usize,

    /// Seed of all chance; equal seeds give equal worlds [default: a new one at each start]
    #[arg(long, value_name = "N", env = "SKIRMISH_SEED", help_heading = "Rooms")]
    #[arg(value_parser = whole::<u64>(0, u64::MAX))]
    pub seed: Option<u64>,

    /// Seconds after which a player that does nothing in the game is sent away; 0 never does
    #[arg(long, value_name = "S", env = "SKIRMISH_IDLE_KICK_S", default_value_t = 0)]
    #[arg(value_parser = whole::<u32>(0, u32::MAX.into()), help_heading = "Limits")]
    pub idle_kick_s: u32,

    /// Connections at most [default: the limit of file descriptors, less a tenth]
    #[arg(long, value_name = "N", env = "SKIRMISH_CONNECTIONS_MAX", help_heading = "Limits")]
    #[arg(value_parser = at_least_one)]
    pub connections_max: Option<usize>,

    /// Hold connections from this machine to the limits of one address, too
    #[arg(long, env = "SKIRMISH_LIMIT_LOOPBACK", help_heading = "Limits")]
    #[arg(value_parser = truth)]
    pub limit_loopback: bool,

    /// Origin of other pages that may connect, such as https://example.com; * for any, null for
    /// pages opened as files (repeatable)
    #[arg(long, value_name = "ORIGIN", env = "SKIRMISH_ALLOW_ORIGIN", value_delimiter = ',')]
    #[arg(value_parser = origin, help_heading = "Limits")]
    pub allow_origin: Vec<String>,

    /// Name by which browsers may reach the server (repeatable) [default: any]
    #[arg(long, value_name = "NAME", env = "SKIRMISH_HOST", value_delimiter = ',')]
    #[arg(value_parser = host, help_heading = "Limits")]
    pub host: Vec<String>,

    /// Address, or network, of a proxy in front whose X-Forwarded-For says who the client is, such
    /// as 127.0.0.1 or 10.0.0.0/8 (repeatable)
    #[arg(long, value_name = "CIDR", env = "SKIRMISH_TRUSTED_PROXY", value_delimiter = ',')]
    #[arg(value_parser = network, help_heading = "Limits")]
    pub trusted_proxy: Vec<IpNet>,

    /// Milliseconds between a pong of an Engine.IO client and the next ping
    #[arg(long, value_name = "MS", env = "SKIRMISH_PING_INTERVAL_MS", default_value_t = 25_000)]
    #[arg(value_parser = whole::<u64>(50, 3_600_000), help_heading = "Socket.IO")]
    pub ping_interval_ms: u64,

    /// Milliseconds that an Engine.IO client may take for its pong
    #[arg(long, value_name = "MS", env = "SKIRMISH_PING_TIMEOUT_MS", default_value_t = 20_000)]
    #[arg(value_parser = whole::<u64>(50, 3_600_000), help_heading = "Socket.IO")]
    pub ping_timeout_ms: u64,

    /// Milliseconds that a Socket.IO client may take to join [default: 10000; with --echo 1000]
    #[arg(long, value_name = "MS", env = "SKIRMISH_CONNECT_TIMEOUT_MS")]
    #[arg(value_parser = whole::<u64>(50, 3_600_000), help_heading = "Socket.IO")]
    connect_timeout_ms: Option<u64>,

    /// Bytes of one payload or message of an Engine.IO client
    #[arg(long, value_name = "BYTES", env = "SKIRMISH_MAX_PAYLOAD", default_value_t = limits::MAX_PAYLOAD)]
    #[arg(value_parser = whole::<usize>(1_024, 64 << 20), help_heading = "Socket.IO")]
    pub max_payload: usize,

    /// Seconds over which clients are sent away when the server ends
    #[arg(long, value_name = "S", env = "SKIRMISH_DRAIN_S", default_value_t = 1)]
    #[arg(value_parser = whole::<u32>(0, 3600), help_heading = "Operation")]
    pub drain_s: u32,

    /// Form of the log, on standard error
    #[arg(long, value_name = "FORM", env = "SKIRMISH_LOG", default_value = "text")]
    #[arg(help_heading = "Operation")]
    pub log: LogFormat,

    /// The least important lines to log
    #[arg(long, value_name = "LEVEL", env = "SKIRMISH_LOG_LEVEL", default_value = "info")]
    #[arg(help_heading = "Operation")]
    pub log_level: LogLevel,

    /// Echo WebSocket messages instead of playing: a target for conformance suites
    #[arg(long, env = "SKIRMISH_ECHO", value_parser = truth, help_heading = "Operation")]
    pub echo: bool,
}

/// A room that is always there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedRoom {
    /// Its name.
    pub name: String,
    /// The name of its rules.
    pub rules: String,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The least important lines to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Nothing at all.
    Off,
    /// Faults of ours or of the machine.
    Error,
    /// And what an operator should know of.
    Warn,
    /// And who comes and goes.
    Info,
    /// And each request.
    Debug,
    /// And all that there is.
    Trace,
}

const PORT: u16 = 8765;

impl Serve {
    /// The port to listen on at every address: `--port`, else `PORT`, else 8765.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(PORT)
    }

    /// How long a Socket.IO client may take to join.
    #[must_use]
    pub fn connect_timeout_ms(&self) -> u64 {
        self.connect_timeout_ms.unwrap_or(match self.echo {
            true => limits::CONNECT_TIMEOUT_ECHO_MS,
            false => limits::CONNECT_TIMEOUT_MS,
        })
    }

    /// Players that a room takes: all of them are sent the full state.
    #[must_use]
    pub fn room_capacity(&self) -> usize {
        self.room_players_max.min(self.full_state_players_max)
    }

    /// Fills in `PORT` and refuses what no single flag shows to be wrong.
    pub(super) fn checked(mut self) -> Result<Serve, Exit> {
        if let Ok(port) = std::env::var("PORT")
            && self.port.is_none()
            && !port.is_empty()
        {
            let read = whole::<u16>(0, u16::MAX.into())(&port);
            let refuse = |right| refusal(&format!("PORT cannot be {port:?}: {right}."));
            self.port = Some(read.map_err(refuse)?);
        }
        if let Some(folder) = self.www.as_ref().filter(|folder| !folder.is_dir()) {
            let sentence = "is not a folder; give --www one that holds pages.";
            return Err(refusal(&format!("{} {sentence}", folder.display())));
        }
        if let Some(file) = self.socketio_client.as_ref().filter(|file| !file.is_file()) {
            let sentence = "is not a file; give --socketio-client one such as socket.io.min.js.";
            return Err(refusal(&format!("{} {sentence}", file.display())));
        }
        // Without --listen there are two: every address of IPv4, and of IPv6.
        let public = if self.listen.is_empty() { 2 } else { self.listen.len() };
        if public + self.admin_listen.len() > limits::LISTENERS_MAX {
            let most = limits::LISTENERS_MAX;
            let sentence = "are the most for --listen and --admin-listen together.";
            return Err(refusal(&format!("{most} addresses {sentence}")));
        }
        if !self.rooms_open && self.room.is_empty() {
            let sentence = "with --rooms-open false nobody can play; name rooms with --room.";
            return Err(refusal(sentence));
        }
        self.check_rooms()?;
        Ok(self)
    }

    /// The rooms of `--room` must fit together, and into the server.
    fn check_rooms(&self) -> Result<(), Exit> {
        let mut rules: BTreeMap<&str, &str> = BTreeMap::new();
        for room in &self.room {
            let (name, other) = (&room.name, &room.rules);
            let first = rules.entry(name).or_insert(other);
            if *first != other {
                let both = format!("--room {name}={first} and --room {name}={other}");
                return Err(refusal(&format!("{both} are one room; leave out one of them.")));
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
    let (name, rules) =
        text.split_once('=').ok_or("a room is written NAME=RULES, such as lobby=dots")?;
    if !limits::is_room_name(name) {
        return Err("the name of a room is 1 to 32 of a-z 0-9 _ -".to_owned());
    }
    Ok(NamedRoom { name: name.to_owned(), rules: rules.to_owned() })
}

fn origin(text: &str) -> Result<String, String> {
    let is_url = text.split_once("://").is_some_and(|(scheme, host)| {
        matches!(scheme, "http" | "https") && !host.is_empty() && !host.contains(['/', '?', '#'])
    });
    if matches!(text, "*" | "null") || is_url {
        let text = text.to_ascii_lowercase();
        // A browser leaves out the port that goes without saying.
        let bare = match text.split_once("://") {
            Some(("https", _)) => text.strip_suffix(":443"),
            Some(("http", _)) => text.strip_suffix(":80"),
            _ => None,
        };
        return Ok(bare.unwrap_or(&text).to_owned());
    }
    Err("an origin is such as https://example.com or http://localhost:3000, or * or null"
        .to_owned())
}

fn host(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if is_name {
        return Ok(text.to_ascii_lowercase());
    }
    Err("a host is a bare name such as play.example.com".to_owned())
}

/// A network as we compare with it: an IPv4 one that was written as IPv6 is an IPv4 one, because so
/// are the addresses of peers.
fn network(text: &str) -> Result<IpNet, String> {
    let wrong = "a proxy is written as an address or a network, such as 127.0.0.1 or 10.0.0.0/8";
    let written = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse().map_err(|_| wrong.to_owned())?,
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
    fn an_origin_is_kept_as_browsers_send_it() {
        for (text, kept) in [
            ("https://Friend.example:443", "https://friend.example"),
            ("http://friend.example:80", "http://friend.example"),
            ("http://friend.example:443", "http://friend.example:443"),
            ("*", "*"),
        ] {
            assert_eq!(origin(text).as_deref(), Ok(kept));
        }
        assert!(origin("friend.example").is_err());
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
