//! docs/hardening.md names tests and metrics that exist, and every row once.

use std::fs;
use std::path::Path;

use crate::harness::{Peer, TestServer};
use crate::tidy::files;

/// The rows of the tables: number, fault, defence, tests, metric.
fn rows() -> Vec<Vec<String>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/hardening.md");
    let page = fs::read_to_string(page).expect("the page");
    let table = page.lines().filter(|line| line.starts_with("| T"));
    table
        .map(|line| {
            let cells = line.split(" |");
            cells.map(|cell| cell.trim_start_matches('|').trim().to_owned()).collect()
        })
        .collect()
}

/// What stands in backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_row_is_there_once_and_in_order() {
    let numbers: Vec<String> = rows().into_iter().map(|row| row[0].clone()).collect();
    let expected: Vec<String> = (1..=84).map(|number| format!("T{number:02}")).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn every_row_has_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources: Vec<(String, String)> = [files("src", ".rs"), files("tests/it", ".rs")]
        .concat()
        .into_iter()
        .map(|path| {
            let below = path.strip_prefix(root).expect("it is below").display().to_string();
            (below, fs::read_to_string(&path).expect("source is text"))
        })
        .collect();
    for row in rows() {
        let tests: Vec<&str> = quoted(&row[3]).collect();
        assert!(!tests.is_empty(), "{} has no test", row[0]);
        for test in tests {
            let Some((module, name)) = test.rsplit_once("::") else {
                assert!(root.join(test).is_file(), "{}: there is no file {test}", row[0]);
                continue;
            };
            let first = module.split("::").next().expect("a part");
            let is_there = sources.iter().any(|(path, text)| {
                let is_in = path.split(['/', '.']).any(|part| part == first);
                is_in
                    && (text.contains(&format!("fn {name}(")) || text.contains(&format!("{name},")))
            });
            assert!(is_there, "{}: there is no test {test}", row[0]);
        }
    }
}

#[test]
fn every_metric_of_the_rows_exists() {
    let server = TestServer::start(&[]);
    let metrics = Peer::connect(server.addr).get("/metrics").text();
    for row in rows() {
        for metric in row.get(4).map(String::as_str).into_iter().flat_map(quoted) {
            let has = metrics.lines().any(|line| {
                let series = line.strip_prefix("skirmish_");
                series.is_some_and(|series| series.starts_with(metric))
            });
            assert!(has, "{}: there is no metric skirmish_{metric}", row[0]);
        }
    }
}
