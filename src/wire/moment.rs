//! A moment as records write it: RFC 3339, UTC, milliseconds.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

const DAY: u64 = 86_400_000;
/// 9999-12-31T23:59:59.999Z, the last moment that RFC 3339 can write.
const LAST: u64 = 253_402_300_799_999;

/// A moment in UTC to the millisecond, from 1970 to 9999.
///
/// Written exactly as JavaScript's `Date.prototype.toISOString` writes it, so that the order of the
/// texts is the order of the moments.
///
/// ```
/// use hitl_labeler::wire::moment::Moment;
///
/// let moment = Moment::from_epoch_ms(1_767_225_600_042);
/// assert_eq!(moment.to_string(), "2026-01-01T00:00:00.042Z");
/// assert_eq!("2026-01-01T00:00:00.042Z".parse(), Ok(moment));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

/// Why a text is not a [`Moment`]: it has another form, or names a day or time that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time in UTC with milliseconds from 1970 to 9999, such as 2026-01-31T09:05:00.000Z")]
pub struct NotAMoment;

impl Moment {
    /// The moment that many milliseconds after 1970-01-01T00:00:00Z; past the year 9999, its last one.
    #[must_use]
    pub const fn from_epoch_ms(ms: u64) -> Self {
        Self(if ms > LAST { LAST } else { ms })
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn epoch_ms(self) -> u64 {
        self.0
    }
}

/// Year, month (1–12) and day (1–31) of the day that many days after 1970-01-01.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
const fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + (month <= 2) as u64, month, day)
}

/// Days from 1970-01-01 to that day; the inverse of [`civil`] (`days_from_civil` of the same source).
const fn days(year: u64, month: u64, day: u64) -> u64 {
    let march_year = year - (month <= 2) as u64;
    let era = march_year / 400;
    let year_of_era = march_year % 400;
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0 / DAY);
        let ms = self.0 % DAY;
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
    }
}

impl FromStr for Moment {
    type Err = NotAMoment;

    fn from_str(text: &str) -> Result<Self, NotAMoment> {
        const FORM: &[u8; 24] = b"0000-00-00T00:00:00.000Z";
        let bytes: &[u8; 24] = text.as_bytes().try_into().map_err(|_| NotAMoment)?;
        let fits = bytes.iter().zip(FORM).all(|(b, form)| match form {
            b'0' => b.is_ascii_digit(),
            mark => b == mark,
        });
        if !fits {
            return Err(NotAMoment);
        }
        let number = |from: usize, to: usize| {
            bytes[from..to].iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0'))
        };
        let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
        let (hour, minute, second) = (number(11, 13), number(14, 16), number(17, 19));
        if year < 1970 || !(1..=12).contains(&month) || day == 0 || hour > 23 || minute > 59 || second > 59 {
            return Err(NotAMoment);
        }
        let days = days(year, month, day);
        // The 31st of a month of 30 days would come out as the 1st of the next.
        if civil(days) != (year, month, day) {
            return Err(NotAMoment);
        }
        Ok(Self(days * DAY + hour * 3_600_000 + minute * 60_000 + second * 1000 + number(20, 23)))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_day_until_the_year_9999_is_the_day_after_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for n in 0..=LAST / DAY {
            assert_eq!(civil(n), (year, month, day));
            assert_eq!(days(year, month, day), n);
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            (year, month, day) = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (_, d) if d == last => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
        assert_eq!((year, month, day), (10_000, 1, 1));
    }

    #[test]
    fn texts_are_those_of_javascript() {
        // new Date(n).toISOString() in Node 20.
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (LAST, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Moment::from_epoch_ms(ms).to_string(), text);
            assert_eq!(text.parse::<Moment>().unwrap().epoch_ms(), ms);
        }
        assert_eq!(Moment::from_epoch_ms(u64::MAX).epoch_ms(), LAST);
    }

    #[test]
    fn what_does_not_exist_or_has_another_form_is_refused() {
        for text in [
            "",
            "2026-02-29T00:00:00.000Z",
            "2026-04-31T00:00:00.000Z",
            "2026-13-01T00:00:00.000Z",
            "2026-00-10T00:00:00.000Z",
            "2026-01-00T00:00:00.000Z",
            "2026-01-01T24:00:00.000Z",
            "2026-01-01T00:60:00.000Z",
            "2026-06-30T23:59:60.000Z",
            "1969-12-31T23:59:59.999Z",
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00.000+00:00",
            "2026-01-01 00:00:00.000Z",
            "2026-01-01t00:00:00.000z",
            "２026-01-01T00:00:00.00Z",
        ] {
            assert_eq!(text.parse::<Moment>(), Err(NotAMoment), "{text}");
        }
    }
}
