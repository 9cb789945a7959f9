//! Pages and games of the operator, from `--www`: what they may do, types and compressed files,
//! ranges, folders, and the built-in pages below them.

use std::fs;
use std::io::Write as _;
use std::process::Output;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::process::Signal;
use sha2::{Digest as _, Sha256};

use crate::files::Folder;
use crate::harness::{Answer, Peer, TestServer, command, request, until, unzipped};

/// A directive of the policy of a page.
fn directive<'a>(page: &'a Answer, name: &str) -> &'a str {
    let policy = page.field("content-security-policy").expect("a policy");
    let mut directives = policy.split("; ");
    let found = directives.find_map(|directive| directive.strip_prefix(name)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {name} in {policy}"))
}

fn source(code: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(code)))
}

fn gzip(contents: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(contents).expect("memory");
    encoder.finish().expect("memory")
}

/// Starts a server that serves `folder`, with more flags.
fn serve(folder: &Folder, flags: &[&str]) -> TestServer {
    let www = folder.0.to_str().expect("a plain path");
    TestServer::start(&[&["--www", www], flags].concat())
}

#[test]
fn an_own_page_may_run_its_own_code_and_use_its_own_files() {
    let folder = Folder::new("own-policy");
    let page = "<!doctype html>\r\n<style>\r\np { color: red }\r\n</style>\r\n\
        <script type=\"module\">\r\nplay();\r\n</script>\r\n<p onclick=\"a(&quot;b&quot;)\">";
    folder.write("index.html", page);
    folder.write("worker.mjs", "postMessage(1)");
    let game = serve(&folder, &[]);
    let page = game.ask("GET /", "");
    // Browsers hash the text with normalized line ends.
    let scripts = format!(
        "'self' 'wasm-unsafe-eval' blob: {} 'unsafe-hashes' {}",
        source("\nplay();\n"),
        source("a(\"b\")")
    );
    assert_eq!(directive(&page, "script-src"), scripts);
    let styles = format!("'self' blob: {}", source("\np { color: red }\n"));
    assert_eq!(directive(&page, "style-src"), styles);
    for (name, sources) in [
        ("default-src", "'none'"),
        ("style-src-attr", "'unsafe-inline'"),
        ("img-src", "'self' data: blob:"),
        ("font-src", "'self' data: blob:"),
        ("media-src", "'self' data: blob:"),
        ("connect-src", "'self' data: blob: ws: wss:"),
        ("worker-src", "'self' data: blob:"),
        ("frame-ancestors", "'none'"),
    ] {
        assert_eq!(directive(&page, name), sources, "{name}");
    }
    // Both are needed for threads (`crossOriginIsolated`).
    assert_eq!(page.field("cross-origin-opener-policy"), Some("same-origin"));
    assert_eq!(page.field("cross-origin-embedder-policy"), Some("require-corp"));
    assert_eq!(page.field("x-frame-options"), Some("DENY"));
    // A worker has the policy of its own file.
    let worker = game.ask("GET /worker.mjs", "");
    assert_eq!(directive(&worker, "script-src"), "'self' 'wasm-unsafe-eval' blob:");
    assert_eq!(worker.field("cross-origin-embedder-policy"), Some("require-corp"));
    assert_eq!(game.ask("GET /favicon.ico", "").field("content-security-policy"), None);
    // The built-in pages below keep theirs.
    let built_in = game.ask("GET /battle.html", "");
    assert_eq!(directive(&built_in, "img-src"), "'self' data:");
    assert_eq!(directive(&built_in, "form-action"), "'none'");
    assert!(!directive(&built_in, "script-src").contains("wasm"));
    assert_eq!(built_in.field("cross-origin-embedder-policy"), None);

    // What a reload changes in the page is allowed after it, also for a browser with a copy.
    let tag = format!("If-None-Match: {}\r\n", page.field("etag").expect("a tag"));
    assert_eq!(game.ask("GET /", &tag).status, 304);
    folder.write("index.html", "<script>other</script>");
    game.signal(Signal::HUP);
    let page = until("the new page is served", || {
        Some(game.ask("GET /", &tag)).filter(|page| page.status == 200)
    });
    let scripts = format!("'self' 'wasm-unsafe-eval' blob: {}", source("other"));
    assert_eq!(directive(&page, "script-src"), scripts);
}

#[test]
fn a_policy_of_the_operator_replaces_that_of_own_pages_only() {
    let folder = Folder::new("own-csp");
    folder.write("index.html", "<script>a</script>");
    let plain = serve(&folder, &[]);
    let game = serve(&folder, &["--csp", "default-src https: 'unsafe-eval'"]);
    let page = game.ask("GET /", "");
    assert_eq!(
        page.field("content-security-policy"),
        Some("default-src https: 'unsafe-eval'; frame-ancestors 'none'")
    );
    assert_eq!(page.field("x-frame-options"), Some("DENY"));
    let (old, new) = (plain.ask("GET /", ""), page);
    assert_ne!(old.field("etag"), new.field("etag"), "a browser must not keep the old policy");
    let built_in = game.ask("GET /client.html", "");
    assert_eq!(directive(&built_in, "default-src"), "'none'");
}

#[test]
fn portals_may_show_the_pages_in_a_frame() {
    let folder = Folder::new("own-frames");
    folder.write("index.html", "page");
    let flags = ["--frame-ancestors", "https://portal.example,self"];
    let game = serve(&folder, &[&flags[..], &["--frame-ancestors", "http://localhost:*"]].concat());
    for path in ["/", "/battle.html"] {
        let page = game.ask(&format!("GET {path}"), "");
        let allowed = "https://portal.example 'self' http://localhost:*";
        assert_eq!(directive(&page, "frame-ancestors"), allowed, "{path}");
        assert_eq!(page.field("x-frame-options"), None, "{path}: it would contradict");
    }
    let www = folder.0.to_str().expect("a plain path");
    let csp = ["--www", www, "--csp", "frame-ancestors *"];
    let refused = command().args(csp).args(flags).output().expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.ends_with("remove it or --frame-ancestors.\n"), "{said}");
}

#[test]
fn the_files_of_engines_have_their_types() {
    let folder = Folder::new("own-types");
    let types = [
        ("text/html; charset=utf-8", "html htm"),
        ("text/javascript; charset=utf-8", "js mjs"),
        ("text/css; charset=utf-8", "css"),
        ("text/plain; charset=utf-8", "txt md glsl atlas"),
        ("application/json", "json map"),
        ("application/manifest+json", "webmanifest"),
        ("application/xml", "xml"),
        ("application/wasm", "wasm"),
        ("application/octet-stream", "data pck bin unityweb mem"),
        ("model/gltf-binary", "glb"),
        ("model/gltf+json", "gltf"),
        ("image/ktx2", "ktx2"),
        ("image/png", "png"),
        ("image/gif", "gif"),
        ("image/avif", "avif"),
        ("image/webp", "webp"),
        ("image/x-icon", "ico"),
        ("image/svg+xml", "svg"),
        ("font/ttf", "ttf"),
        ("font/otf", "otf"),
        ("font/woff", "woff"),
        ("font/woff2", "woff2"),
        ("audio/wav", "wav"),
        ("audio/mpeg", "mp3"),
        ("audio/ogg", "ogg"),
        ("audio/mp4", "m4a"),
        ("video/mp4", "mp4"),
        ("video/webm", "webm"),
    ];
    let names =
        |endings: &str| endings.split(' ').map(|ending| format!("a.{ending}")).collect::<Vec<_>>();
    // It would compress well.
    let contents = vec![b'a'; 2_000];
    for name in types.iter().flat_map(|(_, endings)| names(endings)) {
        folder.write(&name, &contents);
        folder.write(&format!("UPPER/{}", name.to_uppercase()), &contents);
    }
    let game = serve(&folder, &[]);
    let mut peer = Peer::connect(game.addr);
    for (content_type, endings) in types {
        for name in names(endings) {
            for path in [format!("/{name}"), format!("/UPPER/{}", name.to_uppercase())] {
                let line = format!("GET {path}");
                let answer = peer.ask(&request(game.addr, &line, "Accept-Encoding: gzip\r\n"));
                assert_eq!(answer.field("content-type"), Some(content_type), "{path}");
                assert_eq!(answer.field("x-content-type-options"), Some("nosniff"), "{path}");
                let is_compressed = answer.field("content-encoding").is_some();
                let is_text = ["text", "json", "xml", "wasm", "font/ttf", "font/otf", "gltf+json"]
                    .iter()
                    .any(|part| content_type.contains(part));
                assert_eq!(is_compressed, is_text, "{path}");
            }
        }
    }
}

#[test]
fn compressed_files_are_sent_as_such() {
    let folder = Folder::new("own-compressed");
    let plain = b"the module ".repeat(100);
    let (gz, br) = (gzip(b"made by the operator"), b"not really brotli".to_vec());
    folder.write("game.wasm", &plain);
    folder.write("game.wasm.gz", &gz);
    folder.write("game.wasm.br", &br);
    folder.write("only-gz.js", &plain);
    folder.write("only-gz.js.gz", &gz);
    folder.write("broken.js", &plain);
    folder.write("broken.js.gz", "not gzip");
    folder.write("Build/game.framework.js.br", &br);
    folder.write("Build/game.data.gz", &gz);
    folder.write("Build/game.wasm.unityweb", &gz);
    folder.write(
        "Build/game.data.unityweb",
        [b"\x6b", b"UnityWeb Compressed Content (brotli)".as_slice()].concat(),
    );
    folder.write("save.tar.gz", &gz);
    let game = serve(&folder, &[]);
    let ask = |path: &str, accepts: &str| {
        game.ask(&format!("GET {path}"), &format!("Accept-Encoding: {accepts}\r\n"))
    };
    // The neighbours of a file are forms of it.
    let mut tags = Vec::new();
    for (accepts, coding, body) in [
        ("gzip, deflate, br, zstd", Some("br"), &br),
        ("gzip, deflate", Some("gzip"), &gz),
        ("br;q=0.2, gzip;q=0.8", Some("gzip"), &gz),
        ("br;q=0, gzip;q=0", None, &plain),
        ("identity", None, &plain),
    ] {
        let answer = ask("/game.wasm", accepts);
        assert_eq!(answer.field("content-encoding"), coding, "{accepts}");
        assert!(answer.body == *body, "{accepts}");
        assert_eq!(answer.field("content-type"), Some("application/wasm"), "{accepts}");
        assert_eq!(answer.field("vary"), Some("Accept-Encoding"), "{accepts}");
        tags.push(answer.field("etag").expect("a tag").to_owned());
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 3, "each form has a tag");
    assert!(ask("/only-gz.js", "br, gzip").body == gz);
    let broken = ask("/broken.js", "gzip");
    assert!(unzipped(&broken.body) == plain, "a neighbour that is not gzip is not used");
    assert_eq!(ask("/broken.js.gz", "gzip").field("content-encoding"), None);

    // Unity asks for the compressed files themselves.
    for (path, accepts, content_type, coding) in [
        ("/game.wasm.gz", "gzip, br", "application/wasm", Some("gzip")),
        ("/game.wasm.br", "gzip, br", "application/wasm", Some("br")),
        ("/Build/game.framework.js.br", "br", "text/javascript; charset=utf-8", Some("br")),
        ("/Build/game.data.gz", "identity", "application/octet-stream", Some("gzip")),
        // Its loader decompresses these itself if the browser does not.
        ("/Build/game.wasm.unityweb", "gzip", "application/wasm", Some("gzip")),
        ("/Build/game.wasm.unityweb", "identity", "application/wasm", None),
        ("/Build/game.data.unityweb", "gzip, br", "application/octet-stream", Some("br")),
        ("/Build/game.data.unityweb", "gzip", "application/octet-stream", None),
        ("/save.tar.gz", "gzip", "application/gzip", None),
    ] {
        let answer = ask(path, accepts);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.field("content-type"), Some(content_type), "{path}, {accepts}");
        assert_eq!(answer.field("content-encoding"), coding, "{path}, {accepts}");
        let file = fs::read(folder.0.join(&path[1..])).expect("the file");
        assert!(answer.body == file, "{path}: the bytes of the file");
    }
}

#[test]
fn a_range_of_a_file_is_sent() {
    let folder = Folder::new("own-range");
    let sound: Vec<u8> = (0..=255).cycle().take(1_000).map(|byte: u8| byte).collect();
    folder.write("a.wav", &sound);
    folder.write("a.js", "play();".repeat(100));
    folder.write("empty.mp3", "");
    let game = serve(&folder, &[]);
    let mut peer = Peer::connect(game.addr);
    let whole = peer.ask(&request(game.addr, "GET /a.wav", ""));
    assert_eq!((whole.status, whole.field("accept-ranges")), (200, Some("bytes")));
    let tag = whole.field("etag").expect("a tag").to_owned();
    let mut ask = |start: &str, fields: &str| {
        let answer = peer.ask(&request(game.addr, start, fields));
        assert_eq!(peer.get("/healthz").status, 200, "no stray body: {fields}");
        answer
    };
    for (range, first, last) in [
        // Safari begins with this one.
        ("0-1", 0, 1),
        ("0-", 0, 999),
        ("500-599", 500, 599),
        ("990-2000", 990, 999),
        ("-10", 990, 999),
        ("-5000", 0, 999),
    ] {
        let answer = ask("GET /a.wav", &format!("Range: bytes={range}\r\n"));
        assert_eq!(answer.status, 206, "{range}");
        let field = format!("bytes {first}-{last}/1000");
        assert_eq!(answer.field("content-range"), Some(field.as_str()));
        assert!(answer.body == sound[first..=last], "{range}");
        for name in ["etag", "content-type", "cache-control", "vary", "accept-ranges"] {
            assert_eq!(answer.field(name), whole.field(name), "{range}: {name}");
        }
    }
    for range in ["1000-", "5000-6000", "-0"] {
        let answer = ask("GET /a.wav", &format!("Range: bytes={range}\r\n"));
        assert_eq!(answer.status, 416, "{range}");
        assert_eq!(answer.field("content-range"), Some("bytes */1000"), "{range}");
    }
    for fields in [
        "Range: bytes=0-1,5-6\r\n",
        "Range: bytes=5-2\r\n",
        "Range: lines=0-1\r\n",
        "Range: bytes=0-1\r\nRange: bytes=2-3\r\n",
        "Range: bytes=0-1\r\nIf-Range: \"old\"\r\n",
        &format!("Range: bytes=0-1\r\nIf-Range: W/{tag}\r\n"),
        "Range: bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        "Range: bytes=5000-\r\nIf-Range: \"old\"\r\n",
    ] {
        let answer = ask("GET /a.wav", fields);
        assert!(answer.status == 200 && answer.body == sound, "{fields}");
        assert_eq!(answer.field("content-range"), None, "{fields}");
    }
    let current = format!("Range: bytes=0-1\r\nIf-Range: {tag}\r\n");
    assert_eq!(ask("GET /a.wav", &current).status, 206);
    let head = ask("HEAD /a.wav", "Range: bytes=0-1\r\n");
    assert_eq!((head.status, head.field("content-length")), (200, Some("1000")));
    let known = format!("Range: bytes=0-1\r\nIf-None-Match: {tag}\r\n");
    assert_eq!(ask("GET /a.wav", &known).status, 304);

    // A range is one of the file itself, never of a compressed form.
    let part = ask("GET /a.js", "Range: bytes=7-12\r\nAccept-Encoding: gzip\r\n");
    assert_eq!((part.status, part.text().as_str()), (206, "play()"));
    assert_eq!(part.field("content-encoding"), None);
    let gzip = ask("GET /a.js", "Accept-Encoding: gzip\r\n");
    assert_eq!(gzip.field("content-encoding"), Some("gzip"));
    let tag = gzip.field("etag").expect("a tag");
    let fields = format!("Range: bytes=7-\r\nAccept-Encoding: gzip\r\nIf-Range: {tag}\r\n");
    assert!(ask("GET /a.js", &fields) == gzip, "the rest of one form does not fit to another");
    assert_eq!(ask("GET /empty.mp3", "Range: bytes=0-\r\n").status, 416);
    assert_eq!(ask("GET /empty.mp3", "Range: bytes=-1\r\n").status, 200);
}

#[test]
fn a_folder_serves_its_page() {
    let folder = Folder::new("own-index");
    folder.write("maze/index.html", "the maze");
    folder.write("maze/level 1/index.html", "level 1");
    folder.write("sounds/a.mp3", "sound");
    let game = serve(&folder, &[]);
    for (path, text) in
        [("/maze/", "the maze"), ("/maze/?room=x", "the maze"), ("/maze/level%201/", "level 1")]
    {
        let page = game.ask(&format!("GET {path}"), "");
        assert_eq!((page.status, page.text().as_str()), (200, text), "{path}");
        assert_eq!(directive(&page, "default-src"), "'none'", "{path}");
    }
    for (path, location) in [
        ("/maze", "/maze/"),
        ("/maze?room=a&name=%41", "/maze/?room=a&name=%41"),
        ("/maze/level%201?//evil.example", "/maze/level%201/?//evil.example"),
        ("/%6daze", "/maze/"),
    ] {
        for method in ["GET", "HEAD"] {
            let moved = game.ask(&format!("{method} {path}"), "");
            assert_eq!(moved.status, 301, "{method} {path}");
            assert_eq!(moved.field("location"), Some(location), "{method} {path}");
            assert_eq!(moved.field("cache-control"), Some("no-store"), "it may become a file");
        }
    }
    // Nothing leads to another server, and a folder without a page is not shown.
    for path in
        ["//maze", "//evil.example/maze", "/%2fmaze", "/\\maze", "/%5cmaze", "/sounds", "/sounds/"]
    {
        let answer = game.ask(&format!("GET {path}"), "");
        assert_eq!((answer.status, answer.field("location")), (404, None), "{path}");
    }
    // A page connects to its own address.
    for path in ["/maze", "/maze/", "/maze/index.html", "/maze/ws"] {
        assert!(Peer::join(game.addr, path).1.parse::<u32>().is_ok(), "{path}");
    }
}

#[test]
fn a_folder_replaces_some_of_the_built_in_pages() {
    let folder = Folder::new("own-overlay");
    folder.write("client.html", "my dots");
    folder.write("battle/view.js", "'my view';");
    let game = serve(&folder, &[]);
    let original = TestServer::start(&[]);
    assert_eq!(game.ask("GET /client.html", "").text(), "my dots");
    for path in ["/", "/index.html", "/favicon.ico", "/shared/link.js", "/battle/main.js"] {
        let line = format!("GET {path}");
        assert!(game.ask(&line, "") == original.ask(&line, ""), "{path} is built in");
    }
    // The script of a built-in page has what replaces a part of it.
    let page = game.ask("GET /battle.html", "").text();
    let script = page.split("src=\"").map(|rest| rest.split('"').next().expect("an end"));
    let script = script.last().expect("a script");
    assert!(script.starts_with("battle.") && script.ends_with(".js"), "{script}");
    let code = game.ask(&format!("GET /{script}"), "");
    assert!(code.text().contains("'my view';") && code.text().contains("Skirmish"));
    assert_eq!(original.ask(&format!("GET /{script}"), "").status, 404, "other contents");
}

fn pages(folder: &Folder, flags: &[&str]) -> Output {
    let target = folder.0.join("new/copy");
    let mut command = command();
    command.arg("pages").arg(&target).args(flags).output().expect("it runs")
}

#[test]
fn the_built_in_pages_are_written_out() {
    let folder = Folder::new("own-copy");
    let first = pages(&folder, &[]);
    assert!(first.status.success(), "{first:?}");
    // The status page is not one of them: no folder replaces it.
    let mut built_in = crate::tidy::files("www", "");
    built_in.retain(|file| !file.to_string_lossy().contains("/www/status"));
    let said = String::from_utf8_lossy(&first.stdout).into_owned();
    assert!(said.starts_with(&format!("Wrote {} files.", built_in.len())), "{said}");
    assert!(said.contains("skirmish --www ") && said.lines().count() == 1, "{said}");
    for file in built_in {
        let below = file.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/www")).expect("below");
        let copy = fs::read(folder.0.join("new/copy").join(below)).expect("the copy");
        assert!(copy == fs::read(&file).expect("the file"), "{}", below.display());
    }

    folder.write("new/copy/battle/view.js", "mine");
    folder.write("new/copy/mine.js", "mine");
    fs::remove_file(folder.0.join("new/copy/client.html")).expect("it is there");
    let again = pages(&folder, &[]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(2), "{said}");
    assert!(
        said.contains("exists; --force replaces files.") && said.lines().count() == 1,
        "{said}"
    );
    assert!(!folder.0.join("new/copy/client.html").exists(), "nothing is written");
    let read = |name: &str| fs::read_to_string(folder.0.join("new/copy").join(name)).expect(name);
    assert_eq!(read("battle/view.js"), "mine");

    assert!(pages(&folder, &["--force"]).status.success());
    assert!(read("battle/view.js").contains("Skirmish"));
    assert_eq!(read("mine.js"), "mine", "other files stay");

    // A broken link is not followed.
    let (link, beyond) = (folder.0.join("new/copy/client.html"), folder.0.join("beyond"));
    fs::remove_file(&link).expect("it is there");
    std::os::unix::fs::symlink(&beyond, &link).expect("a link");
    let refused = pages(&folder, &["--force"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("is not a plain file") && !beyond.exists(), "{said}");

    let file = folder.0.join("file");
    fs::write(&file, "").expect("a file");
    let failed = command().arg("pages").arg(&file).output().expect("it runs");
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert_eq!(failed.status.code(), Some(2), "{said}");
    assert!(said.contains("file is not a folder") && said.lines().count() == 1, "{said}");
}
