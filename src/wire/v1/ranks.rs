//! Where the cells of an ascending list are in it: without a search, and in two bits for each cell
//! of the map.

use super::vec_bytes;

/// The places of cells in a list.
#[derive(Debug)]
pub struct Ranks {
    words: Vec<Word>,
}

/// 32 cells that follow each other.
#[derive(Clone, Copy, Debug, Default)]
struct Word {
    /// A bit for each that is in the list.
    bits: u32,
    /// How many cells of the list are before these.
    before: u32,
}

impl Ranks {
    /// An empty list of cells of a map with `cells` cells.
    #[must_use]
    pub fn new(cells: usize) -> Ranks {
        Ranks { words: vec![Word::default(); cells / 32 + 1] }
    }

    /// Another list, in ascending order.
    pub fn renew(&mut self, cells: impl Iterator<Item = u16>) {
        self.words.fill(Word::default());
        for cell in cells {
            self.words[usize::from(cell) / 32].bits |= 1 << (cell % 32);
        }
        let mut before = 0;
        for word in &mut self.words {
            word.before = before;
            before += word.bits.count_ones();
        }
    }

    /// How many cells of the list are before one of the map, or before its end.
    #[must_use]
    pub fn before(&self, cell: usize) -> usize {
        let Word { bits, before } = self.words[cell / 32];
        let lower = bits & ((1 << (cell % 32)) - 1);
        (before + lower.count_ones()) as usize
    }

    /// The index of a cell, if it is in the list.
    #[must_use]
    pub fn find(&self, cell: u16) -> Option<usize> {
        let cell = usize::from(cell);
        let is_there = self.words[cell / 32].bits & 1 << (cell % 32) != 0;
        is_there.then(|| self.before(cell))
    }

    /// The bytes that they hold.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        vec_bytes(&self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_found_where_they_are_in_the_list() {
        for (map, list) in [
            (1, vec![0]),
            (64, vec![0, 31, 32, 63]),
            (100, vec![]),
            (1_024, (0..1_024).filter(|cell| cell % 7 < 3).collect()),
            (16_384, vec![5, 6, 7, 4_096, 16_383]),
        ] {
            let mut ranks = Ranks::new(map);
            ranks.renew([0].into_iter());
            ranks.renew(list.iter().copied());
            for cell in 0..=map {
                let before = list.partition_point(|other| usize::from(*other) < cell);
                assert_eq!(ranks.before(cell), before, "{cell} of {map}");
            }
            for cell in 0..map as u16 {
                assert_eq!(ranks.find(cell), list.binary_search(&cell).ok(), "{cell} of {map}");
            }
        }
    }
}
