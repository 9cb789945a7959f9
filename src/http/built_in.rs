//! The pages in the binary.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use include_dir::{Dir, include_dir};

use super::folder::at;

static WWW: Dir = include_dir!("$CARGO_MANIFEST_DIR/www");

/// The page for the operator.
pub(super) const STATUS_PAGE: &str = "/status.html";
/// The folder of its scripts and style sheets.
const STATUS_FOLDER: &str = "/status/";

/// The files that all may load, with their paths in the URL: `/client.html`.
pub(super) fn files() -> Vec<(String, &'static [u8])> {
    fn collect(dir: &'static Dir, files: &mut Vec<(String, &'static [u8])>) {
        let own = dir.files();
        files.extend(own.map(|file| (format!("/{}", file.path().display()), file.contents())));
        dir.dirs().for_each(|dir| collect(dir, files));
    }
    let mut files = Vec::new();
    collect(&WWW, &mut files);
    files.retain(|(path, _)| path != STATUS_PAGE && !path.starts_with(STATUS_FOLDER));
    files
}

/// The text of the file at a path in the URL.
pub(super) fn text(path: &str) -> Option<&'static str> {
    WWW.get_file(path.strip_prefix('/')?)?.contents_utf8()
}

/// Writes the files to `folder`, which is made if it does not exist. Returns their number. Existing
/// files are replaced only if `replaces`.
///
/// # Errors
/// Before anything is written: [`ErrorKind::AlreadyExists`], or [`ErrorKind::InvalidInput`] if
/// something is not a folder or not a plain file. Else an error of the file system, with the path.
pub fn write_pages(folder: &Path, replaces: bool) -> io::Result<usize> {
    let error =
        |kind, path: &Path, what| Err(io::Error::new(kind, format!("{} {what}", path.display())));
    if folder.exists() && !folder.is_dir() {
        return error(ErrorKind::InvalidInput, folder, "is not a folder");
    }
    let files: Vec<_> =
        files().into_iter().map(|(path, contents)| (folder.join(&path[1..]), contents)).collect();
    // A broken link exists, too; a write would follow it.
    for (path, _) in files.iter().filter(|(path, _)| path.symlink_metadata().is_ok()) {
        if !path.is_file() {
            return error(ErrorKind::InvalidInput, path, "is not a plain file");
        } else if !replaces {
            return error(ErrorKind::AlreadyExists, path, "exists");
        }
    }
    for (path, contents) in &files {
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(|error| at(parent, &error))?;
        fs::write(path, contents).map_err(|error| at(path, &error))?;
    }
    Ok(files.len())
}
