//! The worker binary: a Web Worker that predicts.

#[cfg(target_arch = "wasm32")]
fn main() {
    // tract registers its kernels in constructors. Unless something calls them, the linker takes the module
    // for a command and runs them anew on every call from JavaScript (crate `inventory`, "WebAssembly").
    #[allow(unsafe_code)]
    {
        unsafe extern "C" {
            fn __wasm_call_ctors();
        }
        unsafe { __wasm_call_ctors() };
    }
    hitl_labeler::worker::listen();
}

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
