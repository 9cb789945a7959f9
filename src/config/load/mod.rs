//! The flags of `skirmish load`.

mod expect;
mod mix;
mod url;

use std::fmt;
use std::path::PathBuf;

use clap::ValueEnum;

use self::expect::Need;
pub use self::expect::{Expect, FIGURES};
pub use self::mix::Mix;
pub use self::url::Url;
use super::values::{number, whole};
use super::{Exit, refusal};

const EXAMPLES: &str = "\
Examples:
  skirmish load --clients 1000
      1,000 players in the default room of a local server
  skirmish load ws://game.example:8765/ --clients 8000 --room-players 50 --moves-hz 5
      8,000 players in 160 rooms, each with five moves per second
  skirmish load --clients 200 --stalled 20 --pid $(pgrep -n -x skirmish) --json
      20 extra clients that never read; report the server's CPU and memory as JSON
  skirmish load http://127.0.0.1:8765/ --dialect socketio --transport polling --room-players 50
      Socket.IO players over long polling, 50 in a room
  skirmish load --dialect socketio --attacks-hz 2
      also measure the time from an attack to the hit
  skirmish load --dialect v1 --clients 2000 --moves-hz 0.5 --pattern straight
      players of skirmish.v1, each with another course every 2 seconds
  skirmish load --mix json=2,socketio=1 --room-players 50 --churn-hz 5 --slow-readers 20
      two dialects in the same rooms, five players a second leave and join, 20 extra slow clients
  skirmish load --expect 'gap_p99<60' --expect 'states_min>=19.4'
      fail with exit code 3 if the server is slower
  skirmish load --find-limit --pid $(pgrep -n -x skirmish) --expect 'latency_p99<=80'
      how many players the server can serve

With --dialect socketio, a state is a poll response that contains player_moved, or a player_moved
over a WebSocket that comes at least 10 ms after the previous one.

With --dialect v1, a state is a HEAD, or a tick about which there was nothing to say. The first 50
players keep all cells and compare the sums of CHECK; the others only go through the parts of each
message. A probe's move is seen when HEAD says that its INPUT was run. Malformed messages count like
lost players.

With --attacks-hz, every room of at least 2 players has duels: 1 for every 10 players, at least 1
and at most 10. In a duel two players walk to a fixed position at the edge of the map. There one
attacks the other, at most 3 times per second. The hit time runs from the scheduled moment of the
attack until its target receives player_attacked. All other players stay away from the edges and
attack there. No other clients may be in these rooms.

With --mix, all rooms of --room-players play the battle, and attacks are not timed. With --pattern
crowd, all players first walk to one corner of the map, which takes 10 seconds more. A slow reader
makes one move after each pause; its latency is the time until it sees that move.

With --find-limit, the number of players doubles until the service level breaks, and is then
narrowed down to 5 percent; a break counts if it shows twice. The service level is states_min>=19.4,
gap_p99<=60 and latency_p99<=100, and that no player is lost. --expect adds to it, and replaces what
is about the same figure. The report is that of the limit; the exit code is 1 or 3 if even one
player is too many.

Exit code:
  0    every client stayed connected, and every expectation was met
  1    clients were lost, messages were malformed, the server does not answer, or it refuses every
       client
  2    the flags are invalid
  3    an expectation was not met; if one is about lost or malformed, it decides instead of
       code 1
  130  stopped with Ctrl-C; the report covers the time until then";

/// Connects many simulated players to a server of JSON, Socket.IO or skirmish.v1 and reports what
/// they see.
///
/// Every player makes random moves. Some players are probes: they measure the time from the moment
/// a move was scheduled until the player sees itself move.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Load {
    /// URL of the server; ws:// and http:// are equivalent, and so are wss:// and https://, which
    /// use TLS. Without a path, Socket.IO uses
    /// /socket.io/ and v1 uses /ws
    #[arg(value_name = "URL", default_value = "ws://127.0.0.1:8765/")]
    pub url: Url,

    /// Dialect that the players speak
    #[arg(long, value_name = "DIALECT", value_enum, default_value_t = Dialect::Json)]
    pub dialect: Dialect,

    /// Shares of the dialects in one run, such as json=2,socketio=1; replaces --dialect
    #[arg(long, value_name = "SHARES", conflicts_with = "dialect")]
    pub mix: Option<Mix>,

    /// Transport of Socket.IO players [default: websocket]
    #[arg(long, value_name = "TRANSPORT", value_enum)]
    pub transport: Option<Transport>,

    /// Offer permessage-deflate, as browsers do, and decompress all messages. With v1 the server
    /// need not agree
    #[arg(long)]
    pub deflate: bool,

    /// PEM file with the certificates to trust, instead of those that this machine trusts
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub ca: Option<PathBuf>,

    /// Trust any certificate
    #[arg(long)]
    pub insecure: bool,

    /// Number of players
    #[arg(long, value_name = "N", default_value_t = 100,
        value_parser = whole::<u32>(1, 1_000_000))]
    pub clients: u32,

    /// Find the largest number of players with which the server keeps its service level, beginning
    /// with --clients
    #[arg(long)]
    pub find_limit: bool,

    /// Seconds to measure, after all players have connected
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = seconds)]
    pub seconds: f64,

    /// Moves per second of each player except probes; 0 for none. With v1, changes of course: a
    /// player moves on every tick
    #[arg(long, value_name = "HZ", default_value_t = 2.0, value_parser = moves_hz)]
    pub moves_hz: f64,

    /// How the players move: random steps; straight runs with a new course every 2 seconds; or all
    /// gathered in one place. With v1, random players also stop, and straight ones do not
    #[arg(long, value_name = "PATTERN", value_enum, default_value_t = Pattern::Random)]
    pub pattern: Pattern,

    /// Attacks per second of each player except probes; 0 for none. With Socket.IO this also
    /// starts duels, which are timed
    #[arg(long, value_name = "HZ", default_value_t = 0.0, value_parser = moves_hz)]
    pub attacks_hz: f64,

    /// Which moves and attacks of Socket.IO players request an acknowledgement: none, those of
    /// probes and duels, or all [default: probes]
    #[arg(long, value_name = "WHOSE", value_enum)]
    pub acks: Option<Acks>,

    /// Players that connect per second
    #[arg(long, value_name = "HZ", default_value_t = 500.0, value_parser = ramp_hz)]
    pub ramp_hz: f64,

    /// Players that leave per second while it measures, each replaced by a new one
    #[arg(long, value_name = "HZ", default_value_t = 0.0, value_parser = moves_hz)]
    pub churn_hz: f64,

    /// Put every N players into a room of their own (load-0, load-1, ...; with Socket.IO
    /// battle-load-0, ...) [default: the server's default room]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1, u32::MAX.into()))]
    pub room_players: Option<u32>,

    /// Players that are probes: they move twice per second and measure the delay [default: 50, or
    /// all players if there are fewer]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(0, u32::MAX.into()))]
    pub probes: Option<u32>,

    /// Additional clients that connect and then never read
    #[arg(long, value_name = "N", default_value_t = 0,
        value_parser = whole::<u32>(0, 1_000_000))]
    pub stalled: u32,

    /// Additional clients that read for 2 seconds and then not for 2 seconds, and so on; their
    /// figures are apart
    #[arg(long, value_name = "N", default_value_t = 0,
        value_parser = whole::<u32>(0, 1_000_000))]
    pub slow_readers: u32,

    /// Process ID of a local server: report its CPU and memory, too
    #[arg(long, value_name = "PID", value_parser = whole::<u32>(1, i32::MAX as u64))]
    pub pid: Option<u32>,

    /// What a figure must be: its name, one of < <= > >=, and a number (repeatable); if it is not,
    /// the exit code is 3
    #[arg(long, value_name = "EXPECTATION")]
    pub expect: Vec<Expect>,

    /// Print the report as one JSON object
    #[arg(long)]
    pub json: bool,

    /// Write a page with plots to this file
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,

    /// Compare with an earlier run on the page: a file with what --json printed
    #[arg(long, value_name = "FILE", requires = "report")]
    pub compare: Option<PathBuf>,

    /// Random seed; repeats the random choices of an earlier run [default: random]
    #[arg(long, value_name = "N", value_parser = whole::<u64>(0, u64::MAX))]
    pub seed: Option<u64>,

    /// The command line, for the report.
    #[arg(skip)]
    pub command: String,
}

/// The dialect that the players speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    /// JSON text over a plain WebSocket.
    Json,
    /// Socket.IO events.
    #[value(name = "socketio")]
    SocketIo,
    /// The binary dialect skirmish.v1.
    V1,
}

impl Dialect {
    /// All dialects.
    pub const ALL: [Dialect; 3] = [Dialect::Json, Dialect::SocketIo, Dialect::V1];
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(self, f)
    }
}

/// The transport of Socket.IO players.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// HTTP long polling.
    Polling,
    /// WebSocket.
    Websocket,
    /// HTTP long polling, then an upgrade to WebSocket, as browsers do.
    Upgrade,
}

/// How the players move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pattern {
    /// Random steps.
    Random,
    /// Straight runs.
    Straight,
    /// All in one place.
    Crowd,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(self, f)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(self, f)
    }
}

/// Writes the name of a value as the flag has it.
fn write_name(value: &impl ValueEnum, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(value.to_possible_value().as_ref().map_or("", |value| value.get_name()))
}

/// Which moves and attacks request an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Acks {
    /// None.
    None,
    /// The moves of probes and the attacks of duels.
    Probes,
    /// All.
    All,
}

impl Load {
    /// Checks what involves more than one flag, and completes the URL.
    pub(super) fn checked(mut self) -> Result<Load, Exit> {
        self.check_expectations()?;
        if !self.url.is_secure() && (self.ca.is_some() || self.insecure) {
            let sentence = "--ca and --insecure are about TLS; use a wss:// address.";
            return Err(refusal(sentence));
        }
        if self.mix.is_none() {
            self.url.path = self.path(self.dialect).to_owned();
        }
        if self.speaks(Dialect::SocketIo) {
            return Ok(self);
        }
        match (self.transport, self.acks) {
            (Some(_), _) => Err(refusal(
                "--transport needs --dialect socketio; add that, or remove --transport.",
            )),
            (_, Some(_)) => {
                Err(refusal("--acks needs --dialect socketio; add that, or remove --acks."))
            }
            _ => Ok(self),
        }
    }

    /// Checks that every expected figure will be measured.
    fn check_expectations(&self) -> Result<(), Exit> {
        for expect in &self.expect {
            let missing = match expect.figure.need {
                Need::Pid if self.pid.is_none() => "--pid",
                Need::SocketIo if !self.speaks(Dialect::SocketIo) => "--dialect socketio",
                Need::V1 if !self.speaks(Dialect::V1) => "--dialect v1",
                Need::Duels if !self.has_duels() => "--dialect socketio and --attacks-hz",
                Need::SlowReaders if self.slow_readers == 0 => "--slow-readers",
                _ => continue,
            };
            return Err(refusal(&format!("--expect {expect} needs {missing}.")));
        }
        Ok(())
    }

    /// The service level of `--find-limit`: the expectations, and the usual ones of other figures.
    #[must_use]
    pub fn service_level(&self) -> Vec<Expect> {
        let usual = Expect::service_level().filter(|usual| {
            let is_measured = self.probes != Some(0) || !usual.figure.name.starts_with("latency");
            is_measured && self.expect.iter().all(|expect| expect.figure != usual.figure)
        });
        self.expect.iter().copied().chain(usual).collect()
    }

    /// The dialect of the client `index`.
    #[must_use]
    pub fn dialect_of(&self, index: usize) -> Dialect {
        self.mix.as_ref().map_or(self.dialect, |mix| mix.dialect(index))
    }

    /// Whether any player speaks a dialect.
    #[must_use]
    pub fn speaks(&self, dialect: Dialect) -> bool {
        self.mix.as_ref().map_or(self.dialect == dialect, |mix| mix.has(dialect))
    }

    /// The dialect of all players, or the shares.
    #[must_use]
    pub fn dialects(&self) -> String {
        self.mix.as_ref().map_or_else(|| self.dialect.to_string(), Mix::to_string)
    }

    /// The path of the URL for players of a dialect.
    #[must_use]
    pub fn path(&self, dialect: Dialect) -> &str {
        match (dialect, self.url.path.as_str()) {
            (Dialect::SocketIo, "/") => "/socket.io/",
            (Dialect::V1, "/") => "/ws",
            (_, path) => path,
        }
    }

    /// All clients: the players, then the slow readers, then the stalled ones.
    #[must_use]
    pub fn all_clients(&self) -> u32 {
        self.clients + self.slow_readers + self.stalled
    }

    /// Whether there are duels: players without them would disturb them.
    #[must_use]
    pub fn has_duels(&self) -> bool {
        let is_alone = !self.speaks(Dialect::Json) && !self.speaks(Dialect::V1);
        self.attacks_hz > 0.0 && is_alone
    }

    /// The transport of Socket.IO players.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport.unwrap_or(Transport::Websocket)
    }

    /// Which moves and attacks request an acknowledgement.
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
        hz if hz > 0.0 && hz < 0.001 => Err("expected 0 or a number from 0.001 to 1000".to_owned()),
        hz => Ok(hz),
    }
}

fn ramp_hz(text: &str) -> Result<f64, String> {
    number(text, 0.1, 100_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(moves_hz("0"), Ok(0.0));
        assert_eq!(seconds("0.5"), Ok(0.5));
        for text in ["-1", "NaN", "inf", "1e9", "", "0.0001"] {
            assert!(moves_hz(text).is_err(), "{text}");
        }
    }

    #[test]
    fn expectations_replace_the_usual_ones_of_the_same_figure() {
        let level = |flags: &[&str]| {
            let args = ["skirmish", "load", "--find-limit"].iter().chain(flags);
            let parsed = super::super::parse(args.map(std::ffi::OsString::from));
            let Ok(super::super::Config::Load(load)) = parsed else { panic!("{flags:?}") };
            load.service_level().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(level(&[]), ["states_min>=19.4", "gap_p99<=60", "latency_p99<=100"]);
        assert_eq!(
            level(&["--expect", "gap_p99<80", "--expect", "gap_max<200", "--probes", "0"]),
            ["gap_p99<80", "gap_max<200", "states_min>=19.4"]
        );
    }
}
