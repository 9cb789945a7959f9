//! QR codes (ISO/IEC 18004) as text for a terminal.

use qrcode::types::QrError;
use qrcode::{Color, EcLevel, QrCode};

/// The light border around a code, in modules: readers need it (ISO/IEC 18004, 9.1).
const QUIET_ZONE: usize = 4;
/// White on black of the fixed part of the 256 colors, which themes do not change.
const COLORS: &str = "\x1b[38;5;231;48;5;16m";
const RESET: &str = "\x1b[0m";

/// A QR code with its border. Two rows of modules are one line of half blocks, so that modules are
/// about square.
pub(crate) struct Code {
    modules: Vec<Color>,
    width: usize,
}

impl Code {
    /// The code of a text.
    ///
    /// # Errors
    ///
    /// The text is too long for a QR code.
    pub(crate) fn new(text: &str) -> Result<Code, QrError> {
        // A screen has no dirt and no scratches, so the smallest code is the most readable.
        let code = QrCode::with_error_correction_level(text, EcLevel::L)?;
        Ok(Code { width: code.width(), modules: code.to_colors() })
    }

    /// Characters in a line.
    pub(crate) fn columns(&self) -> usize {
        self.width + 2 * QUIET_ZONE
    }

    /// Lines.
    pub(crate) fn rows(&self) -> usize {
        self.columns().div_ceil(2)
    }

    /// The lines. Light modules have the text color: with `has_colors` it is white on black.
    /// Without, the code is right on a dark terminal and inverted on a light one, which most phones
    /// read, too.
    pub(crate) fn text(&self, has_colors: bool) -> String {
        let (before, after) = if has_colors { (COLORS, RESET) } else { ("", "") };
        let mut text = String::new();
        for row in 0..self.rows() {
            text += before;
            text.extend((0..self.columns()).map(|column| {
                match (self.is_light(2 * row, column), self.is_light(2 * row + 1, column)) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                }
            }));
            text += after;
            text.push('\n');
        }
        text
    }

    /// Whether a module, counted with the border, is light. The border and what is beyond it are.
    fn is_light(&self, row: usize, column: usize) -> bool {
        let inside = |at: usize| at.checked_sub(QUIET_ZONE).filter(|at| *at < self.width);
        match (inside(row), inside(column)) {
            (Some(row), Some(column)) => self.modules[row * self.width + column] == Color::Light,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_a_light_border_and_equal_lines() {
        let code = Code::new("http://192.168.178.123:8765/").expect("a short text");
        assert_eq!((code.columns(), code.rows()), (25 + 8, 17));
        let text = code.text(false);
        let lines: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
        assert_eq!(lines.len(), code.rows());
        for line in &lines {
            assert_eq!(line.len(), code.columns());
            assert!(line[..4].iter().chain(&line[29..]).all(|c| *c == '█'));
        }
        assert!(lines[..2].iter().chain(&lines[15..]).flatten().all(|c| *c == '█' || *c == '▀'));
        // The finder pattern of the upper left corner begins with seven dark modules.
        assert_eq!(lines[2][4..12], [' ', '▄', '▄', '▄', '▄', '▄', ' ', '█']);
        let colored = code.text(true);
        assert!(colored.lines().all(|line| line.starts_with(COLORS) && line.ends_with(RESET)));
        assert_eq!(colored.replace(COLORS, "").replace(RESET, ""), text);
    }

    #[test]
    fn a_text_that_is_too_long_is_an_error() {
        assert!(Code::new(&"x".repeat(5000)).is_err());
    }
}
