//! The words behind `make eval ARGS=…`.

use std::path::PathBuf;

/// What can be measured, in the order in which it is.
pub const SECTIONS: [&str; 6] = ["digits", "promise", "fashion", "weather", "embedder", "speed"];

/// What to measure, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Names of [`SECTIONS`]; all if none was named.
    pub sections: Vec<&'static str>,
    /// Seeds in place of each section's own number.
    pub seeds: Option<u64>,
    /// Simulated runs a setting of the promise.
    pub runs: usize,
    /// Items of such a run.
    pub items: usize,
    /// Where the charts go.
    pub out: PathBuf,
    /// The checkout.
    pub root: PathBuf,
    /// Where what models said of the pictures is kept.
    pub cache: Option<PathBuf>,
    /// The folder of Fashion-MNIST's four files, unpacked.
    pub fashion: Option<PathBuf>,
}

impl Options {
    /// Reads the words; those without `=` are sections.
    ///
    /// # Errors
    /// What is wrong with the first word that is not understood.
    pub fn read(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            sections: Vec::new(),
            seeds: None,
            runs: 200,
            items: 4_000,
            out: "eval".into(),
            root: ".".into(),
            cache: None,
            fashion: None,
        };
        for word in words {
            match word.split_once('=') {
                Some(("seeds", value)) => options.seeds = Some(whole(&word, value, 2)?),
                Some(("runs", value)) => options.runs = count(&word, value, 20)?,
                Some(("items", value)) => options.items = count(&word, value, 100)?,
                Some(("out", value)) => options.out = value.into(),
                Some(("root", value)) => options.root = value.into(),
                Some(("cache", value)) => options.cache = Some(value.into()),
                Some(("fashion", value)) => options.fashion = Some(value.into()),
                _ => match SECTIONS.iter().find(|section| **section == word) {
                    Some(section) => options.sections.push(section),
                    None => {
                        let sections = SECTIONS.join(", ");
                        return Err(format!(
                            "found {word:?}, expected one of {sections}, seeds=N, runs=N, items=N or out=FOLDER"
                        ));
                    }
                },
            }
        }
        if options.sections.is_empty() {
            options.sections = SECTIONS.to_vec();
        }
        Ok(options)
    }

    /// The seeds of a section that has `own` of them by itself.
    pub fn seeds(&self, own: u64) -> std::ops::RangeInclusive<u64> {
        1..=self.seeds.unwrap_or(own)
    }
}

fn count(word: &str, value: &str, least: u64) -> Result<usize, String> {
    // More than the machine can count to is not to be had anyway.
    whole(word, value, least).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
}

fn whole(word: &str, value: &str, least: u64) -> Result<u64, String> {
    let number = value.parse().ok().filter(|number| *number >= least);
    number.ok_or_else(|| format!("found {word:?}, expected a whole number of at least {least}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(words: &str) -> Result<Options, String> {
        Options::read(words.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn nothing_said_is_everything() {
        let options = read("").unwrap();
        assert_eq!((options.sections.len(), options.runs, options.seeds(6)), (SECTIONS.len(), 200, 1..=6));
    }

    #[test]
    fn sections_seeds_and_a_place_can_be_named() {
        let options = read("digits speed seeds=3 out=here").unwrap();
        assert_eq!((options.sections.as_slice(), options.seeds(6)), (["digits", "speed"].as_slice(), 1..=3));
        assert_eq!(options.out, PathBuf::from("here"));
    }

    #[test]
    fn a_word_that_is_not_understood_is_named() {
        assert!(read("digit").unwrap_err().contains("\"digit\""));
        assert!(read("seeds=one").unwrap_err().contains("at least 2"));
        assert!(read("seeds=1").is_err(), "one seed has no standard error");
    }
}
