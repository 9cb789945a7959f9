//! The report as one HTML page without scripts and outside resources, for one run or two.

mod charts;
mod plot;

use std::fmt::{Result, Write};

use self::plot::number;
use super::{Report, grouped};
use crate::config::FIGURES;

/// A relative change below this is not called better or worse.
const CHANGE_MIN: f64 = 0.05;

/// A run on the page.
struct Run<'r> {
    name: &'static str,
    report: &'r Report,
}

/// The page of `report`, compared with an `earlier` one.
#[must_use]
pub fn html(report: &Report, earlier: Option<&Report>) -> String {
    let mut runs = vec![Run { name: "this run", report }];
    runs.extend(earlier.map(|report| Run { name: "earlier run", report }));
    let mut out = String::new();
    write_page(&runs, &mut out).expect("writing to memory cannot fail");
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn write_page(runs: &[Run], out: &mut String) -> Result {
    let report = runs[0].report;
    let url = escape(&report.url);
    writeln!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src \
         'unsafe-inline'\">\n\
         <title>Load test of {url}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>",
        include_str!("page.css")
    )?;
    writeln!(out, "<h1>Load test of {url}</h1>")?;
    writeln!(
        out,
        "<p class=\"quiet\">{}; {} players, {}, measured for {:.1} s</p>",
        escape(&report.machine.date),
        grouped(report.players.clients.into()),
        escape(&report.dialect),
        report.measured_s
    )?;
    write_results(report, out)?;
    writeln!(out, "<h2>Plots</h2>\n<div class=\"plots\">")?;
    for plot in charts::plots(runs) {
        plot.write(out)?;
    }
    writeln!(out, "</div>\n<h2>Figures</h2>")?;
    write_figures(runs, out)?;
    if !report.steps.is_empty() {
        write_steps(report, out)?;
    }
    writeln!(out, "<h2>Machine and settings</h2>")?;
    write_details(runs, out)?;
    writeln!(out, "</main>\n</body>\n</html>")
}

/// The limit, the expectations, lost players and warnings.
fn write_results(report: &Report, out: &mut String) -> Result {
    let mut lines = Vec::new();
    if let Some(limit) = &report.limit {
        lines.push(match limit.clients {
            Some(clients) => {
                format!("<p class=\"limit\">Limit: {} players</p>", grouped(clients.into()))
            }
            None => {
                "<p class=\"limit bad\">No number of players keeps the service level</p>".into()
            }
        });
        lines.push(match limit.broken_at {
            Some(clients) => format!(
                "<p>Broke first, with {} players: {}</p>",
                grouped(clients.into()),
                escape(&limit.broke.join(", "))
            ),
            None => "<p>Nothing broke.</p>".to_owned(),
        });
    }
    for one in &report.expectations {
        let (class, word) = if one.is_met { ("good", "Met") } else { ("bad", "Failed") };
        let text = escape(&one.to_string());
        lines.push(format!("<p><strong class=\"{class}\">{word}</strong> {text}</p>"));
    }
    for (kind, count) in &report.players.errors {
        let (kind, count) = (escape(kind), grouped(*count));
        lines.push(format!("<p><strong class=\"bad\">Lost</strong> {count} players: {kind}</p>"));
    }
    for warning in &report.warnings {
        lines.push(format!("<p><strong>Warning</strong> {}</p>", escape(warning)));
    }
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<section class=\"panel\" aria-label=\"Results\">\n{}\n</section>",
        lines.join("\n")
    )
}

fn write_figures(runs: &[Run], out: &mut String) -> Result {
    write!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Figures\">\
         <table class=\"figures\"><thead><tr><th scope=\"col\">Figure</th>"
    )?;
    for run in runs {
        write!(out, "<th scope=\"col\" class=\"n\">{}</th>", run.name)?;
    }
    let last = if runs.len() > 1 { "<th scope=\"col\" class=\"n\">change</th>" } else { "" };
    writeln!(out, "{last}</tr></thead><tbody>")?;
    for figure in FIGURES {
        let values: Vec<Option<f64>> =
            runs.iter().map(|run| run.report.figures.get(figure.name).copied()).collect();
        if values.iter().all(Option::is_none) {
            continue;
        }
        write!(out, "<tr><th scope=\"row\">{}</th>", figure.label)?;
        for value in &values {
            let text = value.map(|value| format!("{} {}", number(value), figure.unit));
            write!(out, "<td class=\"n\">{}</td>", text.unwrap_or_default())?;
        }
        if let [now, then] = values[..] {
            let change = now.zip(then).map(|(now, then)| change(figure.name, now, then));
            write!(out, "<td class=\"n change\">{}</td>", change.unwrap_or_default())?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></div>")
}

/// The relative change of a figure; of states per second more is better, of all others less.
fn change(name: &str, now: f64, then: f64) -> String {
    if then == 0.0 {
        return String::new();
    }
    // A change that rounds to zero has no sign.
    let change = ((now - then) / then * 1e3).round() / 1e3 + 0.0;
    let is_more_better = name.contains("states_");
    let percent = format!("{:+.1} %", change * 100.0);
    match change.abs() < CHANGE_MIN {
        true => percent,
        false if (change > 0.0) == is_more_better => {
            format!("{percent} <span class=\"good\">better</span>")
        }
        false => format!("{percent} <span class=\"bad\">worse</span>"),
    }
}

/// The numbers of players that a search measured.
fn write_steps(report: &Report, out: &mut String) -> Result {
    const COLUMNS: [(&str, &str); 5] = [
        ("states_min", "states/s"),
        ("gap_p99", "gap p99, ms"),
        ("latency_p99", "latency p99, ms"),
        ("bytes_per_player", "B/s per player"),
        ("cpu_cores", "CPU, cores"),
    ];
    writeln!(
        out,
        "<h2>Search for the limit</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" \
         aria-label=\"Search for the limit\"><table><thead><tr><th scope=\"col\" \
         class=\"n\">players</th>"
    )?;
    for (_, name) in COLUMNS {
        write!(out, "<th scope=\"col\" class=\"n\">{name}</th>")?;
    }
    writeln!(out, "<th scope=\"col\" class=\"n\">result</th></tr></thead><tbody>")?;
    for step in &report.steps {
        let clients = grouped(step.clients.into());
        write!(out, "<tr><th scope=\"row\" class=\"n\">{clients}</th>")?;
        for (name, _) in COLUMNS {
            let value = step.figures.get(name).copied().map(number).unwrap_or_default();
            write!(out, "<td class=\"n\">{value}</td>")?;
        }
        let result = match step.broke.is_empty() {
            true => "<span class=\"good\">kept</span>".to_owned(),
            false => format!("<span class=\"bad\">{}</span>", escape(&step.broke.join(", "))),
        };
        writeln!(out, "<td class=\"n\">{result}</td></tr>")?;
    }
    writeln!(out, "</tbody></table></div>")
}

fn write_details(runs: &[Run], out: &mut String) -> Result {
    type Detail = fn(&Report) -> String;
    let details: [(&str, Detail); 12] = [
        ("Date", |report| report.machine.date.clone()),
        ("Command", |report| report.machine.command.clone()),
        ("Version of Skirmish", |report| report.machine.version.clone()),
        ("CPU", |report| report.machine.cpu.clone()),
        ("Cores", |report| report.machine.cores.to_string()),
        ("Memory", |report| format!("{} MiB", grouped(report.machine.memory_mib))),
        ("Kernel", |report| report.machine.kernel.clone()),
        ("Server", |report| report.url.clone()),
        ("Players", |report| grouped(report.players.clients.into())),
        ("Dialect", |report| report.dialect.clone()),
        ("Moves", |report| format!("{} per second, {}", report.moves_hz, report.pattern)),
        ("Random seed", |report| report.seed.to_string()),
    ];
    writeln!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Machine and \
         settings\"><table>"
    )?;
    if runs.len() > 1 {
        write!(out, "<thead><tr><th scope=\"col\">Setting</th>")?;
        for run in runs {
            write!(out, "<th scope=\"col\">{}</th>", run.name)?;
        }
        writeln!(out, "</tr></thead>")?;
    }
    writeln!(out, "<tbody>")?;
    for (name, detail) in details {
        write!(out, "<tr><th scope=\"row\">{name}</th>")?;
        for run in runs {
            let value = escape(&detail(run.report));
            match name {
                "Command" => write!(out, "<td class=\"text\"><code>{value}</code></td>")?,
                _ => write!(out, "<td class=\"text\">{value}</td>")?,
            }
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></div>")
}

#[cfg(test)]
mod tests {
    use html5gum::{Token, Tokenizer};

    use super::*;
    use crate::load::report::{Limit, Spread, Step};
    use crate::load::series::Sample;

    /// The ids of the plots.
    const PLOTS: [&str; 7] =
        ["gap-time", "latency-time", "cpu", "gap-load", "latency-load", "bytes", "memory"];
    /// Elements without an end tag.
    const VOID: [&str; 1] = ["meta"];

    fn run() -> Report {
        let mut report = super::super::tests::full_report();
        report.url = "ws://h/?name=<b>\"&".to_owned();
        let ms = |p50| Some(Spread { p50, p90: p50, p99: p50 + 5.0, p99_9: 60.0, max: 61.0 });
        report.samples = (1..20)
            .map(|nth| Sample {
                at_s: f64::from(nth) * 0.5,
                players: (nth * 100).min(1_000),
                state_gap_ms: ms(50.0).filter(|_| nth > 1),
                input_to_visible_ms: ms(30.0),
                received_bytes_per_player_per_s: Some(1_000.0 * f64::from(nth)),
                cpu_cores: Some(0.03 * f64::from(nth)),
                rss_growth_bytes_per_client: Some(-5.0),
            })
            .collect();
        report.judge(&["gap_p99<60".parse().unwrap(), "gap_max<60".parse().unwrap()]);
        report
    }

    fn search() -> Report {
        let mut report = run();
        let step = |clients, broke: &[&str]| Step {
            clients,
            figures: report.figures.clone(),
            broke: broke.iter().map(ToString::to_string).collect(),
        };
        report.steps = vec![step(4_000, &[]), step(8_000, &[]), step(16_000, &["gap_max<60: 61"])];
        report.limit = Some(Limit {
            clients: Some(8_000),
            broken_at: Some(16_000),
            broke: vec!["gap_max<60: 61".to_owned()],
            expected: Vec::new(),
        });
        report
    }

    /// Checks that all tags are closed in order; returns the attributes and the text.
    fn parse(html: &str) -> (Vec<(String, String)>, String) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (mut open, mut attributes, mut all) = (Vec::new(), Vec::new(), String::new());
        for token in Tokenizer::new(html) {
            match token.unwrap() {
                Token::StartTag(tag) => {
                    let name = text(&tag.name);
                    for (key, value) in &tag.attributes {
                        attributes.push((text(key), text(value)));
                    }
                    if !tag.self_closing && !VOID.contains(&name.as_str()) {
                        open.push(name);
                    }
                }
                Token::EndTag(tag) => assert_eq!(open.pop(), Some(text(&tag.name)), "{all}"),
                Token::String(one) => all += &text(&one),
                Token::Error(error) => panic!("{error:?} after {all}"),
                Token::Comment(_) | Token::Doctype(_) => {}
            }
        }
        assert!(open.is_empty(), "{open:?} are not closed");
        (attributes, all)
    }

    #[test]
    fn a_page_has_every_plot_and_nothing_from_elsewhere() {
        let (one, other) = (run(), search());
        for (report, earlier) in [(&one, None), (&other, None), (&one, Some(&other))] {
            let html = html(report, earlier);
            let (attributes, text) = parse(&html);
            for id in PLOTS {
                assert!(attributes.contains(&("id".to_owned(), id.to_owned())), "{id}");
                let table = ("id".to_owned(), format!("{id}-data"));
                assert!(attributes.contains(&table), "the data of {id}");
            }
            for (key, value) in &attributes {
                assert!(!["src", "href", "style", "onload"].contains(&key.as_str()), "{key}");
                assert!(!value.contains("NaN") && !value.contains("inf"), "{key}: {value}");
            }
            for word in ["url(", "@import", "http:", "https:", "<script", "<b>"] {
                assert!(!html.contains(word), "{word}");
            }
            for part in ["gap_max<60: 60.25", "Version of Skirmish", "p99"] {
                assert!(text.contains(part), "{part}");
            }
            assert_eq!(text.contains("Search for the limit"), !report.steps.is_empty());
            assert_eq!(text.contains("earlier run"), earlier.is_some());
        }
    }

    #[test]
    fn what_was_not_measured_is_named() {
        let mut report = super::super::tests::report();
        report.judge(&[]);
        let (_, text) = parse(&html(&report, None));
        assert!(text.contains("--pid was not given") && text.contains("Not measured."), "{text}");
    }

    #[test]
    fn changes_are_better_or_worse() {
        assert_eq!(change("gap_p99", 52.0, 50.0), "+4.0 %");
        assert!(change("gap_p99", 60.0, 50.0).contains("+20.0 % <span class=\"bad\">worse"));
        assert!(change("states_min", 20.0, 10.0).contains("better"));
        assert!(change("cpu_per_state", 2.0, 4.0).contains("better"));
        assert_eq!(change("lost", 1.0, 0.0), "");
    }
}
