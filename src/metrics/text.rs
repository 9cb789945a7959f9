//! Prometheus text (exposition format 0.0.4). A family is written as a whole, so that its samples
//! are contiguous and it has one HELP and one TYPE.

use std::fmt::{Display, Write};

use super::histogram::{Histogram, Scale};

/// The names and values of labels.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// The text so far.
#[derive(Debug, Default)]
pub struct Text(String);

/// The type of a family without buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// A current value.
    Gauge,
}

/// A family whose samples follow.
#[derive(Debug)]
pub struct Family<'t> {
    text: &'t mut Text,
    name: &'t str,
}

impl Text {
    /// Begins a family.
    pub fn family<'t>(&'t mut self, kind: Kind, name: &'t str, help: &str) -> Family<'t> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.head(name, help, kind);
        Family { text: self, name }
    }

    /// Writes a family of one sample without labels.
    pub fn single(&mut self, kind: Kind, name: &str, help: &str, value: impl Display) {
        self.family(kind, name, help).sample(&[], value);
    }

    /// Writes a family of histograms, each with its own label.
    pub fn histograms<'h, S: Scale + 'h>(
        &mut self,
        name: &str,
        help: &str,
        histograms: impl IntoIterator<Item = (Option<(&'h str, &'h str)>, &'h Histogram<S>)>,
    ) {
        self.head(name, help, "histogram");
        let (bucket, sum, count) =
            (format!("{name}_bucket"), format!("{name}_sum"), format!("{name}_count"));
        for (label, histogram) in histograms {
            let total = histogram.count();
            let bounds = histogram.cumulative().map(|(bound, total)| (bound.to_string(), total));
            for (bound, total) in bounds.chain([("+Inf".to_owned(), total)]) {
                let labels: Vec<_> = label.into_iter().chain([("le", &*bound)]).collect();
                self.sample(&bucket, &labels, total);
            }
            self.sample(&sum, label.as_slice(), histogram.sum_units());
            self.sample(&count, label.as_slice(), total);
        }
    }

    /// The whole text.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: Labels, value: impl Display) {
        self.0.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{before}{label}=\"{value}\"");
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }
}

impl Family<'_> {
    /// Writes a sample. No other one of the family may have the same labels.
    pub fn sample(&mut self, labels: Labels, value: impl Display) {
        self.text.sample(self.name, labels, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.family(Kind::Gauge, "a", "A.").sample(&[("b", "x\"y\\z\n"), ("c", "")], 1);
        let expected = "# HELP a A.\n# TYPE a gauge\na{b=\"x\\\"y\\\\z\\n\",c=\"\"} 1\n";
        assert_eq!(text.into_string(), expected);
    }
}
