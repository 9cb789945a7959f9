//! The house stays tidy: floors, crates and their rooms, sizes, and documents that tell the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::command;

/// Which outside crates each part may use; a crate that is not listed may be used nowhere.
const CRATES: &[(&str, &[&str])] = &[
    ("main", &["rand", "signal_hook", "tracing", "tracing_appender", "tracing_subscriber"]),
    ("reactor", &["mio", "socket2", "signal_hook", "signal_hook_mio", "rlimit", "tracing"]),
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
            "serde",
            "serde_json",
        ],
    ),
    ("server", &["ipnet", "slab", "rand", "rand_chacha", "serde", "serde_json", "tracing"]),
    ("wire", &["serde_json"]),
    ("codec", &["itoa", "serde", "serde_json"]),
    (
        "http",
        &[
            "base64",
            "httparse",
            "flate2",
            "form_urlencoded",
            "include_dir",
            "percent_encoding",
            "sha2",
        ],
    ),
    ("ws", &["tungstenite"]),
    ("socketio", &["base64", "itoa", "serde", "serde_json"]),
    ("game", &["rand", "rand_chacha"]),
    ("config", &["clap", "ipnet"]),
];

const NOUNS: &[&str] = &["conn", "engine", "session", "room", "gate"];
const VERBS: &[&str] =
    &["admit", "arrive", "carry", "converse", "enter", "publish", "sweep", "drain"];

/// Lines of code that a file may have, tests not counted.
const FILE_LINES_MAX: usize = 500;
const LINE_CHARS_MAX: usize = 100;

struct Source {
    path: PathBuf,
    /// The part of the house: the file or folder below `src/`.
    part: String,
    text: String,
}

impl Source {
    /// The text in front of the unit tests; nothing, if the whole file is one.
    fn code(&self) -> &str {
        let name = self.path.file_stem().expect("files have names").to_string_lossy();
        let parent = fs::read_to_string(self.path.with_file_name("mod.rs")).unwrap_or_default();
        if parent.contains(&format!("#[cfg(test)]\nmod {name};")) {
            return "";
        }
        self.text.split("#[cfg(test)]\nmod tests").next().expect("split has a first part")
    }

    /// The module of `server/` that it belongs to.
    fn module(&self) -> String {
        let below = self.path.strip_prefix(root().join("src/server")).expect("a part of server");
        let first = below.iter().next().expect("a name").to_string_lossy();
        first.trim_end_matches(".rs").to_owned()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry"))
        {
            let path = entry.path();
            if path.ends_with("node_modules") || path.ends_with(".venv") {
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

/// The names that stand behind each `prefix` in `code`, comments left out: `crate::ws::frame` gives
/// `ws` for the prefix `crate::`, and `crate::{a, b::c}` gives `a` and `b`.
fn names_behind(code: &str, prefix: &str) -> BTreeSet<String> {
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: String = lines.collect::<Vec<_>>().join("\n");
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        if code[..at].ends_with(is_word) {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        names.insert(std::mem::take(&mut name));
                    }
                    _ if depth == 0 => name.push(c),
                    _ => {}
                }
            }
            names.insert(name);
        } else {
            names.insert(rest.chars().take_while(|c| is_word(*c)).collect());
        }
    }
    let first = |name: String| name.trim().split("::").next().unwrap_or_default().trim().to_owned();
    names.into_iter().map(first).filter(|name| !name.is_empty()).collect()
}

/// The table of floors in the documentation of the crate.
fn floors() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs");
    let table = text.split("```floors").nth(1).expect("the table of floors");
    // A line without an arrow goes on with the row above.
    let table = table.split("```").next().expect("its end").replace("\n//!    ", " ");
    let rows = table.lines().filter_map(|line| {
        let (part, below) = line.trim_start_matches("//!").split_once("->")?;
        let below = below.split(',').map(|name| name.trim().to_owned());
        Some((part.trim().to_owned(), below.filter(|name| !name.is_empty()).collect()))
    });
    rows.collect()
}

#[test]
fn every_part_imports_only_what_its_floor_allows() {
    let floors = floors();
    let parts: BTreeSet<String> =
        sources().into_iter().map(|source| source.part).filter(|part| part != "lib").collect();
    assert_eq!(parts, floors.keys().cloned().collect(), "the table names every part");
    for source in sources().iter().filter(|source| source.part != "lib") {
        let prefix = if source.part == "main" { "skirmish::" } else { "crate::" };
        let mut used = names_behind(source.code(), prefix);
        used.remove(&source.part);
        let allowed = &floors[&source.part];
        let stray: Vec<_> = used.difference(allowed).collect();
        assert!(stray.is_empty(), "{} must not import {stray:?}", source.path.display());
    }
}

#[test]
fn floors_have_no_circle() {
    let mut left = floors();
    while !left.is_empty() {
        let ground: Vec<String> = left
            .iter()
            .filter(|(_, below)| below.iter().all(|name| !left.contains_key(name)))
            .map(|(part, _)| part.clone())
            .collect();
        assert!(!ground.is_empty(), "a circle among {:?}", left.keys());
        for part in ground {
            left.remove(&part);
        }
    }
}

#[test]
fn outside_crates_stay_in_their_rooms() {
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

#[test]
fn nouns_do_not_know_each_other_and_verbs_do_not_call_each_other() {
    for source in sources().iter().filter(|source| source.part == "server") {
        let module = source.module();
        let used = names_behind(source.code(), "super::");
        for group in [NOUNS, VERBS] {
            let is_one = group.contains(&module.as_str());
            let others: Vec<_> =
                group.iter().filter(|name| **name != module && used.contains(**name)).collect();
            assert!(!is_one || others.is_empty(), "{} uses {others:?}", source.path.display());
        }
        let knows_verb = VERBS.iter().any(|verb| used.contains(*verb));
        let is_noun = NOUNS.contains(&module.as_str());
        assert!(!is_noun || !knows_verb, "{} is a noun", source.path.display());
    }
}

#[test]
fn nothing_that_is_banned_stands_in_the_code() {
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
        // Only the loop and its measuring client may know what time it is.
        let may_read_clock = ["reactor", "load"].contains(&source.part.as_str());
        let reads_clock =
            source.code().contains("Instant::now") || source.code().contains("SystemTime");
        assert!(may_read_clock || !reads_clock, "{} reads a clock", source.path.display());
        // The load test rests to be served in batches; the server never sleeps but for the kernel.
        let sleeps = source.part != "load" && source.code().contains("thread::sleep");
        assert!(!sleeps, "{} sleeps", source.path.display());
        assert!(source.text.starts_with("//!"), "{} says what it is", source.path.display());
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
fn every_flag_is_in_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    for arguments in [&["--help"][..], &["load", "--help"][..]] {
        let output = command().args(arguments).output().expect("help is printed");
        let help = String::from_utf8(output.stdout).expect("help is text");
        let flags: BTreeSet<&str> = help
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .filter(|word| word.starts_with("--") && word.len() > 2)
            .collect();
        assert!(flags.len() > 5, "{help}");
        for flag in flags {
            assert!(readme.contains(&format!("`{flag}")), "README.md does not explain {flag}");
        }
    }
}

#[test]
fn every_limit_is_in_the_documents() {
    let page = fs::read_to_string(root().join("docs/limits.md")).expect("docs/limits.md");
    let limits = fs::read_to_string(root().join("src/limits.rs")).expect("src/limits.rs");
    let names = limits.lines().filter_map(|line| {
        let rest = line.strip_prefix("pub const ").or_else(|| line.strip_prefix("    pub "))?;
        let name = rest.split(':').next()?;
        (!name.contains('(')).then_some(name)
    });
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
