//! The data sets, as they are committed or as Debian's packages bring them.

use std::path::Path;

use super::study::Set;

/// Handwritten digits: 64 pixels, divided by 16, are the features; the model has no scores.
///
/// `text` is `tests/fixtures/digits.txt`: a line each, pixels from 0 to 16 as digits of base 17, then the digit.
///
/// # Errors
/// The first line that is not such a line.
pub fn digits(text: &str) -> Result<Set, String> {
    let mut set = Set { labels: 10, features: 64, ..Set::default() };
    for (number, line) in
        text.lines().enumerate().filter(|(_, line)| !line.starts_with('#') && !line.is_empty())
    {
        let read = || {
            let (pixels, label) = line.split_once(' ')?;
            #[allow(clippy::cast_precision_loss)]
            let pixel = |c: char| c.to_digit(17).map(|p| p as f32 / 16.0);
            let pixels: Vec<f32> = pixels.chars().map(pixel).collect::<Option<_>>()?;
            let label: u16 = label.parse().ok().filter(|label| *label < 10)?;
            (pixels.len() == 64).then_some((pixels, label))
        };
        let (pixels, label) =
            read().ok_or_else(|| format!("digits, line {}: not 64 pixels and a digit", number + 1))?;
        set.all_features.extend(pixels);
        set.truth.push(label);
    }
    Ok(set)
}

/// Grey pictures with their labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Pictures {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// One byte a pixel, picture after picture.
    pub pixels: Vec<u8>,
    /// The label of each.
    pub truth: Vec<u16>,
}

impl Pictures {
    /// Reads `NAME-images-idx3-ubyte` and `NAME-labels-idx1-ubyte` from a folder.
    ///
    /// # Errors
    /// A file that is not there or does not hold what its header says.
    pub fn read(folder: &Path, name: &str) -> Result<Self, String> {
        let file = |what: &str| {
            let path = folder.join(format!("{name}-{what}"));
            std::fs::read(&path).map_err(|why| format!("{}: {why}", path.display()))
        };
        Self::of(&file("images-idx3-ubyte")?, &file("labels-idx1-ubyte")?)
    }

    /// The IDX format: <http://yann.lecun.com/exdb/mnist/>, big-endian.
    fn of(images: &[u8], labels: &[u8]) -> Result<Self, String> {
        let (sizes, pixels) = idx(images, 3)?;
        let (counts, labels) = idx(labels, 1)?;
        let [count, height, width] = sizes[..] else { return Err("not three dimensions".into()) };
        if counts != [count] {
            return Err(format!("{count} pictures, but {} labels", labels.len()));
        }
        let truth = labels.iter().map(|label| u16::from(*label)).collect();
        Ok(Self { width, height, pixels: pixels.to_vec(), truth })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.truth.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.truth.is_empty()
    }

    /// Only the first `count`.
    #[must_use]
    pub fn first(mut self, count: usize) -> Self {
        self.truth.truncate(count);
        self.pixels.truncate(self.truth.len() * self.width * self.height);
        self
    }

    /// The same pictures as another camera might give them: mirrored, at six tenths of the brightness.
    #[must_use]
    pub fn of_another_camera(&self) -> Self {
        #[allow(clippy::cast_possible_truncation)]
        let dimmed = |pixel: &u8| (u16::from(*pixel) * 6 / 10) as u8;
        let rows = self.pixels.chunks(self.width);
        Self { pixels: rows.flat_map(|row| row.iter().rev().map(dimmed)).collect(), ..self.clone() }
    }

    /// Picture `at` as a browser decodes it: red, green, blue, alpha.
    #[must_use]
    pub fn rgba(&self, at: usize) -> Vec<u8> {
        let size = self.width * self.height;
        self.pixels[at * size..(at + 1) * size].iter().flat_map(|p| [*p, *p, *p, 255]).collect()
    }
}

fn idx(file: &[u8], dimensions: u8) -> Result<(Vec<usize>, &[u8]), String> {
    let broken = || format!("not an IDX file of bytes in {dimensions} dimensions");
    let head = file.strip_prefix(&[0, 0, 8, dimensions]).ok_or_else(broken)?;
    let (sizes, body) = head.split_at_checked(4 * usize::from(dimensions)).ok_or_else(broken)?;
    let size = |bytes: &[u8]| bytes.iter().fold(0, |size, byte| size << 8 | usize::from(*byte));
    let sizes: Vec<usize> = sizes.chunks(4).map(size).collect();
    if sizes.iter().product::<usize>() == body.len() { Ok((sizes, body)) } else { Err(broken()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_committed_digits_are_the_1797_of_scikit_learn() {
        let set = digits(include_str!("../../tests/fixtures/digits.txt")).unwrap();
        assert_eq!((set.len(), set.all_features.len()), (1797, 1797 * 64));
        // `numpy.bincount(sklearn.datasets.load_digits().target)` of scikit-learn 1.9.1.
        let count = |digit: u16| set.truth.iter().filter(|truth| **truth == digit).count();
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(count),
            [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
        );
        assert!(set.all_features.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
        assert!(digits("00 1").unwrap_err().contains("line 1"));
    }

    #[test]
    fn pictures_are_read_only_whole() {
        let images = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2][..], &[1, 2, 3, 4]].concat();
        let labels = [0, 0, 8, 1, 0, 0, 0, 2, 7, 9];
        let pictures = Pictures::of(&images, &labels).unwrap();
        assert_eq!((pictures.width, pictures.height, pictures.truth.as_slice()), (2, 1, [7, 9].as_slice()));
        assert_eq!(pictures.rgba(1), [3, 3, 3, 255, 4, 4, 4, 255]);
        assert_eq!(pictures.clone().first(1).pixels, [1, 2]);
        let bright = Pictures { pixels: vec![10, 200, 0, 255], ..pictures.clone() };
        assert_eq!(bright.of_another_camera().pixels, [120, 6, 153, 0]);
        assert!(Pictures::of(&images[..19], &labels).is_err());
        assert!(Pictures::of(&images, &[0, 0, 8, 1, 0, 0, 0, 1, 7]).unwrap_err().contains("2 pictures"));
    }
}
