//! A uniform grid over a map: which bodies are near a place, without a loop over all of them.
//!
//! [`Space`](super::Space) keeps it up to date. It is made by the first search, so a game that
//! never searches pays nothing. Each cell is a list that is linked through the bodies' indexes.

use super::body::Point;
use super::rules::Rect;

/// Cells along one side of the map at most, so that an empty room stays small.
const CELLS_A_SIDE_MAX: u16 = 32;
/// Smaller cells cost more lists than they save bodies.
const CELL_SIDE_MIN: u16 = 8;
/// No body.
const END: u32 = u32::MAX;

/// The bodies of a map by cell.
#[derive(Debug)]
pub(super) struct Grid {
    map: Rect,
    side: u16,
    columns: usize,
    /// The first body of each cell. Empty until the first search.
    heads: Vec<u32>,
    links: Vec<Link>,
}

/// A body among the others of its cell.
#[derive(Clone, Copy, Debug)]
struct Link {
    cell: u32,
    next: u32,
    previous: u32,
}

impl Grid {
    /// A grid over `map` that is not in use yet.
    pub fn new(map: Rect) -> Grid {
        let longest = (map.right - map.left).max(map.bottom - map.top);
        let side = (longest / CELLS_A_SIDE_MAX + 1).max(CELL_SIDE_MIN);
        let columns = usize::from((map.right - map.left) / side) + 1;
        Grid { map, side, columns, heads: Vec::new(), links: Vec::new() }
    }

    /// A body was added after the others.
    pub fn push(&mut self, at: Point) {
        if self.is_in_use() {
            let cell = self.cell(at);
            self.links.push(Link { cell, next: END, previous: END });
            self.link(self.links.len() - 1, cell);
        }
    }

    /// A body has moved.
    pub fn shift(&mut self, index: usize, at: Point) {
        if self.is_in_use() {
            let cell = self.cell(at);
            if cell != self.links[index].cell {
                self.unlink(index);
                self.link(index, cell);
            }
        }
    }

    /// The indexes of some bodies have changed: `places` are those of all bodies.
    pub fn renumber(&mut self, places: impl Iterator<Item = Point>) {
        if self.is_in_use() {
            self.heads.fill(END);
            self.links.clear();
            places.for_each(|at| self.push(at));
        }
    }

    /// Puts the grid to use; `places` are those of all bodies.
    pub fn prepare(&mut self, places: impl Iterator<Item = Point>) {
        if !self.is_in_use() {
            let rows = usize::from((self.map.bottom - self.map.top) / self.side) + 1;
            self.heads = vec![END; rows * self.columns];
            places.for_each(|at| self.push(at));
        }
    }

    /// Calls `found` with each body in the cells that the square of `reach` around a place touches,
    /// in no order.
    pub fn search(&self, at: Point, reach: u16, mut found: impl FnMut(usize)) {
        let from = Point { x: at.x.saturating_sub(reach), y: at.y.saturating_sub(reach) };
        let to = Point { x: at.x.saturating_add(reach), y: at.y.saturating_add(reach) };
        let (first, last) = (self.cell(from) as usize, self.cell(to) as usize);
        let width = last % self.columns - first % self.columns;
        for row in (first..=last).step_by(self.columns) {
            for head in &self.heads[row..=row + width] {
                let mut index = *head;
                while index != END {
                    found(index as usize);
                    index = self.links[index as usize].next;
                }
            }
        }
    }

    /// Whether each body is in the cell of its place.
    pub fn is_sound(&self, places: impl ExactSizeIterator<Item = Point>) -> bool {
        !self.is_in_use()
            || self.links.len() == places.len()
                && places.zip(&self.links).all(|(at, link)| self.cell(at) == link.cell)
    }

    fn is_in_use(&self) -> bool {
        !self.heads.is_empty()
    }

    fn cell(&self, at: Point) -> u32 {
        let at = self.map.clamp(at);
        let column = usize::from((at.x - self.map.left) / self.side);
        let row = usize::from((at.y - self.map.top) / self.side);
        (row * self.columns + column) as u32
    }

    fn link(&mut self, index: usize, cell: u32) {
        let next = std::mem::replace(&mut self.heads[cell as usize], index as u32);
        if next != END {
            self.links[next as usize].previous = index as u32;
        }
        self.links[index] = Link { cell, next, previous: END };
    }

    fn unlink(&mut self, index: usize) {
        let Link { cell, next, previous } = self.links[index];
        if next != END {
            self.links[next as usize].previous = previous;
        }
        match previous {
            END => self.heads[cell as usize] = next,
            previous => self.links[previous as usize].next = next,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn found(grid: &Grid, at: Point, reach: u16) -> Vec<usize> {
        let mut indexes = Vec::new();
        grid.search(at, reach, |index| indexes.push(index));
        indexes.sort_unstable();
        indexes
    }

    #[test]
    fn a_search_finds_every_body_within_reach() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for (right, bottom) in [(100, 100), (500, 30), (u16::MAX, 999), (5, 5)] {
            let map = Rect { left: 3, top: 2, right, bottom };
            let mut place = || Point {
                x: rng.random_range(map.left..=map.right),
                y: rng.random_range(map.top..=map.bottom),
            };
            let mut places: Vec<Point> = (0..200).map(|_| place()).collect();
            let mut grid = Grid::new(map);
            grid.push(places[0]);
            assert!(!grid.is_in_use(), "a game that never searches pays nothing");
            grid.prepare(places.iter().copied());
            for round in 0..400 {
                match round % 4 {
                    0 => {
                        places.remove(round % places.len());
                        grid.renumber(places.iter().copied());
                    }
                    1 => {
                        places.push(place());
                        grid.push(places[places.len() - 1]);
                    }
                    _ => {
                        let index = round % places.len();
                        places[index] = place();
                        grid.shift(index, places[index]);
                    }
                }
                assert!(grid.is_sound(places.iter().copied()));
                let (at, reach) = (place(), (round % 40) as u16);
                let near = found(&grid, at, reach);
                let is_near = |other: &Point| {
                    at.x.abs_diff(other.x) <= reach && at.y.abs_diff(other.y) <= reach
                };
                for (index, other) in places.iter().enumerate() {
                    assert!(!is_near(other) || near.contains(&index), "{other:?} near {at:?}");
                }
                assert!(near.windows(2).all(|two| two[0] < two[1]), "each once");
            }
            let all = found(&grid, place(), u16::MAX);
            assert_eq!(all, (0..places.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_search_leaves_far_cells_alone() {
        let mut grid = Grid::new(Rect { left: 0, top: 0, right: 100, bottom: 100 });
        let places = (0..=100).map(|x| Point { x, y: 50 });
        grid.prepare(places);
        assert!(found(&grid, Point { x: 50, y: 50 }, 10).len() <= 40);
        assert!(found(&grid, Point { x: 50, y: 90 }, 10).is_empty());
    }
}
