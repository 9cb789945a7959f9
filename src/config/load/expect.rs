//! The figures of the load test by name, and what a run is expected to reach.

use std::fmt;
use std::str::FromStr;

/// What a figure needs, to be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// The process of the server.
    Pid,
    /// Socket.IO players.
    SocketIo,
    /// Duels.
    Duels,
    /// Players of skirmish.v1.
    V1,
    /// Slow readers.
    SlowReaders,
}

/// A figure of the report.
#[derive(Debug, PartialEq, Eq)]
pub struct Figure {
    /// The name, such as `gap_p99`.
    pub name: &'static str,
    /// What it is, for the report.
    pub label: &'static str,
    /// The unit; empty for a count.
    pub unit: &'static str,
    /// What it needs.
    pub need: Need,
}

const fn figure(name: &'static str, label: &'static str, unit: &'static str, need: Need) -> Figure {
    Figure { name, label, unit, need }
}

/// All figures.
pub const FIGURES: &[Figure] = &[
    figure("states_min", "States per second and player, minimum", "/s", Need::Nothing),
    figure("states_p1", "States per second and player, 1st percentile", "/s", Need::Nothing),
    figure("states_median", "States per second and player, median", "/s", Need::Nothing),
    figure("gap_p50", "Time between states, p50", "ms", Need::Nothing),
    figure("gap_p90", "Time between states, p90", "ms", Need::Nothing),
    figure("gap_p99", "Time between states, p99", "ms", Need::Nothing),
    figure("gap_p99_9", "Time between states, p99.9", "ms", Need::Nothing),
    figure("gap_max", "Time between states, maximum", "ms", Need::Nothing),
    figure("latency_p50", "Latency of an own move, p50", "ms", Need::Nothing),
    figure("latency_p90", "Latency of an own move, p90", "ms", Need::Nothing),
    figure("latency_p99", "Latency of an own move, p99", "ms", Need::Nothing),
    figure("latency_p99_9", "Latency of an own move, p99.9", "ms", Need::Nothing),
    figure("latency_max", "Latency of an own move, maximum", "ms", Need::Nothing),
    figure("connect_p50", "Time to connect, p50", "ms", Need::Nothing),
    figure("connect_p99", "Time to connect, p99", "ms", Need::Nothing),
    figure("connect_max", "Time to connect, maximum", "ms", Need::Nothing),
    figure("ack_p50", "Time to acknowledge, p50", "ms", Need::SocketIo),
    figure("ack_p99", "Time to acknowledge, p99", "ms", Need::SocketIo),
    figure("ack_max", "Time to acknowledge, maximum", "ms", Need::SocketIo),
    figure("hit_p50", "Attack to hit, p50", "ms", Need::Duels),
    figure("hit_p99", "Attack to hit, p99", "ms", Need::Duels),
    figure("hit_max", "Attack to hit, maximum", "ms", Need::Duels),
    figure("bytes_per_player", "Bytes received per second and player", "B/s", Need::Nothing),
    figure("bytes_per_tick", "Bytes per player and tick", "B", Need::V1),
    figure("keyframe_bytes_per_tick", "Keyframes: bytes per player and tick", "B", Need::V1),
    figure("roster_bytes_per_tick", "ROSTERs: bytes per player and tick", "B", Need::V1),
    figure("join_bytes", "WELCOME and keyframes of a join", "B", Need::V1),
    figure("turn_p50", "Change of course until seen by others, p50", "ms", Need::V1),
    figure("turn_p99", "Change of course until seen by others, p99", "ms", Need::V1),
    figure("turn_max", "Change of course until seen by others, maximum", "ms", Need::V1),
    figure("skipped", "States of several ticks", "", Need::V1),
    figure("quiet", "Ticks without a change", "", Need::V1),
    figure("keyframes", "States without a base", "", Need::V1),
    figure("crowded", "States while changes were held back", "", Need::V1),
    figure("resyncs", "RESYNCs sent", "", Need::V1),
    figure("checks", "Sums compared", "", Need::V1),
    figure("check_errors", "Sums that differed", "", Need::V1),
    figure("malformed", "Malformed messages", "", Need::V1),
    figure("cpu_cores", "Server CPU", "cores", Need::Pid),
    figure("cpu_per_state", "Server CPU per state", "µs", Need::Pid),
    figure("memory", "Server memory at the end", "MiB", Need::Pid),
    figure("memory_per_client", "Server memory per connection", "B", Need::Pid),
    figure("lost", "Players lost", "", Need::Nothing),
    figure("moves_lost", "Moves not seen within 2 s", "", Need::Nothing),
    figure("slow_states_min", "Slow readers: states per second, minimum", "/s", Need::SlowReaders),
    figure("slow_latency_p50", "Slow readers: latency after a pause, p50", "ms", Need::SlowReaders),
    figure("slow_latency_p99", "Slow readers: latency after a pause, p99", "ms", Need::SlowReaders),
    figure(
        "slow_latency_max",
        "Slow readers: latency after a pause, maximum",
        "ms",
        Need::SlowReaders,
    ),
    figure("slow_lost", "Slow readers lost", "", Need::SlowReaders),
    figure("load_test_cores", "CPU of the load test", "cores", Need::Nothing),
    figure("load_test_late_p99", "Delay of the load test, p99", "ms", Need::Nothing),
];

/// How a figure is compared with the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Below,
    AtMost,
    Above,
    AtLeast,
}

/// The comparisons as they are written; those with two characters come first.
const COMPARISONS: [(&str, Comparison); 4] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("<", Comparison::Below),
    (">", Comparison::Above),
];

/// An expected value of a figure, such as `gap_p99<60`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expect {
    /// The figure.
    pub figure: &'static Figure,
    comparison: Comparison,
    limit: f64,
}

impl Expect {
    /// The usual service level of a server with 20 states per second: 0.97 of these, states that
    /// come when the next one is due, and moves that are seen after two ticks.
    pub(super) fn service_level() -> impl Iterator<Item = Expect> {
        let all = [
            ("states_min", Comparison::AtLeast, 19.4),
            ("gap_p99", Comparison::AtMost, 60.0),
            ("latency_p99", Comparison::AtMost, 100.0),
        ];
        all.into_iter().filter_map(|(name, comparison, limit)| {
            let figure = FIGURES.iter().find(|figure| figure.name == name)?;
            Some(Expect { figure, comparison, limit })
        })
    }

    /// Whether a value is as expected; one that was not measured is not.
    #[must_use]
    pub fn is_met(&self, value: Option<f64>) -> bool {
        value.is_some_and(|value| match self.comparison {
            Comparison::Below => value < self.limit,
            Comparison::AtMost => value <= self.limit,
            Comparison::Above => value > self.limit,
            Comparison::AtLeast => value >= self.limit,
        })
    }
}

impl FromStr for Expect {
    type Err = String;

    fn from_str(text: &str) -> Result<Expect, String> {
        let found = COMPARISONS.iter().find_map(|(sign, comparison)| {
            text.split_once(sign).map(|(name, limit)| (name.trim(), *comparison, limit.trim()))
        });
        let (name, comparison, limit) =
            found.ok_or("expected a figure, one of < <= > >=, and a number, such as gap_p99<60")?;
        let figure = FIGURES.iter().find(|figure| figure.name == name).ok_or_else(|| {
            let names: Vec<&str> = FIGURES.iter().map(|figure| figure.name).collect();
            format!("unknown figure {name:?}; the figures are {}", names.join(", "))
        })?;
        let limit = limit.parse().ok().filter(|limit: &f64| limit.is_finite());
        let limit = limit.ok_or_else(|| format!("expected a number after {name}"))?;
        Ok(Expect { figure, comparison, limit })
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = COMPARISONS.iter().find(|(_, one)| *one == self.comparison);
        write!(f, "{}{}{}", self.figure.name, sign.map_or("", |(sign, _)| sign), self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expectations_compare_a_figure_with_a_number() {
        for (text, met, failed) in [
            ("gap_p99<60", 59.9, 60.0),
            ("gap_p99 <= 60", 60.0, 60.1),
            ("states_min>19.4", 19.5, 19.4),
            ("states_min>=19.4", 19.4, 19.3),
        ] {
            let expect: Expect = text.parse().unwrap();
            assert_eq!(expect.to_string(), text.replace(' ', ""));
            assert!(expect.is_met(Some(met)) && !expect.is_met(Some(failed)), "{text}");
            assert!(!expect.is_met(None), "{text}");
        }
    }

    #[test]
    fn the_usual_service_level_has_three_parts() {
        let all: Vec<String> = Expect::service_level().map(|one| one.to_string()).collect();
        assert_eq!(all, ["states_min>=19.4", "gap_p99<=60", "latency_p99<=100"]);
    }

    #[test]
    fn a_bad_expectation_is_rejected_with_the_names_of_the_figures() {
        let refused = |text: &str| text.parse::<Expect>().unwrap_err();
        let sentence = refused("gap<60");
        assert!(FIGURES.iter().all(|figure| sentence.contains(figure.name)), "{sentence}");
        assert!(refused("gap_p99").contains("such as gap_p99<60"));
        for text in ["gap_p99=<60", "gap_p99<", "gap_p99<x", "gap_p99<inf", "gap_p99<<1"] {
            assert!(!refused(text).is_empty(), "{text}");
        }
    }
}
