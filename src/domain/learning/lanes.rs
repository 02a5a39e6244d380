//! Sums of products in a fixed order, in independent lanes so that the compiler makes 128-bit SIMD of them.
//!
//! The order of additions is written out and never depends on the machine: native and Wasm give the same bits.

/// Lanes of a sum in f64: two registers of 128 bits.
const WIDE: usize = 4;
/// Lanes of a sum in f32: two registers of 128 bits.
const NARROW: usize = 8;
/// How many sums share each load of `a`.
const SHARED: usize = 4;

/// Four dot products of `a`, each the same bits as [`dot`] would give.
fn dot4(a: &[f64], b: [&[f64]; SHARED]) -> [f64; SHARED] {
    let n = a.len();
    let b = b.map(|b| &b[..n]);
    let mut sums = [[0.0; WIDE]; SHARED];
    let whole = n - n % WIDE;
    for at in (0..whole).step_by(WIDE) {
        let x = &a[at..at + WIDE];
        for (sum, b) in sums.iter_mut().zip(&b) {
            let y = &b[at..at + WIDE];
            for lane in 0..WIDE {
                sum[lane] += x[lane] * y[lane];
            }
        }
    }
    let mut out = [0.0; SHARED];
    for ((out, sum), b) in out.iter_mut().zip(&sums).zip(&b) {
        let tail: f64 = a[whole..].iter().zip(&b[whole..]).map(|(x, y)| x * y).sum();
        *out = ((sum[0] + sum[2]) + (sum[1] + sum[3])) + tail;
    }
    out
}

/// Σ aᵢbᵢ over the length of `a`.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    dot4(a, [b, b, b, b])[0]
}

/// `a` (rows × `cols`) times each of the vectors in `v` (any number × `cols`): `out` has that number × rows.
pub(super) fn product(a: &[f64], cols: usize, v: &[f64], out: &mut [f64]) {
    if cols == 0 {
        out.fill(0.0);
        return;
    }
    let rows = a.len() / cols;
    let vectors = v.len() / cols;
    let vector = |k: usize| &v[k * cols..(k + 1) * cols];
    for (i, row) in a.chunks_exact(cols).enumerate() {
        for k in (0..vectors).step_by(SHARED) {
            let at = |more: usize| vector((k + more).min(vectors - 1));
            let sums = dot4(row, [at(0), at(1), at(2), at(3)]);
            for (more, sum) in sums.into_iter().enumerate().take(vectors - k) {
                out[(k + more) * rows + i] = sum;
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
    let whole = width - width % NARROW;
    for group in rows.chunks(SHARED * width) {
        let count = group.len() / width;
        let row = |k: usize| &group[k.min(count - 1) * width..][..width];
        let b = [row(0), row(1), row(2), row(3)];
        let mut sums = [[0.0_f32; NARROW]; SHARED];
        for at in (0..whole).step_by(NARROW) {
            let x = &x[at..at + NARROW];
            for (sum, b) in sums.iter_mut().zip(&b) {
                let y = &b[at..at + NARROW];
                for lane in 0..NARROW {
                    sum[lane] += x[lane] * y[lane];
                }
            }
        }
        for (sum, b) in sums.iter().zip(&b).take(count) {
            let tail: f32 = x[whole..].iter().zip(&b[whole..]).map(|(x, y)| x * y).sum();
            let halves = [sum[0] + sum[4], sum[1] + sum[5], sum[2] + sum[6], sum[3] + sum[7]];
            each(((halves[0] + halves[2]) + (halves[1] + halves[3])) + tail);
        }
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
