//! Reads the files of a folder into memory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use crate::limits::WWW_BYTES_MAX;

/// Reads the files in `folder`, except hidden files and links that lead out of the folder. Returns
/// their contents by the path in the URL, decoded: `/client.html`.
///
/// # Errors
/// An error of the file system, with the path; something is not a plain file; or the files have
/// more than 64 MiB in total.
pub(super) fn read(folder: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let root = folder.canonicalize()?;
    let mut files = BTreeMap::new();
    let mut bytes_left = WWW_BYTES_MAX;
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| at(&folder, &error))? {
            let path = entry?.path();
            let is_hidden =
                path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
            // A broken link is skipped like one that leads outside.
            let Ok(real) = path.canonicalize() else { continue };
            if is_hidden || !real.starts_with(&root) {
                continue;
            }
            let metadata = fs::metadata(&real).map_err(|error| at(&path, &error))?;
            if metadata.is_dir() {
                // A link to a folder could be circular.
                if real == path {
                    folders.push(path);
                }
            } else {
                bytes_left = bytes_left
                    .checked_sub(metadata.len())
                    .ok_or_else(|| io::Error::other("its files are more than 64 MiB"))?;
                let contents = read_plain(&real).map_err(|error| at(&path, &error))?;
                let below = path.strip_prefix(&root).unwrap_or(&path);
                files.insert(format!("/{}", below.to_string_lossy()), contents);
            }
        }
    }
    Ok(files)
}

/// Reads a plain file of at most 64 MiB. A FIFO or a device could block, or never end.
///
/// # Errors
/// An error of the file system, or one of these two.
pub(super) fn read_plain(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    } else if metadata.len() > WWW_BYTES_MAX {
        return Err(io::Error::other("it is more than 64 MiB"));
    }
    fs::read(path)
}

/// Adds the path to an error.
pub(super) fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
