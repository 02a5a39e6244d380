//! Line icons, 16 × 16: one path each, so that an icon costs its path and no code.

use leptos::prelude::*;

pub(crate) const BACK: &str = "M10 3 5 8l5 5";
pub(crate) const CLOSE: &str = "m4 4 8 8M12 4l-8 8";
pub(crate) const ENLARGE: &str = "M11.5 7a4.5 4.5 0 1 1-9 0 4.5 4.5 0 0 1 9 0zM10.3 10.3 14 14";
pub(crate) const FLAG: &str = "M4 14V2.5h8L10 6l2 3.5H4";
pub(crate) const KEYBOARD: &str = "M3 4h10a1.5 1.5 0 0 1 1.5 1.5v5A1.5 1.5 0 0 1 13 12H3a1.5 1.5 0 0 1-1.5-1.5v-5A1.5 1.5 0 0 1 3 4zM4 6.8h0M6.7 6.8h0M9.3 6.8h0M12 6.8h0M5 9.5h6";
pub(crate) const LARGER: &str = "M3 8h10M8 3v10";
pub(crate) const PENCIL: &str = "m3 13 .7-3L11 2.7 13.3 5 6 12.3z";
pub(crate) const SKIP: &str = "M3 3v10l7-5zM13 3v10";
pub(crate) const SMALLER: &str = "M3 8h10";
pub(crate) const UNDO: &str = "M3 6h6.5a3.5 3.5 0 0 1 0 7H6M6 3 3 6l3 3";

/// An icon; where it `turns`, it points the other way in right-to-left text.
pub(crate) fn icon(path: &'static str, turns: bool) -> AnyView {
    view! { <svg viewBox="0 0 16 16" aria-hidden="true" data-turns=turns.then_some("")><path d=path></path></svg> }
        .into_any()
}
