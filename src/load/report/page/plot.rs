//! A plot as inline SVG, with a legend and its data as a table.

use std::collections::BTreeSet;
use std::fmt::{Result, Write};

use super::escape;
use crate::load::report::grouped;

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 50.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 42.0;
/// Space between two labels of an axis, at least.
const X_SPACE: f64 = 60.0;
const Y_SPACE: f64 = 32.0;

/// An axis that begins at 0.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it shows, with the unit.
    pub label: String,
}

/// How the points of a line are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Connected.
    Line,
    /// Connected, each with a mark.
    Marked,
    /// As marks only.
    Marks,
}

/// One line, with its place in the legend.
#[derive(Clone, Debug)]
pub struct Line {
    /// The name in the legend.
    pub name: String,
    /// The points, in the order of x. A missing y interrupts the line.
    pub points: Vec<(f64, Option<f64>)>,
    /// The number of its colour.
    pub colour: usize,
    /// The number of its dashes.
    pub dash: usize,
    /// Whether its marks are squares.
    pub is_square: bool,
    /// How it is drawn.
    pub draw: Draw,
}

/// A plot.
#[derive(Clone, Debug)]
pub struct Plot {
    /// The id of its elements.
    pub id: &'static str,
    /// The title.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The lines.
    pub lines: Vec<Line>,
    /// The part of the x axis that is shaded, with its name.
    pub band: Option<(f64, f64, &'static str)>,
    /// What is missing, if there are no points.
    pub missing: &'static str,
}

/// The marks of an axis from 0 to at least `max`: 1, 2 or 5 times a power of ten apart.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scale {
    step: f64,
    count: u32,
}

impl Scale {
    fn new(max: f64, labels: f64) -> Scale {
        let max = if max > 0.0 && max.is_finite() { max } else { 1.0 };
        let rough = max / labels.max(1.0);
        let power = 10f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
        let step = steps.into_iter().find(|step| *step >= rough * 0.999).unwrap_or(steps[3]);
        Scale { step, count: ((max / step) - 1e-9).ceil().max(1.0) as u32 }
    }

    fn end(&self) -> f64 {
        self.step * f64::from(self.count)
    }

    /// The values of the marks with their labels.
    fn marks(&self) -> impl Iterator<Item = (f64, String)> + '_ {
        let digits = (-self.step.log10().floor()).max(0.0) as usize;
        (0..=self.count).map(move |nth| {
            let value = f64::from(nth) * self.step;
            let label =
                if digits == 0 { grouped(value as u64) } else { format!("{value:.digits$}") };
            (value, label)
        })
    }
}

/// Formats a value for the table: three significant digits at least.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 && value > 0.0 => grouped(value.round() as u64),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 || value == value.round() => {
            let text = format!("{value:.1}");
            text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
        }
        _ => format!("{value:.2}"),
    }
}

impl Plot {
    /// Writes the `figure` element.
    ///
    /// # Errors
    /// None: writing to memory cannot fail.
    pub fn write(&self, out: &mut String) -> Result {
        let (id, title) = (self.id, escape(&self.title));
        writeln!(out, "<figure id=\"{id}\">\n<figcaption><h3>{title}</h3>")?;
        if !self.has_points() {
            writeln!(out, "</figcaption>\n<p class=\"none quiet\">{}</p>", self.missing)?;
            return writeln!(out, "</figure>");
        }
        self.write_legend(out)?;
        writeln!(out, "</figcaption>")?;
        self.write_svg(out)?;
        self.write_table(out)?;
        writeln!(out, "</figure>")
    }

    fn has_points(&self) -> bool {
        self.lines.iter().any(|line| line.points.iter().any(|(_, y)| y.is_some()))
    }

    fn write_legend(&self, out: &mut String) -> Result {
        writeln!(out, "<ul class=\"legend\">")?;
        for line in self.lines.iter().filter(|line| !line.points.is_empty()) {
            write!(out, "<li><svg viewBox=\"0 0 28 10\" aria-hidden=\"true\">")?;
            if line.draw != Draw::Marks {
                let Line { colour, dash, .. } = line;
                write!(out, "<path class=\"line c{colour} d{dash}\" d=\"M0 5H28\"/>")?;
            }
            if line.draw != Draw::Line {
                mark(line, 14.0, 5.0, out)?;
            }
            writeln!(out, "</svg>{}</li>", escape(&line.name))?;
        }
        writeln!(out, "</ul>")
    }

    fn write_svg(&self, out: &mut String) -> Result {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x_max = points().map(|(x, _)| *x).fold(0.0, f64::max);
        let y_max = points().filter_map(|(_, y)| *y).fold(0.0, f64::max);
        let (width, height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
        let x_scale = Scale::new(x_max, width / X_SPACE);
        let y_scale = Scale::new(y_max, height / Y_SPACE);
        // The x axis ends with the data, the y axis with a mark.
        let x_end = if x_max > 0.0 { x_max } else { x_scale.end() };
        let x_at = |x: f64| LEFT + x / x_end * width;
        let y_at = |y: f64| HEIGHT - BOTTOM - y / y_scale.end() * height;
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let names: Vec<&str> = self.lines.iter().map(|line| line.name.as_str()).collect();
        writeln!(
            out,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}: {}, by {}. Lines: \
             {}. The data follow as a table.\">",
            escape(&self.title),
            escape(&self.y.label),
            escape(&self.x.label),
            escape(&names.join(", "))
        )?;
        if let Some((from, to, name)) = self.band {
            let (from, to) = (x_at(from), x_at(to.min(x_end)));
            let width = (to - from).max(0.0);
            writeln!(
                out,
                "<rect class=\"band\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" \
                 height=\"{height}\"/>\n\
                 <text x=\"{right}\" y=\"14\" text-anchor=\"end\">shaded: {name}</text>"
            )?;
        }
        for (value, label) in y_scale.marks() {
            let (y, before) = (y_at(value), LEFT - 6.0);
            writeln!(
                out,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/><text x=\"{before}\" \
                 y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                y + 4.0
            )?;
        }
        for (value, label) in x_scale.marks().filter(|(value, _)| *value <= x_end * 1.001) {
            let x = x_at(value);
            writeln!(
                out,
                "<path class=\"axis\" d=\"M{x:.1} {bottom}v4\"/><text x=\"{x:.1}\" y=\"{}\" \
                 text-anchor=\"middle\">{label}</text>",
                bottom + 17.0
            )?;
        }
        writeln!(
            out,
            "<path class=\"axis\" d=\"M{LEFT} {bottom}H{right}\"/>\n\
             <text x=\"0\" y=\"14\">{}</text>\n\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            escape(&self.y.label),
            LEFT + width / 2.0,
            HEIGHT - 6.0,
            escape(&self.x.label)
        )?;
        for line in &self.lines {
            write_line(line, x_at, y_at, out)?;
        }
        writeln!(out, "</svg>")
    }

    fn write_table(&self, out: &mut String) -> Result {
        let (id, title) = (self.id, escape(&self.title));
        writeln!(
            out,
            "<details><summary>Data</summary><div class=\"scroll\" tabindex=\"0\" role=\"region\" \
             aria-label=\"Data of {title}\"><table id=\"{id}-data\"><thead><tr>\
             <th scope=\"col\" class=\"n\">{}</th>",
            escape(&self.x.label)
        )?;
        for line in &self.lines {
            writeln!(out, "<th scope=\"col\" class=\"n\">{}</th>", escape(&line.name))?;
        }
        writeln!(out, "</tr></thead><tbody>")?;
        // The order of the bits of positive numbers is that of their values.
        let rows: BTreeSet<u64> = self
            .lines
            .iter()
            .flat_map(|line| line.points.iter().map(|(x, _)| x.to_bits()))
            .collect();
        for x in rows.into_iter().map(f64::from_bits) {
            write!(out, "<tr><th scope=\"row\" class=\"n\">{}</th>", number(x))?;
            for line in &self.lines {
                let y = line.points.iter().find(|point| point.0 == x).and_then(|point| point.1);
                write!(out, "<td class=\"n\">{}</td>", y.map(number).unwrap_or_default())?;
            }
            writeln!(out, "</tr>")?;
        }
        writeln!(out, "</tbody></table></div></details>")
    }
}

fn write_line(
    line: &Line,
    x_at: impl Fn(f64) -> f64,
    y_at: impl Fn(f64) -> f64,
    out: &mut String,
) -> Result {
    if line.draw != Draw::Marks {
        let Line { colour, dash, .. } = line;
        write!(out, "<path class=\"line c{colour} d{dash}\" d=\"")?;
        let mut is_begun = false;
        for (x, y) in &line.points {
            if let Some(y) = y {
                let command = if is_begun { 'L' } else { 'M' };
                write!(out, "{command}{:.1} {:.1}", x_at(*x), y_at(*y))?;
            }
            is_begun = y.is_some();
        }
        writeln!(out, "\"/>")?;
    }
    if line.draw != Draw::Line {
        for (x, y) in &line.points {
            if let Some(y) = y {
                mark(line, x_at(*x), y_at(*y), out)?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

fn mark(line: &Line, x: f64, y: f64, out: &mut String) -> Result {
    let colour = line.colour;
    match line.is_square {
        true => write!(
            out,
            "<rect class=\"mark c{colour}\" x=\"{:.1}\" y=\"{:.1}\" width=\"6\" height=\"6\"/>",
            x - 3.0,
            y - 3.0
        ),
        false => {
            write!(out, "<circle class=\"mark c{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_marks() {
        let labels = |max, labels| {
            Scale::new(max, labels).marks().map(|(_, label)| label).collect::<Vec<_>>()
        };
        assert_eq!(labels(61.4, 5.0), ["0", "20", "40", "60", "80"]);
        assert_eq!(labels(0.37, 5.0), ["0.0", "0.1", "0.2", "0.3", "0.4"]);
        assert_eq!(labels(10_000.0, 5.0), ["0", "2,000", "4,000", "6,000", "8,000", "10,000"]);
        assert_eq!(labels(0.0, 2.0), ["0.0", "0.5", "1.0"]);
        assert_eq!(Scale::new(f64::NAN, 5.0).end(), 1.0);
    }

    #[test]
    fn numbers_have_the_digits_that_matter() {
        for (value, text) in [
            (0.0, "0"),
            (0.123, "0.12"),
            (12.04, "12"),
            (51.54, "51.5"),
            (512.4, "512"),
            (1_234.6, "1,235"),
            (-3.25, "-3.25"),
            (-4_000.0, "-4000"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_missing_value_interrupts_the_line() {
        let line = Line {
            name: "a<b".to_owned(),
            points: vec![(0.0, Some(1.0)), (1.0, None), (2.0, Some(2.0)), (3.0, Some(0.0))],
            colour: 0,
            dash: 0,
            is_square: false,
            draw: Draw::Line,
        };
        let mut plot = Plot {
            id: "p",
            title: "T".to_owned(),
            x: Axis { label: "s".to_owned() },
            y: Axis { label: "ms".to_owned() },
            lines: vec![line],
            band: None,
            missing: "nothing",
        };
        let written = |plot: &Plot| {
            let mut out = String::new();
            plot.write(&mut out).unwrap();
            out
        };
        let text = written(&plot);
        assert!(text.contains("d=\"M50.0 106.0M274.0 24.0L386.0 188.0\""), "{text}");
        assert!(text.contains("a&lt;b") && !text.contains("a<b"), "{text}");
        plot.lines[0].points = vec![(0.0, None)];
        assert!(written(&plot).contains("nothing") && !written(&plot).contains("<svg"));
    }
}
