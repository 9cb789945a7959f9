//! The files that browsers load: embedded in the binary, or read into memory from a folder.
//!
//! A path is looked up in a map and never in a file system, so no path leads outside. Embedded
//! pages load one script and one style sheet each, whose names change with their contents (see
//! `bundle`). The files of a folder are served as they are.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;
use std::rc::Rc;

use include_dir::{Dir, include_dir};
use percent_encoding::percent_decode_str;

use super::bundle::{Bundle, bundle};
use super::gzip;
use super::request::Request;
use super::response::Response;
use crate::limits::{GZIP_BYTES_MAX, WWW_BYTES_MAX};

static EMBEDDED: Dir = include_dir!("$CARGO_MANIFEST_DIR/www");

/// The Content Security Policy of a page: it runs and loads only what this server sends, and it
/// connects to any game server, because `?server=` names one.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self' ws: wss:; manifest-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// The browser revalidates its copy each time.
const REVALIDATE: &str = "no-cache";
/// The name contains a hash of the contents, so a copy never becomes stale (RFC 8246).
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// The paths of the official Socket.IO client: plain, and minified.
const SOCKETIO_CLIENT: [&str; 2] = ["/socket.io/socket.io.js", "/socket.io/socket.io.min.js"];

/// All files, by their path in the URL, decoded: `/client.html`. The server shares their bytes `B`
/// among responses.
#[derive(Debug)]
pub struct Assets<B = Rc<[u8]>> {
    files: BTreeMap<String, Asset<B>>,
}

/// Files as they are read and compressed, which may happen on another thread.
pub type Files = Assets<Vec<u8>>;

#[derive(Debug)]
struct Asset<B> {
    content_type: &'static str,
    etag: String,
    cache_control: &'static str,
    /// The Content Security Policy; only pages have one.
    policy: Option<String>,
    plain: B,
    /// Only if it is smaller than `plain`.
    gzip: Option<B>,
}

impl Files {
    /// The files that are part of the binary.
    #[must_use]
    pub fn of_binary() -> Files {
        type Map = BTreeMap<String, Asset<Vec<u8>>>;
        fn collect(dir: &Dir, files: &mut Map) {
            for file in dir.files() {
                let path = format!("/{}", file.path().to_string_lossy());
                match file.contents_utf8().filter(|_| path.ends_with(".html")) {
                    Some(html) => insert_page(path, html, files),
                    None => {
                        files.insert(path.clone(), Asset::new(&path, file.contents()));
                    }
                }
            }
            dir.dirs().for_each(|dir| collect(dir, files));
        }
        fn insert_page(path: String, html: &str, files: &mut Map) {
            let read = |path: &str| EMBEDDED.get_file(&path[1..])?.contents_utf8();
            let Bundle { html, files: bundled, inline_source } = bundle(&path, html, read);
            for (path, text) in bundled {
                let asset = Asset::new(&path, text.as_bytes());
                files.insert(path, Asset { cache_control: IMMUTABLE, ..asset });
            }
            let mut page = Asset::new(&path, html.as_bytes());
            if let Some(source) = inline_source {
                let allowed = format!("script-src 'self' {source};");
                page.policy = Some(PAGE_POLICY.replace("script-src 'self';", &allowed));
            }
            files.insert(path, page);
        }
        let mut files = BTreeMap::new();
        collect(&EMBEDDED, &mut files);
        Assets { files }
    }

    /// Reads the files in `folder`, except hidden files and links that lead out of the folder.
    ///
    /// # Errors
    /// An error of the file system, with the path; something is not a plain file; or the files have
    /// more than 64 MiB in total.
    pub fn read(folder: &Path) -> io::Result<Files> {
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
                    let url = format!("/{}", below.to_string_lossy());
                    files.insert(url.clone(), Asset::new(&url, &contents));
                }
            }
        }
        Ok(Assets { files })
    }

    /// Reads `file` as the official Socket.IO client, under both of its paths.
    ///
    /// # Errors
    /// An error of the file system, the file has more than 64 MiB, or it is not a client: each
    /// asks for `EIO=4`.
    pub fn read_socketio_client(&mut self, file: &Path) -> io::Result<()> {
        let contents = read_plain(file)?;
        if !str::from_utf8(&contents).is_ok_and(|text| text.contains("EIO")) {
            return Err(io::Error::other("it is not the Socket.IO client for browsers"));
        }
        for path in SOCKETIO_CLIENT {
            self.files.insert(path.to_owned(), Asset::new(path, &contents));
        }
        Ok(())
    }
}

impl From<Files> for Assets {
    fn from(files: Files) -> Assets {
        let share = |asset: Asset<Vec<u8>>| Asset {
            content_type: asset.content_type,
            etag: asset.etag,
            cache_control: asset.cache_control,
            policy: asset.policy,
            plain: asset.plain.into(),
            gzip: asset.gzip.map(Rc::from),
        };
        let files = files.files.into_iter().map(|(path, asset)| (path, share(asset))).collect();
        Assets { files }
    }
}

impl Assets {
    /// The files that are part of the binary.
    #[must_use]
    pub fn embedded() -> Assets {
        Files::of_binary().into()
    }

    /// The path of the file to send for a path of the official Socket.IO client: the other path if
    /// there is only that file. `None` if `path` is not one of them.
    #[must_use]
    pub fn socketio_client(&self, path: &str) -> Option<&'static str> {
        let [plain, small] = SOCKETIO_CLIENT;
        let (asked, other) = match path {
            _ if path == plain => (plain, small),
            _ if path == small => (small, plain),
            _ => return None,
        };
        Some(if !self.has(asked) && self.has(other) { other } else { asked })
    }

    /// Whether there is a page for `/`.
    #[must_use]
    pub fn has_home(&self) -> bool {
        self.has("/index.html") || self.has("/client.html")
    }

    /// Whether `path`, as in a request, names a file.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.find(path).is_some()
    }

    /// The response to a request for the file at `path`; `None` if there is no such file. It is 304
    /// if the client has the same bytes, and gzip if the client accepts it and it is smaller.
    #[must_use]
    pub fn answer(&self, path: &str, request: &Request) -> Option<Response> {
        let asset = self.find(path)?;
        let gzip = asset.gzip.as_ref().filter(|_| gzip::is_accepted(request));
        // The two forms have different bytes, so they have different tags (RFC 9110, 8.8.3.3).
        let etag = match gzip {
            Some(_) => format!("\"{}-gzip\"", asset.etag),
            None => format!("\"{}\"", asset.etag),
        };
        let is_known = request
            .values("If-None-Match")
            .flat_map(|value| value.split(','))
            .map(|tag| tag.trim_ascii().trim_start_matches("W/"))
            .any(|tag| tag == etag || tag == "*");
        let body = gzip.unwrap_or(&asset.plain);
        let mut response = match is_known {
            true => Response::empty(304),
            false => Response::new(200, asset.content_type, Rc::clone(body)),
        };
        if gzip.is_some() && !is_known {
            response = response.with("Content-Encoding", "gzip");
        }
        response = response
            .with("ETag", etag)
            .with("Cache-Control", asset.cache_control)
            .with("Vary", "Accept-Encoding")
            .with("Referrer-Policy", "no-referrer")
            .with("Cross-Origin-Opener-Policy", "same-origin");
        if let Some(policy) = asset.policy.as_ref().filter(|_| !is_known) {
            response = response
                .with("Content-Security-Policy", policy.clone())
                .with("X-Frame-Options", "DENY");
        }
        Some(response)
    }

    fn find(&self, path: &str) -> Option<&Asset<Rc<[u8]>>> {
        if path.contains('%') {
            let decoded = percent_decode_str(path).decode_utf8().ok()?;
            self.files.get(decoded.as_ref())
        } else {
            self.files.get(path)
        }
    }
}

impl Asset<Vec<u8>> {
    fn new(path: &str, contents: &[u8]) -> Asset<Vec<u8>> {
        let content_type = content_type(path);
        let is_worth_gzip = is_worth_gzip(content_type) && contents.len() <= GZIP_BYTES_MAX;
        let gzip = is_worth_gzip.then(|| gzip::compress(contents));
        Asset {
            content_type,
            etag: hash(contents),
            cache_control: REVALIDATE,
            policy: content_type.starts_with("text/html").then(|| PAGE_POLICY.to_owned()),
            plain: contents.to_vec(),
            gzip: gzip.flatten(),
        }
    }
}

/// Reads a plain file of at most 64 MiB. A FIFO or a device could block, or never end.
fn read_plain(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    } else if metadata.len() > WWW_BYTES_MAX {
        return Err(io::Error::other("it is more than 64 MiB"));
    }
    fs::read(path)
}

/// A hash of the contents, as 16 hexadecimal digits.
pub(super) fn hash(contents: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    contents.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Adds the path to an error.
fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Whether files of this type are worth compressing.
fn is_worth_gzip(content_type: &str) -> bool {
    content_type.starts_with("text/")
        || ["json", "svg", "wasm"].iter().any(|part| content_type.contains(part))
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        Some("ico") => "image/x-icon",
        Some("wasm") => "application/wasm",
        Some("woff2") => "font/woff2",
        Some("mp3") => "audio/mpeg",
        Some("ogg") => "audio/ogg",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_embedded_with_the_files_that_it_loads() {
        let assets = Assets::embedded();
        assert!(assets.has("/client.html") && assets.has("/client%2ehtml"));
        for outside in
            ["/", "/../Cargo.toml", "/%2e%2e/Cargo.toml", "client.html", "/client.html%00"]
        {
            assert!(!assets.has(outside), "{outside}");
        }
    }
}
