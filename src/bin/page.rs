//! The page binary: what `www/element.js` may call.

fn main() {}
