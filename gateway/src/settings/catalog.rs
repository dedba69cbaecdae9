//! An own catalog over the one that is built in: which files are there, and are they right?

use std::{fs, io, path::Path, sync::Arc};

use router_config::{Catalog, KeyPath, OverlayFile, catalog};
use sha2::{Digest, Sha256};

use super::{check::Checks, raw::RawCatalog};

/// The most files that such a folder may have.
const FILES_MAX: usize = 256;
/// The largest of them, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

impl Checks<'_> {
    /// The catalog with what stands over it; the one that is built in where that is wrong.
    pub(super) fn catalog(&mut self, raw: RawCatalog) -> Arc<Catalog> {
        let built_in = catalog();
        let Some(folder) = raw.path else { return Arc::clone(built_in) };
        let path = KeyPath::new("catalog").key("path");
        let read = files(&folder).map_err(|error| vec![format!("the folder cannot be read: {error}")]);
        for file in read.iter().flatten() {
            self.catalog_files.insert(file.name.clone(), Sha256::digest(&file.text).into());
        }
        match read.and_then(|files| built_in.with_overlay(&files).map_err(|wrong| wrong.0)) {
            Ok(catalog) => Arc::new(catalog),
            Err(wrong) => {
                wrong.into_iter().for_each(|wrong| self.problems.add(path.clone(), wrong));
                Arc::clone(built_in)
            }
        }
    }
}

/// The files of a folder, by name. Hidden ones are an editor's.
fn files(folder: &Path) -> io::Result<Vec<OverlayFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let of = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
        if entry.metadata().map_err(of)?.len() > FILE_BYTES_MAX || files.len() == FILES_MAX {
            let most = format!("{name}: at most {FILES_MAX} files of {FILE_BYTES_MAX} bytes are read");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, most));
        }
        let text = fs::read_to_string(entry.path()).map_err(of)?;
        files.push(OverlayFile { name, text });
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}
