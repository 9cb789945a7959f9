//! The files that browsers load: those of the operator's folder over those in the binary, all in
//! memory.
//!
//! A path is looked up in a map and never in a file system, so no path leads outside. Built-in
//! pages load one script and one style sheet each, whose names change with their contents (see
//! `bundle`). The files of a folder are served as they are.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::bundle::{Bundle, bundle};
use super::coding::{self, Coding};
use super::inline::inline;
use super::policy::{self, Fields, PagePolicy};
use super::range::{self, Part};
use super::request::Request;
use super::response::Response;
use super::{built_in, folder, media};
use crate::limits::GZIP_BYTES_MAX;

/// The browser revalidates its copy each time.
const REVALIDATE: &str = "no-cache";
/// The name contains a hash of the contents, so a copy never becomes stale (RFC 8246).
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// The paths of the official Socket.IO client: plain, and minified.
const SOCKETIO_CLIENT: [&str; 2] = ["/socket.io/socket.io.js", "/socket.io/socket.io.min.js"];
/// The element that names it, on a line of a built-in page.
const SOCKETIO_ELEMENT: &str = "<meta name=\"socketio-client\"";

/// The page of a folder.
const INDEX: &str = "index.html";
/// What is not encoded in the path of a `Location`.
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What Unity writes into its Brotli files, so that its loader knows them.
const UNITY_BROTLI: &[u8] = b"UnityWeb Compressed Content (brotli)";

/// All files, by their path in the URL, decoded: `/client.html`. Another thread may read and
/// compress them: they are passed to the server, and shared among responses, without a copy.
#[derive(Clone, Debug, Default)]
pub struct Assets {
    files: BTreeMap<String, Asset>,
    /// The status page and what it loads, which only the operator may have. No folder replaces
    /// them.
    status: BTreeMap<String, Asset>,
    /// The contents of files; several forms may have the same.
    contents: Vec<Arc<[u8]>>,
}

#[derive(Clone, Debug)]
struct Asset {
    content_type: &'static str,
    cache_control: &'static str,
    /// The header fields of pages, and of scripts of the operator.
    fields: Fields,
    /// At least one. The last is sent to a client that accepts no other.
    forms: Vec<Form>,
}

/// A file in one coding.
#[derive(Clone, Debug)]
struct Form {
    coding: Coding,
    /// With its quotes.
    etag: String,
    /// The index of its contents.
    at: usize,
}

/// A built-in file: its path, contents, cache control and further fields.
type Added = (String, Vec<u8>, &'static str, Fields);

/// What there is at a path.
enum Found<'a> {
    File(&'a Asset),
    /// A folder with a page; its path ends with `/`.
    Folder(String),
}

impl Assets {
    /// Reads the files in `folder`, except hidden files and links that lead out of the folder.
    ///
    /// # Errors
    /// An error of the file system, with the path; something is not a plain file; or the files have
    /// more than 64 MiB in total.
    pub fn read(folder: &Path, policy: &PagePolicy) -> io::Result<Assets> {
        let read = folder::read(folder)?.into_iter();
        let (paths, contents): (Vec<_>, Vec<_>) =
            read.map(|(path, contents)| (path, Arc::from(contents))).unzip();
        let mut read = Assets { contents, ..Assets::default() };
        let precompressed: Vec<_> =
            paths.iter().zip(&read.contents).map(|(path, bytes)| compressed(path, bytes)).collect();
        for (at, path) in paths.iter().enumerate() {
            let name = precompressed[at].as_ref().map_or(path.as_str(), |of| of.plain_name);
            let content_type = media::of_path(name);
            let contents = &read.contents[at];
            let fields = match content_type {
                page if media::is_page(page) => policy.own(&inline(contents)),
                script if media::is_script(script) => policy.own_script(),
                _ => Fields::new(),
            };
            let form = |coding, at: usize| Form::new(coding, at, &read.contents[at], &fields);
            let mut forms = Vec::new();
            if let Some(of) = &precompressed[at] {
                forms.push(form(of.coding, at));
                if of.is_optional {
                    forms.push(form(Coding::Identity, at));
                }
            } else {
                for (coding, ending) in PRECOMPRESSED {
                    let neighbour = paths.binary_search(&format!("{path}{ending}")).ok();
                    let neighbour = neighbour.filter(|at| precompressed[*at].is_some());
                    forms.extend(neighbour.map(|at| form(coding, at)));
                }
                forms.push(form(Coding::Identity, at));
            }
            let asset = Asset { content_type, cache_control: REVALIDATE, fields, forms };
            let asset = read.compress(asset);
            read.files.insert(path.clone(), asset);
        }
        Ok(read)
    }

    /// Adds the files in the binary that these do not replace. A built-in page is joined with the
    /// scripts and style sheets that replace its own, and names the Socket.IO client only if it is
    /// one of these files: a request for a missing script shows as an error.
    #[must_use]
    pub fn over_built_in(mut self, policy: &PagePolicy) -> Assets {
        let mut added: Vec<Added> = Vec::new();
        let has_client = SOCKETIO_CLIENT.iter().any(|path| self.files.contains_key(*path));
        for (path, contents) in built_in::files() {
            if self.files.contains_key(&path) {
                continue;
            }
            let html = str::from_utf8(contents).ok().filter(|_| path.ends_with(".html"));
            let Some(html) = html else {
                added.push((path, contents.to_vec(), REVALIDATE, Fields::new()));
                continue;
            };
            let read = |path: &str| self.text(path).or_else(|| built_in::text(path));
            let is_shown = |line: &&str| has_client || !line.contains(SOCKETIO_ELEMENT);
            let html: String = html.split_inclusive('\n').filter(is_shown).collect();
            let bundle = bundle(&path, &html, read);
            let fields = policy.built_in(bundle.inline_source.as_deref());
            added.extend(page(path, bundle, fields));
        }
        for added in added {
            let (path, asset) = self.add(added);
            self.files.insert(path, asset);
        }
        if let Some(html) = built_in::text(built_in::STATUS_PAGE) {
            let bundle = bundle(built_in::STATUS_PAGE, html, built_in::text);
            for added in page(built_in::STATUS_PAGE.to_owned(), bundle, policy::status()) {
                let (path, asset) = self.add(added);
                self.status.insert(path, asset);
            }
        }
        self
    }

    /// Stores the contents of a built-in file.
    fn add(&mut self, (path, contents, cache_control, fields): Added) -> (String, Asset) {
        let content_type = media::of_path(&path);
        let form = Form::new(Coding::Identity, self.contents.len(), &contents, &fields);
        self.contents.push(contents.into());
        let asset = Asset { content_type, cache_control, fields, forms: vec![form] };
        (path, self.compress(asset))
    }

    /// Reads `file` as the official Socket.IO client, under both of its paths.
    ///
    /// # Errors
    /// An error of the file system, the file has more than 64 MiB, or it is not a client: each
    /// asks for `EIO=4`.
    pub fn read_socketio_client(&mut self, file: &Path) -> io::Result<()> {
        let contents = folder::read_plain(file)?;
        if !str::from_utf8(&contents).is_ok_and(|text| text.contains("EIO")) {
            return Err(io::Error::other("it is not the Socket.IO client for browsers"));
        }
        let at = self.contents.len();
        self.contents.push(contents.into());
        for path in SOCKETIO_CLIENT {
            let fields = Fields::new();
            let forms = vec![Form::new(Coding::Identity, at, &self.contents[at], &fields)];
            let content_type = media::of_path(path);
            let asset = Asset { content_type, cache_control: REVALIDATE, fields, forms };
            let asset = self.compress(asset);
            self.files.insert(path.to_owned(), asset);
        }
        Ok(())
    }

    /// Compresses a file if that is worth it.
    fn compress(&mut self, mut asset: Asset) -> Asset {
        let has_only_plain = asset.forms.iter().all(|form| form.coding == Coding::Identity);
        let contents = &self.contents[asset.forms[0].at];
        let is_worth = has_only_plain
            && media::is_worth_gzip(asset.content_type)
            && contents.len() <= GZIP_BYTES_MAX;
        if let Some(gzip) = is_worth.then(|| coding::gzip(contents)).flatten() {
            let form = Form::new(Coding::Gzip, self.contents.len(), &gzip, &asset.fields);
            self.contents.push(gzip.into());
            asset.forms.insert(0, form);
        }
        asset
    }

    /// The text of a file.
    fn text(&self, path: &str) -> Option<&str> {
        let form = self.files.get(path)?.plain();
        str::from_utf8(&self.contents[form.at]).ok().filter(|_| form.coding == Coding::Identity)
    }
}

impl Assets {
    /// The files that are part of the binary.
    #[must_use]
    pub fn embedded() -> Assets {
        Assets::default().over_built_in(&PagePolicy::default())
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

    /// The response to a request for what is at `path`; `None` if there is nothing. A file is sent
    /// in the smallest form that the client accepts, or a range of it as it is; the response is
    /// 304 if the client has the same bytes. A folder whose path has no `/` at its end is
    /// redirected to the path with it, because the links of its page are relative to that.
    #[must_use]
    pub fn answer(&self, path: &str, request: &Request) -> Option<Response> {
        match self.find(path)? {
            Found::File(asset) => Some(self.send(asset, request)),
            Found::Folder(path) => {
                let mut location = utf8_percent_encode(&path, PATH).to_string();
                if !request.query.is_empty() {
                    location = format!("{location}?{}", request.query);
                }
                let moved =
                    Response::sentence(301, "This page is in a folder; its path ends in /.");
                Some(moved.with("Location", location))
            }
        }
    }

    /// The response to a request of the operator for the status page, at `/status`, or for a file
    /// that it loads; `None` if there is nothing.
    #[must_use]
    pub fn answer_status(&self, request: &Request) -> Option<Response> {
        let path = if request.path == "/status" { built_in::STATUS_PAGE } else { request.path };
        self.status.get(path).map(|asset| self.send(asset, request))
    }

    /// Whether `path` names the status page or a file that it loads.
    #[must_use]
    pub fn has_status(&self, path: &str) -> bool {
        self.status.contains_key(path)
    }

    fn send(&self, asset: &Asset, request: &Request) -> Response {
        let plain = asset.plain();
        let part = range::part(request, &plain.etag, self.contents[plain.at].len());
        let form = if part == Part::Whole { asset.accepted(request) } else { plain };
        let is_known = request
            .values("If-None-Match")
            .flat_map(|value| value.split(','))
            .map(|tag| tag.trim_ascii().trim_start_matches("W/"))
            .any(|tag| tag == form.etag || tag == "*");
        let contents = Arc::clone(&self.contents[form.at]);
        let bytes = contents.len();
        let mut response = match part {
            _ if is_known => Response::empty(304),
            Part::Whole => Response::file(asset.content_type, contents),
            Part::Bytes(range) => {
                let field = format!("bytes {}-{}/{bytes}", range.start, range.end - 1);
                Response::part(asset.content_type, contents, range).with("Content-Range", field)
            }
            Part::Unsatisfiable => {
                let sentence = format!("The file has {bytes} bytes; the range is after its end.");
                return Response::sentence(416, &sentence)
                    .with("Content-Range", format!("bytes */{bytes}"));
            }
        };
        if let Some(name) = form.coding.name().filter(|_| !is_known) {
            response = response.with("Content-Encoding", name);
        }
        response = response
            .with("ETag", form.etag.clone())
            .with("Cache-Control", asset.cache_control)
            .with("Vary", "Accept-Encoding")
            .with("Accept-Ranges", "bytes")
            .with("Referrer-Policy", "no-referrer")
            .with("Cross-Origin-Opener-Policy", "same-origin");
        if !is_known {
            for (name, value) in &asset.fields {
                response = response.with(name, value.clone());
            }
        }
        response
    }
}

impl Assets {
    /// Whether `path`, as in a request, names a file, or a folder with a page.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.find(path).is_some()
    }

    fn find(&self, path: &str) -> Option<Found<'_>> {
        let path = percent_decode_str(path).decode_utf8().ok()?;
        if let Some(asset) = self.files.get(path.as_ref()) {
            return Some(Found::File(asset));
        }
        match path.ends_with('/') {
            true => self.files.get(&format!("{path}{INDEX}")).map(Found::File),
            false => {
                let folder = format!("{path}/");
                self.files
                    .contains_key(&format!("{folder}{INDEX}"))
                    .then_some(Found::Folder(folder))
            }
        }
    }
}

impl Asset {
    /// The form for clients that accept no other.
    fn plain(&self) -> &Form {
        self.forms.last().expect("there is at least one")
    }

    /// The form for this client: that of the greatest weight, of equal ones the smallest.
    fn accepted(&self, request: &Request) -> &Form {
        let weight = |form: &&Form| form.coding.weight(request);
        let best = self.forms.iter().rev().max_by(|a, b| weight(a).total_cmp(&weight(b)));
        best.filter(|form| weight(form) > 0.0).unwrap_or(self.plain())
    }
}

impl Form {
    /// The tag is a hash of all that may differ between two responses: the header fields of a page
    /// as well, because a browser that has the page keeps those of its copy (RFC 9110, 8.8.3.3).
    fn new(coding: Coding, at: usize, contents: &[u8], fields: &Fields) -> Form {
        let hash = if fields.is_empty() { hash(contents) } else { hash(&(contents, fields)) };
        let etag = match coding.name() {
            Some(name) => format!("\"{hash}-{name}\""),
            None => format!("\"{hash}\""),
        };
        Form { coding, etag, at }
    }
}

/// A built-in page, and the files that are joined for it.
fn page(path: String, bundle: Bundle, fields: Fields) -> impl Iterator<Item = Added> {
    let Bundle { html, files, .. } = bundle;
    let immutable =
        |(path, text): (String, String)| (path, text.into_bytes(), IMMUTABLE, Fields::new());
    let page = (path, html.into_bytes(), REVALIDATE, fields);
    files.into_iter().map(immutable).chain([page])
}

/// The endings of files that are compressed, the smallest first.
const PRECOMPRESSED: [(Coding, &str); 2] = [(Coding::Brotli, ".br"), (Coding::Gzip, ".gz")];

/// A file that is compressed, and is sent so that the browser decompresses it.
struct Compressed<'a> {
    coding: Coding,
    /// The name without the ending of the coding, which has the ending of the type.
    plain_name: &'a str,
    /// Whether a client may also decompress it itself.
    is_optional: bool,
}

/// How the file at `path` is compressed: `game.wasm.br`, `game.js.gz`, or `game.data.unityweb`.
/// `None` if it is not, or has no known type without it, as `archive.tar.gz`, which is a file to
/// save.
fn compressed<'a>(path: &'a str, contents: &[u8]) -> Option<Compressed<'a>> {
    if let Some(plain_name) = path.strip_suffix(".unityweb") {
        let head = &contents[..contents.len().min(128)];
        let is_brotli = head.windows(UNITY_BROTLI.len()).any(|window| window == UNITY_BROTLI);
        let coding = match coding::is_gzip(contents) {
            true => Coding::Gzip,
            false => is_brotli.then_some(Coding::Brotli)?,
        };
        return Some(Compressed { coding, plain_name, is_optional: true });
    }
    let (coding, plain_name) = PRECOMPRESSED
        .iter()
        .find_map(|(coding, ending)| Some((*coding, path.strip_suffix(ending)?)))?;
    let (_, ending) = plain_name.rsplit('/').next()?.rsplit_once('.')?;
    media::of_ending(ending)?;
    let is_valid = coding != Coding::Gzip || coding::is_gzip(contents);
    is_valid.then_some(Compressed { coding, plain_name, is_optional: false })
}

/// A hash, as 16 hexadecimal digits.
pub(super) fn hash<T: Hash + ?Sized>(value: &T) -> String {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_embedded_with_the_files_that_it_loads() {
        let assets = Assets::embedded();
        assert!(assets.has("/") && assets.has("/client.html") && assets.has("/client%2ehtml"));
        for outside in [
            "//",
            "/../Cargo.toml",
            "/%2e%2e/Cargo.toml",
            "client.html",
            "/client.html%00",
            "/dots",
        ] {
            assert!(!assets.has(outside), "{outside}");
        }
    }

    #[test]
    fn compressed_files_have_the_type_of_what_is_in_them() {
        const GZIP: &[u8] = &[0x1f, 0x8b, 8, 0];
        let of = |path: &'static str, contents: &[u8]| {
            let of = compressed(path, contents)?;
            Some((of.coding, of.plain_name, of.is_optional))
        };
        assert_eq!(of("/a.js.gz", GZIP), Some((Coding::Gzip, "/a.js", false)));
        assert_eq!(of("/a.js.br", b"any"), Some((Coding::Brotli, "/a.js", false)));
        assert_eq!(of("/a.wasm.unityweb", GZIP), Some((Coding::Gzip, "/a.wasm", true)));
        let brotli = [b"\x6b\x8d\x00", UNITY_BROTLI, b"rest"].concat();
        assert_eq!(of("/a.data.unityweb", &brotli), Some((Coding::Brotli, "/a.data", true)));
        assert_eq!(of("/a.data.unityweb", b"plain"), None);
        assert_eq!(of("/a.js.gz", b"plain"), None, "it is not what it says");
        for other in ["/a.tar.gz", "/a.gz", "/a.js/b.gz", "/a.js", "/.br", "/a.js.zst"] {
            assert_eq!(of(other, GZIP), None, "{other}");
        }
    }
}
