//! Pictures: `{"kind": "image", "width": 28, "height": 28, "channels": 1, …}`.
//!
//! | step | mirrors |
//! |---|---|
//! | transparent pixels over white | `PIL.Image.alpha_composite` on a white picture |
//! | 1 channel | `PIL.Image.convert("L")`, ITU-R 601 luma |
//! | `stretch` | `PIL.Image.resize(size, BILINEAR)` (antialiased; torchvision's on PIL pictures) |
//! | `cover` | `PIL.ImageOps.fit(image, size, BILINEAR)`: the middle is kept, the rest cut off |
//! | `contain` | `PIL.ImageOps.pad(image, size, BILINEAR)`: all is kept, black around it |
//! | `mean`, `std` | torchvision `ToTensor` then `Normalize`: `(p / 255 - mean) / std` |
//!
//! A picture that has the model's size already is not resampled: its tensor is exact.

mod resample;

use super::{Kind, Raw};
use crate::domain::item::AsideReason;
use crate::reader::{Fields, Node};
use resample::{Plane, Window};

/// The longest side that a model may ask for.
pub const MAX_SIDE: u32 = 4096;

/// Pixels above which a picture is refused before it is decoded, unless the page sets another limit.
pub const DEFAULT_PIXEL_LIMIT: u64 = 64_000_000;

/// The longest side that every browser's canvas has.
pub const LONGEST_SIDE: u32 = 8192;

/// A decoded picture.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
    /// Rows from the top, four bytes a pixel: red, green, blue, alpha (not premultiplied), as `ImageData` has it.
    pub rgba: &'a [u8],
}

/// How a picture of another shape gets the model's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// Width and height each by themselves.
    Stretch,
    /// Fill the model's rectangle, cut off what juts out.
    Cover,
    /// Fit into the model's rectangle, black around.
    Contain,
}

/// Where the channels stand in the tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One plane a channel: `[1, channels, height, width]`, as PyTorch exports.
    Nchw,
    /// Channels side by side: `[1, height, width, channels]`, as TensorFlow exports.
    Nhwc,
}

/// What a picture becomes. Invariant: sides within 1 to [`MAX_SIDE`], every `std` positive, and one mean and
/// one std a channel (1: grey, 3: red, green, blue).
#[derive(Clone, Debug, PartialEq)]
pub struct ImageInput {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Where the channels stand.
    pub layout: Layout,
    /// How other shapes are fitted.
    pub resize: Resize,
    /// Mean and standard deviation a channel, on the scale 0 to 1.
    pub channels: Vec<(f32, f32)>,
}

impl ImageInput {
    /// Checks a picture's size against the pixel limit, before it is decoded.
    ///
    /// # Errors
    /// [`AsideReason::TooManyPixels`]; [`AsideReason::NotAnImage`] for a picture without pixels.
    pub fn check_size(width: u32, height: u32, limit: u64) -> Result<(), AsideReason> {
        match u64::from(width) * u64::from(height) {
            0 => Err(AsideReason::NotAnImage),
            pixels if pixels > limit => Err(AsideReason::TooManyPixels { width, height, limit }),
            _ => Ok(()),
        }
    }

    /// The size at which the browser should decode a picture of `width` × `height`; `None`: its own.
    ///
    /// Up to 4 million pixels come as they are, so that the antialiased resampling here is the only one.
    /// Of a larger photo the browser halves the sides until they would fall below four times the model's
    /// or the photo is small enough: what a further fourfold reduction averages away no model sees, and
    /// copying 48 MB of pixels for each item is slow. What is longer than a canvas can be is halved too.
    #[must_use]
    pub fn decode_size(&self, width: u32, height: u32) -> Option<(u32, u32)> {
        const AS_IT_IS: u64 = 4_000_000;
        let (mut w, mut h) = (width, height);
        loop {
            let half = (w.div_ceil(2), h.div_ceil(2));
            let large = u64::from(w) * u64::from(h) > AS_IT_IS;
            let ample = half.0 >= 4 * self.width && half.1 >= 4 * self.height;
            if !(large && ample || w.max(h) > LONGEST_SIDE) {
                break;
            }
            (w, h) = half;
        }
        ((w, h) != (width, height)).then_some((w, h))
    }

    /// The picture's channels over white, grey or red, green, blue, at the model's size.
    fn planes(&self, pixels: Pixels<'_>) -> Vec<Plane> {
        let own = match self.channels.len() {
            1 => vec![plane(pixels, luma)],
            _ => vec![plane(pixels, |p| p[0]), plane(pixels, |p| p[1]), plane(pixels, |p| p[2])],
        };
        if (pixels.width, pixels.height) == (self.width, self.height) {
            return own;
        }
        let (width, height) = (f64::from(pixels.width), f64::from(pixels.height));
        let whole = Window { left: 0.0, top: 0.0, right: width, bottom: height };
        let (to_width, to_height) = (self.width, self.height);
        own.into_iter()
            .map(|plane| match self.resize {
                Resize::Stretch => plane.resized(whole, to_width, to_height),
                Resize::Cover => plane.resized(
                    middle(width, height, f64::from(to_width) / f64::from(to_height)),
                    to_width,
                    to_height,
                ),
                Resize::Contain => {
                    let (w, h) = contained(width, height, to_width, to_height);
                    plane.resized(whole, w, h).on_black(to_width, to_height)
                }
            })
            .collect()
    }
}

/// The largest window of the given ratio, in the middle: `PIL.ImageOps.fit` with centering (0.5, 0.5).
fn middle(width: f64, height: f64, ratio: f64) -> Window {
    let (w, h) = if width / height >= ratio { (ratio * height, height) } else { (width, width / ratio) };
    let (left, top) = ((width - w) * 0.5, (height - h) * 0.5);
    Window { left, top, right: left + w, bottom: top + h }
}

/// The largest size of the picture's ratio within the rectangle: `PIL.ImageOps.contain`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn contained(width: f64, height: f64, to_width: u32, to_height: u32) -> (u32, u32) {
    let (ratio, to_ratio) = (width / height, f64::from(to_width) / f64::from(to_height));
    // PIL would refuse a picture so thin that a side rounds to nothing; one row of it is kept instead.
    let rounded = |side: f64| (side.round_ties_even() as u32).max(1);
    if ratio > to_ratio {
        (to_width, rounded(height / width * f64::from(to_width)))
    } else if ratio < to_ratio {
        (rounded(width / height * f64::from(to_height)), to_height)
    } else {
        (to_width, to_height)
    }
}

fn plane(pixels: Pixels<'_>, channel: impl Fn([u8; 3]) -> u8) -> Plane {
    let over_white = |colour: u8, alpha: u8| {
        let (colour, alpha) = (u32::from(colour), u32::from(alpha));
        #[allow(clippy::cast_possible_truncation)]
        let mixed = ((colour * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        mixed
    };
    let values = pixels.rgba.chunks_exact(4).map(|p| match p[3] {
        255 => channel([p[0], p[1], p[2]]),
        alpha => channel([over_white(p[0], alpha), over_white(p[1], alpha), over_white(p[2], alpha)]),
    });
    Plane { width: pixels.width as usize, values: values.collect() }
}

/// ITU-R 601 luma in 16-bit fixed point, as PIL's `L24`.
#[allow(clippy::cast_possible_truncation)]
fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((u32::from(r) * 19_595 + u32::from(g) * 38_470 + u32::from(b) * 7_471 + 0x8000) >> 16) as u8
}

impl Kind for ImageInput {
    const NAME: &'static str = "image";
    const READS: &'static str = "pictures";
    const KEYS: &'static [&'static str] = &["width", "height", "channels", "layout", "mean", "std", "resize"];

    fn read(fields: &Fields<'_>) -> Option<Self> {
        let side = |key| {
            let side = fields.required(key)?.integer(1..=i64::from(MAX_SIDE))?;
            u32::try_from(side).ok()
        };
        let (width, height) = (side("width"), side("height"));
        let channels = fields.required("channels").and_then(|node| match node.value().as_f64() {
            Some(1.0) => Some(1),
            Some(3.0) => Some(3),
            _ => node.wrong("1 (grey) or 3 (red, green, blue)"),
        });
        let layout = fields
            .required("layout")
            .and_then(|node| node.choice(&[("nchw", Layout::Nchw), ("nhwc", Layout::Nhwc)]));
        let mean = fields.required("mean").and_then(|node| a_number_each(&node, channels, -1e6, 1e6));
        let std = fields.required("std").and_then(|node| a_number_each(&node, channels, 1e-6, 1e6));
        let resize = fields.required("resize").and_then(|node| {
            node.choice(&[
                ("stretch", Resize::Stretch),
                ("cover", Resize::Cover),
                ("contain", Resize::Contain),
            ])
        });
        channels?;
        Some(Self {
            width: width?,
            height: height?,
            layout: layout?,
            resize: resize?,
            channels: mean?.into_iter().zip(std?).collect(),
        })
    }

    fn shape(&self) -> Vec<usize> {
        let (channels, height, width) = (self.channels.len(), self.height as usize, self.width as usize);
        match self.layout {
            Layout::Nchw => vec![1, channels, height, width],
            Layout::Nhwc => vec![1, height, width, channels],
        }
    }

    fn prepare(&self, raw: Raw<'_>, tensor: &mut [f32]) -> Result<(), AsideReason> {
        let Raw::Pixels(pixels) = raw else { return Err(AsideReason::WrongKind { expected: Self::READS }) };
        if pixels.rgba.is_empty() || pixels.rgba.len() != 4 * pixels.width as usize * pixels.height as usize {
            return Err(AsideReason::NotAnImage);
        }
        let area = self.width as usize * self.height as usize;
        let (start, step) = match self.layout {
            Layout::Nchw => (area, 1),
            Layout::Nhwc => (1, self.channels.len()),
        };
        for (channel, (plane, &(mean, std))) in self.planes(pixels).iter().zip(&self.channels).enumerate() {
            // In f32 and in this order, as torchvision does it.
            let table: [f32; 256] = std::array::from_fn(|p| {
                #[allow(clippy::cast_precision_loss)]
                let p = p as f32;
                (p / 255.0 - mean) / std
            });
            let places = tensor[channel * start..].iter_mut().step_by(step);
            for (place, &value) in places.zip(&plane.values) {
                *place = table[usize::from(value)];
            }
        }
        Ok(())
    }
}

fn a_number_each(node: &Node<'_>, channels: Option<usize>, least: f64, most: f64) -> Option<Vec<f32>> {
    let nodes = node.list()?;
    match channels {
        Some(count) if count != nodes.len() => {
            return node.wrong(format!("a list of {count}, one number a channel"));
        }
        _ => {}
    }
    #[allow(clippy::cast_possible_truncation)]
    let numbers: Vec<_> = nodes.iter().map(|node| Some(node.number(least..=most)? as f32)).collect();
    numbers.into_iter().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    use super::*;

    fn input(side: u32, channels: usize, layout: Layout, resize: Resize) -> ImageInput {
        ImageInput { width: side, height: side, layout, resize, channels: vec![(0.0, 1.0); channels] }
    }

    fn tensor(input: &ImageInput, width: u32, height: u32, rgba: &[u8]) -> Vec<f32> {
        let mut tensor = vec![f32::NAN; input.shape().iter().product()];
        input.prepare(Raw::Pixels(Pixels { width, height, rgba }), &mut tensor).unwrap();
        tensor
    }

    #[test]
    fn a_grey_picture_of_the_models_size_is_exact() {
        let rgba: Vec<u8> = [0, 1, 128, 255].iter().flat_map(|&v| [v, v, v, 255]).collect();
        let said = tensor(&input(2, 1, Layout::Nchw, Resize::Stretch), 2, 2, &rgba);
        assert_eq!(said, [0.0, 1.0 / 255.0, 128.0 / 255.0, 1.0]);
    }

    #[test]
    fn luma_weighs_as_pil_does() {
        // PIL.Image.new("RGB", (1, 1), colour).convert("L")
        for (colour, grey) in [([255, 0, 0], 76), ([0, 255, 0], 150), ([0, 0, 255], 29), ([12, 200, 99], 132)]
        {
            assert_eq!(luma(colour), grey, "{colour:?}");
        }
    }

    #[test]
    fn the_layouts_differ_in_place_only() {
        let rgba: Vec<u8> = (0..4).flat_map(|i| [i, 10 + i, 20 + i, 255]).collect();
        let planes = tensor(&input(2, 3, Layout::Nchw, Resize::Stretch), 2, 2, &rgba);
        let pixels = tensor(&input(2, 3, Layout::Nhwc, Resize::Stretch), 2, 2, &rgba);
        for channel in 0..3 {
            for place in 0..4 {
                assert_eq!(planes[channel * 4 + place].to_bits(), pixels[place * 3 + channel].to_bits());
            }
        }
    }

    #[test]
    fn transparent_pixels_are_drawn_over_white() {
        let said = tensor(&input(1, 1, Layout::Nchw, Resize::Stretch), 1, 1, &[0, 0, 0, 0]);
        assert_eq!(said, [1.0]);
    }

    #[test]
    fn contain_keeps_all_and_puts_black_around() {
        let said = tensor(&input(4, 1, Layout::Nchw, Resize::Contain), 4, 2, &[255; 4 * 8]);
        let rows: Vec<f32> = said.chunks(4).map(|row| row[0]).collect();
        assert_eq!(rows, [0.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn cover_keeps_the_middle() {
        let row = [0, 255, 255, 0].map(|v| [v, v, v, 255]).concat();
        let said = tensor(&input(2, 1, Layout::Nchw, Resize::Cover), 4, 2, &[row.clone(), row].concat());
        assert_eq!(said, [1.0; 4]);
    }

    #[test]
    fn fit_and_pad_are_pillows_to_the_bit() {
        // PIL.ImageOps.fit(picture, (28, 28), BILINEAR), PIL.ImageOps.pad(picture, (40, 40), BILINEAR), the
        // bytes summed by Horner's rule; the picture is that of the tests in resample.rs.
        let rgba: Vec<u8> = (0..199_u32)
            .flat_map(|y| (0..301_u32).map(move |x| ((x * x * 7 + y * 31 + x * y * 3) % 256) as u8))
            .flat_map(|v| [v, v, v, 255])
            .collect();
        for (side, resize, sum) in [(28, Resize::Cover, 2_220_166_891), (40, Resize::Contain, 2_455_603_039)]
        {
            let said = tensor(&input(side, 1, Layout::Nchw, resize), 301, 199, &rgba);
            let horner = |sum: u32, p: &f32| sum.wrapping_mul(31).wrapping_add((p * 255.0).round() as u32);
            assert_eq!(said.iter().fold(0, horner), sum, "{resize:?}");
        }
    }

    #[test]
    fn a_bomb_is_refused_by_its_size_and_a_photo_is_decoded_smaller() {
        let limit = DEFAULT_PIXEL_LIMIT;
        assert_eq!(
            ImageInput::check_size(60_000, 60_000, limit),
            Err(AsideReason::TooManyPixels { width: 60_000, height: 60_000, limit })
        );
        let input = input(224, 3, Layout::Nchw, Resize::Cover);
        assert_eq!(input.decode_size(2000, 2000), None);
        assert_eq!(input.decode_size(8000, 6000), Some((2000, 1500)));
        assert_eq!(input.decode_size(20_000, 3), Some((5000, 1)));
    }

    #[test]
    fn pixels_that_do_not_fit_their_size_are_no_image() {
        let mut tensor = [0.0];
        let raw = Raw::Pixels(Pixels { width: 2, height: 2, rgba: &[0; 4] });
        let input = input(1, 1, Layout::Nchw, Resize::Stretch);
        assert_eq!(input.prepare(raw, &mut tensor), Err(AsideReason::NotAnImage));
    }
}
