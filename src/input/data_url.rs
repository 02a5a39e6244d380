//! `data:` addresses decoded in place: a fetch of one would cost as much as the network's answer.

/// The bytes of a base64 `data:` address; `None` for other addresses and for broken base64.
#[must_use]
pub fn bytes(url: &str) -> Option<Vec<u8>> {
    let (scheme, rest) = url.split_at_checked(5)?;
    let (kind, content) = rest.split_once(',')?;
    (scheme.eq_ignore_ascii_case("data:") && kind.ends_with(";base64")).then_some(())?;
    let digits = content.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.chunks(4) {
        let mut bits = 0;
        for &digit in group {
            bits = bits << 6 | u32::from(sextet(digit)?);
        }
        // 2, 3 or 4 digits are 1, 2 or 3 bytes; a lone digit is none.
        let count = group.len().checked_sub(1).filter(|count| *count > 0)?;
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..=count]);
    }
    Some(bytes)
}

fn sextet(digit: u8) -> Option<u8> {
    Some(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn all_lengths_are_decoded() {
        // RFC 4648, section 10.
        for (encoded, plain) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg", "foob"),
            ("Zm9vYmE=", "fooba"),
        ] {
            assert_eq!(bytes(&format!("data:image/png;base64,{encoded}")).as_deref(), Some(plain.as_bytes()));
        }
        assert_eq!(bytes("DATA:;base64,+/+/").as_deref(), Some(&[0xfb, 0xff, 0xbf][..]));
    }

    #[test]
    fn what_is_not_base64_is_left_to_the_browser() {
        for url in [
            "data:image/svg+xml,<svg/>",
            "https://a.example/b.png",
            "data:;base64,Zm9*",
            "data:;base64,Z",
            "é",
        ] {
            assert_eq!(bytes(url), None, "{url}");
        }
    }
}
