//! Numbers as text without the standard library's own tables for it, which the page would carry beside the
//! ones of its JSON writer.

/// The shortest decimal that reads back as the same number, and the nearest of these, without an exponent: what
/// `{}` writes. Of two that are as near, it is the even one, as in JSON and in JavaScript; `{}` takes the upper.
#[must_use]
pub fn shortest<F: zmij::Float>(number: F) -> String {
    without_exponent(zmij::Buffer::new().format(number))
}

/// `written` has at least one digit before the point, and an exponent where it would be long.
fn without_exponent(written: &str) -> String {
    let (sign, bare) = written.strip_prefix('-').map_or(("", written), |bare| ("-", bare));
    if !bare.starts_with(|c: char| c.is_ascii_digit()) {
        return written.to_owned(); // NaN, inf
    }
    let (mantissa, exponent) = bare.split_once('e').unwrap_or((bare, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = if fraction == "0" { "" } else { fraction };
    let point = exponent.parse::<i32>().unwrap_or(0) + i32::try_from(whole.len()).unwrap_or(0);
    let mut out = String::from(sign);
    if point <= 0 {
        out.push_str("0.");
        (point..0).for_each(|_| out.push('0'));
    }
    let mut at = 0;
    for digit in whole.chars().chain(fraction.chars()) {
        if at == point && at > 0 {
            out.push('.');
        }
        out.push(digit);
        at += 1;
    }
    (at..point).for_each(|_| out.push('0'));
    out
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use std::str::FromStr;

    use proptest::prelude::*;

    use super::*;

    /// The standard library's text, or another of the same length that reads back as the same number: the even
    /// one where that rounds up.
    fn is_shortest<F: zmij::Float + ToString + FromStr + PartialEq>(number: F) -> bool {
        let (here, there) = (shortest(number), number.to_string());
        let even = here.len() == there.len() && here.ends_with(['0', '2', '4', '6', '8']);
        here == there || even && here.parse().is_ok_and(|read: F| read == number)
    }

    proptest! {
        #[test]
        fn any_number_is_written_as_the_standard_library_writes_it(
            a in any::<f64>(), b in any::<f32>(), c in 0..1_000_000_i32
        ) {
            prop_assert!(is_shortest(a), "{a}");
            prop_assert!(is_shortest(b), "{b}");
            let c = f64::from(c) / 1000.0;
            prop_assert_eq!(shortest(c), c.to_string());
        }
    }

    #[test]
    fn halfway_the_even_digit_is_taken() {
        assert_eq!(shortest(3_439_653.0_f32 / 8.0), "429956.62"); // 429956.625
        assert_eq!(shortest(2_251_799_813_685_249.0_f64 / 4.0), "562949953421312.2"); // .25
    }

    #[test]
    fn borders_are_written_plainly() {
        for number in
            [0.0, -0.0, 1.0, 0.9, 1e-7, 1e15, 1e16, 1.5e17, 1e300, 5e-324, f64::NAN, f64::NEG_INFINITY]
        {
            assert_eq!(shortest(number), number.to_string());
        }
    }
}
