//! What the project's own models say of items, kept in the cache under the model's digest.

use std::path::{Path, PathBuf};

use super::data::Pictures;
use super::stats::parallel;
use super::study::Set;
use crate::infer::engine::{Rows, TractEngine};
use crate::infer::pipeline::Pipeline;
use crate::input::Raw;
use crate::input::card::ModelCard;
use crate::input::image::Pixels;
use crate::wire::manifest;

/// Grows whenever rows of the same model would come out otherwise: they are computed anew.
const FORM: u32 = 1;

/// A committed model.
#[derive(Debug)]
pub struct Model {
    /// What it is.
    pub card: ModelCard,
    file: Vec<u8>,
}

impl Model {
    /// Reads `models/NAME` of the checkout.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn read(root: &Path, name: &str) -> Result<Self, String> {
        let folder = root.join("models").join(name);
        let open = |file: &str| {
            let path = folder.join(file);
            std::fs::read(&path).map_err(|why| format!("{}: {why}", path.display()))
        };
        let text =
            String::from_utf8(open("model.json")?).map_err(|why| format!("{name}/model.json: {why}"))?;
        let card = manifest::parse(&text).map_err(|problems| format!("{name}/model.json: {problems}"))?;
        let file = open(&card.file)?;
        Ok(Self { card, file })
    }

    fn load(&self) -> Result<(Pipeline<TractEngine>, usize, usize), String> {
        let (pipeline, loaded) = Pipeline::load(&self.card, self.file.clone(), || 0.0)
            .map_err(|why| format!("{}: {why}", self.card.name))?;
        Ok((pipeline, loaded.labels as usize, loaded.features as usize))
    }

    /// The model's rows for items of numbers.
    ///
    /// # Errors
    /// The model does not load, or an item fails.
    pub fn of_numbers(&self, items: &[Vec<f32>], truth: Vec<u16>) -> Result<Set, String> {
        let (mut pipeline, scores, features) = self.load()?;
        let mut rows = Rows { scores: Vec::new(), features: Some(Vec::new()) };
        for (at, item) in items.iter().enumerate() {
            let done = pipeline.predict(Raw::Numbers(item), &mut rows);
            done.map_err(|why| format!("{}, item {at}: {why:?}", self.card.name))?;
        }
        Ok(self.set(scores, features, rows, truth))
    }

    /// The model's rows for pictures, from the cache if they are there; `name` tells the set from others.
    ///
    /// # Errors
    /// The model does not load, or a picture fails.
    pub fn of_pictures(&self, pictures: &Pictures, name: &str, cache: Option<&Path>) -> Result<Set, String> {
        let file = cache.map(|cache| self.place(cache, name, pictures.len()));
        // All cores share the pictures, each with a model of its own.
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let part = pictures.len().div_ceil(threads).max(1);
        let (probe, scores, features) = self.load()?;
        drop(probe);
        let width = scores + features;
        if let Some(numbers) = file.as_deref().and_then(|file| kept(file, pictures.len() * width)) {
            let (all_scores, all_features) = numbers.split_at(pictures.len() * scores);
            let rows = Rows { scores: all_scores.to_vec(), features: Some(all_features.to_vec()) };
            return Ok(self.set(scores, features, rows, pictures.truth.clone()));
        }
        #[allow(clippy::cast_possible_truncation)]
        let (w, h) = (pictures.width as u32, pictures.height as u32);
        let parts = parallel(threads, |thread| {
            let (mut pipeline, ..) = self.load()?;
            let mut rows = Rows { scores: Vec::new(), features: Some(Vec::new()) };
            for at in (thread * part).min(pictures.len())..((thread + 1) * part).min(pictures.len()) {
                let raw = Raw::Pixels(Pixels { width: w, height: h, rgba: &pictures.rgba(at) });
                let done = pipeline.predict(raw, &mut rows);
                done.map_err(|why| format!("{}, picture {at}: {why:?}", self.card.name))?;
            }
            Ok::<_, String>(rows)
        });
        let mut rows = Rows { scores: Vec::new(), features: Some(Vec::new()) };
        for part in parts {
            let part = part?;
            rows.scores.extend(part.scores);
            rows.features
                .iter_mut()
                .for_each(|rows| rows.extend(part.features.as_deref().unwrap_or_default()));
        }
        if let Some(file) = file {
            // A cache that cannot be written costs time only.
            let _ = keep(&file, rows.scores.iter().chain(rows.features.iter().flatten()));
        }
        Ok(self.set(scores, features, rows, pictures.truth.clone()))
    }

    fn place(&self, cache: &Path, name: &str, count: usize) -> PathBuf {
        let digest = self.card.sha256.to_string();
        // The card's input decides what the model sees.
        let input = format!("{:?}", self.card.input);
        let input = input.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        cache.join(format!("rows-{FORM}-{}-{input:016x}-{name}-{count}.f32", &digest[..16]))
    }

    fn set(&self, scores: usize, features: usize, rows: Rows, truth: Vec<u16>) -> Set {
        let all_features = rows.features.unwrap_or_default();
        Set { labels: self.card.labels.len(), scores, features, all_scores: rows.scores, all_features, truth }
    }
}

/// The committed true labels of a model's demo items, as places among its labels.
///
/// # Errors
/// The file is not there, or names a label that the model does not have.
pub fn truth(root: &Path, model: &Model) -> Result<Vec<u16>, String> {
    let path = root.join("models").join(&model.card.name).join("golden/truth.json");
    let text = std::fs::read_to_string(&path).map_err(|why| format!("{}: {why}", path.display()))?;
    let names: Vec<String> =
        serde_json::from_str(&text).map_err(|why| format!("{}: {why}", path.display()))?;
    let place = |name: &String| {
        let found = model.card.labels.find(name).map(|label| label.0);
        found.ok_or_else(|| format!("{}: no label {name:?}", path.display()))
    };
    names.iter().map(place).collect()
}

fn kept(file: &Path, count: usize) -> Option<Vec<f32>> {
    let bytes = std::fs::read(file).ok()?;
    let number = |bytes: &[u8]| bytes.try_into().map(f32::from_le_bytes).unwrap_or(f32::NAN);
    (bytes.len() == 4 * count).then(|| bytes.chunks_exact(4).map(number).collect())
}

fn keep<'a>(file: &Path, numbers: impl Iterator<Item = &'a f32>) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Whole or not at all, also when two runs write at once.
    let fresh = file.with_extension(std::process::id().to_string());
    std::fs::write(&fresh, numbers.flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
    std::fs::rename(fresh, file)
}
