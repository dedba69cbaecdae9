//! What may be left of recorded effects after a power cut?
//!
//! A flush keeps what was written to its file before. Of what was written since, anything may be missing: all of it, all
//! but a beginning, one write in the middle; and the last one may be torn.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use super::Effect;

/// One way in which a folder may look after a power cut.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Image {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Image {
    /// The folder as it is now, without what SQLite makes anew (its `-shm`) and the names in `but`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of(folder: &Path, but: &[&str]) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(below) = folders.pop() {
            for found in fs::read_dir(folder.join(&below))? {
                let found = found?;
                let name = below.join(found.file_name());
                let text = name.to_string_lossy();
                if found.file_type()?.is_dir() {
                    folders.push(name);
                } else if !text.ends_with("-shm") && !but.contains(&text.as_ref()) {
                    files.insert(name, fs::read(found.path())?);
                }
            }
        }
        Ok(Self { files })
    }

    /// Writes it into an empty folder.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn lay_down(&self, folder: &Path) -> io::Result<()> {
        for (name, bytes) in &self.files {
            let path = folder.join(name);
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(path, bytes)?;
        }
        Ok(())
    }

    /// A file's bytes.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(Path::new(name)).map(Vec::as_slice)
    }

    fn takes(&mut self, effect: &Effect, bytes_max: usize) {
        match effect {
            Effect::Create(name) => drop(self.files.entry(name.clone()).or_default()),
            Effect::Write(name, at, bytes) => {
                let file = self.files.entry(name.clone()).or_default();
                let bytes = &bytes[..bytes.len().min(bytes_max)];
                let at = usize::try_from(*at).unwrap_or(0);
                if file.len() < at + bytes.len() {
                    file.resize(at + bytes.len(), 0);
                }
                file[at..at + bytes.len()].copy_from_slice(bytes);
            }
            Effect::Truncate(name, size) => {
                let size = usize::try_from(*size).unwrap_or(0);
                self.files.entry(name.clone()).or_default().resize(size, 0);
            }
            Effect::Delete(name) => drop(self.files.remove(name)),
            Effect::Sync(_) | Effect::Mark(_) => {}
        }
    }
}

const fn name_of(effect: &Effect) -> Option<&PathBuf> {
    match effect {
        Effect::Create(name)
        | Effect::Write(name, ..)
        | Effect::Truncate(name, _)
        | Effect::Sync(name)
        | Effect::Delete(name) => Some(name),
        Effect::Mark(_) => None,
    }
}

/// Hands out what a power cut may leave after each of `effects`, each image once between two flushes, with the largest
/// mark before it. Stops when `each` says so.
pub fn power_cuts(begin: &Image, effects: &[Effect], mut each: impl FnMut(&Image, u64) -> bool) {
    // What surely is there, and what may be.
    let mut sure = begin.clone();
    let mut open: Vec<&Effect> = Vec::new();
    let mut marked = 0;
    let mut seen: BTreeSet<(Image, u64)> = BTreeSet::new();
    for effect in effects {
        match effect {
            Effect::Mark(number) => marked = *number,
            Effect::Sync(name) => {
                // In the order in which they came; what is of other files may still be missing.
                let (kept, rest) = open.into_iter().partition(|open| name_of(open) == Some(name));
                open = rest;
                let kept: Vec<&Effect> = kept;
                kept.into_iter().for_each(|effect| sure.takes(effect, usize::MAX));
                seen.clear();
            }
            effect => open.push(effect),
        }
        for image in left(&sure, &open) {
            if seen.insert((image.clone(), marked)) && !each(&image, marked) {
                return;
            }
        }
    }
}

/// What may be left of `open` on top of `sure`, the cut being right behind the last of them.
fn left(sure: &Image, open: &[&Effect]) -> Vec<Image> {
    let with = |chosen: &dyn Fn(usize) -> usize| {
        let mut image = sure.clone();
        for (index, effect) in open.iter().enumerate() {
            match chosen(index) {
                0 => {}
                bytes => image.takes(effect, bytes),
            }
        }
        image
    };
    let last = open.len().saturating_sub(1);
    let mut images = vec![sure.clone(), with(&|_| usize::MAX)];
    if let Some(Effect::Write(_, _, bytes)) = open.last() {
        for torn in [bytes.len() / 2, bytes.len().min(512), bytes.len() - 1] {
            images.push(with(&|index| if index == last { torn } else { usize::MAX }));
        }
    }
    // One of them never reached the disk although later ones did.
    images.extend((0..last).map(|missing| with(&|index| if index == missing { 0 } else { usize::MAX })));
    images
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_flushed_is_in_every_image_and_the_rest_in_some() {
        let name = PathBuf::from("f");
        let begin = Image::default();
        let write = |at, bytes: &[u8]| Effect::Write(name.clone(), at, bytes.to_vec());
        let effects = [
            write(0, b"aaaa"),
            Effect::Sync(name.clone()),
            Effect::Mark(1),
            write(4, b"bbbb"),
            write(8, b"cccc"),
        ];
        let mut after = BTreeSet::new();
        power_cuts(&begin, &effects, |image, marked| {
            let text = String::from_utf8_lossy(image.file("f").unwrap_or_default()).into_owned();
            assert!(marked == 0 || text.starts_with("aaaa"), "{text:?}");
            after.insert(text.replace('\0', "."));
            true
        });
        for expected in ["", "aa", "aaaa", "aaaabb", "aaaabbbb", "aaaabbbbcc", "aaaa....cccc", "aaaabbbbcccc"]
        {
            assert!(after.contains(expected), "{expected:?} in {after:?}");
        }
    }
}
