//! The figures of a report by the names of `--expect`.

use std::collections::BTreeMap;

use super::{Rates, Report, Spread};

/// The values of all figures that were measured, by name; see
/// [`FIGURES`](crate::config::FIGURES).
pub fn values(report: &Report) -> BTreeMap<String, f64> {
    let mut values = Values::default();
    let players = &report.players;
    values.add_rates("states", players.states_per_s);
    values.add_spread("gap", players.state_gap_ms);
    values.add_spread("latency", players.input_to_visible_ms);
    values.add_ends("connect", players.connect_ms);
    values.add("bytes_per_player", players.received_bytes_per_player_per_s);
    values.add("lost", Some(players.lost as f64));
    values.add("moves_lost", Some(players.probes_lost as f64));
    if let Some(socketio) = &report.socketio {
        values.add_ends("ack", socketio.acks.round_trip_ms);
        values.add_ends("hit", socketio.hits.and_then(|hits| hits.attack_to_hit_ms));
    }
    if let Some(v1) = &report.v1 {
        values.add("bytes_per_tick", v1.bytes_per_tick);
        values.add("keyframe_bytes_per_tick", v1.keyframe_bytes_per_tick);
        values.add("roster_bytes_per_tick", v1.roster_bytes_per_tick);
        values.add("join_bytes", v1.join_bytes);
        values.add_ends("turn", v1.turn_to_seen_ms);
        values.add("skipped", Some(v1.skipped as f64));
        values.add("quiet", Some(v1.quiet as f64));
        values.add("keyframes", Some(v1.keyframes as f64));
        values.add("crowded", Some(v1.crowded as f64));
        values.add("resyncs", Some(v1.resyncs as f64));
        values.add("checks", Some(v1.checks as f64));
        values.add("check_errors", Some(v1.check_errors as f64));
        values.add("malformed", Some(v1.malformed as f64));
    }
    if let Some(slow) = report.groups.get("slow") {
        values.add("slow_states_min", slow.states_per_s.map(|rates| rates.min));
        values.add_ends("slow_latency", slow.input_to_visible_ms);
        values.add("slow_lost", Some(slow.lost as f64));
    }
    if let Some(server) = &report.server {
        values.add("cpu_cores", Some(server.cpu_cores));
        values.add("cpu_per_state", server.cpu_us_per_state);
        values.add("memory", Some(server.rss_end_kib as f64 / 1024.0));
        values.add("memory_per_client", Some(server.rss_growth_bytes_per_client));
    }
    values.add("load_test_cores", Some(report.load_test.cpu_cores));
    values.add("load_test_late_p99", report.load_test.lateness_ms.map(|late| late.p99));
    values.0
}

#[derive(Default)]
struct Values(BTreeMap<String, f64>);

impl Values {
    fn add(&mut self, name: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value);
        }
    }

    fn add_rates(&mut self, name: &str, rates: Option<Rates>) {
        self.add(&format!("{name}_min"), rates.map(|rates| rates.min));
        self.add(&format!("{name}_p1"), rates.map(|rates| rates.p1));
        self.add(&format!("{name}_median"), rates.map(|rates| rates.median));
    }

    fn add_spread(&mut self, name: &str, spread: Option<Spread>) {
        self.add_ends(name, spread);
        self.add(&format!("{name}_p90"), spread.map(|spread| spread.p90));
        self.add(&format!("{name}_p99_9"), spread.map(|spread| spread.p99_9));
    }

    fn add_ends(&mut self, name: &str, spread: Option<Spread>) {
        self.add(&format!("{name}_p50"), spread.map(|spread| spread.p50));
        self.add(&format!("{name}_p99"), spread.map(|spread| spread.p99));
        self.add(&format!("{name}_max"), spread.map(|spread| spread.max));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::full_report;
    use super::*;
    use crate::config::FIGURES;

    #[test]
    fn every_figure_has_a_value_and_a_name() {
        let values = values(&full_report());
        let mut names: Vec<&str> = FIGURES.iter().map(|figure| figure.name).collect();
        names.sort_unstable();
        assert_eq!(values.keys().collect::<Vec<_>>(), names);
        assert_eq!((values["gap_p99"], values["slow_latency_p50"]), (51.5, 50.0));
    }
}
