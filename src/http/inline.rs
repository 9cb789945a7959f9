//! Finds the inline scripts and styles of a page, which its policy allows by their hashes.
//!
//! The page is tokenized as browsers do it (HTML, section 13.2.5), but no tree is built. In SVG a
//! `CDATA` section or a self-closing `<script/>` is read as in HTML, so such code stays blocked.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use html5gum::emitters::default::{DefaultEmitter, StartTag};
use html5gum::{Token, Tokenizer};
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

/// The source expression that allows `code`.
pub(super) fn source(code: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(code)))
}

/// Finds the inline code of a page.
pub(super) fn inline(html: &[u8]) -> Inline {
    // A browser decodes the file before it looks for code.
    let html = String::from_utf8_lossy(html);
    let mut inline = Inline::default();
    let mut emitter = DefaultEmitter::default();
    // Scripts, styles and the like contain text, not tags.
    emitter.naively_switch_states(true);
    // The element whose text comes next, and its text so far.
    let mut open: Option<(&mut BTreeSet<String>, String)> = None;
    for Ok(token) in Tokenizer::new_with_emitter(&*html, emitter) {
        match token {
            Token::StartTag(tag) => {
                let handlers = tag.attributes.iter().filter(|(name, _)| name.starts_with(b"on"));
                inline.handlers.extend(handlers.map(|(_, code)| source(&text(code))));
                open = match &*tag.name.0 {
                    b"script" if is_inline_script(&tag) => {
                        Some((&mut inline.scripts, String::new()))
                    }
                    b"style" => Some((&mut inline.styles, String::new())),
                    _ => None,
                };
            }
            Token::String(part) => {
                if let Some((_, code)) = &mut open {
                    code.push_str(&text(&part));
                }
            }
            Token::EndTag(_) => {
                if let Some((sources, code)) = open.take() {
                    sources.insert(source(&code));
                }
            }
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
    }
    inline
}

/// Whether a policy applies to the text of a script: it has no `src` and is not data, such as a
/// shader.
fn is_inline_script(tag: &StartTag<()>) -> bool {
    let kind = tag.attributes.get(&b"type"[..]).map(|kind| text(kind)).unwrap_or_default();
    let kind = kind.trim_ascii().to_ascii_lowercase();
    let is_code = !kind.contains('/') || kind.contains("javascript") || kind.contains("ecma");
    !tag.attributes.contains_key(&b"src"[..]) && is_code
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
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
            ("<?php <script> ?><script>a</script>", "a"),
            ("<![CDATA[x]]><script>a</script>", "a"),
            ("<script>a\0b</script>", "a\u{fffd}b"),
            ("<noscript><script>x</script></noscript><script>a</script>", "a"),
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
            ("<b onclick=\"a&lpar;&NewLine;b &lt c&rpar;\">", "a(\nb < c)"),
            ("<b onclick=a onclick=b>", "a"),
            ("<script src=x onload=\"a\"></script>", "a"),
        ] {
            assert_eq!(handlers(html), sources(&[code]), "{html}");
        }
        assert_eq!(handlers("<b title='onclick=a'>"), sources(&[]));
    }
}
