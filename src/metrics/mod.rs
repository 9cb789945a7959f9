//! Counters and histograms of the server, and their form as Prometheus text (docs/metrics.md).
//!
//! `server/` and `reactor/` share one [`Metrics`]; there are no statics. Every label comes from a
//! closed list, so that no peer can create a new series.

use crate::close::CloseReason;

mod histogram;
mod labels;
mod process;
mod text;
mod write;

pub use histogram::{AgeTicks, Histogram, RoundTripMs, WorkUs};
pub use labels::{Drop, Refusal, RttSource, TurnPhase};
pub use process::Process;
pub use text::{Family, Kind, Labels, Text};

/// All counters. They only grow; each has the name of its series.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Connections accepted.
    pub accepted: u64,
    /// Accepts that failed because the process had no file descriptors left.
    pub accept_backoffs: u64,
    /// TLS handshakes completed.
    pub tls_handshakes: u64,
    /// TLS handshakes that failed.
    pub tls_handshakes_failed: u64,
    /// HTTP requests answered.
    pub requests: u64,
    /// Players that joined.
    pub joins: u64,
    /// Clients that came back to their players.
    pub resumes: u64,
    /// Those of them that received the events that they had missed.
    pub recoveries: u64,
    /// Requests of clients whose address a trusted proxy does not name: `X-Forwarded-For` is not an
    /// address, or a header of the PROXY protocol has none.
    pub clients_unknown: u64,
    /// Requests of a trusted proxy without `X-Forwarded-For`.
    pub clients_unnamed: u64,
    /// Bytes read from sockets.
    pub bytes_in: u64,
    /// Bytes written to sockets.
    pub bytes_out: u64,
    /// WebSocket messages and control frames read.
    pub frames_in: u64,
    /// States written completely to a socket.
    pub snapshots: u64,
    /// States that were skipped because the client had not yet taken an earlier one.
    pub snapshots_skipped: u64,
    /// States that were skipped because the client had not acknowledged earlier ones.
    pub snapshots_without_credit: u64,
    /// Steps taken because of an overload.
    pub overload_steps: u64,
    /// Changes of course that were held back from clients of skirmish.v1, counted on each tick.
    pub changes_held_back: u64,
    /// Short writes.
    pub short_writes: u64,
    /// Panics caught.
    pub panics: u64,
    /// Log lines dropped because the writer was too slow.
    pub log_dropped: u64,
    /// How often the file of `--state` was written.
    pub state_writes: u64,
    /// How often that failed.
    pub state_write_failures: u64,
    /// Ticks of the server.
    pub ticks: u64,
    /// Ticks skipped because the previous one took too long.
    pub ticks_missed: u64,
    /// Delay between the scheduled and the actual start of a tick.
    pub tick_lateness: Histogram<WorkUs>,
    /// Time spent on the worlds and the encoding of a tick.
    pub tick_work: Histogram<WorkUs>,
    /// Time spent in a turn of the loop, without waiting.
    pub turn_work: Histogram<WorkUs>,
    /// Age of the newest tick that a client has, when it acknowledges it.
    pub acknowledged_age: Histogram<AgeTicks>,
    rtts: [Histogram<RoundTripMs>; RttSource::ALL.len()],
    longest_us: [u64; TurnPhase::ALL.len()],
    closes: [u64; CloseReason::ALL.len()],
    drops: [u64; Drop::ALL.len()],
    refusals: [u64; Refusal::ALL.len()],
    /// Asks the machine about the process. Only `reactor/` reads files.
    pub read_process: Option<fn() -> Process>,
    /// When the process started, in seconds since 1970, if the machine says so.
    pub started_at_s: Option<f64>,
}

/// Current values.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    /// Open connections.
    pub connections: usize,
    /// Players, without bots.
    pub players: usize,
    /// Bots.
    pub bots: usize,
    /// Players whose clients were lost and may come back.
    pub players_absent: usize,
    /// Rooms, empty ones included.
    pub rooms: usize,
    /// Engine.IO sessions over any transport.
    pub engine_sessions: usize,
    /// Polls that wait for a response.
    pub polls_held: usize,
    /// Bytes that are held for clients.
    pub held_bytes: usize,
    /// The maximum of them; 0 for no limit.
    pub held_bytes_max: usize,
    /// WebSocket frames sent or queued so far; the connections count them.
    pub frames_out: u64,
    /// 1 while the server is shutting down.
    pub draining: usize,
    /// What rooms keep for clients of skirmish.v1, as of the last second.
    pub history_bytes: usize,
    /// The step that an overload has reached.
    pub overload_step: usize,
    /// The share of the last second in which it worked.
    pub busy_percent: usize,
    /// Updates that were compressed with an earlier one as their dictionary, so far; each once for
    /// all its receivers.
    pub compressed_with_history: u64,
    /// Updates that were compressed alone, so far.
    pub compressed_alone: u64,
    /// Updates that were not compressed because there was too much to compress, so far.
    pub not_compressed: u64,
    /// Keyframes that were not sent on a tick, because others took all bytes for them.
    pub keyframes_deferred: u64,
    /// Bytes before compression, so far.
    pub compression_in_bytes: u64,
    /// Bytes after compression, so far.
    pub compression_out_bytes: u64,
}

impl Metrics {
    /// Counts the end of a connection, or of an Engine.IO session over polling.
    pub fn count_close(&mut self, reason: CloseReason) {
        self.closes[reason as usize] += 1;
    }

    /// Counts a dropped message.
    pub fn count_drop(&mut self, drop: Drop) {
        self.drops[drop as usize] += 1;
    }

    /// The number of messages that were dropped for this reason.
    #[must_use]
    pub fn drops(&self, drop: Drop) -> u64 {
        self.drops[drop as usize]
    }

    /// Counts a refused connection or join.
    pub fn count_refusal(&mut self, refusal: Refusal) {
        self.refusals[refusal as usize] += 1;
    }

    /// The number of connections that ended for `reason`.
    #[must_use]
    pub fn closes(&self, reason: CloseReason) -> u64 {
        self.closes[reason as usize]
    }

    /// Records how long a phase of a turn took.
    pub fn record_phase(&mut self, phase: TurnPhase, span_us: u64) {
        let longest = &mut self.longest_us[phase as usize];
        *longest = span_us.max(*longest);
    }

    /// The longest time that a phase has taken in one turn, in microseconds.
    #[must_use]
    pub fn longest_us(&self, phase: TurnPhase) -> u64 {
        self.longest_us[phase as usize]
    }

    /// Records a round trip to a client.
    pub fn record_rtt(&mut self, source: RttSource, span_ms: u64) {
        self.rtts[source as usize].record(span_ms);
    }

    /// The round trips that were measured like this.
    #[must_use]
    pub fn rtts(&self, source: RttSource) -> &Histogram<RoundTripMs> {
        &self.rtts[source as usize]
    }

    /// The messages that were dropped, by reason.
    pub fn all_drops(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Drop::ALL.into_iter().map(|(drop, label)| (label, self.drops(drop)))
    }

    /// The connections and joins that were refused, by reason.
    pub fn all_refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Refusal::ALL.into_iter().map(|(refusal, label)| (label, self.refusals(refusal)))
    }

    /// The connections that ended, by reason.
    pub fn all_closes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CloseReason::ALL.into_iter().map(|reason| (reason.label(), self.closes(reason)))
    }

    /// How many connections and joins were refused for this reason.
    #[must_use]
    pub fn refusals(&self, refusal: Refusal) -> u64 {
        self.refusals[refusal as usize]
    }
}
