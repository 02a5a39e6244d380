//! All words of the interface.
