//! From where an item's content is to pixels and numbers, mostly with the browser's own decoders.

use js_sys::{Array, Float32Array, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Blob, ImageBitmap, ImageBitmapOptions, ImageData, OffscreenCanvas, OffscreenCanvasRenderingContext2d,
    Response,
};

use super::post::scope;
use crate::domain::item::{AsideReason, Failed};
use crate::input::image::{ImageInput, LONGEST_SIDE};
use crate::input::{InputSpec, data_url, png};
use crate::wire::worker::Source;

/// An item's content on its way to the model.
pub(super) enum Content {
    /// A row.
    Numbers(Vec<f32>),
    /// A decoded picture, as in [`crate::input::image::Pixels`].
    Pixels { width: u32, height: u32, rgba: Vec<u8> },
    /// A decoded picture whose pixels the browser still holds.
    Bitmap(Bitmap),
}

/// An `ImageBitmap` that is given back when it is no longer needed, not when the collector comes round.
pub(super) struct Bitmap(ImageBitmap);

impl Drop for Bitmap {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// How much of a file is looked at for its size; a JPEG may have a preview of 64 KB before it. What is no longer is
/// read whole.
const HEADER: u32 = 256 * 1024;

/// Content that is there already; `None` for what has to be fetched or decoded first. Of more pixels than `limit`
/// none is copied.
pub(super) fn at_once(source: &Source, part: &JsValue, limit: u64) -> Option<Result<Content, Failed>> {
    let content = match source {
        Source::Numbers => part.dyn_ref().map(|row: &Float32Array| Content::Numbers(row.to_vec())),
        Source::Pixels => match part.dyn_ref::<ImageData>() {
            Some(image) => {
                let (width, height) = (image.width(), image.height());
                if let Err(reason) = ImageInput::check_size(width, height, limit) {
                    return Some(Err(Failed::Unreadable(reason)));
                }
                Some(Content::Pixels { width, height, rgba: image.data().0 })
            }
            None => None,
        },
        Source::Url { .. } | Source::Blob => return None,
    };
    Some(content.ok_or_else(|| Failed::Unpredictable(format!("the message holds no {source:?}").into())))
}

/// A picture file that [`together`] reads; `None` for anything else. A file that is gone may say that it is empty,
/// and would not be missed among others.
pub(super) fn small_file(part: &JsValue) -> Option<Blob> {
    part.dyn_ref().filter(|file: &&Blob| (1.0..=f64::from(HEADER)).contains(&file.size())).cloned()
}

/// Reads files with one request to the browser, which takes it longer than the few bytes of each; `None` if
/// one of them cannot be read (any more).
pub(super) async fn together(files: &[Blob]) -> Option<Vec<Uint8Array>> {
    let all = Blob::new_with_blob_sequence(&files.iter().collect::<Array>()).ok()?;
    let all = Uint8Array::new(&JsFuture::from(all.array_buffer()).await.ok()?);
    let mut from = 0;
    let files = files.iter().map(|file| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let to = from + file.size() as u32;
        all.subarray(std::mem::replace(&mut from, to), to)
    });
    let files = files.collect();
    // Otherwise one has changed since it was picked.
    (from == all.length()).then_some(files)
}

/// Fetches and decodes a picture; refuses it before it is decoded if it has more pixels than `limit`.
/// `file` is all of it, if it was read already.
pub(super) async fn fetched(
    source: Source,
    part: JsValue,
    file: Option<Uint8Array>,
    limit: u64,
) -> Result<Content, Failed> {
    decoded(source, part, file, limit).await.map_err(Failed::Unreadable)
}

async fn decoded(
    source: Source,
    part: JsValue,
    file: Option<Uint8Array>,
    limit: u64,
) -> Result<Content, AsideReason> {
    let (file, blob) = match source {
        Source::Url { url } => match data_url::bytes(&url) {
            Some(bytes) => (Uint8Array::from(&*bytes), None),
            None => (download(&url).await?, None),
        },
        _ => {
            let blob: Blob = part.dyn_into().map_err(|_| AsideReason::NotAnImage)?;
            let file = match file {
                Some(file) => file,
                None => start(&blob).await?,
            };
            (file, Some(blob))
        }
    };
    let header = file.subarray(0, HEADER).to_vec();
    check_size(&header, limit)?;
    // What is cut off is no plain file.
    if let Some(png::Plain { width, height, rgba }) = png::plain(&header) {
        return Ok(Content::Pixels { width, height, rgba });
    }
    let blob = match blob {
        Some(blob) => blob,
        None => Blob::new_with_u8_array_sequence(&Array::of1(&file)).map_err(|_| AsideReason::NotAnImage)?,
    };
    let options = ImageBitmapOptions::new();
    // As PIL does, which knows of no colour profiles. Orientation by EXIF is the default.
    options.set_color_space_conversion(web_sys::ColorSpaceConversion::None);
    let bitmap = scope()
        .create_image_bitmap_with_blob_and_image_bitmap_options(&blob, &options)
        .map_err(|_| AsideReason::NotAnImage)?;
    let bitmap = JsFuture::from(bitmap).await.map_err(|_| AsideReason::NotAnImage)?;
    let bitmap = Bitmap(bitmap.unchecked_into());
    // Once more, for the formats whose header was not understood.
    ImageInput::check_size(bitmap.0.width(), bitmap.0.height(), limit)?;
    Ok(Content::Bitmap(bitmap))
}

/// As much of a file as its header may take.
async fn start(blob: &Blob) -> Result<Uint8Array, AsideReason> {
    let start = match blob.size() > f64::from(HEADER) {
        true => blob.slice_with_i32_and_i32(0, HEADER.cast_signed()).map_err(|_| AsideReason::NotAnImage)?,
        // Of a file that was moved since it was picked a part may be read (it is empty), the whole may not.
        false => blob.clone(),
    };
    let start = JsFuture::from(start.array_buffer()).await.map_err(|_| AsideReason::Unreachable)?;
    Ok(Uint8Array::new(&start))
}

/// Refuses a picture by what its header says. A header that is not understood is left to the browser.
fn check_size(header: &[u8], limit: u64) -> Result<(), AsideReason> {
    match imagesize::blob_size(header) {
        Ok(size) => {
            let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
            ImageInput::check_size(side(size.width), side(size.height), limit)
        }
        Err(_) => Ok(()),
    }
}

async fn download(url: &str) -> Result<Uint8Array, AsideReason> {
    let unreachable = |_| AsideReason::Unreachable;
    let response: Response =
        JsFuture::from(scope().fetch_with_str(url)).await.map_err(unreachable)?.unchecked_into();
    if !response.ok() {
        return Err(AsideReason::NotFound(response.status()));
    }
    let buffer = JsFuture::from(response.array_buffer().map_err(unreachable)?).await.map_err(unreachable)?;
    Ok(Uint8Array::new(&buffer))
}

/// A canvas that takes pixels out of bitmaps; made with the first one, and kept.
#[derive(Default)]
pub(super) struct Surface(Option<OffscreenCanvasRenderingContext2d>);

/// The most pixels that are taken from the canvas at once: 4 MB.
const SHEET: u32 = 1 << 20;

impl Surface {
    /// Replaces the bitmaps by their pixels.
    ///
    /// Reading back costs much more for a call than for a pixel, so small pictures of one width are drawn
    /// one below the other and read together.
    pub(super) fn read(&mut self, items: &mut [Result<Content, Failed>], input: &InputSpec) {
        let mut bitmaps: Vec<(usize, u32, u32)> = vec![];
        for (at, item) in items.iter().enumerate() {
            if let Ok(Content::Bitmap(Bitmap(bitmap))) = item {
                let own = (bitmap.width(), bitmap.height());
                let (width, height) = match input {
                    InputSpec::Image(image) => image.decode_size(own.0, own.1).unwrap_or(own),
                    InputSpec::Numbers(_) => own,
                };
                bitmaps.push((at, width, height));
            }
        }
        let mut rest = &*bitmaps;
        while let Some(&(_, width, first)) = rest.first() {
            let mut height = first;
            let fits = rest[1..].iter().take_while(|(_, w, h)| {
                height = height.saturating_add(*h);
                *w == width && height <= LONGEST_SIDE && width.saturating_mul(height) <= SHEET
            });
            let (sheet, behind) = rest.split_at(1 + fits.count());
            self.read_sheet(items, sheet);
            rest = behind;
        }
    }

    fn read_sheet(&mut self, items: &mut [Result<Content, Failed>], sheet: &[(usize, u32, u32)]) {
        let width = sheet[0].1;
        let height = sheet.iter().map(|(_, _, height)| height).sum();
        let pixels = self.pixels(items, sheet, width, height);
        let mut rest = pixels.as_deref().unwrap_or_default();
        for &(at, width, height) in sheet {
            items[at] = match rest.split_at_checked(4 * width as usize * height as usize) {
                Some((rgba, behind)) => {
                    rest = behind;
                    Ok(Content::Pixels { width, height, rgba: rgba.to_vec() })
                }
                None => Err(Failed::Unreadable(AsideReason::NotAnImage)),
            };
        }
    }

    /// The sheet's pixels; `None` if the browser gives no canvas of this size.
    fn pixels(
        &mut self,
        items: &[Result<Content, Failed>],
        sheet: &[(usize, u32, u32)],
        width: u32,
        height: u32,
    ) -> Option<Vec<u8>> {
        let context = self.context(width, height)?;
        let (wide, high) = (f64::from(width), f64::from(height));
        // Transparent pixels stand over white, as in `input::image`.
        context.fill_rect(0.0, 0.0, wide, high);
        let mut top = 0.0;
        for &(at, _, height) in sheet {
            if let Ok(Content::Bitmap(Bitmap(bitmap))) = &items[at] {
                context
                    .draw_image_with_image_bitmap_and_dw_and_dh(bitmap, 0.0, top, wide, f64::from(height))
                    .ok()?;
            }
            top += f64::from(height);
        }
        Some(context.get_image_data(0.0, 0.0, wide, high).ok()?.data().0)
    }

    /// The context of a canvas that is large enough.
    fn context(&mut self, width: u32, height: u32) -> Option<&OffscreenCanvasRenderingContext2d> {
        if self.0.is_none() {
            let canvas = OffscreenCanvas::new(width, height).ok()?;
            let options = js_sys::Object::new();
            // Keeps the canvas in memory: from a graphics card reading back takes milliseconds.
            js_sys::Reflect::set(&options, &"willReadFrequently".into(), &true.into()).ok()?;
            let context = canvas.get_context_with_context_options("2d", &options).ok()??;
            self.0 = Some(context.unchecked_into());
        }
        let context = self.0.as_ref()?;
        let canvas = context.canvas();
        if canvas.width() < width || canvas.height() < height {
            // Not the greater of each: a wide photo after a high sheet would make both sides long.
            canvas.set_width(width);
            canvas.set_height(height);
        }
        context.set_fill_style_str("#fff");
        // web-sys does not know it; it acts on photos that are scaled down.
        js_sys::Reflect::set(context, &"imageSmoothingQuality".into(), &"high".into()).ok()?;
        Some(context)
    }
}
