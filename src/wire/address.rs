//! Which addresses may stand in what people write: no `javascript:`, no `file:`, nothing disguised.

use crate::reader::Node;

/// The scheme in lower case; `None` for an address that is relative to another.
#[must_use]
pub fn scheme(address: &str) -> Option<String> {
    let (scheme, _) = address.split_once(':')?;
    let mut bytes = scheme.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let rest = bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (first && rest).then(|| scheme.to_ascii_lowercase())
}

/// Reads an address that is relative or has one of these schemes; `expected` says so in words.
pub(super) fn read(node: &Node<'_>, schemes: &[&str], expected: &str) -> Option<String> {
    let address = node.name()?;
    match problem(address, schemes, expected) {
        Some(expected) => node.wrong(expected),
        None => Some(address.to_owned()),
    }
}

/// What would be right, if this address is not; `expected` says it of the schemes.
pub(super) fn problem(address: &str, schemes: &[&str], expected: &str) -> Option<String> {
    // Browsers drop tabs and line ends inside an address and blanks around it before they look for the
    // scheme: "java\nscript:" would pass a check that does not.
    if address.trim() != address || address.chars().any(char::is_control) {
        return Some("an address without blanks around it and without line ends in it".into());
    }
    if scheme(address).is_some_and(|scheme| !schemes.contains(&scheme.as_str())) {
        return Some(expected.into());
    }
    if has_credentials(address) {
        return Some("an address without user name and password (everybody can read a page's source)".into());
    }
    None
}

/// What follows the two slashes of an address that names its host.
pub(super) fn authority(address: &str) -> Option<&str> {
    scheme(address).map_or(address, |scheme| &address[scheme.len() + 1..]).strip_prefix("//")
}

/// Whether a user name stands before the host; `fetch` refuses such an address.
fn has_credentials(address: &str) -> bool {
    let opaque = scheme(address).is_some_and(|scheme| !matches!(scheme.as_str(), "http" | "https"));
    let Some(rest) = authority(address) else { return false };
    !opaque && rest.split(['/', '?', '#', '\\']).next().is_some_and(|host| host.contains('@'))
}

#[cfg(test)]
mod tests {
    use crate::reader;

    fn read(address: &str) -> bool {
        let json = serde_json::json!(address);
        reader::read(&json, |node| super::read(&node, &["http", "https", "blob"], "an address")).is_ok()
    }

    #[test]
    fn what_a_browser_would_run_is_refused_however_it_is_disguised() {
        for good in [
            "a.json",
            "../a.json",
            "/a:b",
            "//cdn/a",
            "./x:y",
            "HTTPS://a/b",
            "blob:https://a/1",
            "a b",
            "?q=a@b",
        ] {
            assert!(read(good), "{good}");
        }
        for bad in [
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "java\nscript:alert(1)",
            " javascript:alert(1)",
            "\u{1}javascript:alert(1)",
            "file:///etc/passwd",
            "data:text/html,x",
            "https://me:secret@host/",
            "//me@host/",
            "",
            " ",
            "a\u{7f}",
        ] {
            assert!(!read(bad), "{bad:?}");
        }
    }
}
