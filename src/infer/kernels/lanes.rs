//! Four numbers at once.
#![allow(unsafe_code)]

/// Writes its body out for 0, 1, 2 and 3.
///
/// As a loop it would stay one where the compiler is told to save space, and what it indexes would stay in
/// memory: measured in Chromium, the kernels then ran at 0.4 times their speed.
macro_rules! four {
    (|$m:ident| $body:expr) => {{
        {
            const $m: usize = 0;
            $body
        }
        {
            const $m: usize = 1;
            $body
        }
        {
            const $m: usize = 2;
            $body
        }
        {
            const $m: usize = 3;
            $body
        }
    }};
}
pub(super) use four;

/// Four lanes of f32: a Wasm vector, or an array where there is none.
#[derive(Clone, Copy)]
pub(super) struct Lanes(imp::Four);

impl Lanes {
    /// The same number in every lane.
    #[inline(always)]
    pub(super) fn splat(x: f32) -> Lanes {
        Lanes(imp::splat(x))
    }

    /// Four numbers in a row.
    ///
    /// # Safety
    /// `at` must be readable for four f32.
    #[inline(always)]
    pub(super) unsafe fn load(at: *const f32) -> Lanes {
        // SAFETY: the caller's promise is the one `imp::load` asks for.
        Lanes(unsafe { imp::load(at) })
    }

    /// One number in every lane.
    ///
    /// # Safety
    /// `at` must be readable for one f32.
    #[inline(always)]
    pub(super) unsafe fn load_splat(at: *const f32) -> Lanes {
        // SAFETY: the caller's promise is the one `imp::load_splat` asks for.
        Lanes(unsafe { imp::load_splat(at) })
    }

    /// Writes four numbers in a row.
    ///
    /// # Safety
    /// `at` must be writable for four f32.
    #[inline(always)]
    pub(super) unsafe fn store(self, at: *mut f32) {
        // SAFETY: the caller's promise is the one `imp::store` asks for.
        unsafe { imp::store(self.0, at) }
    }

    /// `self + other`.
    #[inline(always)]
    pub(super) fn plus(self, other: Lanes) -> Lanes {
        Lanes(imp::add(self.0, other.0))
    }

    /// `self + a * b`, rounded once where the build has relaxed SIMD and the machine can, otherwise twice.
    #[inline(always)]
    pub(super) fn plus_product(self, a: Lanes, b: Lanes) -> Lanes {
        Lanes(imp::add_product(self.0, a.0, b.0))
    }

    /// The larger of both; `self` where it is not a number.
    #[inline(always)]
    pub(super) fn at_least(self, low: Lanes) -> Lanes {
        Lanes(imp::at_least(self.0, low.0))
    }

    /// `self` kept within `low` and `high`; what is not a number stays so.
    #[inline(always)]
    pub(super) fn within(self, low: Lanes, high: Lanes) -> Lanes {
        Lanes(imp::at_most(imp::at_least(self.0, low.0), high.0))
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod imp {
    use std::arch::wasm32::{
        f32x4_add, f32x4_pmax, f32x4_pmin, f32x4_splat, v128, v128_load, v128_load32_splat, v128_store,
    };

    pub(super) type Four = v128;

    #[inline(always)]
    pub(super) fn splat(x: f32) -> Four {
        f32x4_splat(x)
    }
    #[inline(always)]
    pub(super) unsafe fn load(at: *const f32) -> Four {
        // SAFETY: four readable f32 are sixteen readable bytes; Wasm loads need no alignment.
        unsafe { v128_load(at.cast()) }
    }
    #[inline(always)]
    pub(super) unsafe fn load_splat(at: *const f32) -> Four {
        // SAFETY: one readable f32 is four readable bytes.
        unsafe { v128_load32_splat(at.cast()) }
    }
    #[inline(always)]
    pub(super) unsafe fn store(x: Four, at: *mut f32) {
        // SAFETY: four writable f32 are sixteen writable bytes; Wasm stores need no alignment.
        unsafe { v128_store(at.cast(), x) }
    }
    #[inline(always)]
    pub(super) fn add(a: Four, b: Four) -> Four {
        f32x4_add(a, b)
    }
    #[cfg(target_feature = "relaxed-simd")]
    #[inline(always)]
    pub(super) fn add_product(sum: Four, a: Four, b: Four) -> Four {
        std::arch::wasm32::f32x4_relaxed_madd(a, b, sum)
    }
    #[cfg(not(target_feature = "relaxed-simd"))]
    #[inline(always)]
    pub(super) fn add_product(sum: Four, a: Four, b: Four) -> Four {
        f32x4_add(sum, std::arch::wasm32::f32x4_mul(a, b))
    }
    // The `p` forms are one instruction on x86 (the others are four) and keep their first operand
    // when a comparison with it is false, as it is for NaN.
    #[inline(always)]
    pub(super) fn at_least(x: Four, low: Four) -> Four {
        f32x4_pmax(x, low)
    }
    #[inline(always)]
    pub(super) fn at_most(x: Four, high: Four) -> Four {
        f32x4_pmin(x, high)
    }
}

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod imp {
    use std::array::from_fn;

    pub(super) type Four = [f32; 4];

    pub(super) fn splat(x: f32) -> Four {
        [x; 4]
    }
    pub(super) unsafe fn load(at: *const f32) -> Four {
        // SAFETY: the caller promises four readable f32; an array of f32 is aligned as f32 is.
        unsafe { *at.cast::<Four>() }
    }
    pub(super) unsafe fn load_splat(at: *const f32) -> Four {
        // SAFETY: the caller promises one readable f32.
        [unsafe { *at }; 4]
    }
    pub(super) unsafe fn store(x: Four, at: *mut f32) {
        // SAFETY: the caller promises four writable f32; an array of f32 is aligned as f32 is.
        unsafe { *at.cast::<Four>() = x }
    }
    pub(super) fn add(a: Four, b: Four) -> Four {
        from_fn(|lane| a[lane] + b[lane])
    }
    pub(super) fn add_product(sum: Four, a: Four, b: Four) -> Four {
        from_fn(|lane| sum[lane] + a[lane] * b[lane])
    }
    pub(super) fn at_least(x: Four, low: Four) -> Four {
        from_fn(|lane| if x[lane] < low[lane] { low[lane] } else { x[lane] })
    }
    pub(super) fn at_most(x: Four, high: Four) -> Four {
        from_fn(|lane| if high[lane] < x[lane] { high[lane] } else { x[lane] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_not_a_number_is_not_hidden_by_an_activation() {
        let mut out = [0.0; 4];
        let x = [f32::NAN, -1.0, 0.5, 9.0];
        // SAFETY: both arrays hold four numbers.
        unsafe {
            Lanes::load(x.as_ptr()).within(Lanes::splat(0.0), Lanes::splat(6.0)).store(out.as_mut_ptr())
        };
        assert!(out[0].is_nan());
        assert_eq!(&out[1..], &[0.0, 0.5, 6.0]);
    }
}
