//! The pages: the files in the binary or in the folder of `--www`, in the form that the browser
//! accepts, and no file outside.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use sha2::{Digest as _, Sha256};

use crate::harness::{Peer, TestServer, request, until, unzipped};

/// A folder that is deleted when it is dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder for the test");
        Folder(path)
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder");
        fs::write(path, contents).expect("a file");
    }

    fn link(&self, target: impl AsRef<Path>, name: &str) {
        symlink(target, self.0.join(name)).expect("a link");
    }

    pub fn serve(&self, below: &str) -> TestServer {
        TestServer::start(&["--www", self.0.join(below).to_str().expect("a plain path")])
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const PAGES: [&str; 4] = ["index.html", "client.html", "battle.html", "world.html"];

/// The paths of the files that a page loads or links to.
fn links(html: &str) -> Vec<&str> {
    html.split(['<', '>'])
        .flat_map(|tag| ["src=\"", "href=\""].map(|attribute| tag.split_once(attribute)))
        .flatten()
        .map(|(_, rest)| rest.split('"').next().expect("an end"))
        .collect()
}

#[test]
fn the_pages_and_the_files_that_they_load_are_in_the_binary() {
    let game = TestServer::start(&[]);
    let home = game.ask("GET /", "");
    assert!(home == game.ask("GET /index.html", ""), "/ is index.html");
    for name in PAGES {
        let page = game.ask(&format!("GET /{name}"), "");
        let content_type = page.field("content-type");
        assert_eq!((page.status, content_type), (200, Some("text/html; charset=utf-8")), "{name}");
        let html = page.text();
        let links = links(&html);
        assert!(links.len() >= 4, "{links:?}");
        for path in links {
            assert!(!path.contains("//"), "nothing comes from another server: {path}");
            let path = path.split('#').next().expect("split has a first part");
            let answer = game.ask(&format!("GET /{path}"), "");
            let expected = match path.rsplit_once('.').expect("an ending").1 {
                "html" => "text/html; charset=utf-8",
                "js" => "text/javascript; charset=utf-8",
                "css" => "text/css; charset=utf-8",
                "svg" => "image/svg+xml",
                ending => panic!("a new kind of file: {ending}"),
            };
            let found = (answer.status, answer.field("content-type"));
            assert_eq!(found, (200, Some(expected)), "{path}");
            assert!(!answer.body.is_empty(), "{path}");
        }
    }
    let icon = game.ask("GET /favicon.ico", "");
    assert_eq!((icon.status, icon.field("content-type")), (200, Some("image/x-icon")));
}

#[test]
fn an_embedded_page_loads_one_script_and_one_style_sheet_that_never_change() {
    let game = TestServer::start(&[]);
    for name in PAGES {
        let page = game.ask(&format!("GET /{name}"), "");
        assert_eq!(page.field("cache-control"), Some("no-cache"), "{name}");
        let html = page.text();
        let links = links(&html);
        let loaded: Vec<_> =
            links.iter().filter(|path| path.ends_with(".js") || path.ends_with(".css")).collect();
        assert_eq!(loaded.len(), 2, "{loaded:?}");
        for path in loaded {
            let answer = game.ask(&format!("GET /{path}"), "Accept-Encoding: gzip\r\n");
            let cache_control = answer.field("cache-control");
            assert_eq!(cache_control, Some("public, max-age=31536000, immutable"), "{path}");
            assert_eq!(answer.field("content-encoding"), Some("gzip"), "{path}");
            // A joined style sheet is in another folder, so it names no file relative to itself.
            let text = String::from_utf8(unzipped(&answer.body)).expect("text");
            assert!(!text.replace("url(\"data:", "").contains("url("), "{path}");
        }
    }
    // The joined files are also there under their own names.
    for path in ["shared/link.js", "dots/main.js", "battle/main.js", "shared/base.css"] {
        assert_eq!(game.ask(&format!("GET /{path}"), "").status, 200, "{path}");
    }
}

#[test]
fn a_page_may_run_its_inline_script_and_no_other() {
    let game = TestServer::start(&[]);
    for name in PAGES {
        let page = game.ask(&format!("GET /{name}"), "");
        let policy = page.field("content-security-policy").expect("a policy");
        let allowed = policy
            .split("; ")
            .find_map(|directive| directive.strip_prefix("script-src "))
            .expect("a directive for scripts");
        let html = page.text();
        let mut sources = vec!["'self'".to_owned()];
        for script in html.split("<script>").skip(1) {
            let script = script.split("</script>").next().expect("split has a first part");
            sources.push(format!("'sha256-{}'", STANDARD.encode(Sha256::digest(script))));
        }
        assert_eq!(sources.len(), 2, "{name}");
        assert_eq!(allowed, sources.join(" "), "{name}");
    }
}

#[test]
fn the_pages_of_a_folder_are_served_as_they_are() {
    let game = TestServer::start(&["--www", concat!(env!("CARGO_MANIFEST_DIR"), "/www")]);
    for name in PAGES {
        let page = game.ask(&format!("GET /{name}"), "");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("www").join(name);
        assert_eq!(page.text(), fs::read_to_string(file).expect("the page"), "{name}");
    }
}

#[test]
fn pages_have_a_content_security_policy() {
    let game = TestServer::start(&[]);
    let page = game.ask("GET /", "");
    let policy = page.field("content-security-policy").expect("a policy");
    let has = |directive: &str| policy.split("; ").any(|have| have == directive);
    for directive in ["default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"] {
        assert!(has(directive), "{directive} in {policy}");
    }
    assert!(!policy.contains("unsafe") && policy.contains("connect-src 'self' ws: wss:"));
    assert_eq!(page.field("x-frame-options"), Some("DENY"));
    for path in ["/", "/dots/main.js", "/favicon.ico"] {
        let answer = game.ask(&format!("GET {path}"), "");
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.field("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(answer.field("cache-control"), Some("no-cache"), "{path}");
        assert_eq!(answer.field("vary"), Some("Accept-Encoding"), "{path}");
        let mut names: Vec<_> = answer.fields.iter().map(|(name, _)| name).collect();
        names.sort();
        assert!(names.is_sorted_by(|one, other| one < other), "each field once: {names:?}");
    }
}

#[test]
fn a_browser_that_has_the_bytes_gets_304() {
    let game = TestServer::start(&[]);
    let first = game.ask("GET /dots/main.js", "");
    let tag = first.field("etag").expect("a tag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag} is a strong tag");
    assert_eq!(game.ask("GET /dots/main.js", "").field("etag"), Some(tag.as_str()));
    assert_ne!(game.ask("GET /shared/link.js", "").field("etag"), Some(tag.as_str()));
    for (known, status) in [
        (tag.clone(), 304),
        (format!("W/{tag}"), 304),
        (format!("\"x\", {tag}"), 304),
        (format!("\"x\",W/\"y\" ,\t{tag} , \"z\""), 304),
        (format!("\"x\"\r\nIf-None-Match: {tag}"), 304),
        ("*".to_owned(), 304),
        ("\"x\"".to_owned(), 200),
        (tag.trim_matches('"').to_owned(), 200),
        (tag.to_uppercase().replace('"', "'"), 200),
        (format!("{tag}x"), 200),
        ("W/".to_owned(), 200),
        (String::new(), 200),
    ] {
        let fields = format!("If-None-Match: {known}\r\n");
        let mut peer = Peer::connect(game.addr);
        let answer = peer.ask(&request(game.addr, "GET /dots/main.js", &fields));
        assert_eq!(answer.status, status, "{known}");
        assert_eq!(answer.field("etag"), Some(tag.as_str()), "{known}");
        assert_eq!(answer.field("cache-control"), Some("no-cache"), "{known}");
        assert_eq!(answer.field("vary"), Some("Accept-Encoding"), "{known}");
        assert_eq!(answer.body.is_empty(), status == 304, "{known}");
        assert_eq!(peer.get("/healthz").status, 200, "no stray body: {known}");
    }
}

#[test]
fn gzip_is_sent_to_clients_that_accept_it() {
    let game = TestServer::start(&[]);
    let plain = game.ask("GET /shared/base.css", "");
    assert_eq!(plain.field("content-encoding"), None);
    let get = |accepts: &str| {
        game.ask("GET /shared/base.css", &format!("Accept-Encoding: {accepts}\r\n"))
    };
    for accepts in [
        "gzip",
        "gzip, deflate, br, zstd",
        "br;q=1, GZip ; q=0.1",
        "*",
        "*;q=0.5, br",
        "gzip;q=1.0",
    ] {
        let answer = get(accepts);
        assert_eq!(answer.field("content-encoding"), Some("gzip"), "{accepts}");
        assert!(answer.body.len() < plain.body.len(), "{accepts}");
        assert!(unzipped(&answer.body) == plain.body, "{accepts}");
        assert_ne!(answer.field("etag"), plain.field("etag"), "{accepts}");
        assert_eq!(answer.field("content-type"), plain.field("content-type"), "{accepts}");
    }
    for accepts in [
        "",
        "identity",
        "br",
        "gzip;q=0",
        "gzip; q=0.000",
        "*;q=0",
        "gzip;q=0, *",
        "xgzip",
        "gzip/2",
        "gzip;Q=0",
    ] {
        assert!(get(accepts) == plain, "{accepts}");
    }
    let tag = get("gzip").field("etag").expect("a tag").to_owned();
    let fields = format!("Accept-Encoding: gzip\r\nIf-None-Match: {tag}\r\n");
    assert_eq!(game.ask("GET /shared/base.css", &fields).status, 304);
    let fields = format!("If-None-Match: {tag}\r\n");
    let again = game.ask("GET /shared/base.css", &fields);
    assert!(again.status == 304 || again == plain, "never the bytes of the other form");
}

#[test]
fn head_tells_what_get_would_send() {
    let game = TestServer::start(&[]);
    for path in ["/", "/dots/main.js", "/favicon.ico", "/healthz", "/rooms", "/nothing", "/ws"] {
        for fields in ["", "Accept-Encoding: gzip\r\n"] {
            let get = game.ask(&format!("GET {path}"), fields);
            let mut peer = Peer::connect(game.addr);
            let head = peer.ask(&request(game.addr, &format!("HEAD {path}"), fields));
            assert_eq!((head.status, &head.fields), (get.status, &get.fields), "{path}");
            assert_eq!(head.field("content-length"), Some(get.body.len().to_string().as_str()));
            assert_eq!(peer.get("/healthz").text().trim_end(), "ok", "no stray body: {path}");
        }
    }
}

// T30
#[test]
fn a_folder_is_served_without_files_that_are_hidden_or_outside() {
    let folder = Folder::new("served");
    let types = [
        ("index.html", "text/html; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.wasm", "application/wasm"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.unknown", "application/octet-stream"),
        ("noending", "application/octet-stream"),
        ("sub/folder/b.html", "text/html; charset=utf-8"),
        ("two words \u{e9}.txt", "text/plain; charset=utf-8"),
        ("empty.txt", "text/plain; charset=utf-8"),
    ];
    for (name, _) in types {
        let text = if name == "empty.txt" { "" } else { name };
        folder.write(&format!("www/{name}"), text);
    }
    for name in [".env", ".git/config", "sub/.hidden.txt"] {
        folder.write(&format!("www/{name}"), "secret");
    }
    folder.write("outside/secret.txt", "secret");
    folder.write("www-private/secret.txt", "secret");
    folder.link("../outside/secret.txt", "www/link.txt");
    folder.link("../outside", "www/linked");
    folder.link("../www-private/secret.txt", "www/neighbour.txt");
    folder.link("..", "www/sub/up");
    folder.link("/etc/passwd", "www/passwd.txt");
    folder.link("a.txt", "www/inside.txt");
    let game = folder.serve("www");
    for (name, content_type) in types {
        let path = name.replace(' ', "%20").replace('\u{e9}', "%C3%a9");
        let answer = game.ask(&format!("GET /{path}"), "");
        let text = if name == "empty.txt" { "" } else { name };
        assert_eq!((answer.status, answer.text().as_str()), (200, text), "{path}");
        assert_eq!(answer.field("content-type"), Some(content_type), "{path}");
    }
    assert_eq!(game.ask("GET /", "").text(), "index.html");
    assert_eq!(game.ask("GET /inside.txt", "").text(), "a.txt", "a link inside is fine");
    for path in [
        ".env",
        ".git/config",
        ".git/",
        "sub/.hidden.txt",
        "sub/%2ehidden.txt",
        "link.txt",
        "linked/secret.txt",
        "neighbour.txt",
        "sub/up/outside/secret.txt",
        "sub/up/www/a.txt",
        "passwd.txt",
        "sub",
        "sub/",
        "sub/folder/",
    ] {
        let answer = game.ask(&format!("GET /{path}"), "");
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.text().contains("secret"), "{path}");
    }
    assert!(Peer::join(game.addr, "/").1.parse::<u32>().is_ok(), "and / still joins the game");
}

#[test]
fn a_broken_link_does_not_prevent_the_start() {
    // Editors leave such links beside a file that is being edited.
    let folder = Folder::new("dangling");
    folder.write("index.html", "page");
    folder.link("user@host.12345", ".#index.html");
    folder.link("gone.txt", "dangling.txt");
    folder.link("circle", "circle");
    let game = folder.serve("");
    assert_eq!(game.ask("GET /", "").text(), "page");
    assert_eq!(game.ask("GET /dangling.txt", "").status, 404);
}

#[test]
fn a_hangup_signal_reads_the_folder_again() {
    let folder = Folder::new("reloaded");
    folder.write("index.html", "old");
    folder.write("gone.txt", "gone");
    let game = folder.serve("");
    let (mut player, _) = Peer::join(game.addr, "/");
    let old = game.ask("GET /", "");
    assert_eq!(old.text(), "old");
    folder.write("index.html", "new");
    folder.write("more/new.txt", "new");
    fs::remove_file(folder.0.join("gone.txt")).expect("it is there");
    assert_eq!(game.ask("GET /", "").text(), "old", "not before the signal");
    game.signal(Signal::HUP);
    until("the new page is served", || (game.ask("GET /", "").text() == "new").then_some(()));
    assert_eq!(game.ask("GET /more/new.txt", "").text(), "new");
    assert_eq!(game.ask("GET /gone.txt", "").status, 404);
    let known = format!("If-None-Match: {}\r\n", old.field("etag").expect("a tag"));
    assert_eq!(game.ask("GET /", &known).status, 200, "another page, another tag");
    player.until_text(&["state_update"]);
}

#[test]
fn the_old_pages_stay_if_the_folder_cannot_be_read_any_more() {
    let folder = Folder::new("vanished");
    folder.write("www/index.html", "old");
    let mut game = folder.serve("www");
    let started = game.log().len();
    fs::remove_dir_all(folder.0.join("www")).expect("it is there");
    game.signal(Signal::HUP);
    until("the failure is logged", || (game.log().len() > started).then_some(()));
    assert_eq!(game.ask("GET /", "").text(), "old");
}

const CLIENT_PATHS: [&str; 2] = ["/socket.io/socket.io.js", "/socket.io/socket.io.min.js"];

#[test]
fn the_socketio_client_is_the_file_of_the_operator() {
    let folder = Folder::new("socketio-client");
    let old = "the official client, EIO ".repeat(100);
    folder.write("client", &old);
    let file = folder.0.join("client");
    let file = file.to_str().expect("a plain path");
    for application in [&[][..], &["--echo"]] {
        let game = TestServer::start(&[&["--socketio-client", file], application].concat());
        for path in CLIENT_PATHS {
            let plain = game.ask(&format!("GET {path}"), "");
            assert_eq!((plain.status, plain.text()), (200, old.clone()), "{path}");
            assert_eq!(plain.field("content-type"), Some("text/javascript; charset=utf-8"));
            let tag = plain.field("etag").expect("a tag");
            let known = format!("If-None-Match: {tag}\r\n");
            assert_eq!(game.ask(&format!("GET {path}"), &known).status, 304);
            let gzip = game.ask(&format!("GET {path}"), "Accept-Encoding: gzip\r\n");
            assert_eq!(unzipped(&gzip.body), old.as_bytes());
        }
        assert_eq!(game.ask("GET /socket.io/socket.io.js.map", "").status, 404);
        assert_eq!(game.ask("GET /socket.io/package.json", "").status, 404);
    }
    let game = TestServer::start(&["--socketio-client", file]);
    assert_eq!(game.ask("GET /client.html", "").status, 200, "the pages are there as ever");
    let page = game.ask("GET /battle.html", "").text();
    assert!(page.contains("content=\"socket.io/socket.io.js\""), "the page may load it");
    folder.write("client", "new EIO");
    game.signal(Signal::HUP);
    let get = || game.ask("GET /socket.io/socket.io.js", "").text();
    until("the new file is served", || (get() == "new EIO").then_some(()));
    fs::remove_file(file).expect("it is there");
    game.signal(Signal::HUP);
    assert_eq!(get(), "new EIO", "what cannot be read any more stays");
}

#[test]
fn the_socketio_client_may_be_in_the_folder_of_pages() {
    let folder = Folder::new("socketio-www");
    folder.write("www/index.html", "page");
    folder.write("www/socket.io/socket.io.min.js", "small");
    folder.write("www/socket.io/other.js", "other");
    folder.write("given", "given EIO");
    let www = folder.0.join("www");
    let www = www.to_str().expect("a plain path");
    let given = folder.0.join("given");
    let game = TestServer::start(&["--www", www]);
    for path in CLIENT_PATHS {
        assert_eq!(game.ask(&format!("GET {path}"), "").text(), "small", "there is one: {path}");
    }
    assert_eq!(game.ask("GET /socket.io/other.js", "").status, 404, "nothing else");
    folder.write("www/socket.io/socket.io.js", "plain");
    let game = TestServer::start(&["--www", www]);
    assert_eq!(
        CLIENT_PATHS.map(|path| game.ask(&format!("GET {path}"), "").text()),
        ["plain", "small"]
    );
    let flags = ["--www", www, "--socketio-client", given.to_str().expect("a plain path")];
    let game = TestServer::start(&flags);
    assert_eq!(
        CLIENT_PATHS.map(|path| game.ask(&format!("GET {path}"), "").text()),
        ["given EIO"; 2]
    );
}

#[test]
fn without_the_socketio_client_a_sentence_says_how_to_get_it() {
    let game = TestServer::start(&[]);
    for path in CLIENT_PATHS {
        let answer = game.ask(&format!("GET {path}"), "");
        let text = answer.text();
        assert_eq!(answer.status, 404, "{path}");
        assert!(text.contains("--socketio-client FILE") && text.ends_with(".\n"), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    let page = game.ask("GET /battle.html", "").text();
    assert!(!page.contains("socket.io/"), "the page must not ask for it");
}

// T30
#[test]
fn no_path_leads_out_of_the_pages() {
    let folder = Folder::new("jail");
    folder.write("www/index.html", "page");
    folder.write("www/sub/page.html", "page");
    folder.write("secret.txt", "secret");
    let targets = [
        "/../secret.txt",
        "/../../secret.txt",
        "/sub/../../secret.txt",
        "/sub/../index.html",
        "/./index.html",
        "//secret.txt",
        "///etc/passwd",
        "//etc/passwd",
        "/..//secret.txt",
        "/...//secret.txt",
        "/....//secret.txt",
        "/..;/secret.txt",
        "/;/../secret.txt",
        "/%2e%2e/secret.txt",
        "/%2E%2E/secret.txt",
        "/.%2e/secret.txt",
        "/%2e./secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/..%2fsecret.txt",
        "/..%2Fsecret.txt",
        "/sub%2f..%2f..%2fsecret.txt",
        "/%2fetc%2fpasswd",
        "/%2f%2fetc/passwd",
        "/..%5csecret.txt",
        "/..%5Csecret.txt",
        "/..\\secret.txt",
        "/\\..\\secret.txt",
        "/%5c%2e%2e%5csecret.txt",
        "/index.html%00",
        "/index.html%00.txt",
        "/../secret.txt%00.html",
        "/%00/../secret.txt",
        "/%252e%252e/secret.txt",
        "/%252e%252e%252fsecret.txt",
        "/..%252fsecret.txt",
        "/%25%32%65%25%32%65/secret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/%c0%ae%c0%ae%c0%afsecret.txt",
        "/..%c0%afsecret.txt",
        "/..%ef%bc%8fsecret.txt",
        "/%e2%80%a5/secret.txt",
        "/%uff0e%uff0e/secret.txt",
        "/%u002e%u002e/secret.txt",
        "/%",
        "/%2",
        "/%zz",
        "/%%2e%%2e/secret.txt",
        "/c:/windows/win.ini",
        "/sub/c:/windows/win.ini",
        "/c%3a/windows/win.ini",
        "/file:///etc/passwd",
        "/proc/self/environ",
        "/~root/",
        "/index.html/",
        "/index.html/../../secret.txt",
        "/index.html.",
        "/index.html::$DATA",
        "/index.html%20",
        "/sub/page.html%0a",
        "..",
        "../secret.txt",
        "/etc/passwd",
        "file:///etc/passwd",
    ];
    let game = folder.serve("www");
    for target in targets {
        let answer = game.ask(&format!("GET {target}"), "");
        assert!(matches!(answer.status, 400 | 404), "{target}: {}", answer.status);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!text.contains("secret") && !text.contains("root:"), "{target}: {text}");
    }
    let refused = game.ask("GET /%ff", "");
    assert_eq!(refused.status, 404);
    let query = game.ask("GET /?/../../secret.txt", "");
    assert_eq!(
        (query.status, query.text().as_str()),
        (200, "page"),
        "a query does not change the path"
    );
}

// T80
#[test]
fn a_reload_does_not_block_the_server() {
    let folder = Folder::new("www-large");
    folder.write("index.html", "old");
    // What compresses badly takes the longest.
    let mut text = String::new();
    let mut number = 1_u64;
    while text.len() < 900_000 {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text += &format!("{number:x}\n");
    }
    for file in 0..24 {
        folder.write(&format!("{file}.txt"), &text);
    }
    let mut server = TestServer::start(&["--www", folder.0.to_str().expect("a plain path")]);
    folder.write("index.html", "new");
    server.signal(Signal::HUP);
    server.signal(Signal::HUP);
    let mut answers = 0;
    until("the new page is served", || {
        answers += 1;
        (server.ask("GET /", "").text() == "new").then_some(())
    });
    assert!(answers > 3, "requests are answered during the reload: {answers}");
    server.until_logged("pages reloaded");
}

// T80
#[test]
fn what_is_not_a_plain_file_is_refused_without_waiting_for_it() {
    let folder = Folder::new("www-fifo");
    folder.write("index.html", "page");
    folder.write("client", "EIO");
    let (www, client) = (folder.0.join("."), folder.0.join("client"));
    let [www, client] = [&www, &client].map(|path| path.to_str().expect("a plain path"));
    let mut server = TestServer::start(&["--www", www, "--socketio-client", client]);
    let make_fifo = |name: &str| {
        let made = Command::new("mkfifo").arg(folder.0.join(name)).status().expect("mkfifo runs");
        assert!(made.success());
    };
    make_fifo("pipe.txt");
    server.signal(Signal::HUP);
    server.until_logged("pipe.txt: it is not a plain file");
    assert_eq!(server.ask("GET /", "").text(), "page", "the old pages stay");
    fs::remove_file(folder.0.join("pipe.txt")).expect("it is there");
    fs::remove_file(client).expect("it is there");
    make_fifo("client");
    server.signal(Signal::HUP);
    server.until_logged("client: it is not a plain file");
    assert_eq!(server.ask("GET /", "").text(), "page", "the old pages stay");
}
