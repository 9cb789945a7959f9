//! Counters and histograms of the server, rendered as Prometheus text.
//!
//! `server/` and `reactor/` share one [`Metrics`]; there are no statics. Every label comes from a
//! closed list, so that no peer can create a new series.

use std::fmt::Write;

use crate::close::CloseReason;

/// Why a message from a peer was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// The peer exceeded its rate limit.
    Rate,
    /// The message is not valid JSON.
    InvalidJson,
    /// The type of the message, or a value in it, is unknown.
    Unknown,
}

impl Drop {
    const ALL: [(Drop, &'static str); 3] =
        [(Drop::Rate, "rate"), (Drop::InvalidJson, "invalid_json"), (Drop::Unknown, "unknown")];
}

/// Why a connection or a join was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The address is banned.
    Banned,
    /// A request to an operator's route has no right token.
    Token,
    /// The address opens connections too often.
    AcceptRate,
    /// The address has too many connections.
    AddressFull,
    /// With `--proxy-protocol`: the peer is not a trusted proxy.
    UntrustedPeer,
    /// The address joins too often.
    JoinRate,
    /// All addresses together join too often.
    JoinRateTotal,
    /// The address requests pages too often, or too many bytes of them.
    PageRate,
    /// The Origin is not allowed.
    Origin,
    /// The Host is not allowed.
    Host,
    /// The client offers WebSocket subprotocols, and this server has none of them.
    Subprotocol,
    /// The server or the room is full.
    Full,
    /// The server holds too many bytes for clients.
    Memory,
    /// A player of an address with more than its share of a full room made room for another.
    RoomShare,
    /// The room does not exist and may not be created.
    NoRoom,
    /// The server has more clients than it can send states to.
    Overload,
    /// The server is shutting down.
    Draining,
}

impl Refusal {
    const ALL: [(Refusal, &'static str); 17] = [
        (Refusal::Banned, "banned"),
        (Refusal::Token, "token"),
        (Refusal::AcceptRate, "accept_rate"),
        (Refusal::AddressFull, "address_full"),
        (Refusal::UntrustedPeer, "untrusted_peer"),
        (Refusal::JoinRate, "join_rate"),
        (Refusal::JoinRateTotal, "join_rate_total"),
        (Refusal::PageRate, "page_rate"),
        (Refusal::Origin, "origin"),
        (Refusal::Host, "host"),
        (Refusal::Subprotocol, "subprotocol"),
        (Refusal::Full, "full"),
        (Refusal::Memory, "memory"),
        (Refusal::RoomShare, "room_share"),
        (Refusal::NoRoom, "no_room"),
        (Refusal::Overload, "overload"),
        (Refusal::Draining, "draining"),
    ];
}

/// What the loop does in one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnPhase {
    /// Sockets are read, and what came is handled.
    Read,
    /// Worlds advance, and states are made.
    Tick,
    /// Connections are accepted.
    Accept,
    /// Waiting bytes are written.
    Flush,
    /// Sockets of ended connections are closed.
    Reap,
}

impl TurnPhase {
    const ALL: [(TurnPhase, &'static str); 5] = [
        (TurnPhase::Read, "read"),
        (TurnPhase::Tick, "tick"),
        (TurnPhase::Accept, "accept"),
        (TurnPhase::Flush, "flush"),
        (TurnPhase::Reap, "reap"),
    ];
}

/// Upper bounds of the histogram buckets in microseconds, without the last bucket, `+Inf`.
const BOUNDS_US: [u64; 12] =
    [50, 100, 250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 500_000];

/// A histogram of durations.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    counts: [u64; BOUNDS_US.len() + 1],
    sum_us: u64,
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, span_us: u64) {
        let bucket = BOUNDS_US.partition_point(|bound| *bound < span_us);
        self.counts[bucket] += 1;
        self.sum_us += span_us;
    }

    /// The sum of all durations, in microseconds.
    #[must_use]
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    fn render(&self, name: &str, help: &str, out: &mut String) {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} histogram");
        let mut total = 0;
        for (count, bound_us) in self.counts.iter().zip(BOUNDS_US) {
            total += count;
            let _ = writeln!(out, "{name}_bucket{{le=\"{}\"}} {total}", seconds(bound_us));
        }
        total += self.counts[BOUNDS_US.len()];
        let _ = writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {total}");
        let _ = writeln!(out, "{name}_sum {}\n{name}_count {total}", seconds(self.sum_us));
    }
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

/// All counters. They only grow; each has the name of its series.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Connections accepted.
    pub accepted: u64,
    /// Times that the listener paused because the process had no file descriptors left.
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
    /// Ticks of the server.
    pub ticks: u64,
    /// Ticks skipped because the previous one took too long.
    pub ticks_missed: u64,
    /// Delay between the scheduled and the actual start of a tick.
    pub tick_lateness: Histogram,
    /// Time spent on the worlds and the encoding of a tick.
    pub tick_work: Histogram,
    /// Time spent in a turn of the loop, without waiting.
    pub turn_work: Histogram,
    longest_us: [u64; TurnPhase::ALL.len()],
    closes: [u64; CloseReason::ALL.len()],
    drops: [u64; Drop::ALL.len()],
    refusals: [u64; Refusal::ALL.len()],
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

    /// How many connections and joins were refused for this reason.
    #[must_use]
    pub fn refusals(&self, refusal: Refusal) -> u64 {
        self.refusals[refusal as usize]
    }

    /// Renders everything as Prometheus text (exposition format 0.0.4).
    #[must_use]
    pub fn render(&self, gauges: &Gauges) -> String {
        let mut out = String::new();
        let now = [
            ("connections", "Open connections.", gauges.connections),
            ("players", "Clients in all rooms, without bots.", gauges.players),
            (
                "players_absent",
                "Players whose clients were lost and may come back.",
                gauges.players_absent,
            ),
            ("bots", "Players that the server runs (--bots).", gauges.bots),
            ("rooms", "Rooms, empty ones included.", gauges.rooms),
            ("engine_sessions", "Engine.IO sessions.", gauges.engine_sessions),
            ("polls_held", "Polls that wait for a response.", gauges.polls_held),
            ("held_bytes", "Bytes held for clients (--max-memory).", gauges.held_bytes),
            ("held_bytes_max", "The maximum of them; 0 for no limit.", gauges.held_bytes_max),
            (
                "history_bytes",
                "Bytes that rooms keep for clients of skirmish.v1.",
                gauges.history_bytes,
            ),
            ("draining", "1 while the server is shutting down.", gauges.draining),
            (
                "overload_step",
                "Step that an overload has reached; 0 for none.",
                gauges.overload_step,
            ),
            ("busy_percent", "Share of the last second spent on work.", gauges.busy_percent),
        ];
        for (name, help, value) in now {
            series(&mut out, name, help, "gauge", value as u64);
        }
        let counters = [
            ("accepted_total", "Connections accepted.", self.accepted),
            ("accept_backoffs_total", "Pauses of the listener, out of fds.", self.accept_backoffs),
            ("tls_handshakes_total", "TLS handshakes completed.", self.tls_handshakes),
            (
                "tls_handshakes_failed_total",
                "TLS handshakes that failed.",
                self.tls_handshakes_failed,
            ),
            ("requests_total", "HTTP requests answered.", self.requests),
            ("joins_total", "Players that joined.", self.joins),
            ("resumes_total", "Clients that came back to their players.", self.resumes),
            ("recoveries_total", "Those that received what they had missed.", self.recoveries),
            ("clients_unknown_total", "Requests of unknown clients.", self.clients_unknown),
            ("clients_unnamed_total", "No X-Forwarded-For of proxies.", self.clients_unnamed),
            ("received_bytes_total", "Bytes read from sockets.", self.bytes_in),
            ("sent_bytes_total", "Bytes written to sockets.", self.bytes_out),
            ("received_frames_total", "WebSocket messages and control frames.", self.frames_in),
            ("sent_frames_total", "WebSocket frames sent or queued.", gauges.frames_out),
            ("snapshots_total", "States written to a socket.", self.snapshots),
            ("snapshots_skipped_total", "States skipped for slow clients.", self.snapshots_skipped),
            (
                "compressed_with_history_total",
                "Updates compressed with an earlier one, each once for all receivers.",
                gauges.compressed_with_history,
            ),
            ("compressed_alone_total", "Updates compressed alone.", gauges.compressed_alone),
            (
                "not_compressed_total",
                "Updates that a tick had no time to compress.",
                gauges.not_compressed,
            ),
            (
                "keyframes_deferred_total",
                "Keyframes that waited for a later tick, counted on each tick.",
                gauges.keyframes_deferred,
            ),
            ("compression_in_bytes_total", "Compressed bytes.", gauges.compression_in_bytes),
            (
                "compression_out_bytes_total",
                "Bytes after compression.",
                gauges.compression_out_bytes,
            ),
            (
                "snapshots_without_credit_total",
                "States skipped until the client acknowledges earlier ones.",
                self.snapshots_without_credit,
            ),
            ("changes_held_back_total", "Changes held back in crowds.", self.changes_held_back),
            ("overload_steps_total", "Steps taken because of an overload.", self.overload_steps),
            ("short_writes_total", "Short writes.", self.short_writes),
            ("panics_total", "Panics caught.", self.panics),
            ("ticks_total", "Ticks of the server.", self.ticks),
            ("ticks_missed_total", "Ticks skipped as too late.", self.ticks_missed),
            ("log_dropped_total", "Log lines dropped.", self.log_dropped),
        ];
        for (name, help, value) in counters {
            series(&mut out, name, help, "counter", value);
        }
        let closes = CloseReason::ALL.map(CloseReason::label);
        family(
            &mut out,
            "closes_total",
            "Connections ended, and Engine.IO sessions over polling.",
            &closes,
            &self.closes,
        );
        let drops = Drop::ALL.map(|(_, label)| label);
        family(&mut out, "drops_total", "Messages dropped.", &drops, &self.drops);
        let refusals = Refusal::ALL.map(|(_, label)| label);
        family(
            &mut out,
            "refusals_total",
            "Refused connections and joins.",
            &refusals,
            &self.refusals,
        );
        let lateness = "Delay of the start of a tick.";
        self.tick_lateness.render("skirmish_tick_lateness_seconds", lateness, &mut out);
        let work = "Time for the worlds and encoding of a tick.";
        self.tick_work.render("skirmish_tick_work_seconds", work, &mut out);
        let turn = "Time of a turn of the loop, without waiting.";
        self.turn_work.render("skirmish_turn_seconds", turn, &mut out);
        let name = "skirmish_turn_longest_seconds";
        let _ = writeln!(out, "# HELP {name} The longest phase of a turn.\n# TYPE {name} gauge");
        for (phase, label) in TurnPhase::ALL {
            let span = seconds(self.longest_us(phase));
            let _ = writeln!(out, "{name}{{phase=\"{label}\"}} {span}");
        }
        out
    }
}

fn series(out: &mut String, name: &str, help: &str, kind: &str, value: u64) {
    let _ = writeln!(
        out,
        "# HELP skirmish_{name} {help}\n# TYPE skirmish_{name} {kind}\nskirmish_{name} {value}"
    );
}

fn family(out: &mut String, name: &str, help: &str, labels: &[&str], values: &[u64]) {
    let _ = writeln!(out, "# HELP skirmish_{name} {help}\n# TYPE skirmish_{name} counter");
    for (label, value) in labels.iter().zip(values) {
        let _ = writeln!(out, "skirmish_{name}{{reason=\"{label}\"}} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_in_the_order_of_the_discriminants() {
        assert!(Drop::ALL.iter().enumerate().all(|(number, (drop, _))| *drop as usize == number));
        let mut refusals = Refusal::ALL.iter().enumerate();
        assert!(refusals.all(|(number, (refusal, _))| *refusal as usize == number));
        let mut phases = TurnPhase::ALL.iter().enumerate();
        assert!(phases.all(|(number, (phase, _))| *phase as usize == number));
    }

    #[test]
    fn histograms_add_up() {
        let mut metrics = Metrics::default();
        for span_us in [0, 50, 51, 3_000, 9_000_000] {
            metrics.tick_work.record(span_us);
        }
        metrics.count_close(CloseReason::Slow);
        let text = metrics.render(&Gauges::default());
        for line in [
            "skirmish_tick_work_seconds_bucket{le=\"0.00005\"} 2",
            "skirmish_tick_work_seconds_bucket{le=\"0.005\"} 4",
            "skirmish_tick_work_seconds_bucket{le=\"0.5\"} 4",
            "skirmish_tick_work_seconds_bucket{le=\"+Inf\"} 5",
            "skirmish_tick_work_seconds_sum 9.003101",
            "skirmish_closes_total{reason=\"slow\"} 1",
            "skirmish_closes_total{reason=\"fault\"} 0",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} in\n{text}");
        }
    }
}
