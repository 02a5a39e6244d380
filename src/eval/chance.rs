//! Chance from a seed: the same on every machine.

/// SplitMix64 (Steele, Lea and Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// Chance number `seed` for `purpose`: other purposes draw other numbers.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mixed = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let mut chance = Self(purpose.bytes().fold(seed.wrapping_mul(0xbf58_476d_1ce4_e5b9), mixed));
        // Neighbouring seeds part within one step.
        chance.next();
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Even within 0 to below 1.
    #[allow(clippy::cast_precision_loss)]
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Even within 0 to below `n`.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }

    /// Standard normal (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Brings `of` into random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, of: &mut [T]) {
        for at in (1..of.len()).rev() {
            of.swap(at, self.below(at + 1));
        }
    }

    /// The numbers below `n` in random order.
    #[must_use]
    pub fn order(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_and_another_one_does_not() {
        let order = |seed, purpose| Chance::new(seed, purpose).order(50);
        assert_eq!(order(1, "a"), order(1, "a"));
        assert_ne!(order(1, "a"), order(2, "a"));
        assert_ne!(order(1, "a"), order(1, "b"));
    }

    #[test]
    fn normal_draws_have_mean_nought_and_spread_one() {
        let mut chance = Chance::new(3, "normal");
        let drawn: Vec<f64> = (0..40_000).map(|_| chance.normal()).collect();
        let mean = drawn.iter().sum::<f64>() / 40_000.0;
        let spread = drawn.iter().map(|x| x * x).sum::<f64>() / 40_000.0;
        assert!(mean.abs() < 0.02 && (spread - 1.0).abs() < 0.03, "{mean} {spread}");
    }
}
