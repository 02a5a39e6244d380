//! Every format that enters or leaves; only this layer derives `Serialize`.

pub mod manifest;
pub mod worker;
