//! A uniform grid over a map: which bodies are near a place, without a loop over all of them.
//!
//! [`Space`](super::Space) keeps it up to date. It is made by the first search, so a game that
//! never searches pays nothing. It is made again when there are many more bodies, because the
//! number of cells grows with that of the bodies. Each cell is a list that is linked through the
//! bodies' indexes.

use super::body::Point;
use super::rules::Rect;

/// Cells along the longer side of the map, for few bodies and at most.
const CELLS_A_SIDE: [u16; 2] = [32, 256];
/// For more bodies, as many for each: a crowd fills few of the cells.
const CELLS_A_BODY: usize = 4;
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
    /// The number of bodies for which it is made.
    bodies_max: usize,
    /// The first body of each cell. Empty while it is not in use.
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
        let (heads, links) = (Vec::new(), Vec::new());
        Grid { map, side: 0, columns: 0, bodies_max: 0, heads, links }
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

    /// A body was removed. The indexes of those behind it are one less.
    pub fn remove(&mut self, index: usize) {
        if self.is_in_use() {
            self.unlink(index);
            self.links.remove(index);
            let index = index as u32;
            let lower = |other: &mut u32| *other -= u32::from(*other > index && *other != END);
            self.heads.iter_mut().for_each(lower);
            for link in &mut self.links {
                lower(&mut link.next);
                lower(&mut link.previous);
            }
        }
    }

    /// The indexes of some bodies have changed: it is not in use until the next search.
    pub fn clear(&mut self) {
        self.heads.clear();
        self.links.clear();
    }

    /// Puts the grid to use; `places` are those of all bodies.
    pub fn prepare(&mut self, places: impl ExactSizeIterator<Item = Point>) {
        if !self.is_in_use() || self.links.len() > self.bodies_max {
            self.clear();
            self.choose_side(places.len());
            let rows = usize::from((self.map.bottom - self.map.top) / self.side) + 1;
            self.heads.resize(rows * self.columns, END);
            places.for_each(|at| self.push(at));
        }
    }

    /// Chooses the size of cells for this number of bodies.
    fn choose_side(&mut self, bodies: usize) {
        let Rect { left, top, right, bottom } = self.map;
        let [mut cells, most] = CELLS_A_SIDE;
        let bodies_of = |cells: u16| usize::from(cells).pow(2) / CELLS_A_BODY;
        while cells < most && bodies_of(cells) < bodies {
            cells *= 2;
        }
        self.bodies_max = if cells == most { usize::MAX } else { bodies_of(cells) };
        let longest = (right - left).max(bottom - top);
        self.side = (longest / cells).saturating_add(1).max(CELL_SIDE_MIN);
        self.columns = usize::from((right - left) / self.side) + 1;
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
                        let index = round % places.len();
                        places.remove(index);
                        grid.remove(index);
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
    fn cells_become_smaller_as_bodies_join() {
        for right in [16_000, u16::MAX] {
            let mut rng = ChaCha8Rng::seed_from_u64(7);
            let mut grid = Grid::new(Rect { left: 0, top: 0, right, bottom: right });
            let mut places: Vec<Point> = Vec::new();
            for count in [1, 256, 257, 1_000, 3_000, 10_000] {
                while places.len() < count {
                    let [x, y] = [0; 2].map(|_| rng.random_range(0..=right));
                    places.push(Point { x, y });
                    grid.push(places[places.len() - 1]);
                }
                grid.prepare(places.iter().copied());
                assert!(grid.is_sound(places.iter().copied()));
                assert!(grid.heads.len() <= 1_024.max(16 * count), "{count} bodies");
                // At most four cells have them.
                let most = places.iter().map(|at| found(&grid, *at, 40).len()).max();
                assert!(most < Some(10.max(count / 32)), "{most:?} of {count}");
            }
        }
    }

    #[test]
    fn a_search_leaves_far_cells_alone() {
        let mut grid = Grid::new(Rect { left: 0, top: 0, right: 100, bottom: 100 });
        let places: Vec<Point> = (0..=100).map(|x| Point { x, y: 50 }).collect();
        grid.prepare(places.iter().copied());
        assert!(found(&grid, Point { x: 50, y: 50 }, 10).len() <= 40);
        assert!(found(&grid, Point { x: 50, y: 90 }, 10).is_empty());
    }
}
