//! Histograms with fixed buckets. A value costs a search among twelve bounds and two additions.

use std::fmt::Debug;
use std::marker::PhantomData;

/// The number of bounds of each scale; one bucket more has what is above the last one.
const BOUNDS: usize = 12;

/// What a histogram counts.
pub trait Scale: Clone + Copy + Debug + Default {
    /// The upper bounds of the buckets, without the last one, `+Inf`.
    const BOUNDS: [u64; BOUNDS];
    /// How many make a unit of the series.
    const PER_UNIT: f64;
}

/// Spans of work, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct WorkUs;

impl Scale for WorkUs {
    const BOUNDS: [u64; BOUNDS] =
        [50, 100, 250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 500_000];
    const PER_UNIT: f64 = 1e6;
}

/// Round trips, in milliseconds. Those of acknowledged ticks are multiples of 50 ms.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundTripMs;

impl Scale for RoundTripMs {
    const BOUNDS: [u64; BOUNDS] = [5, 10, 20, 35, 50, 75, 100, 150, 250, 500, 1_000, 5_000];
    const PER_UNIT: f64 = 1e3;
}

/// Ages, in ticks.
#[derive(Clone, Copy, Debug, Default)]
pub struct AgeTicks;

impl Scale for AgeTicks {
    const BOUNDS: [u64; BOUNDS] = [0, 1, 2, 3, 4, 6, 8, 12, 16, 20, 40, 100];
    const PER_UNIT: f64 = 1.0;
}

/// A histogram.
#[derive(Clone, Debug, Default)]
pub struct Histogram<S> {
    counts: [u64; BOUNDS + 1],
    sum: u64,
    scale: PhantomData<S>,
}

impl<S: Scale> Histogram<S> {
    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        let bucket = S::BOUNDS.partition_point(|bound| *bound < value);
        self.counts[bucket] += 1;
        self.sum += value;
    }

    /// The sum of all values, in those of the scale.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The number of values in each bucket, and its upper bound in units of the series; `None` for
    /// the last one, which has none.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<f64>, u64)> {
        let bounds = S::BOUNDS.into_iter().map(|bound| Some(bound as f64 / S::PER_UNIT));
        bounds.chain([None]).zip(self.counts)
    }

    /// The sum in units of the series.
    pub(super) fn sum_units(&self) -> f64 {
        self.sum as f64 / S::PER_UNIT
    }

    /// Each bound but `+Inf`, in units of the series, and how many values are not above it.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut total = 0;
        self.buckets().filter_map(move |(bound, count)| {
            total += count;
            Some((bound?, total))
        })
    }
}
