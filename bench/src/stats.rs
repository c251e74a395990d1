//! Medians and quartiles of a few runs.

/// What is reported of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub min: f64,
    pub quartile1: f64,
    pub median: f64,
    pub quartile3: f64,
    pub max: f64,
}

impl Summary {
    /// None for an empty series.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        if sorted.is_empty() {
            return None;
        }
        Some(Summary {
            min: quantile(&sorted, 0.0),
            quartile1: quantile(&sorted, 0.25),
            median: quantile(&sorted, 0.5),
            quartile3: quantile(&sorted, 0.75),
            max: quantile(&sorted, 1.0),
        })
    }

    /// The distance of the quartiles, as a fraction of the median.
    pub fn spread(&self) -> f64 {
        if self.median == 0.0 {
            0.0
        } else {
            (self.quartile3 - self.quartile1) / self.median
        }
    }
}

/// Linear interpolation between the neighbours (type 7 of Hyndman and Fan, the default of R and NumPy).
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let low = position.floor() as usize;
    let high = position.ceil() as usize;
    sorted[low] + (sorted[high] - sorted[low]) * (position - low as f64)
}

/// How much two series of the same thing differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// The difference of the medians, as a fraction of the first.
    pub medians: f64,
    /// The median of the differences within a round, as a fraction.
    pub rounds: f64,
}

impl Noise {
    /// `pairs` are the two values of each round; None when there are none.
    pub fn of(pairs: &[(f64, f64)]) -> Option<Self> {
        let first = Summary::of(pairs.iter().map(|pair| pair.0))?.median;
        let second = Summary::of(pairs.iter().map(|pair| pair.1))?.median;
        let rounds = Summary::of(pairs.iter().map(|(a, b)| (b / a - 1.0).abs()))?.median;
        Some(Noise {
            medians: (second / first - 1.0).abs(),
            rounds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_and_even_series() {
        let s = Summary::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((s.min, s.median, s.max), (1.0, 2.0, 3.0));
        assert_eq!((s.quartile1, s.quartile3), (1.5, 2.5));
        let s = Summary::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(s.median, 2.5);
        assert_eq!((s.quartile1, s.quartile3), (1.75, 3.25));
        assert_eq!(s.spread(), 0.6);
    }

    #[test]
    fn one_value_has_no_spread_and_none_has_no_summary() {
        let s = Summary::of([7.0]).unwrap();
        assert_eq!((s.min, s.median, s.max, s.spread()), (7.0, 7.0, 7.0, 0.0));
        assert_eq!(Summary::of([]), None);
    }

    #[test]
    fn noise_of_two_series() {
        let noise = Noise::of(&[(100.0, 110.0), (100.0, 90.0), (100.0, 102.0)]).unwrap();
        assert!((noise.medians - 0.02).abs() < 1e-12, "{noise:?}");
        assert!((noise.rounds - 0.10).abs() < 1e-12, "{noise:?}");
        assert_eq!(Noise::of(&[]), None);
    }
}
