//! The words of the repository: names, comments and documents use the terms of the field, and no
//! metaphors.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// Metaphors and archaic words, which may be used nowhere.
const WORDS: &str = "
    anybody apron appetite beat blow blows bury buries buried converse doom doomed door doors ear
    ears everybody farewell fleeting gate goodbye guest guests house houses impatient lab labs mind
    nobody noun nouns patience ripe somebody storm sweep sweeps swept told tombstone tombstones verb
    verbs whoever whomever wish wishes
";
/// Words that are good English and bad names: a file, module or function with them says nothing.
const NAMES: &str = "arrive carry floor";
/// Phrases that have to be read twice, in lower case.
const PHRASES: &[&str] = &[
    "clients who",
    "out of something",
    "players who",
    "so many",
    "those who",
    "what comes of",
    "what came of",
    "is none of",
];

/// The files that are checked: folder and endings.
const FILES: &[(&str, &[&str])] = &[
    ("src", &[".rs"]),
    ("benches", &[".rs"]),
    ("examples", &[".rs", ".html"]),
    ("tests", &[".rs", ".mjs", ".py", ".txt"]),
    ("www", &[".js", ".html", ".css"]),
    ("docs", &[".md"]),
    // These have no endings.
    ("ops", &[""]),
    ("tests/packages", &["run", ".sh"]),
    ("tests/fuzz", &["run"]),
];
const DOCUMENTS: &[&str] =
    &["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "Cargo.toml", "tests/all", ".ci/run"];

/// A word in lower case.
struct Word {
    text: String,
    line: usize,
    /// Whether punctuation stands before it, so that no phrase contains both neighbours.
    is_first: bool,
}

/// The words of a text: `fooBar`, `foo_bar`, `FOO_BAR` and "foo bar" are two.
fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut is_first = true;
    for (line, content) in text.lines().enumerate() {
        let mut previous = ' ';
        for c in content.chars() {
            is_first |= ",;:.!?()".contains(c);
            let is_start =
                !previous.is_alphabetic() || (c.is_uppercase() && previous.is_lowercase());
            if c.is_alphabetic() {
                if is_start {
                    words.push(Word { text: String::new(), line: line + 1, is_first });
                    is_first = false;
                }
                words.last_mut().expect("a word was started").text.extend(c.to_lowercase());
            }
            previous = c;
        }
    }
    words
}

/// Each banned word, phrase or name in a text, with its line.
fn banned(text: &str) -> Vec<(usize, String)> {
    let words = words(text);
    let banned_words: HashSet<&str> = WORDS.split_whitespace().collect();
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let is_next = |phrase: &str| {
            phrase.split(' ').enumerate().all(|(offset, expected)| {
                words
                    .get(at + offset)
                    .is_some_and(|next| next.text == expected && !(offset > 0 && next.is_first))
            })
        };
        let is_word = banned_words.contains(word.text.as_str());
        let phrase = PHRASES.iter().find(|phrase| is_next(phrase));
        // "It is no JSON" says less clearly that it is not JSON; "there is no JSON" is fine.
        let is_negated_noun = ["is no", "are no"].iter().any(|phrase| is_next(phrase))
            && !is_next("is no longer")
            && !is_next("are no longer")
            && (at == 0 || words[at - 1].text != "there");
        if is_word {
            found.push((word.line, word.text.clone()));
        } else if let Some(phrase) = phrase {
            found.push((word.line, (*phrase).to_owned()));
        } else if is_negated_noun {
            found.push((word.line, format!("{} no", word.text)));
        }
    }
    for (line, content) in text.lines().enumerate() {
        let name = ["fn ", "mod ", "function "].iter().find_map(|key| {
            let (_, rest) = content.split_once(key)?;
            rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
        });
        found.extend(name.into_iter().filter_map(bad_name).map(|word| (line + 1, word)));
    }
    found
}

/// The words of a name that say nothing about a file or a function, if it consists of them.
fn bad_name(name: &str) -> Option<String> {
    NAMES.split_whitespace().find(|banned| name == *banned).map(str::to_owned)
}

fn check(path: &Path, problems: &mut Vec<String>) {
    let text = fs::read_to_string(path).expect("a text file");
    let place = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("below the root").display();
    let name = place.to_string();
    let stem = path.file_stem().expect("a file has a name").to_string_lossy();
    for (_, word) in banned(&name).into_iter().chain(bad_name(&stem).map(|word| (0, word))) {
        problems.push(format!("{place}: {word:?} in its name"));
    }
    for (line, word) in banned(&text) {
        problems.push(format!("{place}:{line}: {word:?}"));
    }
}

#[test]
fn the_repository_uses_no_banned_words() {
    let mut problems = Vec::new();
    let mut count = 0;
    for (folder, endings) in FILES {
        for path in endings.iter().flat_map(|ending| crate::tidy::files(folder, ending)) {
            // This file has the list.
            if !path.ends_with("tests/it/words.rs") {
                check(&path, &mut problems);
                count += 1;
            }
        }
    }
    for document in DOCUMENTS {
        check(&Path::new(env!("CARGO_MANIFEST_DIR")).join(document), &mut problems);
    }
    assert!(count > 200, "only {count} files were found");
    assert!(problems.is_empty(), "use plain terms instead:\n{}", problems.join("\n"));
}

#[test]
fn banned_words_are_found_in_names_comments_and_sentences() {
    let found = |text: &str| banned(text).into_iter().map(|(_, word)| word).collect::<Vec<_>>();
    assert_eq!(found("fn bury_it() {}"), ["bury"]);
    assert_eq!(found("struct LastWish;"), ["wish"]);
    assert_eq!(found("const DOOM_MS: u64 = 1;"), ["doom"]);
    assert_eq!(found("const isGuestHere = true;"), ["guest"]);
    assert_eq!(found("/// Whoever is late."), ["whoever"]);
    assert_eq!(found("# A line of those\n# who left"), ["those who"]);
    assert_eq!(found("fn a_query_is_no_path() {}"), ["is no"]);
    assert_eq!(found("mod carry;"), ["carry"]);
    assert_eq!(found("/// The clients are told so many."), ["told", "so many"]);
    assert_eq!(found("nobody who waits"), ["nobody"]);
    assert_eq!(banned("one\ntwo\nthe house"), [(3, "house".to_owned())]);
    for fine in [
        "there is no room",
        "There\n/// is no room",
        "It is no longer here.",
        "what it is; no bytes",
        "heartbeats, households, clear, swords",
        "bytes arrive in frames that carry packets",
        "fn carries_packets() {}",
    ] {
        assert_eq!(found(fine), Vec::<String>::new(), "{fine}");
    }
}
