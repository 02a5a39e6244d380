//! Sums of products in a fixed order, in independent lanes so that the compiler makes 128-bit SIMD of them.
//!
//! The order of additions is written out and never depends on the machine: native and Wasm give the same bits.

/// How many sums share each load of `a`.
const SHARED: usize = 4;
/// Numbers of a matrix that are multiplied with all vectors before the next: 32 kB of f64.
const BLOCK: usize = 4096;

macro_rules! fours {
    ($number:ty, $sum:ty) => {
        impl Fours for $number {
            #[inline(always)]
            fn dot4(a: &[$number], b: [&[$number]; SHARED]) -> [$number; SHARED] {
                let n = a.len();
                let (a, a_tail) = a.as_chunks::<4>();
                let [(b0, b0_tail), (b1, b1_tail), (b2, b2_tail), (b3, b3_tail)] =
                    b.map(|b| b[..n].as_chunks::<4>());
                let (mut s0, mut s1, mut s2, mut s3) = <($sum, $sum, $sum, $sum)>::default();
                // One by one and no array of sums: where the compiler is told to save space, as for the worker,
                // it would keep one in memory.
                for ((((a, b0), b1), b2), b3) in a.iter().zip(b0).zip(b1).zip(b2).zip(b3) {
                    s0 = s0.and(a, b0);
                    s1 = s1.and(a, b1);
                    s2 = s2.and(a, b2);
                    s3 = s3.and(a, b3);
                }
                let total = |sum: $sum, tail: &[$number]| {
                    let [s, t, u, v] = sum.lanes();
                    let rest: $number = a_tail.iter().zip(tail).map(|(a, b)| a * b).sum();
                    ((s + u) + (t + v)) + rest
                };
                [total(s0, b0_tail), total(s1, b1_tail), total(s2, b2_tail), total(s3, b3_tail)]
            }
        }
    };
}
fours!(f64, imp::Wide);
fours!(f32, imp::Narrow);

/// Four lanes of a sum: Wasm vectors, since the compiler makes none of arrays when it saves space (the worker took
/// four times as long), or an array where there are none.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod imp {
    use std::arch::wasm32::{
        f32x4, f32x4_add, f32x4_extract_lane, f32x4_mul, f64x2, f64x2_add, f64x2_extract_lane, f64x2_mul,
        v128,
    };

    #[derive(Clone, Copy)]
    pub(super) struct Wide(v128, v128);

    impl Default for Wide {
        fn default() -> Self {
            Self(f64x2(0.0, 0.0), f64x2(0.0, 0.0))
        }
    }

    impl Wide {
        #[inline(always)]
        pub(super) fn and(self, a: &[f64; 4], b: &[f64; 4]) -> Self {
            Self(
                f64x2_add(self.0, f64x2_mul(f64x2(a[0], a[1]), f64x2(b[0], b[1]))),
                f64x2_add(self.1, f64x2_mul(f64x2(a[2], a[3]), f64x2(b[2], b[3]))),
            )
        }

        #[inline(always)]
        pub(super) fn lanes(self) -> [f64; 4] {
            let Self(low, high) = self;
            [
                f64x2_extract_lane::<0>(low),
                f64x2_extract_lane::<1>(low),
                f64x2_extract_lane::<0>(high),
                f64x2_extract_lane::<1>(high),
            ]
        }
    }

    #[derive(Clone, Copy)]
    pub(super) struct Narrow(v128);

    impl Default for Narrow {
        fn default() -> Self {
            Self(f32x4(0.0, 0.0, 0.0, 0.0))
        }
    }

    impl Narrow {
        #[inline(always)]
        pub(super) fn and(self, a: &[f32; 4], b: &[f32; 4]) -> Self {
            let (a, b) = (f32x4(a[0], a[1], a[2], a[3]), f32x4(b[0], b[1], b[2], b[3]));
            Self(f32x4_add(self.0, f32x4_mul(a, b)))
        }

        #[inline(always)]
        pub(super) fn lanes(self) -> [f32; 4] {
            [
                f32x4_extract_lane::<0>(self.0),
                f32x4_extract_lane::<1>(self.0),
                f32x4_extract_lane::<2>(self.0),
                f32x4_extract_lane::<3>(self.0),
            ]
        }
    }
}

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod imp {
    #[derive(Clone, Copy, Default)]
    pub(super) struct Lanes<T>([T; 4]);

    pub(super) type Wide = Lanes<f64>;
    pub(super) type Narrow = Lanes<f32>;

    impl<T: Copy + std::ops::Add<Output = T> + std::ops::Mul<Output = T>> Lanes<T> {
        #[inline(always)]
        pub(super) fn and(self, a: &[T; 4], b: &[T; 4]) -> Self {
            let [s, t, u, v] = self.0;
            Self([s + a[0] * b[0], t + a[1] * b[1], u + a[2] * b[2], v + a[3] * b[3]])
        }

        #[inline(always)]
        pub(super) fn lanes(self) -> [T; 4] {
            self.0
        }
    }
}

/// Numbers that are added up in fours.
pub(super) trait Fours: Copy + Default {
    /// Four dot products of `a`, over its length; each depends on its own numbers only.
    fn dot4(a: &[Self], b: [&[Self]; SHARED]) -> [Self; SHARED];
}

/// Σ aᵢbᵢ over the length of `a`.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    f64::dot4(a, [b, b, b, b])[0]
}

/// `a` (rows × `cols`) times each of the vectors in `v` (any number × `cols`): `out` has that number × rows.
pub(super) fn product<T: Fours>(a: &[T], cols: usize, v: &[T], out: &mut [T]) {
    if cols == 0 {
        out.fill(T::default());
        return;
    }
    let rows = a.len() / cols;
    let vectors = v.len() / cols;
    let vector = |k: usize| &v[k * cols..(k + 1) * cols];
    // A block of rows stays in the nearest cache while all the vectors pass by.
    let block = (BLOCK / cols).max(1);
    for (nth, some) in a.chunks(block * cols).enumerate() {
        for k in (0..vectors).step_by(SHARED) {
            let at = |more: usize| vector((k + more).min(vectors - 1));
            let group = [at(0), at(1), at(2), at(3)];
            for (i, row) in some.chunks_exact(cols).enumerate() {
                let sums = T::dot4(row, group);
                for (more, sum) in sums.into_iter().enumerate().take(vectors - k) {
                    out[(k + more) * rows + nth * block + i] = sum;
                }
            }
        }
    }
}

/// `a` plus `by` times `b`.
pub(super) fn add_scaled(a: &mut [f64], by: f64, b: &[f64]) {
    for (a, b) in a.iter_mut().zip(b) {
        *a += by * b;
    }
}

/// The dot product of `x` with each row of `rows` (row-major, as wide as `x`), handed to `each` in order.
///
/// In f32: the fast path of scoring, where a rounding of 10⁻⁶ is far below what a confidence shows.
pub(super) fn dots_f32(x: &[f32], rows: &[f32], mut each: impl FnMut(f32)) {
    let width = x.len();
    if width == 0 {
        return;
    }
    for group in rows.chunks(SHARED * width) {
        let count = group.len() / width;
        let row = |k: usize| &group[k.min(count - 1) * width..][..width];
        let sums = f32::dot4(x, [row(0), row(1), row(2), row(3)]);
        sums.into_iter().take(count).for_each(&mut each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::cast_precision_loss)]
    fn sums_of_every_length_are_right_and_do_not_depend_on_their_neighbours() {
        for cols in 1..40 {
            let number = |i: usize| (i * 37 % 101) as f64 / 7.0 - 5.0;
            let a: Vec<f64> = (0..3 * cols).map(number).collect();
            let v: Vec<f64> = (0..6 * cols).map(|i| number(i + 11)).collect();
            let mut out = vec![0.0; 6 * 3];
            product(&a, cols, &v, &mut out);
            for k in 0..6 {
                for i in 0..3 {
                    let (x, y) = (&a[i * cols..(i + 1) * cols], &v[k * cols..(k + 1) * cols]);
                    let plain: f64 = x.iter().zip(y).map(|(x, y)| x * y).sum();
                    assert!((out[k * 3 + i] - plain).abs() < 1e-9);
                    assert_eq!(out[k * 3 + i].to_bits(), dot(y, x).to_bits(), "either way round");
                }
            }
            #[allow(clippy::cast_possible_truncation)]
            let (x, rows): (Vec<f32>, Vec<f32>) =
                (a[..cols].iter().map(|x| *x as f32).collect(), v.iter().map(|x| *x as f32).collect());
            let mut k = 0;
            dots_f32(&x, &rows, |sum| {
                let plain: f32 = x.iter().zip(&rows[k * cols..]).map(|(x, y)| x * y).sum();
                assert!((sum - plain).abs() < 1e-2, "{sum} and {plain}");
                k += 1;
            });
            assert_eq!(k, 6);
        }
    }
}
