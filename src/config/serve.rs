//! The flags of `skirmish serve`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};
use ipnet::IpNet;

use super::values::{
    address, at_least_one, boolean, csp, frame_ancestor, host, map_size, network, origin, size,
    whole,
};
use super::{Exit, refusal};
use crate::limits;

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

    /// Address and port of /metrics and /healthz, without access control, of /status, and of the
    /// operator's requests, which need --admin-token-file (repeatable)
    #[arg(long, value_name = "ADDR:PORT", env = "SKIRMISH_ADMIN_LISTEN", value_delimiter = ',')]
    #[arg(value_parser = address, help_heading = "Where")]
    pub admin_listen: Vec<SocketAddr>,

    /// File with the token that /status and the operator's requests to --admin-listen need, of at
    /// least 16 characters
    #[arg(long, value_name = "FILE", env = "SKIRMISH_ADMIN_TOKEN_FILE", help_heading = "Where")]
    pub admin_token_file: Option<PathBuf>,

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

    /// Maximum number of players in a room [default: 2000; 65535 with the rules world]
    #[arg(long, value_name = "N", env = "SKIRMISH_ROOM_PLAYERS_MAX", help_heading = "Rooms")]
    #[arg(value_parser = whole::<usize>(1, limits::ROOM_PLAYERS_MAX as u64))]
    pub room_players_max: Option<usize>,

    /// Number of players in a room up to which clients that receive the full state may join; above
    /// it they receive fewer states
    #[arg(long, value_name = "N", env = "SKIRMISH_FULL_STATE_PLAYERS_MAX", help_heading = "Rooms")]
    #[arg(default_value_t = limits::FULL_STATE_PLAYERS_MAX, value_parser = at_least_one)]
    pub full_state_players_max: usize,

    /// Bytes that a client of skirmish.v1 receives on a tick in a crowd: more changes of course are
    /// held back. New players, hits and respawns are not
    #[arg(long, value_name = "BYTES", env = "SKIRMISH_VIEW_BYTES", help_heading = "Rooms")]
    #[arg(default_value_t = limits::VIEW_BYTES, value_parser = whole::<u32>(200, 1_000_000))]
    pub view_bytes: u32,

    /// Width and height of the maps of the rules world, in map units [default: 16000x16000]
    #[arg(long, value_name = "WxH", env = "SKIRMISH_MAP", help_heading = "Rooms")]
    #[arg(value_parser = map_size)]
    pub map: Option<(u16, u16)>,

    /// Room that bots fill up to N players while a person is in it; they leave as people join
    /// (repeatable)
    #[arg(long, value_name = "ROOM=N", env = "SKIRMISH_BOTS", value_delimiter = ',')]
    #[arg(value_parser = bot_seats, help_heading = "Rooms")]
    pub bots: Vec<BotSeats>,

    /// Random seed; equal seeds give equal worlds [default: random]
    #[arg(long, value_name = "N", env = "SKIRMISH_SEED", help_heading = "Rooms")]
    #[arg(value_parser = whole::<u64>(0, u64::MAX))]
    pub seed: Option<u64>,

    /// Seconds for which a player stays whose client was lost and may come back; 0 disables it
    #[arg(long, value_name = "S", env = "SKIRMISH_RESUME_S", default_value_t = 30)]
    #[arg(value_parser = whole::<u32>(0, 3600), help_heading = "Limits")]
    pub resume_s: u32,

    /// Seconds without input after which a player is disconnected; 0 disables it
    #[arg(long, value_name = "S", env = "SKIRMISH_IDLE_KICK_S", default_value_t = 0)]
    #[arg(value_parser = whole::<u32>(0, u32::MAX.into()), help_heading = "Limits")]
    pub idle_kick_s: u32,

    /// Maximum number of connections [default: the file descriptor limit, less a tenth, and at most
    /// what takes half of --max-memory]
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

    /// Connections begin with a header of the PROXY protocol, version 1 or 2, which names the
    /// client. Only a --trusted-proxy may connect then, except to --admin-listen
    #[arg(long, env = "SKIRMISH_PROXY_PROTOCOL", help_heading = "Limits")]
    #[arg(value_parser = boolean)]
    pub proxy_protocol: bool,

    /// PEM file with the certificate of the server, and then those that certify it: the public
    /// listeners serve https:// and wss:// only. It is read again when it changes
    #[arg(long, value_name = "FILE", env = "SKIRMISH_CERT", help_heading = "TLS")]
    pub cert: Option<PathBuf>,

    /// PEM file with the private key of --cert, without a passphrase
    #[arg(long, value_name = "FILE", env = "SKIRMISH_KEY", help_heading = "TLS")]
    pub key: Option<PathBuf>,

    /// Address and port of a listener without TLS that redirects browsers to https://
    /// (repeatable)
    #[arg(long, value_name = "ADDR:PORT", env = "SKIRMISH_REDIRECT_HTTP", value_delimiter = ',')]
    #[arg(value_parser = address, help_heading = "TLS")]
    pub redirect_http: Vec<SocketAddr>,

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

    /// Milliseconds after which a poll is answered though nothing has happened, before a proxy ends
    /// a response that takes too long
    #[arg(long, value_name = "MS", env = "SKIRMISH_POLL_HOLD_MS", default_value_t = limits::POLL_HOLD_MS)]
    #[arg(value_parser = whole::<u64>(50, 3_600_000), help_heading = "Socket.IO")]
    pub poll_hold_ms: u64,

    /// Milliseconds without an open poll after which a player that polls has left: some proxies do
    /// not report that a browser has gone
    #[arg(long, value_name = "MS", env = "SKIRMISH_POLL_ABSENCE_MS", default_value_t = limits::POLL_ABSENCE_MS)]
    #[arg(value_parser = whole::<u64>(50, 3_600_000), help_heading = "Socket.IO")]
    pub poll_absence_ms: u64,

    /// Official Socket.IO clients that come back after a loss receive the events that they missed
    /// (connection state recovery); events have an offset as a last argument then
    #[arg(long, env = "SKIRMISH_RECOVERY", value_parser = boolean, help_heading = "Socket.IO")]
    pub recovery: bool,

    /// Maximum size in bytes of a payload or message from an Engine.IO client
    #[arg(long, value_name = "BYTES", env = "SKIRMISH_MAX_PAYLOAD", default_value_t = limits::MAX_PAYLOAD)]
    #[arg(value_parser = whole::<usize>(1_024, 64 << 20), help_heading = "Socket.IO")]
    pub max_payload: usize,

    /// Seconds over which clients are disconnected when the server shuts down
    #[arg(long, value_name = "S", env = "SKIRMISH_DRAIN_S", default_value_t = 1)]
    #[arg(value_parser = whole::<u32>(0, 3600), help_heading = "Operation")]
    pub drain_s: u32,

    /// File to which rooms and players are saved at shutdown, and from which the next start
    /// restores them
    #[arg(long, value_name = "FILE", env = "SKIRMISH_STATE", help_heading = "Operation")]
    pub state: Option<PathBuf>,

    /// Seconds after which --state is written again while the server runs; 0: only at the shutdown
    #[arg(long, value_name = "S", env = "SKIRMISH_STATE_EVERY_S", default_value_t = 0)]
    #[arg(value_parser = whole::<u32>(0, 3600), help_heading = "Operation")]
    pub state_every_s: u32,

    /// Do not compress what players receive: messages over WebSockets (permessage-deflate), and the
    /// payloads of polls (gzip)
    #[arg(long, env = "SKIRMISH_NO_DEFLATE", value_parser = boolean, help_heading = "Operation")]
    pub no_deflate: bool,

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

/// A room that bots fill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotSeats {
    /// Its name.
    pub room: String,
    /// The number of players, with the bots.
    pub players: usize,
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

    /// Maximum number of players in a room whose rules allow `players_max`.
    #[must_use]
    pub fn room_players_max(&self, players_max: usize) -> usize {
        self.room_players_max.unwrap_or(players_max).min(limits::ROOM_PLAYERS_MAX)
    }

    /// The same for clients that receive the full state.
    #[must_use]
    pub fn full_state_capacity(&self, players_max: usize) -> usize {
        self.room_players_max(players_max).min(self.full_state_players_max)
    }

    /// The number of players up to which bots fill a room; 0 for no bots.
    #[must_use]
    pub fn bots_of(&self, room: &str) -> usize {
        self.bots.iter().find(|bots| bots.room == room).map_or(0, |bots| bots.players)
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
        if self.cert.is_some() != self.key.is_some() {
            let sentence = "--cert and --key belong together; set both, or none of them.";
            return Err(refusal(sentence));
        }
        if !self.redirect_http.is_empty() && self.cert.is_none() {
            let sentence = "--redirect-http redirects to https://; add --cert FILE and --key FILE.";
            return Err(refusal(sentence));
        }
        if self.state.is_some() && (self.echo || self.resume_s == 0) {
            let sentence = "--state keeps the players that may come back; remove --echo, and set \
                            --resume-s to more than 0.";
            return Err(refusal(sentence));
        }
        if self.recovery && (self.echo || self.resume_s == 0) {
            let sentence = "--recovery needs players that may come back; remove --echo, and set \
                            --resume-s to more than 0.";
            return Err(refusal(sentence));
        }
        if self.state_every_s > 0 && self.state.is_none() {
            return Err(refusal("--state-every-s needs a file; add --state FILE."));
        }
        if self.proxy_protocol && self.trusted_proxy.is_empty() {
            let sentence = "--proxy-protocol needs the address of the proxy; add --trusted-proxy \
                            CIDR.";
            return Err(refusal(sentence));
        }
        if let Some(file) = self.socketio_client.as_ref().filter(|file| !file.is_file()) {
            let sentence =
                "is not a file; --socketio-client takes a file such as socket.io.min.js.";
            return Err(refusal(&format!("{} {sentence}", file.display())));
        }
        // Without --listen the server has two listeners, one for IPv4 and one for IPv6.
        let public = if self.listen.is_empty() { 2 } else { self.listen.len() };
        if public + self.redirect_http.len() + self.admin_listen.len() > limits::LISTENERS_MAX {
            let most = limits::LISTENERS_MAX;
            let sentence = "--listen, --redirect-http and --admin-listen take at most";
            return Err(refusal(&format!("{sentence} {most} addresses together.")));
        }
        if !self.rooms_open && self.room.is_empty() {
            let sentence =
                "--rooms-open false needs at least one --room; otherwise no player can join.";
            return Err(refusal(sentence));
        }
        self.check_rooms()?;
        self.check_bots()?;
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

    /// Checks that bots have a room that can exist, and that holds as many players.
    fn check_bots(&self) -> Result<(), Exit> {
        let mut seats: BTreeMap<&str, usize> = BTreeMap::new();
        for BotSeats { room, players } in &self.bots {
            let first = *seats.entry(room).or_insert(*players);
            if first != *players {
                let both = format!("--bots {room}={first} and --bots {room}={players}");
                return Err(refusal(&format!("{both} name the same room; remove one of them.")));
            }
            let most = self.full_state_capacity(usize::MAX);
            if *players > most {
                return Err(refusal(&format!(
                    "--bots {room}={players} is more than the {most} players that a room holds \
                     (--room-players-max, --full-state-players-max)."
                )));
            }
            if !self.rooms_open && !self.room.iter().any(|named| named.name == *room) {
                return Err(refusal(&format!(
                    "--bots names the room {room}, which --rooms-open false does not allow; add \
                     --room {room}=RULES."
                )));
            }
        }
        Ok(())
    }
}

fn bot_seats(text: &str) -> Result<BotSeats, String> {
    let most = limits::BOTS_PLAYERS_MAX;
    let (room, players) = text
        .trim_ascii()
        .split_once('=')
        .ok_or_else(|| format!("expected ROOM=N with N from 1 to {most}, such as battle=4"))?;
    if !limits::is_room_name(room) {
        return Err("a room name has 1 to 32 of the characters a-z 0-9 _ -".to_owned());
    }
    let players = whole::<usize>(1, most as u64)(players)?;
    Ok(BotSeats { room: room.to_owned(), players })
}

fn named_room(text: &str) -> Result<NamedRoom, String> {
    let (name, rules) =
        text.trim_ascii().split_once('=').ok_or("expected NAME=RULES, such as lobby=dots")?;
    if !limits::is_room_name(name) {
        return Err("a room name has 1 to 32 of the characters a-z 0-9 _ -".to_owned());
    }
    Ok(NamedRoom { name: name.to_owned(), rules: rules.to_owned() })
}
