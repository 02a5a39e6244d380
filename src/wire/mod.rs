//! Every format that enters or leaves; only this layer derives `Serialize`.

pub mod address;
pub mod config;
pub mod correction;
pub mod current;
pub mod delivery;
pub mod export;
pub mod figures;
pub mod head;
pub mod items;
pub mod manifest;
pub mod moment;
pub mod record;
pub mod reply;
pub mod table;
pub mod worker;
