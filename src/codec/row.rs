//! Players as text, as both dialects write them. This is the hottest code of the server, once for
//! every player and tick: a line is written into one buffer of a fixed size, in copies whose length
//! the compiler knows.

/// One player, as a server writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The player's number.
    pub id: u32,
    /// Map units from the left.
    pub x: u16,
    /// Map units from the top.
    pub y: u16,
    /// `0xrrggbb`.
    pub color: u32,
    /// The name that the player chose, if any.
    pub name: Option<&'a str>,
    /// The fields that the game adds; [`Columns`] says which of them are written.
    pub values: &'a [i32],
}

/// The maximum number of columns.
const COLUMNS_MAX: usize = 16;
/// The maximum length of the name of a column.
const NAME_BYTES_MAX: usize = 24;
/// A name with its quotes, a comma and a colon.
const KEY_BYTES: usize = 32;
/// The longest value: a word with its quotes.
const VALUE_BYTES: usize = NAME_BYTES_MAX + 2;
/// All that a line can hold: all columns with the longest names and values, and 128 bytes more.
const LINE_BYTES: usize = COLUMNS_MAX * (NAME_BYTES_MAX + 4 + VALUE_BYTES) + KEY_BYTES + 128;

/// The fields that are written of each player, with their names ready to be copied.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    keys: [Key; COLUMNS_MAX],
    count: usize,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    /// Its index in [`Row::values`].
    index: usize,
    /// `,"name":`
    text: [u8; KEY_BYTES],
    bytes: usize,
    form: Form,
}

/// How the values of a column are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As numbers.
    Signed,
    /// As the `u32` with the same bits.
    Unsigned,
    /// As the words with these indices.
    Words(&'static [&'static str]),
}

impl Columns {
    /// No columns.
    pub const NONE: Columns = {
        let key = Key { index: 0, text: [0; KEY_BYTES], bytes: 0, form: Form::Signed };
        Columns { keys: [key; COLUMNS_MAX], count: 0 }
    };

    /// Columns by their indices in [`Row::values`], with their names, of plain characters.
    ///
    /// # Panics
    /// If there are more than 16, or if a name or a word is longer than 24 bytes.
    #[must_use]
    pub fn new<'a>(fields: impl Iterator<Item = (usize, &'a str, Form)>) -> Columns {
        let mut columns = Columns::NONE;
        for (index, name, form) in fields {
            let words = match form {
                Form::Words(words) => words,
                Form::Signed | Form::Unsigned => &[],
            };
            for text in words.iter().chain([&name]) {
                assert!(text.len() <= NAME_BYTES_MAX, "{text} is too long");
            }
            let key = &mut columns.keys[columns.count];
            (key.index, key.form) = (index, form);
            key.bytes = name.len() + 4;
            key.text[..2].copy_from_slice(b",\"");
            key.text[2..2 + name.len()].copy_from_slice(name.as_bytes());
            key.text[2 + name.len()..key.bytes].copy_from_slice(b"\":");
            columns.count += 1;
        }
        columns
    }
}

/// A piece of text of a limited length.
#[derive(Debug)]
pub(super) struct Line {
    bytes: [u8; LINE_BYTES],
    len: usize,
}

impl Line {
    pub fn new() -> Line {
        Line { bytes: [0; LINE_BYTES], len: 0 }
    }

    pub fn clear(&mut self) {
        self.len = 0;
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    #[inline]
    pub fn put<const N: usize>(&mut self, text: &[u8; N]) {
        self.put_cut(text, N);
    }

    /// Appends the first `keep` bytes of `text`. A copy of a constant length is cheaper than one of
    /// any length.
    #[inline]
    fn put_cut<const N: usize>(&mut self, text: &[u8; N], keep: usize) {
        self.bytes[self.len..self.len + N].copy_from_slice(text);
        self.len += keep;
    }

    /// Appends a number, which is probably a small one.
    #[inline]
    pub fn put_number(&mut self, number: u32) {
        match SMALL.get(number as usize) {
            Some(digits) => self.put_cut(digits, usize::from(digits[3])),
            None => self.put_any(number),
        }
    }

    #[cold]
    fn put_any(&mut self, number: impl itoa::Integer) {
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(number).as_bytes();
        self.bytes[self.len..self.len + digits.len()].copy_from_slice(digits);
        self.len += digits.len();
    }

    /// Appends six hex digits.
    #[inline]
    pub fn put_color(&mut self, color: u32) {
        let digit = |place: u32| HEX_DIGITS[(color >> (4 * place)) as usize & 0xf];
        self.put(&[digit(5), digit(4), digit(3), digit(2), digit(1), digit(0)]);
    }

    /// Appends a word with its quotes.
    fn put_word(&mut self, word: &str) {
        self.put(b"\"");
        self.bytes[self.len..self.len + word.len()].copy_from_slice(word.as_bytes());
        self.len += word.len();
        self.put(b"\"");
    }

    /// Appends `,"name":value` for each column.
    #[inline]
    pub fn put_columns(&mut self, columns: &Columns, values: &[i32]) {
        for key in &columns.keys[..columns.count] {
            self.put_cut(&key.text, key.bytes);
            let value = values[key.index];
            match key.form {
                Form::Signed if value < 0 => self.put_any(value),
                Form::Signed | Form::Unsigned => self.put_number(value as u32),
                Form::Words(words) => self.put_word(words[value as usize]),
            }
        }
    }
}

/// Appends a player's position as an object: its place, and the fields of the game that belong to
/// it. Without the last brace, so that more may follow.
pub(super) fn put_open_position(row: &Row, columns: &Columns, line: &mut Line) {
    line.put(br#"{"x":"#);
    line.put_number(row.x.into());
    line.put(br#","y":"#);
    line.put_number(row.y.into());
    line.put_columns(columns, row.values);
}

const HEX_DIGITS: [u8; 16] = *b"0123456789abcdef";

/// The digits of the numbers below 1,000, and how many there are of each.
static SMALL: [[u8; 4]; 1_000] = {
    let mut table = [[0; 4]; 1_000];
    let mut number = 0;
    while number < 1_000 {
        let digits = [number / 100, number / 10 % 10, number % 10];
        let unused = (number < 100) as usize + (number < 10) as usize;
        let mut place = unused;
        while place < 3 {
            table[number][place - unused] = b'0' + digits[place] as u8;
            place += 1;
        }
        table[number][3] = (3 - unused) as u8;
        number += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Line)) -> String {
        let mut line = Line::new();
        write(&mut line);
        str::from_utf8(line.bytes()).expect("text").to_owned()
    }

    #[test]
    fn numbers_are_decimal() {
        for number in (0..1_100).chain([65_535, u32::MAX]) {
            assert_eq!(text(|line| line.put_number(number)), number.to_string());
        }
        assert_eq!(text(|line| line.put_color(0x0f_a0_01)), "0fa001");
    }

    #[test]
    fn a_line_holds_all_columns_with_the_longest_names_and_numbers() {
        let name = "n".repeat(NAME_BYTES_MAX);
        static WORDS: [&str; 2] = ["", "wwwwwwwwwwwwwwwwwwwwwwww"];
        for (form, value, written) in [
            (Form::Signed, i32::MIN, "-2147483648".to_owned()),
            (Form::Unsigned, -1, "4294967295".to_owned()),
            (Form::Words(&WORDS), 1, format!("\"{}\"", WORDS[1])),
        ] {
            let columns = Columns::new((0..COLUMNS_MAX).map(|index| (index, name.as_str(), form)));
            let values = [value; COLUMNS_MAX];
            let expected = format!(",\"{name}\":{written}").repeat(COLUMNS_MAX);
            let row = Row { id: u32::MAX, x: 9, y: 9, color: 0, name: None, values: &values };
            let line = text(|line| {
                line.put(&[b' '; 96]);
                put_open_position(&row, &columns, line);
            });
            assert_eq!(line.trim_start(), format!("{{\"x\":9,\"y\":9{expected}"));
        }
    }
}
