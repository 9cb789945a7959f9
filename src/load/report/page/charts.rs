//! The plots of the page: which figures of which runs they show.

use std::collections::BTreeMap;

use super::Run;
use super::plot::{Axis, Draw, Line, Plot};
use crate::load::report::{Report, Spread, grouped};
use crate::load::series::Sample;

const NO_PID: &str = "Not measured: --pid was not given.";
const NO_VALUES: &str = "Not measured.";

type Percentile = fn(&Spread) -> f64;

/// The percentiles of a plot, each with its name.
const PERCENTILES: [(&str, Percentile); 3] =
    [("p50", |spread| spread.p50), ("p99", |spread| spread.p99), ("max", |spread| spread.max)];

/// A figure by the number of players.
struct ByPlayers {
    id: &'static str,
    title: &'static str,
    unit: &'static str,
    /// The name of the figure, and what it is multiplied with for the unit.
    figure: (&'static str, f64),
    of_sample: fn(&Sample) -> Option<f64>,
    missing: &'static str,
}

const CPU: ByPlayers = ByPlayers {
    id: "cpu",
    title: "Server CPU by players",
    unit: "cores",
    figure: ("cpu_cores", 1.0),
    of_sample: |sample| sample.cpu_cores,
    missing: NO_PID,
};

const BYTES: ByPlayers = ByPlayers {
    id: "bytes",
    title: "Bytes per player by players",
    unit: "kB/s",
    figure: ("bytes_per_player", 1e-3),
    of_sample: |sample| sample.received_bytes_per_player_per_s,
    missing: NO_VALUES,
};

const MEMORY: ByPlayers = ByPlayers {
    id: "memory",
    title: "Server memory per connection",
    unit: "KiB",
    figure: ("memory_per_client", 1.0 / 1_024.0),
    of_sample: |sample| sample.rss_growth_bytes_per_client,
    missing: NO_PID,
};

/// All plots, for one run or for several.
pub fn plots(runs: &[Run]) -> Vec<Plot> {
    vec![
        over_time(runs, "gap-time", "Time between states", |sample| sample.state_gap_ms),
        over_time(runs, "latency-time", "Latency of own moves", |sample| {
            sample.input_to_visible_ms
        }),
        by_players(runs, &CPU),
        percentiles_by_players(runs, "gap-load", "Time between states by players", "gap"),
        percentiles_by_players(runs, "latency-load", "Latency by players", "latency"),
        by_players(runs, &BYTES),
        by_players(runs, &MEMORY),
    ]
}

/// A plot of percentiles in the course of the runs. The colour is that of the run, if there are
/// several, or of the percentile.
fn over_time(
    runs: &[Run],
    id: &'static str,
    title: &str,
    spread: fn(&Sample) -> Option<Spread>,
) -> Plot {
    let mut lines = Vec::new();
    for (nth, run) in runs.iter().enumerate() {
        for (place, (name, value)) in PERCENTILES.into_iter().enumerate() {
            let points = run
                .report
                .samples
                .iter()
                .map(|sample| (sample.at_s, spread(sample).map(|spread| value(&spread))));
            lines.push(Line {
                points: points.collect(),
                ..line(runs, nth, name, place, Draw::Line)
            });
        }
    }
    let title = match runs {
        [Run { report, .. }] if !report.steps.is_empty() => {
            format!("{title} with {} players", grouped(report.players.clients.into()))
        }
        _ => title.to_owned(),
    };
    let band = runs.first().map(|run| run.report).map(|report| {
        (report.measured_from_s, report.measured_from_s + report.measured_s, "measured")
    });
    Plot {
        id,
        title,
        x: Axis { label: "seconds since the start".to_owned() },
        y: Axis { label: "ms".to_owned() },
        lines,
        band,
        missing: NO_VALUES,
    }
}

/// A plot of percentiles for each measured number of players.
fn percentiles_by_players(runs: &[Run], id: &'static str, title: &str, figure: &str) -> Plot {
    let mut lines = Vec::new();
    for (nth, run) in runs.iter().enumerate() {
        for (place, (name, _)) in PERCENTILES.into_iter().enumerate() {
            lines.push(Line {
                points: steps(run.report, &format!("{figure}_{name}"), 1.0),
                ..line(runs, nth, name, place, Draw::Marked)
            });
        }
    }
    plot_by_players(id, title, "ms", lines, NO_VALUES)
}

/// A plot of one figure: the measured numbers of players, and the samples of the ramp if only one
/// number was measured.
fn by_players(runs: &[Run], of: &ByPlayers) -> Plot {
    let (figure, factor) = of.figure;
    let mut lines = Vec::new();
    for (nth, run) in runs.iter().enumerate() {
        lines.push(Line {
            points: steps(run.report, figure, factor),
            ..line(runs, nth, "measured", 0, Draw::Marked)
        });
        if run.report.steps.is_empty() {
            let samples = run.report.samples.iter().filter(|sample| sample.players > 0);
            let value = |sample| (of.of_sample)(sample).map(|value| (value * factor).max(0.0));
            lines.push(Line {
                points: samples.map(|one| (f64::from(one.players), value(one))).collect(),
                ..line(runs, nth, "samples of the run", 1, Draw::Marks)
            });
        }
    }
    plot_by_players(of.id, of.title, of.unit, lines, of.missing)
}

fn plot_by_players(
    id: &'static str,
    title: &str,
    unit: &str,
    lines: Vec<Line>,
    missing: &'static str,
) -> Plot {
    Plot {
        id,
        title: title.to_owned(),
        x: Axis { label: "players".to_owned() },
        y: Axis { label: unit.to_owned() },
        lines,
        band: None,
        missing,
    }
}

/// A line without points: its style says which run and which percentile it is.
fn line(runs: &[Run], nth: usize, name: &str, place: usize, draw: Draw) -> Line {
    let is_only = runs.len() == 1;
    Line {
        name: if is_only { name.to_owned() } else { format!("{}: {name}", runs[nth].name) },
        points: Vec::new(),
        colour: if is_only { place } else { nth },
        dash: place,
        is_square: nth > 0,
        draw,
    }
}

/// A figure for each number of players that was measured.
fn steps(report: &Report, figure: &str, factor: f64) -> Vec<(f64, Option<f64>)> {
    let value = |figures: &BTreeMap<String, f64>| {
        figures.get(figure).map(|value| (value * factor).max(0.0))
    };
    if report.steps.is_empty() {
        return vec![(f64::from(report.players.clients), value(&report.figures))];
    }
    let steps = report.steps.iter();
    steps.map(|step| (f64::from(step.clients), value(&step.figures))).collect()
}
