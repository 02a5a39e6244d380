//! Sorting without the standard library's sort, which weighs some kilobytes of the page for each type.

/// Sorts ascending, in place: heap sort, `n log n` whatever comes.
pub(super) fn sort(keys: &mut [u64]) {
    greatest_last(keys, keys.len());
}

/// The `count` smallest of `keys`, the greatest of them first; brings the others into any order. Takes
/// `n + count log n`: a page of a long list is had without sorting the list.
pub(super) fn least(keys: &mut [u64], count: usize) -> &[u64] {
    let count = count.min(keys.len());
    // The other way round the smallest are the greatest.
    keys.iter_mut().for_each(|key| *key = !*key);
    let least = greatest_last(keys, count);
    least.iter_mut().for_each(|key| *key = !*key);
    least
}

/// Brings the `count` greatest to the end, ascending, and gives them.
fn greatest_last(keys: &mut [u64], count: usize) -> &mut [u64] {
    for root in (0..keys.len() / 2).rev() {
        sift(keys, root);
    }
    let others = keys.len() - count;
    for end in (others..keys.len()).rev() {
        keys.swap(0, end);
        sift(&mut keys[..end], 0);
    }
    &mut keys[others..]
}

fn sift(heap: &mut [u64], mut root: usize) {
    loop {
        let mut child = 2 * root + 1;
        if child >= heap.len() {
            return;
        }
        if child + 1 < heap.len() && heap[child] < heap[child + 1] {
            child += 1;
        }
        if heap[root] >= heap[child] {
            return;
        }
        heap.swap(root, child);
        root = child;
    }
}

/// Positions of `confidences`, the greatest first, equal ones in their order; NaN counts as 0.
///
/// Holds for up to 2³² of them and for confidences within 0 to 1; what is outside is brought to the end.
pub(super) fn most_confident_first(confidences: impl Iterator<Item = f32>) -> Vec<usize> {
    // Numbers of one sign compare like their bits.
    let key = |c: f32| u64::from(!(if c > 0.0 { c.min(1.0) } else { 0.0 }).to_bits());
    let mut keys: Vec<u64> = confidences.zip(0_u64..).map(|(c, place)| key(c) << 32 | place).collect();
    sort(&mut keys);
    #[allow(clippy::cast_possible_truncation)]
    keys.into_iter().map(|key| key as u32 as usize).collect()
}

/// The median of `numbers`, none of which is negative; `None` of none.
pub(super) fn median(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let mut keys: Vec<u64> = numbers.map(|x| x.max(0.0).to_bits()).collect();
    sort(&mut keys);
    let (middle, at) = (keys.len() / 2, |place: usize| f64::from_bits(keys[place]));
    match keys.len() {
        0 => None,
        n if n % 2 == 1 => Some(at(middle)),
        _ => Some(f64::midpoint(at(middle - 1), at(middle))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_like_the_standard_library_sorts() {
        let mut state = 7_u64;
        for length in 0..200 {
            let mut keys: Vec<u64> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    state >> 58
                })
                .collect();
            let mut expected = keys.clone();
            expected.sort_unstable();
            sort(&mut keys);
            assert_eq!(keys, expected);
        }
    }

    #[test]
    fn a_page_of_the_least_is_what_sorting_all_gives() {
        let keys: Vec<u64> = (0..100).map(|i| (i * 37) % 101 / 2).collect();
        let mut sorted = keys.clone();
        sort(&mut sorted);
        for count in [0, 1, 7, 99, 100, 250] {
            let mut all = keys.clone();
            let page: Vec<u64> = least(&mut all, count).iter().rev().copied().collect();
            assert_eq!(page, sorted[..count.min(100)]);
        }
    }

    #[test]
    fn the_most_confident_lead_and_ties_keep_their_order() {
        let order = most_confident_first([0.2, 0.9, f32::NAN, 1.0, 0.9, 0.0, 1e-30].into_iter());
        assert_eq!(order, [3, 1, 4, 0, 6, 2, 5]);
    }

    #[test]
    fn the_median_of_an_even_count_lies_between() {
        assert_eq!(median([3.0, 1.0, 10.0, 2.0].into_iter()), Some(2.5));
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([].into_iter()), None);
    }
}
