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
            Some(pixels) => Url::create_object_url_with_blob(&png_blob(pixels)?),
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

fn png_blob(pixels: &ImageData) -> Option<Blob> {
    let file = png(pixels.width(), pixels.height(), &pixels.data());
    let parts = js_sys::Array::of1(&js_sys::Uint8Array::from(&file[..]));
    let options = BlobPropertyBag::new();
    options.set_type("image/png");
    Blob::new_with_u8_array_sequence_and_options(&parts, &options).ok()
}

/// A PNG (RFC 2083) of RGBA pixels in stored blocks: a copy and no compression, since this happens between
/// two questions, and without the promises of `OffscreenCanvas`.
fn png(width: u32, height: u32, rgba: &[u8]) -> Vec<u8> {
    let mut rows = Vec::with_capacity(rgba.len() + height as usize);
    for row in rgba.chunks_exact(4 * width.max(1) as usize) {
        rows.push(0);
        rows.extend_from_slice(row);
    }
    let mut data = vec![0x78, 0x01];
    let mut blocks = rows.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        #[allow(clippy::cast_possible_truncation)]
        let length = block.len() as u16;
        data.push(u8::from(blocks.peek().is_none()));
        data.extend_from_slice(&length.to_le_bytes());
        data.extend_from_slice(&(!length).to_le_bytes());
        data.extend_from_slice(block);
    }
    data.extend_from_slice(&adler(&rows).to_be_bytes());
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    // Eight bits, RGBA, and the only compression, filtering and order of rows that need no work.
    header.extend_from_slice(&[8, 6, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, content) in [(b"IHDR", &header), (b"IDAT", &data), (b"IEND", &Vec::new())] {
        #[allow(clippy::cast_possible_truncation)]
        file.extend_from_slice(&(content.len() as u32).to_be_bytes());
        let from = file.len();
        file.extend_from_slice(name);
        file.extend_from_slice(content);
        let check = crc(&file[from..]);
        file.extend_from_slice(&check.to_be_bytes());
    }
    file
}

/// Adler-32 (RFC 1950); 5552 is the longest run that 32 bits can sum up.
fn adler(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    for run in bytes.chunks(5552) {
        for byte in run {
            a += u32::from(*byte);
            b += a;
        }
        (a, b) = (a % 65_521, b % 65_521);
    }
    b << 16 | a
}

/// CRC-32 (RFC 2083, appendix 15).
fn crc(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            #[allow(clippy::cast_possible_truncation)]
            let mut c = i as u32;
            let mut bit = 0;
            while bit < 8 {
                c = if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 };
                bit += 1;
            }
            table[i] = c;
            i += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |c, byte| TABLE[((c ^ u32::from(*byte)) & 0xff) as usize] ^ (c >> 8))
}
