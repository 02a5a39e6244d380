//! Sums of products in a fixed order, in independent lanes so that the compiler makes 128-bit SIMD of them.
//!
//! The order of additions is written out and never depends on the machine: native and Wasm give the same bits.

/// How many vectors share each load of a row.
const SHARED: usize = 4;
/// Numbers of a matrix that are multiplied with all vectors before the next: 32 kB of f64.
const BLOCK: usize = 4096;

/// Sums in lanes: Wasm vectors, since the compiler makes none of arrays when it saves space (the worker took four
/// times as long), or arrays where there are none.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod imp {
    use std::arch::wasm32::{
        f32x4, f32x4_add, f32x4_extract_lane, f32x4_mul, f64x2, f64x2_add, f64x2_extract_lane, f64x2_mul,
        v128,
    };

    /// Two sums of f64.
    #[derive(Clone, Copy)]
    pub(super) struct Two(v128);

    impl Two {
        #[inline(always)]
        pub(super) fn zero() -> Self {
            Self(f64x2(0.0, 0.0))
        }

        #[inline(always)]
        pub(super) fn and(self, a: &[f64; 2], b: &[f64; 2]) -> Self {
            Self(f64x2_add(self.0, f64x2_mul(f64x2(a[0], a[1]), f64x2(b[0], b[1]))))
        }

        #[inline(always)]
        pub(super) fn lanes(self) -> [f64; 2] {
            [f64x2_extract_lane::<0>(self.0), f64x2_extract_lane::<1>(self.0)]
        }
    }

    /// Four sums of f32.
    #[derive(Clone, Copy)]
    pub(super) struct Four(v128);

    impl Four {
        #[inline(always)]
        pub(super) fn zero() -> Self {
            Self(f32x4(0.0, 0.0, 0.0, 0.0))
        }

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
    #[derive(Clone, Copy)]
    pub(super) struct Lanes<T, const N: usize>([T; N]);

    pub(super) type Two = Lanes<f64, 2>;
    pub(super) type Four = Lanes<f32, 4>;

    impl<T: Copy + Default + std::ops::AddAssign + std::ops::Mul<Output = T>, const N: usize> Lanes<T, N> {
        #[inline(always)]
        pub(super) fn zero() -> Self {
            Self([T::default(); N])
        }

        #[inline(always)]
        pub(super) fn and(mut self, a: &[T; N], b: &[T; N]) -> Self {
            for i in 0..N {
                self.0[i] += a[i] * b[i];
            }
            self
        }

        #[inline(always)]
        pub(super) fn lanes(self) -> [T; N] {
            self.0
        }
    }
}

use imp::{Four, Two};

/// The dot products of two rows with four vectors of their length; each depends on its own numbers only.
///
/// Two by four: eight sums hide the time that an addition takes, and six loads serve eight products.
#[inline(always)]
fn tile(rows: [&[f64]; 2], vectors: [&[f64]; SHARED]) -> [[f64; SHARED]; 2] {
    let n = rows[0].len();
    let [r, s] = rows;
    let [b, c, d, e] = vectors;
    // One by one and no array of sums: where the compiler is told to save space, as for the worker, it would keep
    // one in memory.
    let ((r, r_rest), (s, s_rest)) = (r.as_chunks::<2>(), s[..n].as_chunks::<2>());
    let ((b, b_rest), (c, c_rest)) = (b[..n].as_chunks::<2>(), c[..n].as_chunks::<2>());
    let ((d, d_rest), (e, e_rest)) = (d[..n].as_chunks::<2>(), e[..n].as_chunks::<2>());
    let (mut rb, mut rc, mut rd, mut re) = (Two::zero(), Two::zero(), Two::zero(), Two::zero());
    let (mut sb, mut sc, mut sd, mut se) = (Two::zero(), Two::zero(), Two::zero(), Two::zero());
    for (((((r, s), b), c), d), e) in r.iter().zip(s).zip(b).zip(c).zip(d).zip(e) {
        (rb, sb) = (rb.and(r, b), sb.and(s, b));
        (rc, sc) = (rc.and(r, c), sc.and(s, c));
        (rd, sd) = (rd.and(r, d), sd.and(s, d));
        (re, se) = (re.and(r, e), se.and(s, e));
    }
    [
        [
            total(rb, r_rest, b_rest),
            total(rc, r_rest, c_rest),
            total(rd, r_rest, d_rest),
            total(re, r_rest, e_rest),
        ],
        [
            total(sb, s_rest, b_rest),
            total(sc, s_rest, c_rest),
            total(sd, s_rest, d_rest),
            total(se, s_rest, e_rest),
        ],
    ]
}

/// The lanes of a sum and what was left of an odd length.
#[inline(always)]
fn total(sum: Two, a_rest: &[f64], b_rest: &[f64]) -> f64 {
    let [even, odd] = sum.lanes();
    let whole = even + odd;
    match (a_rest, b_rest) {
        ([a], [b]) => whole + a * b,
        _ => whole,
    }
}

/// Σ aᵢbᵢ over the length of `a`.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<2>(), b[..a.len()].as_chunks::<2>());
    let sum = a.iter().zip(b).fold(Two::zero(), |sum, (a, b)| sum.and(a, b));
    total(sum, a_rest, b_rest)
}

/// `a` (rows × `cols`) times each of the vectors in `v` (any number × `cols`): `out` has that number × rows.
pub(super) fn product(a: &[f64], cols: usize, v: &[f64], out: &mut [f64]) {
    if cols == 0 {
        out.fill(0.0);
        return;
    }
    debug_assert!(a.len().is_multiple_of(cols) && v.len().is_multiple_of(cols));
    let rows = a.len() / cols;
    let vectors = v.len() / cols;
    let vector = |k: usize| &v[k * cols..(k + 1) * cols];
    // A block of rows stays in the nearest cache while all the vectors pass by.
    let block = (BLOCK / cols).max(2) & !1;
    for (nth, some) in a.chunks(block * cols).enumerate() {
        for k in (0..vectors).step_by(SHARED) {
            let at = |more: usize| vector((k + more).min(vectors - 1));
            let group = [at(0), at(1), at(2), at(3)];
            for (pair, both) in some.chunks(2 * cols).enumerate() {
                let count = both.len() / cols;
                let first = nth * block + 2 * pair;
                let sums = tile([&both[..cols], &both[(count - 1) * cols..]], group);
                for (row, sums) in sums.iter().enumerate().take(count) {
                    for (of, sum) in sums.iter().enumerate().take(vectors - k) {
                        out[(k + of) * rows + first + row] = *sum;
                    }
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
        four_f32(x, [row(0), row(1), row(2), row(3)]).into_iter().take(count).for_each(&mut each);
    }
}

#[inline(always)]
fn four_f32(x: &[f32], [b, c, d, e]: [&[f32]; SHARED]) -> [f32; SHARED] {
    let n = x.len();
    let ((x, x_rest), (b, b_rest)) = (x.as_chunks::<4>(), b[..n].as_chunks::<4>());
    let ((c, c_rest), (d, d_rest)) = (c[..n].as_chunks::<4>(), d[..n].as_chunks::<4>());
    let (e, e_rest) = e[..n].as_chunks::<4>();
    let (mut xb, mut xc, mut xd, mut xe) = (Four::zero(), Four::zero(), Four::zero(), Four::zero());
    for ((((x, b), c), d), e) in x.iter().zip(b).zip(c).zip(d).zip(e) {
        (xb, xc, xd, xe) = (xb.and(x, b), xc.and(x, c), xd.and(x, d), xe.and(x, e));
    }
    let total = |sum: Four, rest: &[f32]| {
        let [s, t, u, v] = sum.lanes();
        let rest: f32 = x_rest.iter().zip(rest).map(|(x, y)| x * y).sum();
        ((s + u) + (t + v)) + rest
    };
    [total(xb, b_rest), total(xc, c_rest), total(xd, d_rest), total(xe, e_rest)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows, columns, vectors: more than a block, an odd last row, one alone.
    #[test]
    #[allow(clippy::cast_precision_loss)]
    fn a_product_of_every_shape_is_right() {
        for (rows, cols, vectors) in
            [(5, 1500, 5), (1, 7, 1), (1, 5000, 2), (103, 40, 1), (9, 4096, 3), (3, 1, 9)]
        {
            let number = |i: usize| (i * 37 % 101) as f64 / 7.0 - 5.0;
            let a: Vec<f64> = (0..rows * cols).map(number).collect();
            let v: Vec<f64> = (0..vectors * cols).map(|i| number(i + 11)).collect();
            let mut out = vec![f64::NAN; vectors * rows];
            product(&a, cols, &v, &mut out);
            for (k, v) in v.chunks_exact(cols).enumerate() {
                for (i, a) in a.chunks_exact(cols).enumerate() {
                    let plain: f64 = a.iter().zip(v).map(|(x, y)| x * y).sum();
                    assert!((out[k * rows + i] - plain).abs() < 1e-7, "{rows} {cols} {vectors}: {k} {i}");
                    assert_eq!(out[k * rows + i].to_bits(), dot(v, a).to_bits(), "either way round");
                }
            }
        }
    }

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
