//! docs/hardening.md names tests and metrics that exist, and every row once; the tests name their
//! rows.

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

/// The files with tests: paths below the root, and their text.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: std::path::PathBuf| {
        let below = path.strip_prefix(root).expect("it is below").display().to_string();
        (below, fs::read_to_string(&path).expect("source is text"))
    };
    [files("src", ".rs"), files("tests/it", ".rs")].concat().into_iter().map(read).collect()
}

/// The comments directly above each test of this name, attributes aside; those of a function, or of
/// a line of a table. Empty if there is no such test.
fn comments(sources: &[(String, String)], test: &str) -> Vec<String> {
    let (module, name) = test.rsplit_once("::").expect("a module");
    let is_in = |path: &str| {
        let mut modules = module.split("::").filter(|module| *module != "tests");
        modules.all(|module| path.split(['/', '.']).any(|part| part == module))
    };
    let (function, entry) = (format!("fn {name}("), format!("{name},"));
    let mut found = Vec::new();
    for (_, text) in sources.iter().filter(|(path, _)| is_in(path)) {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let is_place = |line: &str| line.contains(&function) || line.starts_with(&entry);
        for at in (0..lines.len()).filter(|at| is_place(lines[*at])) {
            let above = lines[..at].iter().rev();
            let above = above.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
            found.push(above.filter(|line| line.starts_with("//")).copied().collect());
        }
    }
    found
}

/// Whether a text names the row.
fn names(text: &str, row: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == row)
}

#[test]
fn every_row_has_a_test_that_exists_and_names_the_row() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = sources();
    for row in rows() {
        let number = &row[0];
        let tests: Vec<&str> = quoted(&row[3]).collect();
        assert!(!tests.is_empty(), "{number} has no test");
        for test in tests {
            if !test.contains("::") {
                let text = fs::read_to_string(root.join(test));
                let text = text.unwrap_or_else(|_| panic!("{number}: there is no file {test}"));
                assert!(names(&text, number), "{test} does not name {number}");
                continue;
            }
            let comments = comments(&sources, test);
            assert!(!comments.is_empty(), "{number}: there is no test {test}");
            let is_named = comments.iter().any(|comment| names(comment, number));
            assert!(is_named, "write // {number} above the #[test] of {test}");
        }
    }
}

#[test]
fn every_input_that_broke_others_has_a_test_or_a_reason() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/hardening.md");
    let page = fs::read_to_string(page).expect("the page");
    let (_, section) =
        page.split_once("## Inputs that broke other servers\n").expect("it is there");
    let section = section.split("\n## ").next().expect("split has a first part");
    let sources = sources();
    let mut rows = 0;
    for line in section.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let tests = line.trim_end_matches(" |").rsplit(" | ").next().expect("a last cell");
        let mut names = quoted(tests).filter(|name| name.contains("::")).peekable();
        assert!(names.peek().is_some() || tests.starts_with("does not apply: "), "{line}");
        for name in names {
            assert!(!comments(&sources, name).is_empty(), "there is no test {name}");
        }
        rows += 1;
    }
    assert!(rows > 30, "{rows}");
    let inputs = include_str!("known_inputs.rs").split(['"', ',', ' ', '\n']);
    for name in inputs.filter(|word| ["CVE-", "GHSA-"].iter().any(|kind| word.starts_with(kind))) {
        let name = name.trim_end_matches([':', '.']);
        assert!(section.contains(name), "{name} is not in the table");
    }
}

#[test]
fn every_row_has_a_metric_that_exists_or_a_reason() {
    let server = TestServer::start(&[]);
    let metrics = Peer::connect(server.addr).get("/metrics").text();
    for row in rows() {
        let cell = row.get(4).map_or("", String::as_str);
        let is_reason = cell.strip_prefix("none: ").is_some_and(|reason| !reason.is_empty());
        assert!(is_reason || cell.contains('`'), "{} has no metric and no reason", row[0]);
        for metric in quoted(cell) {
            let has = metrics.lines().any(|line| {
                let series = line.strip_prefix("skirmish_");
                series.is_some_and(|series| series.starts_with(metric))
            });
            assert!(has, "{}: there is no metric skirmish_{metric}", row[0]);
        }
    }
}
