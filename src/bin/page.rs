//! The page binary: all that `www/element.js` may call. Exports stand here and nowhere else.

#[cfg(target_arch = "wasm32")]
mod exports {
    use hitl_labeler::page::mount;
    use js_sys::{Array, Promise};
    use wasm_bindgen::prelude::*;
    use web_sys::HtmlElement;

    /// A mounted element; `free()` takes it down.
    #[wasm_bindgen]
    pub struct Mounted(mount::Mounted);

    /// Mounts the view into `root`, which stands in the shadow root of `host`.
    #[wasm_bindgen]
    pub fn mount(root: HtmlElement, host: HtmlElement, options: &JsValue) -> Result<Mounted, JsValue> {
        mount::mount(root, host, options).map(Mounted)
    }

    #[wasm_bindgen]
    impl Mounted {
        pub fn start(&self) {
            self.0.start();
        }
        pub fn pause(&self) {
            self.0.pause();
        }
        pub fn running(&self) -> Option<bool> {
            self.0.running()
        }
        pub fn undo(&self) {
            self.0.undo();
        }
        pub fn flush(&self) -> Promise {
            self.0.flush()
        }
        pub fn finish(&self) -> Promise {
            self.0.finish()
        }
        #[wasm_bindgen(js_name = authorizeChanged)]
        pub fn authorize_changed(&self) {
            self.0.authorize_changed();
        }
        pub fn download(&self, csv: bool, save: bool) -> Promise {
            self.0.download(csv, save)
        }
        #[wasm_bindgen(js_name = downloadLearned)]
        pub fn download_learned(&self, what: &str, save: bool) -> Promise {
            self.0.download_learned(what, save)
        }
        #[wasm_bindgen(js_name = setTarget)]
        pub fn set_target(&self, accuracy: Option<f64>) {
            self.0.set_target(accuracy);
        }
        #[wasm_bindgen(js_name = takeNewer)]
        pub fn take_newer(&self) {
            self.0.take_newer();
        }
        pub fn figures(&self) -> JsValue {
            self.0.figures()
        }
        #[wasm_bindgen(js_name = addItems)]
        pub fn add_items(&self, items: JsValue) {
            self.0.add_items(items);
        }
        #[wasm_bindgen(js_name = acceptAt)]
        pub fn accept_at(&self, threshold: f32) {
            self.0.accept_at(threshold);
        }
        pub fn progress(&self) -> JsValue {
            self.0.progress()
        }
        pub fn coverage(&self, at: &Array) -> JsValue {
            self.0.coverage(at)
        }
        pub fn kernels(&self) -> JsValue {
            self.0.kernels()
        }
    }
}

fn main() {
    #[cfg(target_arch = "wasm32")]
    hitl_labeler::page::set_panic_hook();
}
