//! The corpora and dictionaries of `tests/fuzz`.

use std::fs;
use std::path::{Path, PathBuf};

use rand::RngExt;

use super::mutate::mutate;
use crate::sim::SimRng;

/// What the fuzz target of that name begins with, and pieces to insert.
pub struct Corpus {
    inputs: Vec<(PathBuf, Vec<u8>)>,
    pieces: Vec<Vec<u8>>,
}

impl Corpus {
    pub fn read(target: &str) -> Corpus {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
        let read = |path| (fs::read(&path).expect("a file"), path);
        let paths = crate::tidy::files(&format!("tests/fuzz/corpus/{target}"), "");
        let inputs: Vec<_> =
            paths.into_iter().map(read).map(|(bytes, path)| (path, bytes)).collect();
        assert!(inputs.len() > 3, "{target} has only {} inputs", inputs.len());
        let dictionary = folder.join(format!("dictionaries/{target}.txt"));
        let dictionary = fs::read_to_string(dictionary).expect("a dictionary");
        let pieces: Vec<_> = dictionary.lines().filter_map(piece).collect();
        assert!(pieces.len() > 3, "{target} has only {} pieces", pieces.len());
        Corpus { inputs, pieces }
    }

    /// Each input, with its file.
    pub fn inputs(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.inputs.iter().map(|(path, bytes)| (&**path, &**bytes))
    }

    /// One of them, mutated.
    pub fn mutated(&self, rng: &mut SimRng) -> Vec<u8> {
        let (_, bytes) = &self.inputs[rng.random_range(0..self.inputs.len())];
        let pieces: Vec<&[u8]> = self.pieces.iter().map(Vec::as_slice).collect();
        mutate(bytes, &pieces, rng)
    }
}

/// The bytes of a line of a dictionary: `"a\x00\\\""`.
fn piece(line: &str) -> Option<Vec<u8>> {
    let quoted = line.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = Vec::new();
    let mut rest = quoted.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        bytes.push(match (first, behind) {
            (b'\\', [b'x', high, low, ..]) => {
                rest = &behind[3..];
                let digits = [*high, *low];
                let digits = str::from_utf8(&digits).expect("two digits");
                u8::from_str_radix(digits, 16).expect("hexadecimal")
            }
            (b'\\', [escaped, ..]) => {
                rest = &behind[1..];
                *escaped
            }
            (plain, _) => *plain,
        });
    }
    Some(bytes)
}
