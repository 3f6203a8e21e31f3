//! Figures of repeated measurements.

use std::time::Duration;

/// Of sorted times, the one that a share of them, 0 to 1, are at most as long as, the nearest; zero of none.
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let at = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_nearest() {
        let ms = |count: u64| (1..=count).map(Duration::from_millis).collect::<Vec<_>>();
        let of = |count, share| quantile(&ms(count), share).as_millis();
        assert_eq!([0.0, 0.1, 0.5, 0.9, 1.0].map(|share| of(11, share)), [1, 2, 6, 10, 11]);
        assert_eq!([0.0, 0.1, 0.5, 0.9, 1.0].map(|share| of(10, share)), [1, 2, 6, 9, 10]);
        assert_eq!([0.1, 0.5, 0.9].map(|share| of(2, share)), [1, 2, 2]);
        assert_eq!((of(1, 0.9), of(0, 0.5)), (1, 0));
    }
}
