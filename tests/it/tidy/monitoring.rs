//! The page of the metrics, the alert rules and the dashboard against what `/metrics` returns.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use super::root;
use crate::harness::TestServer;
use crate::metrics::Families;

/// Labels that Prometheus adds, and `le` of the buckets.
const ADDED_LABELS: &[&str] = &["job", "instance", "le"];

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names in backticks in a cell of a table.
fn code(cell: &str) -> BTreeSet<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_metric_is_in_the_documents() {
    let page = read("docs/metrics.md");
    let families = Families::scrape(&TestServer::start(&[]));
    let mut documented = BTreeMap::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, kind, labels, meaning, _] = cells[..] else { continue };
        let Some(name) = code(name).pop_first() else { continue };
        assert!(!meaning.is_empty(), "{name} has no meaning");
        assert_eq!(documented.insert(name, (kind, code(labels))), None, "{name} is there twice");
    }
    let found: BTreeMap<&str, (&str, BTreeSet<&str>)> = families
        .0
        .iter()
        .map(|(name, family)| (&**name, (&*family.kind, families.label_names(name))))
        .collect();
    assert_eq!(documented, found, "docs/metrics.md has every metric as it is, and no other");
    for label in ["dialect", "transport", "source", "kind", "name", "reason", "phase"] {
        for value in families.label_values(label) {
            assert!(page.contains(&format!("`{value}`")), "docs/metrics.md has no {label} {value}");
        }
    }
}

/// Checks that a query names only series, labels and values of labels that exist. Returns the
/// number of series in it.
fn check(query: &str, families: &Families) -> usize {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let labels = families.0.keys().flat_map(|name| families.label_names(name));
    let labels: BTreeSet<&str> = labels.chain(ADDED_LABELS.iter().copied()).collect();
    for list in query.split("by (").chain(query.split("ignoring (")).skip(1) {
        let Some((list, _)) = list.split_once(')') else { continue };
        let mut names = list.split(',').map(str::trim);
        if list.chars().all(|c| is_word(c) || ", ".contains(c)) {
            assert!(names.all(|name| labels.contains(name)), "{list} in {query}");
        }
    }
    let mut count = 0;
    for (at, _) in query.match_indices("skirmish_").chain(query.match_indices("process_")) {
        if query[..at].ends_with(is_word) {
            continue;
        }
        let name: String = query[at..].chars().take_while(|c| is_word(*c)).collect();
        let parts = ["_bucket", "_sum", "_count"];
        let of_histogram = parts.iter().find_map(|part| name.strip_suffix(part));
        let family = of_histogram.unwrap_or(&name);
        let kind = families.0.get(family).map(|family| &*family.kind);
        assert!(kind.is_some(), "there is no {name}: {query}");
        assert_eq!(kind == Some("histogram"), of_histogram.is_some(), "{name} in {query}");
        count += 1;
        let Some(matchers) = query[at + name.len()..].strip_prefix('{') else { continue };
        let (matchers, _) = matchers.split_once('}').expect("a selector ends");
        for matcher in matchers.split(", ") {
            let (label, value) = matcher.split_once('"').expect("a value in quotes");
            let (label, value) =
                (label.trim_end_matches(['=', '!', '~']), value.trim_end_matches('"'));
            if ADDED_LABELS.contains(&label) {
                continue;
            }
            assert!(families.label_names(family).contains(label), "{label} in {query}");
            for value in value.split('|') {
                let exists = families.label_values(label).contains(value);
                assert!(exists, "{label} is never {value}: {query}");
            }
        }
    }
    count
}

#[test]
fn the_alert_rules_name_only_metrics_that_exist() {
    let families = Families::scrape(&TestServer::start(&[]));
    let text = read("ops/prometheus/alerts.yml");
    let mut rules = text.split("- alert: ");
    assert_eq!(check(rules.next().expect("a head"), &families), 0);
    let mut names = BTreeSet::new();
    for rule in rules {
        let (name, rest) = rule.split_once('\n').expect("a rule has several lines");
        assert!(names.insert(name), "{name} is there twice");
        let (query, rest) = rest.split_once("labels: ").expect("labels follow the query");
        assert!(check(query, &families) > 0 || query.contains("up{"), "{name}");
        assert!(["critical", "warning", "info"].iter().any(|it| rest.contains(it)), "{name}");
        assert!(rest.contains("summary: ") && rest.contains("description: "), "{name}");
    }
    assert!(names.len() > 10, "{names:?}");
}

#[test]
fn the_dashboard_names_only_metrics_that_exist() {
    let families = Families::scrape(&TestServer::start(&[]));
    let dashboard: Value =
        serde_json::from_str(&read("ops/grafana/skirmish.json")).expect("the dashboard is JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<u64> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has its own id");
    let mut count = 0;
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().expect("queries");
        for target in targets {
            let query = target["expr"].as_str().expect("a query");
            assert!(check(query, &families) > 0, "{query}");
            count += 1;
        }
        assert!(!targets.is_empty(), "{}", panel["title"]);
    }
    assert!(count > 30, "{count} queries");
}

#[test]
fn queries_with_unknown_names_are_found() {
    let families = Families::scrape(&TestServer::start(&[]));
    for query in [
        "skirmish_player",
        "rate(skirmish_rtt_seconds[5m])",
        "skirmish_players_bucket",
        "skirmish_players{rules=\"dots\"}",
        "skirmish_limit{name=\"connections\"}",
        "sum by (rule) (skirmish_players_by)",
        "skirmish_connections / ignoring (names) skirmish_limit",
    ] {
        let checked = std::panic::catch_unwind(|| check(query, &families));
        assert!(checked.is_err(), "{query}");
    }
    let right = "sum by (le, source) (rate(skirmish_rtt_seconds_bucket{job=\"x\"}[5m]))";
    assert_eq!(check(right, &families), 1);
}
