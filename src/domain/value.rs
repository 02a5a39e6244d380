//! Free-form data that travels with an item: looked at by rules, never interpreted.

/// A JSON-like value without a format.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number, kept exactly: wide enough for every one that JSON readers tell apart, beyond 2⁶³ too.
    Integer(i128),
    /// Any other finite number.
    Number(f64),
    /// A text.
    Text(String),
    /// Values in order.
    List(Vec<Value>),
    /// Named values in the order in which they came.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// The value under a dotted path (`source.camera`), if there is one.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(self, |value, name| match value {
            Value::Object(fields) => fields.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            Value::List(values) => values.get(name.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// As a number, if it is one.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            #[allow(clippy::cast_precision_loss)]
            Value::Integer(n) => Some(*n as f64),
            Value::Number(n) => Some(*n),
            _ => None,
        }
    }

    /// Equal, with 3 and 3.0 taken as the same number.
    #[must_use]
    pub fn same_as(&self, other: &Value) -> bool {
        match (self, other) {
            // Beyond 2⁵³ several whole numbers are one `f64`.
            (Value::Integer(a), Value::Integer(b)) => a == b,
            _ => match (self.as_number(), other.as_number()) {
                (Some(a), Some(b)) => a == b,
                _ => self == other,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dotted_path_reaches_into_objects_and_lists() {
        let meta = Value::Object(vec![(
            "source".into(),
            Value::List(vec![Value::Object(vec![("camera".into(), Value::Integer(3))])]),
        )]);
        assert_eq!(meta.at("source.0.camera"), Some(&Value::Integer(3)));
        assert_eq!(meta.at("source.1.camera"), None);
        assert!(Value::Integer(3).same_as(&Value::Number(3.0)));
    }

    #[test]
    fn neighbours_among_long_numbers_are_not_the_same() {
        assert!(!Value::Integer(9_007_199_254_740_993).same_as(&Value::Integer(9_007_199_254_740_992)));
        assert!(Value::Integer(u64::MAX.into()).same_as(&Value::Integer(u64::MAX.into())));
    }
}
