//! Notices that the browser has thrown the store away: what waited in it is counted in another place.

use web_sys::Storage;

/// A count that stands beside the store, in `localStorage`. Browsers that clear a whole site take both: that cannot
/// be noticed. A database that is lost by itself (damaged, evicted, deleted by hand) is.
pub struct Witness {
    storage: Storage,
    name: String,
}

impl Witness {
    /// `None` where a page may not have any.
    pub(super) fn of(name: &str) -> Option<Self> {
        let storage = web_sys::window()?.local_storage().ok().flatten()?;
        Some(Self { storage, name: name.to_owned() })
    }

    /// How many records only the store had when it was last counted; 0 if nobody has counted.
    #[must_use]
    pub fn count(&self) -> usize {
        let text = self.storage.get_item(&self.name).ok().flatten();
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Counts anew. A full or forbidden storage leaves the store unwatched, which loses nothing.
    pub fn set(&self, count: usize) {
        let _ = self.storage.set_item(&self.name, &count.to_string());
    }
}
