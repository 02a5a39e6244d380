//! The collector's usual database: a file in its folder.

use std::ffi::OsString;
use std::path::Path;

fn open(data: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(data.join("records.sqlite")).unwrap()
}

/// What tells a collector to keep its records there.
pub fn arguments(data: &Path) -> Vec<OsString> {
    vec!["--data".into(), data.into()]
}

/// Id, item, label and record of every row in the order of arrival.
pub fn rows(data: &Path) -> Vec<(String, String, String, String)> {
    let db = open(data);
    let mut query = db.prepare("SELECT id, item_id, label, record FROM records ORDER BY seq").unwrap();
    let rows = query.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

/// The database says itself that nothing is broken.
pub fn sound(data: &Path) {
    let sound: String = open(data).query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}
