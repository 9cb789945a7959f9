//! The names in one world: each belongs to one body.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::Body;

/// Characters of a name, with the number that makes it unique.
const CHARS_MAX: usize = 16;
/// Characters of the longest number, with its space.
const SUFFIX_CHARS_MAX: usize = 6;

/// The names of all bodies, in lower case: names that differ in nothing else count as equal.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    taken: BTreeSet<Box<str>>,
    /// For a name that several have chosen, a number below which all are taken: a crowd of one name
    /// would be searched by each that joins it.
    next: BTreeMap<Box<str>, usize>,
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
        if !is_default(&chosen) && self.taken.insert(chosen.clone()) {
            return name.into();
        }
        // The numbers of other names do not belong to one name alone.
        let is_counted =
            name.chars().count() + SUFFIX_CHARS_MAX <= CHARS_MAX && &*chosen != "player";
        let first = self.next.get(&chosen).copied().filter(|_| is_counted).unwrap_or(2);
        for number in first.. {
            let suffix = format!(" {number}");
            let base: String = name.chars().take(CHARS_MAX - suffix.len()).collect();
            let mut unique = base.trim_end().to_owned() + &suffix;
            if is_default(&key(&unique)) {
                unique += " 2";
            }
            if self.taken.insert(key(&unique)) {
                if is_counted {
                    self.next.insert(chosen, number + 1);
                }
                return unique.into();
            }
        }
        unreachable!("a world has fewer bodies than there are numbers")
    }

    /// Makes a name free again.
    pub fn release(&mut self, name: &str) {
        let key = key(name);
        self.taken.remove(&key);
        self.next.remove(&key);
        if let Some((chosen, number)) = key.rsplit_once(' ')
            && let Ok(number) = number.parse::<usize>()
            && let Some(next) = self.next.get_mut(chosen)
        {
            *next = number.min(*next).max(2);
        }
    }
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
}
