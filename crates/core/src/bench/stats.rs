//! Medians, percentiles and ratios: all the arithmetic that stands behind a figure of the page.
//!
//! A figure that cannot be told (no run, a median of nothing, a division by zero) is `None`, never 0.

use super::Latency;

/// The middle one; of an even number the mean of the two in the middle. Values that are no numbers are
/// left out.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().filter(|it| it.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(middle.checked_sub(1)?)?;
    Some(f64::midpoint(lower, upper))
}

/// How many times `of` is `to`; nothing to compare with is no ratio.
pub fn ratio(of: Option<f64>, to: Option<f64>) -> Option<f64> {
    let (of, to) = (of?, to?);
    (to > 0.0 && of.is_finite()).then_some(of / to)
}

/// Latencies of one window of time.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    /// In milliseconds; sorted when they are asked for.
    samples: Vec<f64>,
}

impl Latencies {
    /// Takes one in.
    pub fn add(&mut self, milliseconds: f64) {
        self.samples.push(milliseconds);
    }

    /// Takes those of another in.
    pub fn append(&mut self, mut other: Self) {
        self.samples.append(&mut other.samples);
    }

    /// What is told of them; nothing of none.
    pub fn told(mut self) -> Option<Latency> {
        self.samples.sort_by(f64::total_cmp);
        Some(Latency {
            operations: u64::try_from(self.samples.len()).ok()?,
            p50: nearest_rank(&self.samples, 500)?,
            p95: nearest_rank(&self.samples, 950)?,
            p99: nearest_rank(&self.samples, 990)?,
            max: *self.samples.last()?,
        })
    }
}

/// The smallest value that is not below so many thousandths of all.
fn nearest_rank(sorted: &[f64], thousandths: usize) -> Option<f64> {
    let rank = (sorted.len() * thousandths).div_ceil(1000);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_whatever_the_order() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median([f64::NAN, 7.0]), Some(7.0));
        assert_eq!(median([]), None);
    }

    #[test]
    fn nothing_is_compared_with_nothing() {
        assert_eq!(ratio(Some(3.0), Some(2.0)), Some(1.5));
        assert_eq!(ratio(Some(3.0), Some(0.0)), None);
        assert_eq!(ratio(None, Some(2.0)), None);
        assert_eq!(ratio(Some(3.0), None), None);
    }

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let mut all = Latencies::default();
        for n in (1..=1000).rev() {
            all.add(f64::from(n));
        }
        let told = all.told().unwrap();
        assert_eq!(
            (told.p50, told.p95, told.p99, told.max),
            (500.0, 950.0, 990.0, 1000.0)
        );
    }

    #[test]
    fn of_few_the_longest_stands_for_the_tail_and_of_none_nothing_is_told() {
        let mut few = Latencies::default();
        few.add(2.0);
        let mut more = Latencies::default();
        more.add(5.0);
        few.append(more);
        let told = few.told().unwrap();
        assert_eq!((told.operations, told.p50, told.p99), (2, 2.0, 5.0));
        assert_eq!(Latencies::default().told(), None);
    }
}
