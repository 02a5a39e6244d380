//! Every format that enters or leaves: versioned, with a published schema and a golden file.

pub mod current;
pub mod export;
pub mod moment;
pub mod record;
