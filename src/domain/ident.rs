//! Identity, time and chance as values: the domain reads no clock and draws no random number itself.

use std::fmt;

use uuid::Uuid;

/// Milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This moment and `ms` milliseconds.
    #[must_use]
    pub fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; zero if the clock was set back between.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0).max(0)
    }
}

/// Identity of a record: a UUIDv7, so that records sort by the order in which they came to be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub Uuid);

/// Identity of a delivery batch, a UUIDv7; also its idempotency key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub Uuid);

macro_rules! identity {
    ($name:ident) => {
        impl $name {
            /// When it came to be, by the clock of the device on which it did (RFC 9562 §5.7).
            #[must_use]
            pub fn made_at(self) -> Timestamp {
                // The first 48 of 128 bits: never more than an `i64` holds.
                Timestamp(i64::try_from(self.0.as_u64_pair().0 >> 16).unwrap_or(i64::MAX))
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::try_parse(text).map(Self)
            }
        }
    };
}
identity!(RecordId);
identity!(BatchId);

/// A stream of pseudo-random numbers from a seed that the shell drew.
///
/// Two independent SplitMix64 streams combined (Steele, Lea, Flood: *Fast splittable pseudorandom
/// number generators*, 2014): small, and uniform enough for identifiers and jitter; not for secrets.
#[derive(Clone, Debug)]
pub struct Chance {
    a: u64,
    b: u64,
    last_ms: i64,
    within_ms: u16,
}

impl Chance {
    /// A stream from 128 random bits.
    #[must_use]
    pub fn new(seed: [u64; 2]) -> Self {
        Self { a: seed[0], b: seed[1], last_ms: i64::MIN, within_ms: 0 }
    }

    /// From now on new identities are greater than this one, which another stream gave: of an earlier visit or
    /// another tab, whose clock may have been ahead.
    pub fn follow(&mut self, earlier: RecordId) {
        let made = earlier.made_at().0;
        if made >= self.last_ms {
            self.last_ms = made;
            self.within_ms = 0x0fff;
        }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.a = self.a.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.b = self.b.wrapping_add(0xd1b5_4a32_d192_ed03);
        mixed(self.a) ^ mixed(self.b).rotate_left(32)
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        unit(self.bits())
    }

    /// A new record identity, greater than each one given before by this stream.
    pub fn record_id(&mut self, now: Timestamp) -> RecordId {
        RecordId(self.uuid_v7(now))
    }

    /// A new batch identity.
    pub fn batch_id(&mut self, now: Timestamp) -> BatchId {
        BatchId(self.uuid_v7(now))
    }

    /// UUIDv7 with the 12 bits after the time as a counter within the millisecond (RFC 9562 §6.2,
    /// method 1); a clock that is set back keeps the last time, so that order never inverts.
    fn uuid_v7(&mut self, now: Timestamp) -> Uuid {
        if now.0 > self.last_ms {
            self.last_ms = now.0;
            self.within_ms = 0;
        } else if self.within_ms < 0x0fff {
            self.within_ms += 1;
        } else {
            self.last_ms += 1;
            self.within_ms = 0;
        }
        let random = self.bits().to_be_bytes();
        let counter = self.within_ms.to_be_bytes();
        let tail = [
            counter[0], counter[1], random[0], random[1], random[2], random[3], random[4], random[5],
            random[6], random[7],
        ];
        let millis = u64::try_from(self.last_ms).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
    }
}

/// Where `text` falls in `[0, 1)` under `seed`: the same on every machine and in every session.
#[must_use]
pub fn draw(seed: u64, text: &str) -> f64 {
    unit(hash(seed, text))
}

/// 64 bits that stand for `text` under `seed`: the same on every machine and in every session.
///
/// FNV-1a over the bytes, then SplitMix64's finaliser, since FNV alone is uneven in its high bits.
#[must_use]
pub fn hash(seed: u64, text: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ mixed(seed);
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    mixed(hash)
}

/// SplitMix64's finaliser.
fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[allow(clippy::cast_precision_loss)]
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_percent_of_ten_thousand_items_is_about_five_hundred() {
        for seed in 0..20 {
            let drawn = (0..10_000).filter(|i| draw(seed, &format!("item-{i}")) < 0.05).count();
            assert!((440..=560).contains(&drawn), "{drawn} with seed {seed}");
        }
    }

    #[test]
    fn record_ids_sort_by_creation_even_when_the_clock_is_set_back() {
        let mut chance = Chance::new([1, 2]);
        let ids: Vec<_> =
            (0..10_000).map(|i| chance.record_id(Timestamp(1_700_000_000_000 - i64::from(i % 7)))).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(ids[0].0.get_version_num(), 7);
    }

    #[test]
    fn two_seeds_share_no_id() {
        let now = Timestamp(1_700_000_000_000);
        let (mut a, mut b) = (Chance::new([1, 2]), Chance::new([1, 3]));
        let first: std::collections::HashSet<_> = (0..1000).map(|_| a.record_id(now)).collect();
        assert!((0..1000).all(|_| !first.contains(&b.record_id(now))));
    }
}
