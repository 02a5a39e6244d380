//! Every format that enters or leaves; only this layer derives `Serialize`.

pub mod correction;
pub mod current;
pub mod export;
pub mod manifest;
pub mod moment;
pub mod record;
pub mod worker;
