//! Random sizes, each from one draw of the generator. They use its upper 56 bits: the lowest byte is left for the stamp.

/// Uniform from `low` to `high`, both included.
#[inline(always)]
pub fn uniform(draw: u64, low: usize, high: usize) -> usize {
    low + scaled(draw >> 32, high - low + 1)
}

/// From `low` to `high`, mostly small: half of all are in the lowest eighth of the range, a tenth in the highest quarter.
#[inline(always)]
pub fn skewed(draw: u64, low: usize, high: usize) -> usize {
    let u = draw >> 32;
    let cube = (((u * u) >> 32) * u) >> 32;
    low + scaled(cube, high - low + 1)
}

/// From `low` to `high`, both included: how often a size comes falls linearly, to nearly never for the highest.
#[inline(always)]
pub fn falling(draw: u64, low: usize, high: usize) -> usize {
    let (one, other) = (draw >> 36, (draw >> 8) & 0xFFF_FFFF);
    low + scaled(one.min(other) << 4, high - low + 1)
}

/// From the square of `low` to the square of `high`: how often a size comes falls with its square root.
#[inline(always)]
pub fn squares(draw: u64, low: usize, high: usize) -> usize {
    let root = ((low as u64) << 32) + (draw >> 32) * (high - low) as u64;
    (((root >> 16) * (root >> 16)) >> 32) as usize
}

/// From `low` to `low << octaves`, excluded: each doubling is equally likely, and within it all sizes are.
#[inline(always)]
pub fn octaves(draw: u64, low: usize, octaves: usize) -> usize {
    let base = low << scaled(draw >> 32, octaves);
    base + ((((draw >> 8) & 0xFF_FFFF) * base as u64) >> 24) as usize
}

/// `fraction` in units of 2^-32, times `count`, rounded down.
#[inline(always)]
fn scaled(fraction: u64, count: usize) -> usize {
    ((fraction * count as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn many(of: impl Fn(u64) -> usize) -> Vec<usize> {
        let mut rng = Rng::new(1, 1);
        let mut sizes: Vec<usize> = (0..20_000).map(|_| of(rng.draw())).collect();
        sizes.sort_unstable();
        sizes
    }

    #[test]
    fn bounds_are_kept_and_medians_are_where_they_should_be() {
        let middle = 10_000;
        let flat = many(|d| uniform(d, 8, 1000));
        assert_eq!((flat[0], flat[19_999]), (8, 1000));
        assert!((470..540).contains(&flat[middle]), "{}", flat[middle]);
        let small = many(|d| skewed(d, 16, 1024));
        assert!(small[0] == 16 && (1000..=1024).contains(&small[19_999]));
        assert!((125..160).contains(&small[middle]), "{}", small[middle]);
        let log = many(|d| octaves(d, 16, 11));
        assert!(log[0] == 16 && (32_000..32_768).contains(&log[19_999]));
        assert!((650..850).contains(&log[middle]), "{}", log[middle]);
        let slope = many(|d| falling(d, 16, 16_000));
        assert!(slope[0] < 100 && (15_000..=16_000).contains(&slope[19_999]));
        assert!((4500..4900).contains(&slope[middle]), "{}", slope[middle]);
        let root = many(|d| squares(d, 2, 181));
        assert!(root[0] == 4 && (32_500..=32_761).contains(&root[19_999]));
        assert!((8100..8700).contains(&root[middle]), "{}", root[middle]);
        let extremes = [0, u64::MAX];
        assert_eq!(extremes.map(|d| falling(d, 16, 16_000)), [16, 16_000]);
        assert_eq!(extremes.map(|d| squares(d, 2, 181)), [4, 32_760]);
        assert_eq!(extremes.map(|d| uniform(d, 8, 1000)), [8, 1000]);
        assert_eq!(extremes.map(|d| octaves(d, 16, 11)), [16, 32_767]);
        assert!(extremes.iter().all(|&d| (16..=1024).contains(&skewed(d, 16, 1024))));
    }
}
