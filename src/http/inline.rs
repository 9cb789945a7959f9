//! Finds the inline scripts and styles of a page, which its policy allows by their hashes.
//!
//! This is the part of an HTML tokenizer that it takes to see them as browsers do. It may find more
//! than a browser would run, such as a script within `<noscript>`; that is part of the page, too.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// The source expressions of inline code (CSP Level 3, section 2.3.1): `'sha256-...'`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Inline {
    /// Of `<script>` elements.
    pub scripts: BTreeSet<String>,
    /// Of attributes such as `onclick`.
    pub handlers: BTreeSet<String>,
    /// Of `<style>` elements.
    pub styles: BTreeSet<String>,
}

/// Elements whose content is text up to their end tag.
const TEXT_ELEMENTS: [&str; 7] =
    ["script", "style", "title", "textarea", "xmp", "iframe", "noframes"];

/// The source expression that allows `code`.
pub(super) fn source(code: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(code)))
}

/// Finds the inline code of a page.
pub(super) fn inline(html: &[u8]) -> Inline {
    // A browser decodes the file and normalizes its line ends before it looks for code.
    let html = String::from_utf8_lossy(html).replace("\r\n", "\n").replace('\r', "\n");
    let mut inline = Inline::default();
    let mut rest = html.as_str();
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = after_comment(comment);
        } else if rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let (tag, after) = Tag::parse(rest);
            rest = after;
            let handlers = tag.attributes.iter().filter(|(name, _)| name.starts_with("on"));
            inline.handlers.extend(handlers.map(|(_, code)| source(code)));
            if !TEXT_ELEMENTS.contains(&tag.name.as_str()) {
                continue;
            }
            let text = &rest[..end_of_text(rest, &tag.name)];
            rest = &rest[text.len()..];
            match tag.name.as_str() {
                "script" if tag.is_inline_script() => _ = inline.scripts.insert(source(text)),
                "style" => _ = inline.styles.insert(source(text)),
                _ => {}
            }
        }
    }
    inline
}

/// What follows a comment: it ends with `-->` or `--!>`, and `<!-->` and `<!--->` are whole ones.
fn after_comment(comment: &str) -> &str {
    let whole = comment.strip_prefix('>').or_else(|| comment.strip_prefix("->"));
    let ends = ["-->", "--!>"].map(|end| comment.find(end).map(|at| at + end.len()));
    let end = ends.into_iter().flatten().min().unwrap_or(comment.len());
    whole.unwrap_or(&comment[end..])
}

/// The length of the text of an element, up to `</name`.
///
/// A script that has `<!--` and then `<script` does not end with the next `</script>` (HTML,
/// section 13.2.5.27, "script data double escaped state").
fn end_of_text(text: &str, name: &str) -> usize {
    let begins = |rest: &str, with: &str| {
        let is_named = rest.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
        let is_end = |c: char| c.is_ascii_whitespace() || "/>".contains(c);
        is_named && rest[with.len()..].starts_with(is_end)
    };
    let (mut is_escaped, mut is_in_script) = (false, false);
    for (at, _) in text.match_indices(['<', '-']) {
        let rest = &text[at..];
        if rest.starts_with("-->") {
            (is_escaped, is_in_script) = (false, false);
        } else if rest.starts_with("<!--") {
            is_escaped = name == "script";
        } else if is_escaped && begins(rest, "<script") {
            is_in_script = true;
        } else if rest.starts_with("</") && begins(&rest[2..], name) {
            if !is_in_script {
                return at;
            }
            is_in_script = false;
        }
    }
    text.len()
}

/// A start tag.
struct Tag {
    /// In lower case, as the names of the attributes.
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    /// Parses a tag from its name on. Returns what follows it, too.
    fn parse(text: &str) -> (Tag, &str) {
        let is_end_of_name = |c: char| c.is_ascii_whitespace() || "/>".contains(c);
        let (name, mut rest) = text.split_at(text.find(is_end_of_name).unwrap_or(text.len()));
        let mut tag = Tag { name: name.to_ascii_lowercase(), attributes: Vec::new() };
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            if rest.is_empty() || rest.starts_with('>') {
                return (tag, rest.strip_prefix('>').unwrap_or(rest));
            }
            // A name may begin with `=`.
            let first = rest.chars().next().map_or(0, char::len_utf8);
            let end = rest[first..].find(|c: char| is_end_of_name(c) || c == '=');
            let (name, after) = rest.split_at(end.map_or(rest.len(), |end| first + end));
            rest = after;
            let mut value = "";
            if let Some(assigned) = rest.trim_ascii_start().strip_prefix('=') {
                (value, rest) = attribute_value(assigned.trim_ascii_start());
            }
            tag.attributes.push((name.to_ascii_lowercase(), decoded(value)));
        }
    }

    /// The value of its first attribute of this name.
    fn value(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether a policy applies to the text of this script: it has no `src` and is not data, such
    /// as a shader.
    fn is_inline_script(&self) -> bool {
        let kind = self.value("type").unwrap_or_default().trim_ascii().to_ascii_lowercase();
        let is_code = !kind.contains('/') || kind.contains("javascript") || kind.contains("ecma");
        self.value("src").is_none() && is_code
    }
}

/// Splits the value of an attribute from what follows it.
fn attribute_value(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(quoted) = text.strip_prefix(quote) {
            return quoted.split_once(quote).unwrap_or((quoted, ""));
        }
    }
    let end = text.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(text.len());
    text.split_at(end)
}

/// Decodes the character references that code in attributes has: numbers and the five of XML.
fn decoded(value: &str) -> String {
    let mut decoded = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('&') {
        decoded.push_str(&rest[..at]);
        rest = &rest[at..];
        let reference =
            rest.split_once(';').and_then(|(name, after)| Some((character(&name[1..])?, after)));
        let (c, after) = reference.unwrap_or(('&', &rest[1..]));
        decoded.push(c);
        rest = after;
    }
    decoded + rest
}

fn character(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let digits = name.strip_prefix('#')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => digits.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(code: &[&str]) -> BTreeSet<String> {
        code.iter().map(|code| source(code)).collect()
    }

    #[test]
    fn a_source_is_a_hash() {
        // printf 'alert(1);\n' | openssl dgst -sha256 -binary | base64
        let expected = "'sha256-vyWxnR5/SfkpBXTjK7tyUvoeEZCT+fK2ayxsse+sBvs='";
        assert_eq!(source("alert(1);\n"), expected);
    }

    #[test]
    fn scripts_and_styles_are_found_as_browsers_see_them() {
        let scripts = |html: &str| inline(html.as_bytes()).scripts;
        for (html, code) in [
            ("<script>a</script>", "a"),
            ("<SCRIPT\n>a</Script >", "a"),
            ("<script type=module>a</script>", "a"),
            ("<script type='text/javascript' async>a</script>", "a"),
            ("<script type=importmap>{}</script>", "{}"),
            ("<script>\na\r\nb\rc</script>", "\na\nb\nc"),
            (
                "<script>if (a < b) '</scripts>' && \"<!--\"</script>",
                "if (a < b) '</scripts>' && \"<!--\"",
            ),
            ("<script>a", "a"),
            ("<script><!-- <script> </script> --></script>", "<!-- <script> </script> -->"),
            ("<script><!-- <script> --></script>x</script>", "<!-- <script> -->"),
            ("<script>\"<script>\"</script>x", "\"<script>\""),
            ("<script><!-- a</script>", "<!-- a"),
            ("<p title='<script>'><script>a</script>", "a"),
            ("<!-- <script>x</script> --><script>a</script>", "a"),
            ("<!--><script>a</script>-->", "a"),
            ("<title><!-- </title><script>a</script>", "a"),
            ("<textarea><script>x</textarea><script>a</script>", "a"),
            ("<br/><a b=c/><script data-x>a</script>", "a"),
            ("1 < 2 <> </p><script>a</script>", "a"),
            ("<script></script>", ""),
            ("<script>\u{e9}</script>", "\u{e9}"),
        ] {
            assert_eq!(scripts(html), sources(&[code]), "{html}");
        }
        for html in [
            "<script src=a.js>x</script>",
            "<script type=\"x-shader/x-vertex\">x</script>",
            "<script type=application/json>{}</script>",
            "&lt;script>x</script>",
            "<scripts>x</scripts>",
        ] {
            assert_eq!(scripts(html), sources(&[]), "{html}");
        }
        assert_eq!(inline(b"<script>\xff</script>").scripts, sources(&["\u{fffd}"]));
        let page = "<style>p { a: b }</style><style media=print>c</style><script>d</script>";
        let found = inline(page.as_bytes());
        assert_eq!(found.styles, sources(&["p { a: b }", "c"]));
        assert_eq!(found.scripts, sources(&["d"]));
    }

    #[test]
    fn handlers_are_decoded() {
        let handlers = |html: &str| inline(html.as_bytes()).handlers;
        for (html, code) in [
            ("<b onclick=\"a(&quot;&#65;&#x42;&amp;&quot;)\">", "a(\"AB&\")"),
            ("<body OnLoad = 'a()'>", "a()"),
            ("<b onclick=a()>", "a()"),
            ("<img/onerror=a()/b>", "a()/b"),
            ("<b onclick=\"a&&b&nothing;\">", "a&&b&nothing;"),
            ("<script src=x onload=\"a\"></script>", "a"),
        ] {
            assert_eq!(handlers(html), sources(&[code]), "{html}");
        }
        assert_eq!(handlers("<b title='onclick=a'>"), sources(&[]));
    }

    #[test]
    fn any_text_is_read_to_its_end() {
        let parts = [
            "<", "script", "style", ">", "</", "\"", "'", "=", " on", "a", "<!--", "-->", "&", ";",
            "/", "\u{e9}",
        ];
        let mut number = 1_u64;
        for _ in 0..2_000 {
            let mut html = String::new();
            for _ in 0..12 {
                number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                html += parts[(number >> 33) as usize % parts.len()];
            }
            let _ = inline(html.as_bytes());
        }
    }
}
