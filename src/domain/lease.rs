//! Who of several tabs sends, where the browser has no locks: a lease in the store that all of them read.
//!
//! The holder renews it; one that does not (closed, frozen, asleep) loses it to the next that asks. Each change
//! of holder has a greater number, the fencing token: what an earlier holder still writes is recognised by its
//! number and not taken (Kleppmann, *How to do distributed locking*, 2016).

use super::ident::Timestamp;

/// How long a lease holds without being renewed, milliseconds. Browsers wake a hidden tab's timers once a minute
/// at worst; one that misses its turn is sent for by a tab that is awake, and is fenced.
pub const TERM_MS: i64 = 15_000;

/// How often its holder renews it, milliseconds: two renewals may fail.
pub const RENEW_MS: i64 = 5_000;

/// A lease as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Grows with each change of holder.
    pub fence: u64,
    /// A number that the holder drew.
    pub holder: u64,
    /// Until when it holds.
    pub until: Timestamp,
}

/// What is to be stored if `me` asks for the lease at `now`: a new one, or the own one for another term.
///
/// # Errors
/// Somebody else has it: worth asking again at this moment.
pub fn claim(stored: Option<Lease>, me: u64, now: Timestamp) -> Result<Lease, Timestamp> {
    let until = now.plus(TERM_MS);
    match stored {
        Some(lease) if lease.holder == me => Ok(Lease { until, ..lease }),
        // One that would hold for longer than a term was made before the clock was set back.
        Some(lease) if lease.until > now && lease.until <= until => Err(lease.until),
        stored => Ok(Lease { fence: stored.map_or(1, |lease| lease.fence + 1), holder: me, until }),
    }
}

/// What is to be stored when `lease` is given up: its number stays, so that the next is greater.
#[must_use]
pub fn given_up(lease: Lease) -> Lease {
    Lease { holder: 0, until: Timestamp::default(), ..lease }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    #[test]
    fn one_holds_it_and_renews_it_and_nobody_else_gets_it_meanwhile() {
        let first = claim(None, 7, NOW).unwrap();
        assert_eq!(claim(Some(first), 8, NOW.plus(1_000)), Err(first.until));
        let renewed = claim(Some(first), 7, NOW.plus(RENEW_MS)).unwrap();
        assert_eq!(renewed.fence, first.fence, "the same holder keeps its number");
        assert_eq!(claim(Some(renewed), 8, first.until), Err(renewed.until));
    }

    #[test]
    fn the_next_holder_has_a_greater_number_whether_it_was_given_up_or_ran_out() {
        let first = claim(None, 7, NOW).unwrap();
        let after = claim(Some(first), 8, first.until).unwrap();
        assert!(after.fence > first.fence);
        let released = given_up(after);
        assert!(claim(Some(released), 9, NOW).unwrap().fence > after.fence);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_lock_everybody_out() {
        let future = claim(None, 7, NOW.plus(86_400_000)).unwrap();
        let taken = claim(Some(future), 8, NOW).unwrap();
        assert_eq!((taken.holder, taken.until), (8, NOW.plus(TERM_MS)));
    }
}
