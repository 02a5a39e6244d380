//! PIL's antialiased bilinear resampling of 8-bit pictures, to the bit.
//!
//! After `src/libImaging/Resample.c` of Pillow: a triangle filter as wide as the reduction, first along
//! rows, then along columns, each rounded to 8 bits, with weights in 22-bit fixed point.

/// One channel of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plane {
    pub width: usize,
    /// Rows from the top.
    pub values: Vec<u8>,
}

/// The part of a picture that is resampled, in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

/// Pillow's `PRECISION_BITS` for 8-bit channels.
const PRECISION: u32 = 32 - 8 - 2;

impl Plane {
    fn height(&self) -> usize {
        self.values.len() / self.width
    }

    /// The window's content at `width` × `height` pixels.
    pub(super) fn resized(&self, window: Window, width: u32, height: u32) -> Plane {
        let rows = self.along_rows(window.left, window.right, width as usize);
        // A column is a row of the transposed picture.
        rows.transposed().along_rows(window.top, window.bottom, height as usize).transposed()
    }

    /// This picture in the middle of a black one.
    pub(super) fn on_black(&self, width: u32, height: u32) -> Plane {
        let (width, height) = (width as usize, height as usize);
        let (left, top) = (half(width - self.width), half(height - self.height()));
        let mut values = vec![0; width * height];
        for (y, row) in self.values.chunks_exact(self.width).enumerate() {
            values[(top + y) * width + left..][..self.width].copy_from_slice(row);
        }
        Plane { width, values }
    }

    fn transposed(&self) -> Plane {
        let (width, height) = (self.width, self.height());
        let mut values = vec![0; self.values.len()];
        for (y, row) in self.values.chunks_exact(width).enumerate() {
            for (x, &value) in row.iter().enumerate() {
                values[x * height + y] = value;
            }
        }
        Plane { width: height, values }
    }

    fn along_rows(&self, from: f64, to: f64, width: usize) -> Plane {
        #[allow(clippy::cast_precision_loss)]
        let untouched = from == 0.0 && to == self.width as f64 && width == self.width;
        if untouched {
            return self.clone();
        }
        let taps = taps(self.width, from, to, width);
        let mut values = Vec::with_capacity(width * self.height());
        for row in self.values.chunks_exact(self.width) {
            values.extend(taps.iter().map(|(first, weights)| {
                let sum: i32 = row[*first..].iter().zip(weights).map(|(&v, w)| i32::from(v) * w).sum();
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let value = ((sum + (1 << (PRECISION - 1))) >> PRECISION).clamp(0, 255) as u8;
                value
            }));
        }
        Plane { width, values }
    }
}

/// `round(rest * 0.5)` as Python rounds: halves to even.
fn half(rest: usize) -> usize {
    rest / 2 + usize::from(rest % 4 == 3)
}

/// For each new pixel the first old one that it is made of, and the weights: `precompute_coeffs`.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
fn taps(size: usize, from: f64, to: f64, new_size: usize) -> Vec<(usize, Vec<i32>)> {
    // Pillow keeps the window in single precision.
    let (from, to) = (from as f32, to as f32);
    let scale = f64::from(to - from) / new_size as f64;
    // Enlarging interpolates between two pixels; reducing averages over all that fall together.
    let support = scale.max(1.0);
    let narrowing = 1.0 / support;
    (0..new_size)
        .map(|i| {
            let centre = f64::from(from) + (i as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(size);
            let weights: Vec<f64> = (first..end)
                .map(|x| (1.0 - ((x as f64 - centre + 0.5) * narrowing).abs()).max(0.0))
                .collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |w: &f64| (0.5 + w / sum * f64::from(1 << PRECISION)) as i32;
            (first, weights.iter().map(fixed).collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture without symmetry, the same as the one that made the numbers below.
    fn picture(width: usize, height: usize) -> Plane {
        #[allow(clippy::cast_possible_truncation)]
        let value = |x: usize, y: usize| ((x * x * 7 + y * 31 + x * y * 3) % 256) as u8;
        Plane { width, values: (0..height).flat_map(|y| (0..width).map(move |x| value(x, y))).collect() }
    }

    fn whole(plane: &Plane) -> Window {
        #[allow(clippy::cast_precision_loss)]
        let (right, bottom) = (plane.width as f64, plane.height() as f64);
        Window { left: 0.0, top: 0.0, right, bottom }
    }

    /// Horner's sum over all pixels, so that a large picture needs no file.
    fn digest(plane: &Plane) -> u32 {
        plane.values.iter().fold(0, |sum: u32, &v| sum.wrapping_mul(31).wrapping_add(v.into()))
    }

    // All numbers below were made by Pillow 12 from the same picture.

    #[test]
    fn reducing_is_pillows_to_the_bit() {
        let small = picture(7, 5);
        assert_eq!(small.resized(whole(&small), 3, 2).values, [43, 106, 143, 110, 156, 115]);
        let large = picture(301, 199);
        assert_eq!(digest(&large.resized(whole(&large), 64, 48)), 1_521_477_582);
    }

    #[test]
    fn enlarging_is_pillows_to_the_bit() {
        let small = picture(3, 2);
        let enlarged = [0, 3, 7, 20, 28, 8, 11, 16, 29, 37, 23, 27, 33, 46, 56, 31, 35, 41, 55, 65];
        assert_eq!(small.resized(whole(&small), 5, 4).values, enlarged);
    }

    #[test]
    fn halves_round_to_even_as_in_python() {
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(half), [0, 0, 1, 2, 2, 2, 3, 4]);
    }
}
