//! Small plain PNG files decoded in place: handing one to the browser and taking it back costs more than its pixels.
//!
//! Only what every decoder makes the same pixels of is decoded here. Transparency, colour profiles, 16 bits,
//! interlacing, orientation, whatever is damaged or not known: all that is the browser's, and so are its errors.
//! PNG, third edition (W3C, 2025).

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// Longest side of what is decoded here. Of noisy colour pictures, which deflate likes least, Chromium did a third at
/// 64 pixels a side, half at 128, and as many at 192.
pub const LONGEST_SIDE: u32 = 128;

const SIGNATURE: &[u8; 8] = b"\x89PNG\r\n\x1a\n";

/// A decoded picture without transparency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
    /// As in [`super::image::Pixels`]; every alpha is 255.
    pub rgba: Vec<u8>,
}

/// Decodes a file; `None`: leave it to the browser.
#[must_use]
pub fn plain(file: &[u8]) -> Option<Plain> {
    let mut rest = file.strip_prefix(SIGNATURE)?;
    let header = Header::read(take(&mut rest, *b"IHDR")?)?;
    let (mut palette, mut packed): (&[u8], Vec<u8>) = (&[], Vec::new());
    loop {
        match chunk(&mut rest)? {
            (b"PLTE", colours) if header.colours == Colours::Palette && palette.is_empty() => {
                palette = colours;
            }
            // One after the other, and none of them before its palette.
            (b"IDAT", part) if header.colours != Colours::Palette || !palette.is_empty() => {
                packed.extend_from_slice(part);
                while rest.get(4..8) == Some(b"IDAT") {
                    packed.extend_from_slice(chunk(&mut rest)?.1);
                }
                break;
            }
            (kind, _) if harmless(kind) => {}
            _ => return None,
        }
    }
    while rest.get(4..8) != Some(b"IEND") {
        harmless(chunk(&mut rest)?.0).then_some(())?;
    }
    (chunk(&mut rest)?.1.is_empty() && rest.is_empty()).then_some(())?;
    let rows = header.unfiltered(inflated(&packed, header.packed_size())?)?;
    header.to_rgba(&rows, palette)
}

/// Says nothing about the pixels: sRGB is what pictures are read as, whatever the rendering intent.
fn harmless(kind: &[u8; 4]) -> bool {
    matches!(kind, b"sRGB" | b"pHYs" | b"tIME")
}

/// The next chunk's kind and content, if its checksum is right.
fn chunk<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8; 4], &'a [u8])> {
    let (length, behind) = rest.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length) as usize;
    let (named, behind) = behind.split_at_checked(length.checked_add(4)?)?;
    let (sum, behind) = behind.split_first_chunk::<4>()?;
    *rest = behind;
    (crc(named) == u32::from_be_bytes(*sum)).then_some(())?;
    named.split_first_chunk::<4>()
}

/// The content of the next chunk, which is to be of this kind.
fn take<'a>(rest: &mut &'a [u8], wanted: [u8; 4]) -> Option<&'a [u8]> {
    chunk(rest).filter(|(kind, _)| **kind == wanted).map(|(_, content)| content)
}

/// CRC-32 (annex D), four bits at a time: files are small, and so is the table.
fn crc(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 16] = {
        let mut table = [0; 16];
        let mut n = 0;
        while n < 16 {
            #[allow(clippy::cast_possible_truncation)]
            let mut sum = n as u32;
            let mut bit = 0;
            while bit < 4 {
                sum = if sum & 1 == 1 { 0xedb8_8320 ^ (sum >> 1) } else { sum >> 1 };
                bit += 1;
            }
            table[n] = sum;
            n += 1;
        }
        table
    };
    !bytes.iter().fold(!0_u32, |sum, &byte| {
        let sum = sum ^ u32::from(byte);
        let sum = TABLE[(sum & 15) as usize] ^ (sum >> 4);
        TABLE[(sum & 15) as usize] ^ (sum >> 4)
    })
}

/// Unpacks a zlib stream of exactly `size` bytes.
fn inflated(packed: &[u8], size: usize) -> Option<Vec<u8>> {
    // A window that is too small is an error to zlib, and goes unnoticed here: the output is one piece.
    let window = 256_usize << (packed.first()? >> 4).min(7);
    (window >= size.min(32 * 1024)).then_some(())?;
    let mut rows = vec![0; size];
    let flags = TINFL_FLAG_PARSE_ZLIB_HEADER | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut state = Box::new(DecompressorOxide::new());
    let (status, read, written) = decompress(&mut state, packed, &mut rows, 0, flags);
    (status == TINFLStatus::Done && read == packed.len() && written == size).then_some(rows)
}

/// How a pixel says its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colours {
    Grey,
    Rgb,
    Palette,
    GreyAlpha,
    Rgba,
}

#[derive(Clone, Copy, Debug)]
struct Header {
    width: u32,
    height: u32,
    /// Bits a sample: 1, 2, 4 or 8.
    depth: u8,
    colours: Colours,
}

impl Header {
    fn read(content: &[u8]) -> Option<Self> {
        let (width, rest) = content.split_first_chunk::<4>()?;
        let (height, rest) = rest.split_first_chunk::<4>()?;
        let (width, height) = (u32::from_be_bytes(*width), u32::from_be_bytes(*height));
        // Deflate, the five filters, not interlaced.
        let &[depth, colours, 0, 0, 0] = rest else { return None };
        let colours = match (colours, depth) {
            (0, 1 | 2 | 4 | 8) => Colours::Grey,
            (2, 8) => Colours::Rgb,
            (3, 1 | 2 | 4 | 8) => Colours::Palette,
            (4, 8) => Colours::GreyAlpha,
            (6, 8) => Colours::Rgba,
            _ => return None,
        };
        let sides = 1..=LONGEST_SIDE;
        (sides.contains(&width) && sides.contains(&height)).then_some(Self { width, height, depth, colours })
    }

    /// Bytes from a sample to the same one of the pixel to the left, for the filters: at least 1.
    fn step(self) -> usize {
        match self.colours {
            Colours::Grey | Colours::Palette => 1,
            Colours::GreyAlpha => 2,
            Colours::Rgb => 3,
            Colours::Rgba => 4,
        }
    }

    /// Bytes of a row without its filter.
    fn row(self) -> usize {
        (self.width as usize * self.step() * usize::from(self.depth)).div_ceil(8)
    }

    /// Bytes of all rows with their filters.
    fn packed_size(self) -> usize {
        (1 + self.row()) * self.height as usize
    }

    /// The rows with their filters undone; each still has its filter's byte before it.
    fn unfiltered(self, mut rows: Vec<u8>) -> Option<Vec<u8>> {
        let (length, step) = (1 + self.row(), self.step());
        for top in (0..rows.len()).step_by(length) {
            let (before, row) = rows[..top + length].split_at_mut(top);
            let (filter, row) = row.split_first_mut()?;
            let above = before.len().checked_sub(self.row()).map(|above| &before[above..]);
            for at in 0..row.len() {
                let left = if at < step { 0 } else { row[at - step] };
                let up = above.map_or(0, |above| above[at]);
                let corner = above.filter(|_| at >= step).map_or(0, |above| above[at - step]);
                row[at] = row[at].wrapping_add(match filter {
                    0 => 0,
                    1 => left,
                    2 => up,
                    3 => left.midpoint(up),
                    4 => paeth(left, up, corner),
                    _ => return None,
                });
            }
        }
        Some(rows)
    }

    fn to_rgba(self, rows: &[u8], palette: &[u8]) -> Option<Plain> {
        let Self { width, height, depth, colours } = self;
        let (entries, []) = palette.as_chunks::<3>() else { return None };
        (entries.len() <= 1 << depth || colours != Colours::Palette).then_some(())?;
        let mut rgba = Vec::with_capacity(4 * width as usize * height as usize);
        for row in rows.chunks_exact(1 + self.row()) {
            for x in 0..width as usize {
                let pixel = &row[1 + x * self.step() * usize::from(depth) / 8..];
                let mut sample = pixel[0];
                if depth < 8 {
                    // The first pixel stands in the highest bits.
                    let behind = 8 - usize::from(depth) * (1 + x % (8 / usize::from(depth)));
                    sample = (sample >> behind) & ((1 << depth) - 1);
                }
                rgba.extend(match colours {
                    // 1, 3 and 15 divide 255.
                    Colours::Grey => opaque([sample * (255 / (u8::MAX >> (8 - depth))); 3]),
                    Colours::Palette => opaque(*entries.get(usize::from(sample))?),
                    Colours::Rgb => opaque([sample, pixel[1], pixel[2]]),
                    Colours::GreyAlpha if pixel[1] == 255 => opaque([sample; 3]),
                    Colours::Rgba if pixel[3] == 255 => opaque([sample, pixel[1], pixel[2]]),
                    Colours::GreyAlpha | Colours::Rgba => return None,
                });
            }
        }
        Some(Plain { width, height, rgba })
    }
}

fn opaque([red, green, blue]: [u8; 3]) -> [u8; 4] {
    [red, green, blue, 255]
}

/// Whichever of the three is nearest to left + up − corner (9.4).
fn paeth(left: u8, up: u8, corner: u8) -> u8 {
    let (a, b, c) = (i16::from(left), i16::from(up), i16::from(corner));
    let (from_left, from_up, from_corner) = ((b - c).abs(), (a - c).abs(), (a + b - 2 * c).abs());
    if from_left <= from_up && from_left <= from_corner {
        left
    } else if from_up <= from_corner {
        up
    } else {
        corner
    }
}
