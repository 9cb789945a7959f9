//! The source tree: layers, the modules that use each outside crate, sizes, and documents that
//! match the code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use skirmish::http::Response;

use crate::harness::command;

mod monitoring;

/// Which outside crates each module may use; a crate that is not listed may be used nowhere.
const CRATES: &[(&str, &[&str])] = &[
    (
        "run",
        &["rand", "rustix", "signal_hook", "tracing", "tracing_appender", "tracing_subscriber"],
    ),
    // Without its default features it has no dependencies.
    ("qr", &["qrcode"]),
    (
        "reactor",
        &[
            "libc",
            "listenfd",
            "mio",
            "rustix",
            "rustls",
            "socket2",
            "signal_hook",
            "signal_hook_mio",
            "rlimit",
            "tracing",
        ],
    ),
    (
        "load",
        &[
            "mio",
            "socket2",
            "rlimit",
            "slab",
            "hdrhistogram",
            "httparse",
            "rand",
            "rustls",
            "rustls_native_certs",
            "serde",
            "serde_json",
        ],
    ),
    (
        "server",
        &[
            "ipnet",
            "slab",
            "rand",
            "rand_chacha",
            "serde",
            "serde_json",
            "sha2",
            "subtle",
            "tracing",
            "unicode_properties",
        ],
    ),
    ("wire", &["arrayvec", "serde_json"]),
    ("codec", &["itoa", "serde", "serde_json"]),
    (
        "http",
        &[
            "base64",
            "httparse",
            "flate2",
            "form_urlencoded",
            "html5gum",
            "include_dir",
            "percent_encoding",
            "sha2",
        ],
    ),
    ("ws", &["flate2", "tungstenite"]),
    ("nats", &["serde", "serde_json"]),
    ("socketio", &["base64", "itoa", "serde", "serde_json"]),
    ("game", &["arrayvec", "rand", "rand_chacha", "serde"]),
    ("config", &["clap", "ipnet"]),
];

/// Lines of code that a file may have, tests not counted.
const FILE_LINES_MAX: usize = 500;
const LINE_CHARS_MAX: usize = 100;

struct Source {
    path: PathBuf,
    /// The module: the file or folder below `src/`.
    part: String,
    text: String,
}

impl Source {
    /// The text before the unit tests; empty if the whole file is one.
    fn code(&self) -> &str {
        let name = self.path.file_stem().expect("files have names").to_string_lossy();
        let parent = fs::read_to_string(self.path.with_file_name("mod.rs")).unwrap_or_default();
        if parent.contains(&format!("#[cfg(test)]\nmod {name};")) {
            return "";
        }
        self.text.split("#[cfg(test)]\nmod tests").next().expect("split has a first part")
    }

    /// The row of a file of `server/` in the layer table of that folder: its name, or its folder's;
    /// each file of `socketio/` has its own row.
    fn server_row(&self) -> String {
        let below = self.path.strip_prefix(root().join("src/server")).expect("a file of server");
        let names: Vec<String> =
            below.iter().map(|name| name.to_string_lossy().replace(".rs", "")).collect();
        match names.as_slice() {
            [folder, file] if folder == "socketio" => format!("socketio/{file}"),
            [first, ..] => first.clone(),
            [] => unreachable!("a path has a name"),
        }
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry"))
        {
            let path = entry.path();
            if ["node_modules", ".venv", "target"].iter().any(|name| path.ends_with(name)) {
                continue;
            } else if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let read = |path: PathBuf| {
        let below = path.strip_prefix(&src).expect("it is below src");
        let first = below.iter().next().expect("a part").to_string_lossy();
        let part = first.trim_end_matches(".rs").to_owned();
        Source { text: fs::read_to_string(&path).expect("source is text"), part, path }
    };
    files("src", ".rs").into_iter().map(read).collect()
}

/// The paths behind each `prefix` in `code`, comments aside: `crate::ws::frame` gives `ws::frame`
/// for the prefix `crate::`, and `crate::{a, b::c}` gives `a` and `b::c`.
fn paths_behind(code: &str, prefix: &str) -> BTreeSet<String> {
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: String = lines.collect::<Vec<_>>().join("\n");
    let mut paths = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        if code[..at].ends_with(is_word) {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            paths.insert(rest.chars().take_while(|c| is_word(*c)).collect());
            continue;
        };
        let mut depth = 0;
        let mut path = String::new();
        for c in list.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    paths.insert(std::mem::take(&mut path));
                }
                _ if depth == 0 => path.push(c),
                _ => {}
            }
        }
        paths.insert(path);
    }
    paths.into_iter().map(|path| path.trim().to_owned()).filter(|path| !path.is_empty()).collect()
}

/// The first name of each path behind `prefix`.
fn names_behind(code: &str, prefix: &str) -> BTreeSet<String> {
    let first = |path: String| path.split("::").next().unwrap_or_default().trim().to_owned();
    paths_behind(code, prefix).into_iter().map(first).filter(|name| !name.is_empty()).collect()
}

/// The layer table in the documentation of a file: each row's allowed imports, top layer first.
fn layers(path: &str) -> Vec<(String, BTreeSet<String>)> {
    let text = fs::read_to_string(root().join(path)).expect("the file is there");
    let table = text.split("```layers").nth(1).expect("it has a layer table");
    let table = table.split("```").next().expect("split has a first part");
    // A line without an arrow continues the row above.
    let mut rows: Vec<(String, BTreeSet<String>)> = Vec::new();
    for line in table.lines().map(|line| line.trim_start_matches("//!")) {
        let (name, below) = match line.split_once("->") {
            Some((name, below)) => (Some(name.trim()), below),
            None => (None, line),
        };
        if let Some(name) = name {
            rows.push((name.to_owned(), BTreeSet::new()));
        }
        let Some((_, row)) = rows.last_mut() else { continue };
        row.extend(below.split(',').map(|name| name.trim().to_owned()).filter(|n| !n.is_empty()));
    }
    rows
}

#[test]
fn modules_import_only_what_their_layer_allows() {
    let layers: BTreeMap<_, _> = layers("src/lib.rs").into_iter().collect();
    let parts: BTreeSet<String> =
        sources().into_iter().map(|source| source.part).filter(|part| part != "lib").collect();
    assert_eq!(parts, layers.keys().cloned().collect(), "the table has every module");
    for source in sources().iter().filter(|source| source.part != "lib") {
        let prefix = if source.part == "main" { "skirmish::" } else { "crate::" };
        let mut used = names_behind(source.code(), prefix);
        used.remove(&source.part);
        let allowed = &layers[&source.part];
        let stray: Vec<_> = used.difference(allowed).collect();
        assert!(stray.is_empty(), "{} must not import {stray:?}", source.path.display());
    }
}

#[test]
fn layers_have_no_cycle() {
    let mut left: BTreeMap<_, _> = layers("src/lib.rs").into_iter().collect();
    while !left.is_empty() {
        let ground: Vec<String> = left
            .iter()
            .filter(|(_, below)| below.iter().all(|name| !left.contains_key(name)))
            .map(|(part, _)| part.clone())
            .collect();
        assert!(!ground.is_empty(), "a cycle among {:?}", left.keys());
        for part in ground {
            left.remove(&part);
        }
    }
}

#[test]
fn outside_crates_are_used_only_in_their_modules() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let section = manifest.split("[dependencies]").nth(1).expect("dependencies");
    let section = section.split("\n[").next().expect("its end");
    let crates: BTreeSet<String> = section
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim().replace('-', "_"))
        .collect();
    let listed: BTreeSet<String> =
        CRATES.iter().flat_map(|(_, names)| names.iter().map(|name| (*name).to_owned())).collect();
    assert_eq!(crates, listed, "the manifest and the table name the same crates");
    for source in sources() {
        let allowed = CRATES.iter().find(|(part, _)| *part == source.part).map(|(_, names)| *names);
        for name in &crates {
            let is_used = source.code().lines().any(|line| {
                let line = line.trim_start();
                !line.starts_with("//")
                    && (line.starts_with(&format!("use {name}::"))
                        || line.contains(&format!(" {name}::"))
                        || line.contains(&format!("({name}::"))
                        || line.contains(&format!("&{name}::")))
            });
            let is_allowed = allowed.is_some_and(|allowed| allowed.contains(&name.as_str()));
            assert!(!is_used || is_allowed, "{} must not use {name}", source.path.display());
        }
    }
}

/// What a file of `server/` imports from there, as rows of the layer table.
fn server_imports(source: &Source) -> BTreeSet<String> {
    let row = source.server_row();
    let is_module_file = source.path.ends_with("mod.rs");
    let depth = source.path.strip_prefix(root().join("src/server")).expect("below").iter().count();
    let (prefix, siblings) = match (depth, is_module_file) {
        (1, _) | (_, true) => ("super::", false),
        _ => ("super::super::", true),
    };
    let mut imports: BTreeSet<String> =
        paths_behind(source.code(), prefix).into_iter().filter_map(|path| as_row(&path)).collect();
    if siblings && row.starts_with("socketio/") {
        let beside = names_behind(source.code(), "super::");
        imports
            .extend(beside.into_iter().filter(|n| n != "super").map(|n| format!("socketio/{n}")));
    }
    imports.remove(&row);
    imports
}

/// The row of a path such as `socketio::session::Transport` or `ids::ConnId`.
fn as_row(path: &str) -> Option<String> {
    let mut names = path.split("::").map(str::trim).filter(|name| !name.is_empty());
    let first = names.next()?;
    if first.starts_with(char::is_uppercase) {
        return Some("mod".to_owned());
    }
    match names.next() {
        Some(second) if first == "socketio" => Some(format!("socketio/{second}")),
        _ => Some(first.to_owned()),
    }
}

#[test]
fn modules_of_the_server_import_only_from_rows_below() {
    let rows = layers("src/server/mod.rs");
    let order: Vec<&String> = rows.iter().map(|(name, _)| name).collect();
    for (at, (name, allowed)) in rows.iter().enumerate() {
        let below: BTreeSet<_> = order[at + 1..].iter().copied().collect();
        let above: Vec<_> = allowed.iter().filter(|n| *n != "*" && !below.contains(n)).collect();
        assert!(above.is_empty(), "{name} lists {above:?}, which are not below it");
    }
    let files: Vec<Source> = sources()
        .into_iter()
        .filter(|source| source.part == "server" && !source.code().is_empty())
        .filter(|source| !source.path.ends_with("server/socketio/mod.rs"))
        .collect();
    let found: BTreeSet<String> = files.iter().map(Source::server_row).collect();
    assert_eq!(found, order.into_iter().cloned().collect(), "the table has every module");
    let mut unused: BTreeMap<String, BTreeSet<String>> = rows.iter().cloned().collect();
    for source in &files {
        let row = source.server_row();
        let (_, allowed) = rows.iter().find(|(name, _)| *name == row).expect("it has a row");
        let imports = server_imports(source);
        let stray: Vec<_> = imports.difference(allowed).collect();
        let is_free = allowed.contains("*");
        assert!(is_free || stray.is_empty(), "{} imports {stray:?}", source.path.display());
        unused.get_mut(&row).expect("it has a row").retain(|name| !imports.contains(name));
    }
    unused.retain(|_, names| !names.is_empty() && !names.contains("*"));
    assert!(unused.is_empty(), "the table allows more than is used: {unused:?}");
}

#[test]
fn only_the_policy_reads_the_echo_flag() {
    let reads = |source: &Source| source.code().contains("settings.echo");
    let readers: Vec<PathBuf> =
        sources().into_iter().filter(reads).map(|source| source.path).collect();
    assert_eq!(readers, [root().join("src/server/policy.rs")]);
}

#[test]
fn banned_constructs_are_absent() {
    const BANNED: &[&str] = &[
        ".unwrap()",
        "todo!(",
        "unimplemented!(",
        "dbg!(",
        "println!(",
        "eprintln!(",
        "process::exit",
        "unsafe {",
        "static mut",
    ];
    for source in sources() {
        for banned in BANNED {
            let at = source.code().lines().position(|line| line.contains(banned));
            assert!(at.is_none(), "{banned} in {}:{at:?}", source.path.display());
        }
        // Only the loop and the load test may read the clock.
        let may_read_clock = ["reactor", "load"].contains(&source.part.as_str());
        let reads_clock =
            source.code().contains("Instant::now") || source.code().contains("SystemTime");
        assert!(may_read_clock || !reads_clock, "{} reads a clock", source.path.display());
        // The load test sleeps to receive in batches; the server waits only in the kernel.
        let sleeps = source.part != "load" && source.code().contains("thread::sleep");
        assert!(!sleeps, "{} sleeps", source.path.display());
        assert!(
            source.text.starts_with("//!"),
            "{} has no module documentation",
            source.path.display()
        );
    }
    for path in [files("src", ".rs"), files("tests", ".rs"), files("benches", ".rs")].concat() {
        let text = fs::read_to_string(&path).expect("source is text");
        let ignore = concat!("#[", "ignore");
        assert!(!text.contains(ignore), "{} leaves out a test", path.display());
    }
}

#[test]
fn files_and_lines_are_not_too_long() {
    for source in sources() {
        let lines = source.code().lines().count();
        assert!(lines <= FILE_LINES_MAX, "{} has {lines} lines", source.path.display());
        for (at, line) in source.text.lines().enumerate() {
            let is_text = line.contains('"');
            let chars = line.chars().count();
            let place = format!("{}:{}", source.path.display(), at + 1);
            assert!(chars <= LINE_CHARS_MAX || is_text, "{place} has {chars} characters");
        }
    }
}

#[test]
fn every_status_has_a_reason_phrase() {
    let mut statuses = BTreeSet::new();
    for source in sources() {
        for call in ["sentence(", "refusal(", "Failed(", "unavailable("] {
            let calls = source.code().split(call).skip(1);
            statuses.extend(calls.filter_map(|rest| rest.get(..3)?.parse::<u16>().ok()));
        }
    }
    assert!(statuses.contains(&401) && statuses.len() > 10, "{statuses:?}");
    for status in statuses {
        let (head, _) = Response::sentence(status, "a sentence").into_bytes(false, false);
        let head = String::from_utf8(head).expect("text");
        assert!(!head.contains("Unknown"), "{status} has no reason phrase");
    }
}

#[test]
fn every_flag_is_in_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    for arguments in
        [&["--help"][..], &["check", "--help"], &["load", "--help"], &["pages", "--help"]]
    {
        let output = command().args(arguments).output().expect("help is printed");
        let help = String::from_utf8(output.stdout).expect("help is text");
        let flags: BTreeSet<&str> = help
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .filter(|word| word.starts_with("--") && word.len() > 2)
            .collect();
        assert!(flags.len() > 1, "{help}");
        for flag in flags {
            assert!(readme.contains(&format!("`{flag}")), "README.md does not explain {flag}");
        }
    }
}

#[test]
fn every_variable_of_the_package_and_its_document_is_a_flag() {
    let output = command().arg("--help").output().expect("help is printed");
    let help = String::from_utf8(output.stdout).expect("help is text");
    let flags: BTreeSet<&str> =
        help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').collect();
    for file in ["ops/systemd/skirmish.env", "ops/systemd/skirmish.socket", "docs/deploy.md"] {
        let text = fs::read_to_string(root().join(file)).expect("the file is there");
        let names: BTreeSet<&str> = text
            .split(|c: char| !c.is_ascii_uppercase() && c != '_')
            .filter(|word| word.starts_with("SKIRMISH_"))
            .collect();
        assert!(!names.is_empty(), "{file}");
        for name in names {
            let flag = name.replace("SKIRMISH_", "--").replace('_', "-").to_lowercase();
            assert!(flags.contains(&*flag), "{file}: {name} stands for no flag");
        }
    }
}

#[test]
fn every_limit_is_in_the_documents() {
    let page = fs::read_to_string(root().join("docs/limits.md")).expect("docs/limits.md");
    let sources = files("src/limits", ".rs");
    let text = |path| fs::read_to_string(path).expect("a source file");
    let limits: String = sources.into_iter().map(text).collect();
    let names = limits.lines().filter_map(|line| {
        let rest = line.strip_prefix("pub const ").or_else(|| line.strip_prefix("    pub "))?;
        let name = rest.split(':').next()?;
        (!name.contains('(')).then_some(name)
    });
    let names: Vec<&str> = names.collect();
    assert!(names.len() > 100, "{} limits", names.len());
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "docs/limits.md does not explain {name}");
    }
}

#[test]
fn pages_load_nothing_from_elsewhere() {
    for path in files("www", "") {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (at, _) in text.match_indices("://") {
            let scheme = text[..at].rsplit(|c: char| !c.is_ascii_alphabetic()).next();
            let rest: String = text[at + 3..].chars().take(12).collect();
            let is_fine = rest.starts_with("www.w3.org")
                || rest.starts_with("localhost")
                || !rest.starts_with(|c: char| c.is_ascii_alphanumeric())
                || matches!(scheme, Some("ws" | "wss" | "file"));
            assert!(is_fine, "{}: {scheme:?}://{rest}", path.display());
        }
    }
}
