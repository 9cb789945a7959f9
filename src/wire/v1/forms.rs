//! The CELLs of one tick that are not from the tick before: where each is encoded.

use std::ops::Range;

use super::vec_bytes;

const NONE: u32 = u32::MAX;

/// Ranges of encoded bytes by the index of a cell and base age. A cell has few of them, in a list.
#[derive(Debug, Default)]
pub struct Forms {
    /// By index: the newest form of a cell in `forms`, or `NONE`.
    newest: Vec<u32>,
    forms: Vec<Form>,
}

#[derive(Debug)]
struct Form {
    age: u8,
    start: u32,
    end: u32,
    /// The form of the same cell before it, or `NONE`.
    before: u32,
}

impl Forms {
    /// Forgets all, for a tick with this number of cells.
    pub fn clear(&mut self, cells: usize) {
        self.forms.clear();
        self.newest.clear();
        self.newest.resize(cells, NONE);
    }

    /// The form of a cell from a base of this age.
    #[must_use]
    pub fn find(&self, cell: usize, age: u8) -> Option<Range<usize>> {
        let mut at = self.newest[cell];
        // There is nothing at `NONE`.
        while let Some(form) = self.forms.get(at as usize) {
            if form.age == age {
                return Some(form.start as usize..form.end as usize);
            }
            at = form.before;
        }
        None
    }

    /// Adds a form that is not there.
    pub fn add(&mut self, cell: usize, age: u8, form: &Range<usize>) {
        let newest = &mut self.newest[cell];
        let (start, end) = (form.start as u32, form.end as u32);
        self.forms.push(Form { age, start, end, before: *newest });
        *newest = self.forms.len() as u32 - 1;
    }

    /// The bytes that they hold.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        vec_bytes(&self.newest) + vec_bytes(&self.forms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_found_by_its_cell_and_age_until_the_next_tick() {
        let mut forms = Forms::default();
        forms.clear(3);
        for (cell, age, form) in [(0, 2, 0..5), (2, 2, 5..9), (0, 0, 9..30), (0, 32, 30..30)] {
            assert_eq!(forms.find(cell, age), None);
            forms.add(cell, age, &form);
            assert_eq!(forms.find(cell, age), Some(form));
        }
        assert_eq!((forms.find(0, 2), forms.find(0, 0)), (Some(0..5), Some(9..30)));
        assert_eq!((forms.find(1, 2), forms.find(2, 0)), (None, None));
        forms.clear(3);
        assert_eq!(forms.find(0, 2), None);
    }
}
