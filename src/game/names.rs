//! The names in one world, each of which is there once.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::Body;

/// Characters of a name, with the number that makes it unique.
const CHARS_MAX: usize = 16;

/// The names of all bodies, in lower case: names that differ in nothing else count as equal.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(BTreeSet<Box<str>>);

impl Names {
    /// The names of these bodies.
    pub fn of(bodies: &[Body]) -> Names {
        Names(bodies.iter().filter_map(|body| body.name.as_deref()).map(key).collect())
    }

    /// Takes a name, or if it is taken the first free one of `Ann 2`, `Ann 3`, ... A long name is
    /// cut to make room for the number.
    pub fn take(&mut self, name: &str) -> Rc<str> {
        if !is_default(name) && self.0.insert(key(name)) {
            return name.into();
        }
        let mut number = 2_usize;
        loop {
            let suffix = format!(" {number}");
            let base: String = name.chars().take(CHARS_MAX - suffix.len()).collect();
            let mut unique = base.trim_end().to_owned() + &suffix;
            if is_default(&unique) {
                unique += " 2";
            }
            if self.0.insert(key(&unique)) {
                return unique.into();
            }
            number += 1;
        }
    }

    /// A name is free again.
    pub fn give_back(&mut self, name: &str) {
        self.0.remove(&key(name));
    }
}

/// Whether it is like the name of a player that has chosen none, such as `Player 7`.
fn is_default(name: &str) -> bool {
    let key = key(name);
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
        names.give_back("Ann");
        assert_eq!(&*names.take("ann"), "ann");
        names.give_back("Ann 2");
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
    }
}
