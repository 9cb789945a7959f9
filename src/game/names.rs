//! The names in one world: each belongs to one body.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use super::Body;

/// Characters of a name, with the number that makes it unique.
const CHARS_MAX: usize = 16;

/// The names of all bodies, in lower case: names that differ in nothing else count as equal.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    taken: BTreeSet<Box<str>>,
    /// For a base, such as `ann` of `Ann 2`, and a number of digits: a number below which all of
    /// them are taken. Otherwise a crowd of one name would be searched by each that joins it.
    next: BTreeMap<(Box<str>, usize), usize>,
}

impl Names {
    /// The names of these bodies.
    pub fn of(bodies: &[Body]) -> Names {
        let names = bodies.iter().filter_map(|body| body.name.as_deref());
        Names { taken: names.map(key).collect(), next: BTreeMap::new() }
    }

    /// Whether no two bodies have the same name.
    pub fn are_unique(bodies: &[Body]) -> bool {
        let named = bodies.iter().filter(|body| body.name.is_some()).count();
        Names::of(bodies).taken.len() == named
    }

    /// Takes a name, or if it is taken the first free one of `Ann 2`, `Ann 3`, ... A long name is
    /// cut to make room for the number.
    pub fn take(&mut self, name: &str) -> Rc<str> {
        let chosen = key(name);
        if !is_default(&chosen) && self.taken.insert(chosen) {
            return name.into();
        }
        for digits in 1.. {
            let base: String = name.chars().take(CHARS_MAX - 1 - digits).collect();
            let base = base.trim_end();
            let counter = (key(base), digits);
            let Range { start, end } = numbers(digits);
            for number in self.next.get(&counter).copied().unwrap_or(start)..end {
                let mut unique = format!("{base} {number}");
                if is_default(&key(&unique)) {
                    unique += " 2";
                }
                if self.taken.insert(key(&unique)) {
                    self.next.insert(counter, number + 1);
                    return unique.into();
                }
            }
            self.next.insert(counter, end);
        }
        unreachable!("a world has fewer bodies than there are numbers")
    }

    /// Makes a name free again.
    pub fn release(&mut self, name: &str) {
        let key = key(name);
        self.taken.remove(&key);
        self.lower(&key);
        // The 7 in "Player 7 2" is a number, too (see `take`).
        if let Some(numbered) = key.strip_suffix(" 2").filter(|numbered| is_default(numbered)) {
            self.lower(numbered);
        }
    }

    /// A name with a number is free: its number is the next one of its base, if it is the lowest.
    fn lower(&mut self, numbered: &str) {
        let Some((base, digits)) = numbered.rsplit_once(' ') else { return };
        let Ok(number) = digits.parse::<usize>() else { return };
        let counter = (base.into(), digits.len());
        let Some(next) = self.next.get_mut(&counter) else { return };
        *next = number.min(*next);
        // Below it there is no number to skip.
        if *next <= numbers(digits.len()).start {
            self.next.remove(&counter);
        }
    }
}

/// The numbers with this count of digits that follow a base.
fn numbers(digits: usize) -> Range<usize> {
    let power = |exponent: usize| 10_usize.pow(exponent as u32);
    power(digits - 1).max(2)..power(digits)
}

/// Whether a body may have this name.
pub(super) fn is_valid(name: &str) -> bool {
    (1..=CHARS_MAX).contains(&name.chars().count())
}

/// Whether a key is like the name of a player that has chosen none, such as `Player 7`.
fn is_default(key: &str) -> bool {
    let number = key.strip_prefix("player ");
    number.is_some_and(|number| number.bytes().all(|digit| digit.is_ascii_digit()))
}

fn key(name: &str) -> Box<str> {
    name.to_lowercase().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_once_and_free_again() {
        let mut names = Names::default();
        assert_eq!(&*names.take("Ann"), "Ann");
        assert_eq!(&*names.take("Ann"), "Ann 2");
        assert_eq!(&*names.take("ANN"), "ANN 3");
        assert_eq!(&*names.take("Ann 2"), "Ann 2 2");
        names.release("Ann");
        assert_eq!(&*names.take("ann"), "ann");
        names.release("Ann 2");
        assert_eq!(&*names.take("Ann"), "Ann 2");
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let mut names = Names::default();
        let long = "ÄÖÜ-äöü-ÄÖÜ-äöü!";
        names.take(long);
        for number in 2..=11 {
            let name = names.take(long);
            assert!(name.chars().count() <= CHARS_MAX && name.ends_with(&format!(" {number}")));
        }
        names.take("Ann of the hills");
        assert_eq!(&*names.take("Ann of the hills"), "Ann of the hil 2");
        names.take("Ann of the hi ls");
        assert_eq!(&*names.take("Ann of the hi ls"), "Ann of the hi 2");
    }

    #[test]
    fn the_name_of_an_unnamed_player_cannot_be_chosen() {
        let mut names = Names::default();
        assert_eq!(&*names.take("Player 7"), "Player 7 2");
        assert_eq!(&*names.take("player 7"), "player 7 3");
        assert_eq!(&*names.take("Player One"), "Player One");
        assert_eq!(&*names.take("Player"), "Player");
        assert_eq!(&*names.take("player"), "player 2 2");
        assert_eq!(&*names.take("Player"), "Player 3 2");
    }

    #[test]
    fn a_crowd_of_one_name_has_as_many_names() {
        let mut names = Names::default();
        let all: BTreeSet<Rc<str>> = (0..2_000).map(|_| names.take("Ann")).collect();
        assert_eq!(all.len(), 2_000);
        names.release("Ann 7");
        names.release("Ann 5");
        assert_eq!(
            ["Ann"; 3].map(|ann| names.take(ann)).each_ref().map(|it| &**it),
            ["Ann 5", "Ann 7", "Ann 2001"]
        );
        // The numbers are the same without what was counted, as after a load.
        names.release("Ann");
        names.release("Ann 9");
        assert_eq!(
            ["Ann"; 3].map(|ann| names.take(ann)).each_ref().map(|it| &**it),
            ["Ann", "Ann 9", "Ann 2002"]
        );
    }

    #[test]
    fn a_crowd_of_any_name_is_counted_while_it_is_there() {
        for chosen in ["Ann", "Ann of the hills", "Player", "Player 7"] {
            let mut names = Names::default();
            let taken: Vec<Rc<str>> = (0..300).map(|_| names.take(chosen)).collect();
            let bases: Vec<_> = names.next.values().copied().collect();
            assert!(bases.iter().any(|next| (300..=302).contains(next)), "{chosen}: {bases:?}");
            taken.iter().for_each(|name| names.release(name));
            assert!(names.taken.is_empty() && names.next.is_empty(), "{chosen}: {names:?}");
        }
    }
}
