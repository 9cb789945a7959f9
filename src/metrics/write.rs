//! The families of [`Metrics`] and [`Gauges`].

use std::env::consts::{ARCH, OS};

use super::labels::{RttSource, TurnPhase};
use super::text::{Kind, Text};
use super::{Gauges, Metrics};

impl Metrics {
    /// Writes everything, and what the machine says about the process.
    pub fn write(&self, gauges: &Gauges, text: &mut Text) {
        let help = "The version of the server, and for what it was built.";
        let labels = [("version", env!("CARGO_PKG_VERSION")), ("os", OS), ("arch", ARCH)];
        text.family(Kind::Gauge, "skirmish_build_info", help).sample(&labels, 1);
        if let Some(read_process) = self.read_process {
            read_process().write(text);
        }
        if let Some(started_at_s) = self.started_at_s {
            let help = "When the process started, in seconds since 1970.";
            text.single(Kind::Gauge, "process_start_time_seconds", help, started_at_s);
        }
        write_gauges(gauges, text);
        self.write_counters(gauges, text);
        self.write_reasons(text);
        self.write_histograms(text);
    }

    fn write_counters(&self, gauges: &Gauges, text: &mut Text) {
        let counters = [
            ("skirmish_accepted_total", "Connections accepted.", self.accepted),
            (
                "skirmish_accept_backoffs_total",
                "Accepts that failed, out of fds.",
                self.accept_backoffs,
            ),
            ("skirmish_tls_handshakes_total", "TLS handshakes completed.", self.tls_handshakes),
            (
                "skirmish_tls_handshakes_failed_total",
                "TLS handshakes that failed.",
                self.tls_handshakes_failed,
            ),
            ("skirmish_requests_total", "HTTP requests answered.", self.requests),
            ("skirmish_joins_total", "Players that joined.", self.joins),
            ("skirmish_resumes_total", "Clients that came back to their players.", self.resumes),
            (
                "skirmish_recoveries_total",
                "Those that received what they had missed.",
                self.recoveries,
            ),
            (
                "skirmish_clients_unknown_total",
                "Requests of unknown clients.",
                self.clients_unknown,
            ),
            (
                "skirmish_clients_unnamed_total",
                "No X-Forwarded-For of proxies.",
                self.clients_unnamed,
            ),
            ("skirmish_received_bytes_total", "Bytes read from sockets.", self.bytes_in),
            ("skirmish_sent_bytes_total", "Bytes written to sockets.", self.bytes_out),
            (
                "skirmish_received_frames_total",
                "WebSocket messages and control frames.",
                self.frames_in,
            ),
            ("skirmish_sent_frames_total", "WebSocket frames sent or queued.", gauges.frames_out),
            ("skirmish_snapshots_total", "States written to a socket.", self.snapshots),
            (
                "skirmish_snapshots_skipped_total",
                "States skipped for slow clients.",
                self.snapshots_skipped,
            ),
            (
                "skirmish_compressed_with_history_total",
                "Updates compressed with an earlier one, each once for all receivers.",
                gauges.compressed_with_history,
            ),
            (
                "skirmish_compressed_alone_total",
                "Updates compressed alone.",
                gauges.compressed_alone,
            ),
            (
                "skirmish_not_compressed_total",
                "Updates that a tick had no time to compress.",
                gauges.not_compressed,
            ),
            (
                "skirmish_keyframes_deferred_total",
                "Keyframes that waited for a later tick, counted on each tick.",
                gauges.keyframes_deferred,
            ),
            (
                "skirmish_compression_in_bytes_total",
                "Compressed bytes.",
                gauges.compression_in_bytes,
            ),
            (
                "skirmish_compression_out_bytes_total",
                "Bytes after compression.",
                gauges.compression_out_bytes,
            ),
            (
                "skirmish_snapshots_without_credit_total",
                "States skipped until the client acknowledges earlier ones.",
                self.snapshots_without_credit,
            ),
            (
                "skirmish_changes_held_back_total",
                "Changes held back in crowds.",
                self.changes_held_back,
            ),
            (
                "skirmish_overload_steps_total",
                "Steps taken because of an overload.",
                self.overload_steps,
            ),
            ("skirmish_short_writes_total", "Short writes.", self.short_writes),
            ("skirmish_panics_total", "Panics caught.", self.panics),
            ("skirmish_ticks_total", "Ticks of the server.", self.ticks),
            ("skirmish_ticks_missed_total", "Ticks skipped as too late.", self.ticks_missed),
            ("skirmish_log_dropped_total", "Log lines dropped.", self.log_dropped),
            ("skirmish_state_writes_total", "Writes of --state.", self.state_writes),
            (
                "skirmish_state_write_failures_total",
                "Writes of --state that failed.",
                self.state_write_failures,
            ),
        ];
        for (name, help, value) in counters {
            text.single(Kind::Counter, name, help, value);
        }
    }

    fn write_reasons(&self, text: &mut Text) {
        let help = "Connections ended, and Engine.IO sessions over polling.";
        let mut closes = text.family(Kind::Counter, "skirmish_closes_total", help);
        for (reason, count) in self.all_closes() {
            closes.sample(&[("reason", reason)], count);
        }
        let mut drops = text.family(Kind::Counter, "skirmish_drops_total", "Messages dropped.");
        for (reason, count) in self.all_drops() {
            drops.sample(&[("reason", reason)], count);
        }
        let help = "Refused connections and joins.";
        let mut refusals = text.family(Kind::Counter, "skirmish_refusals_total", help);
        for (reason, count) in self.all_refusals() {
            refusals.sample(&[("reason", reason)], count);
        }
    }

    fn write_histograms(&self, text: &mut Text) {
        let spans = [
            (
                "skirmish_tick_lateness_seconds",
                "Delay of the start of a tick.",
                &self.tick_lateness,
            ),
            (
                "skirmish_tick_work_seconds",
                "Time for the worlds and encoding of a tick.",
                &self.tick_work,
            ),
            (
                "skirmish_turn_seconds",
                "Time of a turn of the loop, without waiting.",
                &self.turn_work,
            ),
        ];
        for (name, help, histogram) in spans {
            text.histograms(name, help, [(None, histogram)]);
        }
        let rtts =
            RttSource::ALL.map(|(source, label)| (Some(("source", label)), self.rtts(source)));
        text.histograms("skirmish_rtt_seconds", "Round trips to clients.", rtts);
        let help = "Ticks since the one that a client acknowledges.";
        let ages = [(None, &self.acknowledged_age)];
        text.histograms("skirmish_acknowledged_age_ticks", help, ages);
        let help = "The longest phase of a turn.";
        let mut longest = text.family(Kind::Gauge, "skirmish_turn_longest_seconds", help);
        for (phase, label) in TurnPhase::ALL {
            longest.sample(&[("phase", label)], self.longest_us(phase) as f64 / 1e6);
        }
    }
}

fn write_gauges(gauges: &Gauges, text: &mut Text) {
    let now = [
        ("skirmish_connections", "Open connections.", gauges.connections),
        ("skirmish_players", "Clients in all rooms, without bots.", gauges.players),
        (
            "skirmish_players_absent",
            "Players whose clients were lost and may come back.",
            gauges.players_absent,
        ),
        ("skirmish_bots", "Players that the server runs (--bots).", gauges.bots),
        ("skirmish_rooms", "Rooms, empty ones included.", gauges.rooms),
        ("skirmish_engine_sessions", "Engine.IO sessions.", gauges.engine_sessions),
        ("skirmish_polls_held", "Polls that wait for a response.", gauges.polls_held),
        ("skirmish_held_bytes", "Bytes held for clients (--max-memory).", gauges.held_bytes),
        ("skirmish_held_bytes_max", "The maximum of them; 0 for no limit.", gauges.held_bytes_max),
        (
            "skirmish_history_bytes",
            "Bytes that rooms keep for clients of skirmish.v1.",
            gauges.history_bytes,
        ),
        ("skirmish_draining", "1 while the server is shutting down.", gauges.draining),
        (
            "skirmish_overload_step",
            "Step that an overload has reached; 0 for none.",
            gauges.overload_step,
        ),
        ("skirmish_busy_percent", "Share of the last second spent on work.", gauges.busy_percent),
    ];
    for (name, help, value) in now {
        text.single(Kind::Gauge, name, help, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::CloseReason;

    #[test]
    fn histograms_add_up() {
        let mut metrics = Metrics::default();
        for span_us in [0, 50, 51, 3_000, 9_000_000] {
            metrics.tick_work.record(span_us);
        }
        metrics.record_rtt(RttSource::EngineIoPing, 36);
        metrics.acknowledged_age.record(3);
        metrics.count_close(CloseReason::Slow);
        let mut text = Text::default();
        metrics.write(&Gauges::default(), &mut text);
        let text = text.into_string();
        for line in [
            "skirmish_tick_work_seconds_bucket{le=\"0.00005\"} 2",
            "skirmish_tick_work_seconds_bucket{le=\"0.005\"} 4",
            "skirmish_tick_work_seconds_bucket{le=\"0.5\"} 4",
            "skirmish_tick_work_seconds_bucket{le=\"+Inf\"} 5",
            "skirmish_tick_work_seconds_sum 9.003101",
            "skirmish_rtt_seconds_bucket{source=\"engineio_ping\",le=\"0.035\"} 0",
            "skirmish_rtt_seconds_bucket{source=\"engineio_ping\",le=\"0.05\"} 1",
            "skirmish_rtt_seconds_sum{source=\"engineio_ping\"} 0.036",
            "skirmish_rtt_seconds_count{source=\"websocket_ping\"} 0",
            "skirmish_acknowledged_age_ticks_bucket{le=\"2\"} 0",
            "skirmish_acknowledged_age_ticks_bucket{le=\"3\"} 1",
            "skirmish_closes_total{reason=\"slow\"} 1",
            "skirmish_closes_total{reason=\"fault\"} 0",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} in\n{text}");
        }
    }
}
