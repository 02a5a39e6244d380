//! Pictures that have no address: files, Blobs and ImageData of the page, under a number.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, BlobPropertyBag, ImageData, Url};

/// Pictures in the page's hands; copies share them. The last copy gives the object URLs back.
#[derive(Clone, Debug, Default)]
pub struct Held(Rc<RefCell<Pictures>>);

#[derive(Debug, Default)]
struct Pictures {
    all: Vec<JsValue>,
    urls: HashMap<u32, String>,
}

impl Held {
    /// Keeps a Blob, File or ImageData; `None` for anything else.
    pub fn keep(&self, picture: &JsValue) -> Option<u32> {
        if !picture.is_instance_of::<Blob>() && !picture.is_instance_of::<ImageData>() {
            return None;
        }
        let mut pictures = self.0.borrow_mut();
        pictures.all.push(picture.clone());
        u32::try_from(pictures.all.len() - 1).ok()
    }

    /// The Blob, File or ImageData under this number, to be sent to a worker.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<JsValue> {
        self.0.borrow().all.get(number as usize).cloned()
    }

    /// An address that an `<img>` can show, made at the first call.
    #[must_use]
    pub fn url(&self, number: u32) -> Option<String> {
        let mut pictures = self.0.borrow_mut();
        if let Some(url) = pictures.urls.get(&number) {
            return Some(url.clone());
        }
        let picture = pictures.all.get(number as usize)?;
        let url = match picture.dyn_ref::<ImageData>() {
            Some(pixels) => Url::create_object_url_with_blob(&bitmap_blob(pixels)?),
            None => Url::create_object_url_with_blob(picture.unchecked_ref()),
        };
        let url = url.ok()?;
        pictures.urls.insert(number, url.clone());
        Some(url)
    }
}

impl Drop for Pictures {
    fn drop(&mut self) {
        for url in self.urls.values() {
            Url::revoke_object_url(url).ok();
        }
    }
}

fn bitmap_blob(pixels: &ImageData) -> Option<Blob> {
    let bitmap = bitmap(pixels.width(), pixels.height(), &pixels.data())?;
    let parts = js_sys::Array::of1(&js_sys::Uint8Array::from(&bitmap[..]));
    let options = BlobPropertyBag::new();
    options.set_type("image/bmp");
    Blob::new_with_u8_array_sequence_and_options(&parts, &options).ok()
}

/// A BMP with a `BITMAPV4HEADER` (Windows GDI reference), whose channel masks take RGBA as it is: a copy and
/// no compression, since this happens between two questions.
fn bitmap(width: u32, height: u32, rgba: &[u8]) -> Option<Vec<u8>> {
    const HEADERS: u32 = 14 + 108;
    let bytes = u32::try_from(rgba.len()).ok()?;
    let mut file = Vec::with_capacity((HEADERS + bytes) as usize);
    file.extend_from_slice(b"BM");
    let top_down = i32::try_from(height).ok()?.wrapping_neg();
    #[allow(clippy::cast_sign_loss)]
    let size = [108, width, top_down as u32];
    let planes_and_depth = 1 | 32 << 16;
    let bit_fields = 3;
    let masks = [0xff, 0xff00, 0xff_0000, 0xff00_0000];
    let srgb = u32::from_be_bytes(*b"sRGB");
    let words = [HEADERS + bytes, 0, HEADERS].into_iter().chain(size);
    let words = words.chain([planes_and_depth, bit_fields, bytes, 0, 0, 0, 0]);
    let words = words.chain(masks).chain([srgb]).chain([0; 12]);
    words.for_each(|word| file.extend_from_slice(&word.to_le_bytes()));
    file.extend_from_slice(rgba);
    Some(file)
}
