//! Rows of numbers: `{"kind": "numbers", "columns": ["height", "weight"]}`.
//!
//! The numbers reach the model as they are: scaling belongs into the graph (as `Sub` and `Mul` before the
//! first layer), where it cannot be forgotten or done twice.

use std::collections::HashSet;

use super::{Kind, Raw};
use crate::domain::item::AsideReason;
use crate::reader::Fields;

/// The most columns a row may have.
pub const MAX_COLUMNS: usize = 65_536;

/// What a row must be. Invariant: at least one column; names are not empty and unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumbersInput {
    /// Column names in the model's order.
    pub columns: Vec<String>,
}

impl NumbersInput {
    /// Checks one row.
    ///
    /// # Errors
    /// [`AsideReason::WrongColumns`] or, with the first such column, [`AsideReason::NotFinite`].
    pub fn check(&self, row: &[f32]) -> Result<(), AsideReason> {
        if row.len() != self.columns.len() {
            return Err(AsideReason::WrongColumns { found: row.len(), expected: self.columns.len() });
        }
        match row.iter().position(|number| !number.is_finite()) {
            Some(column) => Err(AsideReason::NotFinite(column)),
            None => Ok(()),
        }
    }
}

impl Kind for NumbersInput {
    const NAME: &'static str = "numbers";
    const READS: &'static str = "rows of numbers";
    const KEYS: &'static [&'static str] = &["columns"];

    fn read(fields: &Fields<'_>) -> Option<Self> {
        let node = fields.required("columns")?;
        let nodes = node.list()?;
        if nodes.is_empty() || nodes.len() > MAX_COLUMNS {
            return node.wrong(format!("a list of 1 to {MAX_COLUMNS} column names"));
        }
        let mut seen = HashSet::new();
        let columns: Vec<_> = nodes
            .iter()
            .map(|node| match node.name()? {
                name if seen.insert(name) => Some(name.to_owned()),
                _ => node.wrong("a column name that does not stand twice"),
            })
            .collect();
        Some(Self { columns: columns.into_iter().collect::<Option<_>>()? })
    }

    fn shape(&self) -> Vec<usize> {
        vec![1, self.columns.len()]
    }

    fn prepare(&self, raw: Raw<'_>, tensor: &mut [f32]) -> Result<(), AsideReason> {
        let Raw::Numbers(row) = raw else { return Err(AsideReason::WrongKind { expected: Self::READS }) };
        self.check(row)?;
        tensor.copy_from_slice(row);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn two_columns() -> NumbersInput {
        NumbersInput { columns: vec!["height".into(), "weight".into()] }
    }

    #[test]
    fn a_row_reaches_the_model_as_it_is() {
        let mut tensor = [0.0; 2];
        two_columns().prepare(Raw::Numbers(&[1.5, -2.0]), &mut tensor).unwrap();
        assert_eq!(tensor, [1.5, -2.0]);
    }

    #[test]
    fn a_short_row_and_a_hole_are_set_aside_by_name() {
        let input = two_columns();
        assert_eq!(input.check(&[1.0]), Err(AsideReason::WrongColumns { found: 1, expected: 2 }));
        assert_eq!(input.check(&[1.0, f32::NAN]), Err(AsideReason::NotFinite(1)));
    }
}
