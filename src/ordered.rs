//! Searches in long lists.

/// The position of a number in a list in ascending order; otherwise the one where it belongs.
///
/// The numbers of players are given one after the other, so they are nearly evenly distributed. The
/// search begins where the number would then be. In a list that is larger than the cache it reads
/// one or two elements where a binary search reads a dozen.
pub fn search<T>(list: &[T], number: u32, number_of: impl Fn(&T) -> u32) -> Result<usize, usize> {
    let [Some(first), Some(last)] = [list.first(), list.last()].map(|one| one.map(&number_of))
    else {
        return Err(0);
    };
    if number < first {
        return Err(0);
    }
    if number > last {
        return Err(list.len());
    }
    let guess = match u64::from(last - first) {
        0 => 0,
        span => (u64::from(number - first) * (list.len() as u64 - 1) / span) as usize,
    };
    // The number is in `from..to`, which grows from the guess towards it.
    let (mut from, mut to, mut step) = (guess, guess + 1, 1);
    match number_of(&list[guess]) {
        found if found == number => return Ok(guess),
        found if found < number => loop {
            from = to;
            to = (to + step).min(list.len());
            if number_of(&list[to - 1]) >= number {
                break;
            }
            step *= 2;
        },
        _ => loop {
            to = from;
            from = from.saturating_sub(step);
            if number_of(&list[from]) <= number {
                break;
            }
            step *= 2;
        },
    }
    let found = list[from..to].binary_search_by_key(&number, number_of);
    found.map(|at| from + at).map_err(|at| from + at)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn it_finds_what_a_binary_search_finds() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        for round in 0..2_000 {
            let step = [2, 7, 1_000][round % 3];
            let mut number = random.random_range(0..20);
            let list: Vec<u32> = (0..random.random_range(0..60))
                .map(|_| {
                    number += random.random_range(1..=step);
                    number
                })
                .collect();
            for number in (0..100).chain(list.iter().copied()).chain([u32::MAX]) {
                assert_eq!(search(&list, number, |one| *one), list.binary_search(&number));
            }
        }
        let ends = [0, 1, 2, u32::MAX - 1, u32::MAX];
        for number in ends.iter().flat_map(|end| [end.saturating_sub(1), *end]) {
            assert_eq!(search(&ends, number, |one| *one), ends.binary_search(&number));
        }
    }

    #[test]
    fn it_reads_few_elements_of_a_list_from_which_a_tenth_is_gone() {
        let list: Vec<u32> = (1..20_000).filter(|number| number % 10 != 0).collect();
        for number in [1, 7_003, 19_999] {
            let reads = std::cell::Cell::new(0);
            let count = |one: &u32| {
                reads.set(reads.get() + 1);
                *one
            };
            assert!(search(&list, number, count).is_ok());
            assert!(reads.get() <= 6, "{} reads for {number}", reads.get());
        }
    }
}
