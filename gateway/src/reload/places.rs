//! Where would it be seen that a file is another one? In its folder, and in the folders of all links on the way to it.
//!
//! Editors write a new file and rename it over the old one, so a file itself cannot be watched. Kubernetes mounts a file of a
//! ConfigMap as a link to `..data/file`, where `..data` is a link to a folder of the day, and renames another link over that
//! (`kubernetes/kubernetes:pkg/volume/util/atomic_writer.go`).

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    path::{Component, Path, PathBuf},
};

use crate::settings::LookedInto;

/// As many links as Linux follows.
const LINKS_MAX: usize = 40;

/// Folders, and the names in them that matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Places(BTreeMap<PathBuf, Names>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    all: bool,
    some: BTreeSet<OsString>,
}

impl Places {
    /// Where a change of these would be seen.
    pub(super) fn of(looked_into: &LookedInto) -> Self {
        let mut places = Self::default();
        for file in &looked_into.files {
            places.follow(file);
        }
        if let Some(folder) = &looked_into.folder {
            let end = places.follow(folder);
            places.0.entry(end).or_default().all = true;
        }
        places
    }

    /// The folders to watch.
    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Whether something that happened at `path` matters.
    pub(super) fn concern(&self, path: &Path) -> bool {
        let of = |folder: &Path, name: &OsStr| {
            self.0.get(folder).is_some_and(|names| names.all || names.some.contains(name))
        };
        match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) => of(folder, name) || self.0.contains_key(path),
            _ => self.0.contains_key(path),
        }
    }

    /// Notes the place of `path` and of all links on the way to it; the path behind them.
    fn follow(&mut self, path: &Path) -> PathBuf {
        let mut path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        for _ in 0..LINKS_MAX {
            let Some(next) = self.first_link(&path) else { break };
            path = next;
        }
        self.note(&path);
        path
    }

    /// The path with its first link replaced by what that leads to.
    fn first_link(&mut self, path: &Path) -> Option<PathBuf> {
        let mut so_far = PathBuf::new();
        let mut components = path.components();
        while let Some(component) = components.next() {
            if component == Component::ParentDir {
                so_far.pop(); // no link is left in what was walked
                continue;
            }
            so_far.push(component);
            if let Ok(leads_to) = std::fs::read_link(&so_far) {
                self.note(&so_far);
                so_far.pop();
                return Some(so_far.join(leads_to).join(components.as_path()));
            }
        }
        (so_far != path).then_some(so_far)
    }

    fn note(&mut self, path: &Path) {
        if let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
            self.0.entry(folder.to_owned()).or_default().some.insert(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn of(file: &Path) -> Places {
        Places::of(&LookedInto { files: [file.to_owned()].into(), folder: None })
    }

    #[test]
    fn every_link_on_the_way_to_a_file_is_watched_where_it_stands() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        fs::create_dir(dir.join("..2026")).unwrap();
        fs::write(dir.join("..2026/tollgate.toml"), "").unwrap();
        symlink("..2026", dir.join("..data")).unwrap();
        symlink("..data/tollgate.toml", dir.join("tollgate.toml")).unwrap();
        let places = of(&dir.join("tollgate.toml"));
        let folders: Vec<&Path> = places.folders().collect();
        assert_eq!(folders, [dir.as_path(), &dir.join("..2026")]);
        for seen in ["tollgate.toml", "..data", "..2026/tollgate.toml"] {
            assert!(places.concern(&dir.join(seen)), "{seen}");
        }
        for unseen in ["other.toml", "..2026/other", "store/ledger.db"] {
            assert!(!places.concern(&dir.join(unseen)), "{unseen}");
        }
    }

    #[test]
    fn a_circle_of_links_and_a_file_that_is_not_there_have_a_place_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        symlink("b", dir.join("a")).unwrap();
        symlink("a", dir.join("b")).unwrap();
        assert!(of(&dir.join("a")).concern(&dir.join("b")));
        assert!(of(&dir.join("nowhere.toml")).concern(&dir.join("nowhere.toml")));
    }

    #[test]
    fn all_files_of_an_own_catalog_matter() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let places = Places::of(&LookedInto { files: BTreeSet::new(), folder: Some(dir.clone()) });
        assert!(places.concern(&dir.join("new.jsonl")));
    }
}
