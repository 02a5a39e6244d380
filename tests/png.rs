//! PNG files that are decoded without the browser: exactly the pixels of another decoder, or left alone.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use hitl_labeler::input::png::{LONGEST_SIDE, Plain, plain};
use png::{BitDepth, ColorType, Compression, Encoder, Filter};

const KINDS: [(ColorType, &[BitDepth]); 5] = {
    use BitDepth::{Eight, Four, One, Two};
    [
        (ColorType::Grayscale, &[One, Two, Four, Eight]),
        (ColorType::Indexed, &[One, Two, Four, Eight]),
        (ColorType::Rgb, &[Eight]),
        (ColorType::GrayscaleAlpha, &[Eight]),
        (ColorType::Rgba, &[Eight]),
    ]
};
const SIZES: [(u32, u32); 7] =
    [(1, 1), (1, 9), (9, 1), (28, 28), (31, 17), (LONGEST_SIDE, 5), (3, LONGEST_SIDE)];

/// A picture with smooth parts and noise, opaque where the kind knows of transparency.
fn samples(kind: ColorType, depth: BitDepth, (width, height): (u32, u32)) -> Vec<u8> {
    let row = (width as usize * kind.samples() * depth as usize).div_ceil(8);
    let mut noise = 7_u32;
    let mut samples: Vec<u8> = (0..row * height as usize)
        .map(|at| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (x, y) = (at % row, at / row);
            if x > row / 2 { noise.to_be_bytes()[0] } else { (3 * x + y).to_le_bytes()[0] }
        })
        .collect();
    if matches!(kind, ColorType::GrayscaleAlpha | ColorType::Rgba) {
        samples.chunks_exact_mut(kind.samples()).for_each(|pixel| *pixel.last_mut().unwrap() = 255);
    }
    samples
}

fn palette(depth: BitDepth) -> Vec<u8> {
    (0..1_usize << depth as usize).flat_map(|n| [n, 7 * n + 5, 255 - n].map(|c| c.to_le_bytes()[0])).collect()
}

/// A file of these samples; `more` sets what else is in it.
fn file(
    (kind, depth): (ColorType, BitDepth),
    (width, height): (u32, u32),
    samples: &[u8],
    more: impl FnOnce(&mut Encoder<'_, &mut Vec<u8>>),
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width, height);
    encoder.set_color(kind);
    encoder.set_depth(depth);
    if kind == ColorType::Indexed {
        encoder.set_palette(palette(depth));
    }
    more(&mut encoder);
    encoder.write_header().unwrap().write_image_data(samples).unwrap();
    file
}

/// The same file by the crate `png`.
fn reference(file: &[u8]) -> Plain {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(file));
    decoder.set_transformations(png::Transformations::normalize_to_color8() | png::Transformations::ALPHA);
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let rgba = match info.color_type {
        ColorType::Rgba => pixels,
        _ => pixels.chunks_exact(2).flat_map(|p| [p[0], p[0], p[0], p[1]]).collect(),
    };
    Plain { width: info.width, height: info.height, rgba }
}

fn small() -> Vec<u8> {
    let samples = samples(ColorType::Rgb, BitDepth::Eight, (12, 5));
    file((ColorType::Rgb, BitDepth::Eight), (12, 5), &samples, |_| {})
}

/// The file with another chunk before its pixels.
fn with_chunk(file: &[u8], kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let at = file.windows(4).position(|name| name == b"IDAT").unwrap() - 4;
    let named = [kind, content].concat();
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&file[..at], &length[..], &named, &crc(&named).to_be_bytes(), &file[at..]].concat()
}

/// Bit by bit, as annex D defines it.
fn crc(bytes: &[u8]) -> u32 {
    let mut sum = !0_u32;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
        }
    }
    !sum
}

#[test]
fn every_kind_depth_size_and_filter_gives_the_pixels_of_the_reference_decoder() {
    let filters = [Filter::NoFilter, Filter::Sub, Filter::Up, Filter::Avg, Filter::Paeth, Filter::Adaptive];
    for (kind, depths) in KINDS {
        for &depth in depths {
            for size in SIZES {
                let samples = samples(kind, depth, size);
                for filter in filters {
                    for compression in [Compression::NoCompression, Compression::Fast, Compression::High] {
                        let file = file((kind, depth), size, &samples, |encoder| {
                            encoder.set_compression(compression);
                            encoder.set_filter(filter);
                        });
                        let case = format!("{kind:?} {depth:?} {size:?} {filter:?} {compression:?}");
                        let said = plain(&file).unwrap_or_else(|| panic!("{case}: was left to the browser"));
                        assert!(reference(&file) == said, "{case}");
                    }
                }
            }
        }
    }
}

#[test]
fn pixels_may_be_spread_over_many_chunks_with_harmless_ones_around() {
    let file = small();
    let expected = plain(&file).unwrap();
    let at = file.windows(4).position(|name| name == b"IDAT").unwrap() - 4;
    let end = file.len() - 12;
    let mut spread = file[..at].to_vec();
    for part in file[at + 8..end - 4].chunks(3) {
        let named = [b"IDAT", part].concat();
        spread.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
        spread.extend(&named);
        spread.extend(crc(&named).to_be_bytes());
    }
    spread.extend(&file[end..]);
    for (kind, content) in
        [(b"sRGB", &[0_u8][..]), (b"pHYs", &[0, 0, 11, 19, 0, 0, 11, 19, 1]), (b"tIME", &[7; 7])]
    {
        spread = with_chunk(&spread, kind, content);
    }
    assert_eq!(plain(&spread), Some(expected));
}

#[test]
fn what_decoders_may_see_differently_is_left_to_the_browser() {
    let file_of = |kind, depth, size, more: &dyn Fn(&mut Encoder<'_, &mut Vec<u8>>)| {
        file((kind, depth), size, &samples(kind, depth, size), |encoder| more(encoder))
    };
    let nothing = |_: &mut Encoder<'_, &mut Vec<u8>>| {};
    let mut see_through = samples(ColorType::Rgba, BitDepth::Eight, (4, 4));
    see_through[4 * 9 + 3] = 254;
    let see_through = file((ColorType::Rgba, BitDepth::Eight), (4, 4), &see_through, |_| {});
    let few = file((ColorType::Indexed, BitDepth::Eight), (4, 1), &[0, 1, 2, 3], |encoder| {
        encoder.set_palette(vec![1; 9]);
    });
    let mut interlaced = small();
    interlaced[28] = 1;
    let sum = crc(&interlaced[12..29]);
    interlaced[29..33].copy_from_slice(&sum.to_be_bytes());
    for (what, file) in [
        ("16 bits", file_of(ColorType::Rgb, BitDepth::Sixteen, (4, 4), &nothing)),
        ("transparency", see_through),
        ("a transparent colour", with_chunk(&small(), b"tRNS", &[0; 6])),
        ("a colour that the palette lacks", few),
        ("gamma", with_chunk(&small(), b"gAMA", &45_455_u32.to_be_bytes())),
        ("a colour profile", with_chunk(&small(), b"iCCP", b"x\0\0x")),
        ("an orientation", with_chunk(&small(), b"eXIf", b"II*\0\x08\0\0\0\0\0\0\0\0\0")),
        ("an orientation in a text", with_chunk(&small(), b"tEXt", b"Raw profile type exif\0")),
        ("an animation", with_chunk(&small(), b"acTL", &[0, 0, 0, 1, 0, 0, 0, 0])),
        ("interlacing", interlaced),
        ("too wide", file_of(ColorType::Grayscale, BitDepth::One, (LONGEST_SIDE + 1, 1), &nothing)),
        ("too high", file_of(ColorType::Grayscale, BitDepth::One, (1, LONGEST_SIDE + 1), &nothing)),
        ("something behind its end", [&small()[..], b"x"].concat()),
        ("not a PNG", b"\xff\xd8\xff\xe0".to_vec()),
        ("nothing", vec![]),
    ] {
        assert_eq!(plain(&file), None, "{what}");
    }
}

#[test]
fn a_damaged_file_is_left_to_the_browser_wherever_the_damage_is() {
    let file = small();
    for at in 0..file.len() {
        assert_eq!(plain(&file[..at]), None, "cut off before byte {at}");
        for bit in 0..8 {
            let mut damaged = file.clone();
            damaged[at] ^= 1 << bit;
            assert_eq!(plain(&damaged), None, "bit {bit} of byte {at}");
        }
    }
}

/// The file with its zlib stream changed, under a right checksum.
fn with_stream(file: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let (start, end) = (file.windows(4).position(|name| name == b"IDAT").unwrap(), file.len() - 16);
    let mut stream = file[start + 4..end].to_vec();
    change(&mut stream);
    let named = [b"IDAT", &*stream].concat();
    let length = u32::try_from(stream.len()).unwrap().to_be_bytes();
    [&file[..start - 4], &length[..], &named, &crc(&named).to_be_bytes(), &file[end + 4..]].concat()
}

#[test]
fn a_stream_that_a_right_checksum_covers_is_checked_all_the_same() {
    let file = small();
    assert_eq!(with_stream(&file, |_| {}), file);
    for (what, damaged) in [
        ("a byte too many", with_stream(&file, |stream| stream.push(0))),
        ("a byte too few", with_stream(&file, |stream| _ = stream.pop())),
        ("another sum", with_stream(&file, |stream| *stream.last_mut().unwrap() ^= 1)),
        ("another method", with_stream(&file, |stream| stream[..2].copy_from_slice(&[0x77, 0x85]))),
    ] {
        assert_eq!(plain(&damaged), None, "{what}");
    }
}

#[test]
fn a_window_may_be_as_small_as_the_picture_and_no_smaller() {
    // zlib refuses to look back further than the window that the stream announces.
    let with_window = |file: &[u8], bits: u8| {
        with_stream(file, |stream| {
            let method = (bits - 8) << 4 | 8;
            let sum = 31 - (u16::from(method) * 256 % 31);
            stream[..2].copy_from_slice(&[method, sum.to_be_bytes()[1]]);
        })
    };
    // 5 rows of 1 + 36 bytes.
    let file_185 = small();
    let kind = (ColorType::Rgb, BitDepth::Eight);
    let file_259 = file(kind, (12, 7), &samples(kind.0, kind.1, (12, 7)), |_| {});
    assert_eq!(plain(&with_window(&file_185, 8)), plain(&file_185));
    assert_eq!(plain(&with_window(&file_259, 8)), None);
    assert_eq!(plain(&with_window(&file_259, 9)), plain(&file_259));
    assert!(plain(&file_259).is_some());
}
