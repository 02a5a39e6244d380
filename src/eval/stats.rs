//! Means over seeds, and how sure they are.

/// A mean with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Its standard error; 0 of one number.
    pub error: f64,
}

/// Mean and standard error; `None` of no number.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn mean(of: &[f64]) -> Option<Mean> {
    let n = of.len() as f64;
    if of.is_empty() {
        return None;
    }
    let mean = of.iter().sum::<f64>() / n;
    let squares: f64 = of.iter().map(|x| (x - mean).powi(2)).sum();
    let error = if of.len() > 1 { (squares / (n - 1.0) / n).sqrt() } else { 0.0 };
    // Equal numbers differ from their mean by roundings.
    let error = if error < mean.abs() * 1e-12 { 0.0 } else { error };
    Some(Mean { mean, error })
}

/// The median; of an even number the greater of the two in the middle.
#[must_use]
pub fn median(of: &[f64]) -> Option<f64> {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// `part` of `whole` as a share; `None` of nothing.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Four significant digits.
#[must_use]
pub fn significant(x: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    #[allow(clippy::cast_possible_truncation)]
    let digits = 3 - x.abs().log10().floor() as i32;
    // Dividing by a whole power leaves the shortest decimal, multiplying by a fraction does not.
    if digits >= 0 {
        (x * 10_f64.powi(digits)).round() / 10_f64.powi(digits)
    } else {
        (x / 10_f64.powi(-digits)).round() * 10_f64.powi(-digits)
    }
}

/// `job` of each number below `count`, on all cores, in order.
pub fn parallel<T: Send>(count: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(count.max(1));
    let mut done: Vec<(usize, T)> = std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if at >= count {
                    return done;
                }
                done.push((at, job(at)));
            }
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        // A job that panicked takes the run down with its own words.
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|why| std::panic::resume_unwind(why)))
            .collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_knows_its_error() {
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[3.0]), Some(Mean { mean: 3.0, error: 0.0 }));
        assert_eq!(mean(&[0.6; 10]).map(|mean| mean.error.to_bits()), Some(0));
        assert_eq!(mean(&[1.0, 3.0]), Some(Mean { mean: 2.0, error: 1.0 }));
    }

    #[test]
    fn four_digits_count() {
        let found = [0.123_456, 98_765.4, 0.000_012_345_6, 1.0, 0.0, -2.345_67].map(significant);
        assert_eq!(found.map(|x| x.to_string()), ["0.1235", "98770", "0.00001235", "1", "0", "-2.346"]);
    }

    #[test]
    fn work_that_is_shared_out_comes_back_in_order() {
        assert_eq!(parallel(100, |at| at * at), (0..100).map(|at| at * at).collect::<Vec<_>>());
        assert!(parallel(0, |at| at).is_empty());
    }
}
