//! The flags of `skirmish load`, and the address that it loads.
//!
//! What cannot be used is refused here, while the flags are read, with one sentence.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;

use super::values::{number, whole};
use super::{Exit, refusal};

const EXAMPLES: &str = "\
Examples:
  skirmish load --clients 1000
      1,000 players in the default room of a server on this machine
  skirmish load ws://game.example:8765/ --clients 8000 --room-players 50 --moves-hz 5
      8,000 players in 160 rooms, each with five moves a second
  skirmish load --clients 200 --stalled 20 --pid $(pgrep -n -x skirmish) --json
      20 more clients that never read, and what the server uses, for a script
  skirmish load http://127.0.0.1:8765/ --dialect socketio --transport polling --room-players 50
      players of a Socket.IO server that polls for them, 50 in a room
  skirmish load --dialect socketio --attacks-hz 2
      every tenth player strikes another; how soon the other knows is the hit's time

With --dialect socketio an update is an answer to a poll that holds player_moved, or player_moved
over a WebSocket at least 10 ms after the one before. With --attacks-hz every room of 2 players or
more has duels, 1 for 10 players and at most 10: two walk to a place at the edge of the map, one
strikes the other there, at most 3 times a second, and the time from the moment that a blow was
meant to be sent until the other sees player_attacked for itself is the hit's. The others keep away
from the edges, and strike too. Nobody else may be in these rooms.

Exit code:
  0    every client stayed
  1    some were lost, or nobody answers, or all are refused
  2    the flags cannot be used
  130  Ctrl-C ended it; it reports what it has measured so far";

/// Puts many players on a server of the JSON dialect or of Socket.IO and reports what they see.
///
/// Every player makes random moves. Some of them are probes, which measure how long it takes from
/// the moment a move was meant to be sent until the player sees itself move.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Load {
    /// Where the server listens; ws:// or http://, which are the same here. Socket.IO is at
    /// /socket.io/ unless the address has another path
    #[arg(value_name = "URL", default_value = "ws://127.0.0.1:8765/")]
    pub url: Url,

    /// The language of the players
    #[arg(long, value_name = "DIALECT", value_enum, default_value_t = Dialect::Json)]
    pub dialect: Dialect,

    /// How players of Socket.IO reach the server [default: websocket]
    #[arg(long, value_name = "TRANSPORT", value_enum)]
    pub transport: Option<Transport>,

    /// Players
    #[arg(long, value_name = "N", default_value_t = 100,
        value_parser = whole::<u32>(1, 1_000_000))]
    pub clients: u32,

    /// How long to measure, once all players are there
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = seconds)]
    pub seconds: f64,

    /// Moves that each player sends in a second, but for the probes; 0 for none
    #[arg(long, value_name = "HZ", default_value_t = 2.0, value_parser = moves_hz)]
    pub moves_hz: f64,

    /// Blows that each player strikes in a second, but for the probes; 0 for none. With Socket.IO
    /// some fight duels then, which are timed
    #[arg(long, value_name = "HZ", default_value_t = 0.0, value_parser = moves_hz)]
    pub attacks_hz: f64,

    /// Whose moves and blows ask for an acknowledgement, with Socket.IO: nobody's, those that are
    /// timed, or all [default: probes]
    #[arg(long, value_name = "WHOSE", value_enum)]
    pub acks: Option<Acks>,

    /// Players that connect in a second
    #[arg(long, value_name = "HZ", default_value_t = 500.0, value_parser = ramp_hz)]
    pub ramp_hz: f64,

    /// Put every N players into a room of their own (load-0, load-1, ...; with Socket.IO
    /// battle-load-0, ...); without it no room is asked for
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1, u32::MAX.into()))]
    pub room_players: Option<u32>,

    /// Players that are probes: they move twice a second and time it [default: 50, or all players
    /// if they are fewer]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(0, u32::MAX.into()))]
    pub probes: Option<u32>,

    /// Further clients that connect and then never read
    #[arg(long, value_name = "N", default_value_t = 0,
        value_parser = whole::<u32>(0, 1_000_000))]
    pub stalled: u32,

    /// Process of the server, on this machine: its CPU and memory are reported too
    #[arg(long, value_name = "PID", value_parser = whole::<u32>(1, i32::MAX as u64))]
    pub pid: Option<u32>,

    /// Report one JSON object instead of a table
    #[arg(long)]
    pub json: bool,

    /// Repeat the random choices of an earlier run; the report tells each run's seed
    #[arg(long, value_name = "N", value_parser = whole::<u64>(0, u64::MAX))]
    pub seed: Option<u64>,
}

/// The language of the players.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    /// JSON text over a plain WebSocket.
    Json,
    /// Events of Socket.IO.
    #[value(name = "socketio")]
    SocketIo,
}

/// How players of Socket.IO reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// HTTP alone.
    Polling,
    /// A WebSocket alone.
    Websocket,
    /// HTTP, and then a WebSocket, as browsers do.
    Upgrade,
}

/// Whose moves and blows ask for an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Acks {
    /// Nobody's.
    None,
    /// Those of probes, and the blows of duels.
    Probes,
    /// All.
    All,
}

impl Load {
    /// Judges what the parsers of single flags cannot, and completes the address.
    pub(super) fn checked(mut self) -> Result<Load, Exit> {
        if self.dialect == Dialect::SocketIo {
            if self.url.path == "/" {
                self.url.path = "/socket.io/".to_owned();
            }
            return Ok(self);
        }
        match (self.transport, self.acks) {
            (Some(_), _) => Err(refusal(
                "--transport is for Socket.IO: add --dialect socketio, or leave it out.",
            )),
            (_, Some(_)) => {
                Err(refusal("--acks is for Socket.IO: add --dialect socketio, or leave it out."))
            }
            _ => Ok(self),
        }
    }

    /// How players of Socket.IO reach the server.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport.unwrap_or(Transport::Websocket)
    }

    /// Whose moves and blows ask for an acknowledgement.
    #[must_use]
    pub fn acks(&self) -> Acks {
        self.acks.unwrap_or(Acks::Probes)
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    number(text, 0.1, 86_400.0)
}

fn moves_hz(text: &str) -> Result<f64, String> {
    match number(text, 0.0, 1_000.0)? {
        hz if hz > 0.0 && hz < 0.001 => Err("it is 0, or from 0.001 to 1000".to_owned()),
        hz => Ok(hz),
    }
}

fn ramp_hz(text: &str) -> Result<f64, String> {
    number(text, 0.1, 100_000.0)
}

/// A `ws://` or `http://` address, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// `ws` or `http`; they are reached in the same way.
    pub scheme: &'static str,
    /// Name or address of the host, without the brackets of IPv6.
    pub host: String,
    /// The port; 80 if none was given, as for any such address (RFC 6455, 3).
    pub port: u16,
    /// The path, which begins with `/`.
    pub path: String,
    /// The query, without its `?`; empty if there is none.
    pub query: String,
    /// `HOST:PORT` as it was written, for the header field `Host`.
    pub authority: String,
}

impl Url {
    /// Whether the query names a room.
    #[must_use]
    pub fn names_room(&self) -> bool {
        self.query.split('&').any(|pair| pair == "room" || pair.starts_with("room="))
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Url, String> {
        let right = "an address begins with ws:// or http://, such as ws://127.0.0.1:8765/";
        let (scheme, rest) = text.split_once("://").ok_or(right)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "ws" => "ws",
            "http" => "http",
            "wss" | "https" => {
                return Err("the load test speaks no TLS: give it the ws:// address behind the \
                            proxy"
                    .to_owned());
            }
            _ => return Err(right.to_owned()),
        };
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) || rest.contains('#') {
            return Err("it has a fragment, or characters that must be percent-encoded".to_owned());
        }
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = split_authority(authority)?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Ok(Url {
            scheme,
            host: host.to_owned(),
            port,
            path: if path.is_empty() { "/" } else { path }.to_owned(),
            query: query.to_owned(),
            authority: authority.to_owned(),
        })
    }
}

fn split_authority(authority: &str) -> Result<(&str, u16), String> {
    if authority.contains('@') {
        return Err("such an address has no user name".to_owned());
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("the bracket [ is never closed")?;
            (host, rest.strip_prefix(':').or(rest.is_empty().then_some("80")))
        }
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some("80")),
        },
    };
    let port = port.and_then(|port| port.parse().ok()).filter(|port| *port > 0);
    match port {
        Some(port) if !host.is_empty() => Ok((host, port)),
        Some(_) => Err("it names no host".to_owned()),
        None => Err("a port is a number from 1 to 65535".to_owned()),
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.path)?;
        if self.query.is_empty() { Ok(()) } else { write!(f, "?{}", self.query) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_apart() {
        let url: Url = "WS://game.example:99/a/b?x=1&room=r".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port), ("game.example", 99));
        assert_eq!((url.path.as_str(), url.query.as_str()), ("/a/b", "x=1&room=r"));
        assert!(url.names_room());
        assert_eq!(url.to_string(), "ws://game.example:99/a/b?x=1&room=r");

        let url: Url = "ws://[::1]:8765".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("::1", 8765, "/"));
        assert_eq!(url.authority, "[::1]:8765");
        let url: Url = "ws://h?a".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("h", 80, "/"));
        assert!(!url.names_room());
        let url: Url = "Http://h:1/a?b".parse().unwrap();
        assert_eq!(url.to_string(), "http://h:1/a?b");
    }

    #[test]
    fn what_is_no_address_is_told_so() {
        let refused = |text: &str| text.parse::<Url>().unwrap_err();
        assert!(refused("wss://h/").contains("no TLS"));
        assert!(refused("https://h/").contains("no TLS"));
        for text in [
            "",
            "h:1",
            "ftp://h/",
            "ws://",
            "ws://:1/",
            "ws://h:0/",
            "ws://h:x/",
            "ws://u@h/",
            "ws://[::1/",
            "ws://[::1]1/",
            "ws://h/#f",
            "ws://h/a b",
            "ws://h/é",
        ] {
            assert!(!refused(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(moves_hz("0"), Ok(0.0));
        assert_eq!(seconds("0.5"), Ok(0.5));
        for text in ["-1", "NaN", "inf", "1e9", "", "0.0001"] {
            assert!(moves_hz(text).is_err(), "{text}");
        }
    }
}
