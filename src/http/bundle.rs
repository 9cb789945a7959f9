//! One script and one style sheet for each built-in page, so that a page takes few requests.
//!
//! The files of `www/` stay separate: developers read them, and the pages also work from disk.
//! [`Assets::over_built_in`](super::Assets::over_built_in) calls this for every page when the files
//! are read. Pages of a `--www` folder are served as they are.

use super::assets::hash;
use super::inline::source;

/// A page that loads one script and one style sheet.
pub(super) struct Bundle {
    pub html: String,
    /// The script and the style sheet: the path in the URL, with a hash of the contents, and the
    /// contents.
    pub files: Vec<(String, String)>,
    /// The source expression for the inline script of the page, if it has one (CSP Level 3,
    /// section 2.3.1): `'sha256-...'`.
    pub inline_source: Option<String>,
}

/// How a page names a file: the text on the line before and after its path.
const STYLE: usize = 0;
const DEFERRED: usize = 1;
const INLINE: usize = 2;
const ELEMENTS: [(&str, &str); 3] = [
    ("<link rel=\"stylesheet\" href=\"", "\">"),
    ("<script defer src=\"", "\"></script>"),
    ("<script src=\"", "\"></script>"),
];

/// Joins the files that the page at `path` loads. `read` returns the contents of the file at a
/// path; an element is unchanged if its file does not exist.
///
/// Style sheets become one file, and so do deferred scripts, in their order. Comments are removed,
/// so that a script fits into the first packets of a connection (RFC 6928). A script without
/// `defer` has to run before the joined one arrives, so these become one inline script. Each
/// element has a line of its own and names its file by the path below `/`.
pub(super) fn bundle<'a>(path: &str, html: &str, read: impl Fn(&str) -> Option<&'a str>) -> Bundle {
    // For each kind of element: the line of its first one in `lines`, and the joined contents.
    let mut joined: [Option<(usize, String)>; 3] = [None, None, None];
    let mut lines: Vec<String> = Vec::new();
    for line in html.lines() {
        let Some((kind, text)) = element(line, &read) else {
            lines.push(line.to_owned());
            continue;
        };
        if joined[kind].is_none() {
            lines.push(String::new());
        }
        let (_, joined) = joined[kind].get_or_insert((lines.len() - 1, String::new()));
        push_code(joined, text);
    }

    let stem = path.trim_end_matches(".html");
    let mut bundle = Bundle { html: String::new(), files: Vec::new(), inline_source: None };
    for (kind, ending) in [(STYLE, "css"), (DEFERRED, "js")] {
        if let Some((line, text)) = joined[kind].take() {
            let path = format!("{stem}.{}.{ending}", hash(text.as_bytes()));
            let (before, after) = ELEMENTS[kind];
            lines[line] = format!("  {before}{}{after}", path.trim_start_matches('/'));
            bundle.files.push((path, text));
        }
    }
    if let Some((line, text)) = joined[INLINE].take() {
        lines[line] = format!("  <script>{text}</script>");
        bundle.inline_source = Some(source(&text));
    }
    bundle.html = lines.join("\n") + "\n";
    bundle
}

/// The kind of the element on this line, and the contents of the file that it names.
fn element<'a>(line: &str, read: impl Fn(&str) -> Option<&'a str>) -> Option<(usize, &'a str)> {
    ELEMENTS.iter().enumerate().find_map(|(kind, (before, after))| {
        let name = line.trim().strip_prefix(before)?.strip_suffix(after)?;
        Some((kind, read(&format!("/{name}"))?))
    })
}

/// Appends the lines of a script or style sheet without indentation and without comments at the
/// start of a line. A line inside a template literal must not look like such a comment.
fn push_code(to: &mut String, text: &str) {
    let mut in_comment = false;
    for line in text.lines() {
        let mut code = line;
        if in_comment || line.trim_start().starts_with("/*") {
            let end = line.split_once("*/");
            in_comment = end.is_none();
            code = end.map_or("", |(_, rest)| rest);
        }
        let code = code.trim();
        if !code.is_empty() && !code.starts_with("//") {
            to.push_str(code);
            to.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<head>\n\
        <script src=\"now.js\"></script>\n\
        <link rel=\"stylesheet\" href=\"a.css\">\n\
        <link rel=\"stylesheet\" href=\"sub/b.css\">\n\
        <script defer src=\"a.js\"></script>\n\
        <script defer src=\"sub/b.js\"></script>\n\
        <script defer src=\"missing.js\"></script>\n\
        <link rel=\"icon\" href=\"a.svg\">\n\
        </head>\n";

    fn read(path: &str) -> Option<&'static str> {
        match path {
            "/now.js" => Some("alert(1);\n"),
            "/a.css" => Some("a {}\n"),
            "/sub/b.css" => Some("b {}\n"),
            "/a.js" => Some("a();\n"),
            "/sub/b.js" => Some("b();\n"),
            _ => None,
        }
    }

    #[test]
    fn files_are_joined_in_their_order() {
        let bundle = bundle("/page.html", PAGE, read);
        let [(style, css), (script, js)] = &bundle.files[..] else { panic!("two files") };
        assert_eq!((css.as_str(), js.as_str()), ("a {}\nb {}\n", "a();\nb();\n"));
        let is_named = |path: &str, ending: &str| {
            let hash = path.strip_prefix("/page.").and_then(|rest| rest.strip_suffix(ending));
            hash.is_some_and(|hash| hash.len() == 16 && hash.chars().all(|c| c.is_ascii_hexdigit()))
        };
        assert!(is_named(style, ".css") && is_named(script, ".js"), "{style} {script}");
        assert_eq!(
            bundle.html,
            format!(
                "<head>\n  <script>alert(1);\n</script>\n  \
                <link rel=\"stylesheet\" href=\"{}\">\n  <script defer src=\"{}\"></script>\n\
                <script defer src=\"missing.js\"></script>\n<link rel=\"icon\" href=\"a.svg\">\n\
                </head>\n",
                &style[1..],
                &script[1..]
            )
        );
        // printf 'alert(1);\n' | openssl dgst -sha256 -binary | base64
        let source = "'sha256-vyWxnR5/SfkpBXTjK7tyUvoeEZCT+fK2ayxsse+sBvs='";
        assert_eq!(bundle.inline_source.as_deref(), Some(source));
    }

    #[test]
    fn comments_are_removed() {
        let text = "// a\nlet a = 1; // b\n\n/** c */\n  /*\n   * d\n   */\n  \
            /** @type {X} */ (a).b = \"http://c\";\n/* e\n f */ g();\n";
        let mut code = String::new();
        push_code(&mut code, text);
        assert_eq!(code, "let a = 1; // b\n(a).b = \"http://c\";\ng();\n");
    }

    #[test]
    fn different_contents_have_different_names() {
        let names = |text: &'static str| {
            let bundle =
                bundle("/page.html", "<script defer src=\"a.js\"></script>", |_| Some(text));
            bundle.files[0].0.clone()
        };
        assert_eq!(names("a();"), names("a();"));
        assert_ne!(names("a();"), names("b();"));
    }
}
