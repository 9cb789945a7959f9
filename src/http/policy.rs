//! The header fields that say what a page may do: its Content Security Policy, and the related
//! ones.

use std::collections::BTreeSet;

use super::inline::Inline;

/// What a page of the binary may do: it runs and loads only what this server sends, and it connects
/// to any game server, because `?server=` names one.
const BUILT_IN: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self' ws: wss:; manifest-src 'self'; base-uri 'none'; \
    form-action 'none'";

/// What a page of the operator may do, with `SCRIPTS` and `STYLES` for its inline code: use files
/// of this server and bytes that it has made itself (`blob:` and `data:`). Code comes from these
/// files, from the page, or from a `blob:`, which only such code can make. Markup could contain a
/// `data:`, so that is not a source of code.
const OWN: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' blob:SCRIPTS; \
    style-src 'self' blob:STYLES; style-src-attr 'unsafe-inline'; img-src 'self' data: blob:; \
    font-src 'self' data: blob:; media-src 'self' data: blob:; \
    connect-src 'self' data: blob: ws: wss:; worker-src 'self' data: blob:; \
    frame-src 'self' blob:; manifest-src 'self'; base-uri 'self'; form-action 'self'";

/// What the status page may do: it runs and loads only what this server sends, and no page shows it
/// in a frame.
const STATUS: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Header fields of a file.
pub(super) type Fields = Vec<(&'static str, String)>;

/// What the operator decides about the policies of all pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PagePolicy {
    /// Replaces the policy of the operator's own pages.
    csp: Option<String>,
    /// The origins that may show the pages in a frame, as source expressions (CSP Level 3, section
    /// 6.4.2).
    frame_ancestors: Vec<String>,
}

impl PagePolicy {
    /// The values of `--csp` and `--frame-ancestors`.
    ///
    /// # Errors
    /// One sentence if both say who may show the pages in a frame.
    pub fn new(csp: Option<String>, frame_ancestors: Vec<String>) -> Result<PagePolicy, String> {
        let says_both = csp.as_deref().is_some_and(names_frame_ancestors);
        if says_both && !frame_ancestors.is_empty() {
            let sentence = "--csp already has frame-ancestors; remove it or --frame-ancestors.";
            return Err(sentence.to_owned());
        }
        Ok(PagePolicy { csp, frame_ancestors })
    }

    /// The fields of a page of the binary; `inline_source` allows its inline script.
    pub(super) fn built_in(&self, inline_source: Option<&str>) -> Fields {
        let policy = match inline_source {
            Some(source) => {
                let allowed = format!("script-src 'self' {source};");
                BUILT_IN.replace("script-src 'self';", &allowed)
            }
            None => BUILT_IN.to_owned(),
        };
        self.with_frames(policy)
    }

    /// The fields of a page of the operator. They isolate it from other origins, so that it may
    /// have threads (`SharedArrayBuffer`); COOP, which that also takes, is a field of every file.
    pub(super) fn own(&self, inline: &Inline) -> Fields {
        // Under a policy of the operator a page may load files of other servers, which need not
        // send Cross-Origin-Resource-Policy.
        let (policy, embedder) = match &self.csp {
            Some(policy) => (policy.clone(), "credentialless"),
            None => (own(inline), "require-corp"),
        };
        let mut fields = match names_frame_ancestors(&policy) {
            true => framed(policy),
            false => self.with_frames(policy),
        };
        fields.push(("Cross-Origin-Embedder-Policy", embedder.to_owned()));
        fields
    }

    /// The fields of a script of the operator: a worker has the policy of its own file, not that of
    /// the page.
    pub(super) fn own_script(&self) -> Fields {
        self.own(&Inline::default())
    }

    /// Adds who may show the page in a frame.
    fn with_frames(&self, policy: String) -> Fields {
        if self.frame_ancestors.is_empty() {
            let policy = policy + "; frame-ancestors 'none'";
            return vec![
                ("Content-Security-Policy", policy),
                ("X-Frame-Options", "DENY".to_owned()),
            ];
        }
        framed(format!("{policy}; frame-ancestors {}", self.frame_ancestors.join(" ")))
    }
}

/// The fields of the status page, whatever the operator decides about other pages.
pub(super) fn status() -> Fields {
    vec![("Content-Security-Policy", STATUS.to_owned()), ("X-Frame-Options", "DENY".to_owned())]
}

/// The fields of a page whose policy says who may show it in a frame. A portal that is isolated
/// itself also needs CORP of the page.
fn framed(policy: String) -> Fields {
    let anyone = "cross-origin".to_owned();
    vec![("Content-Security-Policy", policy), ("Cross-Origin-Resource-Policy", anyone)]
}

/// Whether a policy has the directive `frame-ancestors`.
fn names_frame_ancestors(policy: &str) -> bool {
    let names = policy.split(';').filter_map(|directive| directive.split_ascii_whitespace().next());
    names.into_iter().any(|name| name.eq_ignore_ascii_case("frame-ancestors"))
}

fn own(inline: &Inline) -> String {
    let list = |sources: &BTreeSet<String>| {
        sources.iter().map(|source| format!(" {source}")).collect::<String>()
    };
    let mut scripts = list(&inline.scripts);
    if !inline.handlers.is_empty() {
        scripts += " 'unsafe-hashes'";
        scripts += &list(&inline.handlers);
    }
    OWN.replace("SCRIPTS", &scripts).replace("STYLES", &list(&inline.styles))
}

#[cfg(test)]
mod tests {
    use super::super::inline::inline;
    use super::*;

    fn field<'f>(fields: &'f Fields, name: &str) -> Option<&'f str> {
        fields.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
    }

    fn policy(fields: &Fields) -> &str {
        field(fields, "Content-Security-Policy").expect("a policy")
    }

    fn directive<'f>(fields: &'f Fields, name: &str) -> &'f str {
        let mut directives = policy(fields).split("; ");
        directives.find_map(|one| one.strip_prefix(name)?.strip_prefix(' ')).expect("a directive")
    }

    #[test]
    fn an_own_page_may_run_its_own_code_only() {
        let page = "<script>a</script><style>b</style><p onclick=c style=d>";
        let inline = inline(page.as_bytes());
        let fields = PagePolicy::default().own(&inline);
        let hash = |code: &str| super::super::inline::source(code);
        assert_eq!(
            directive(&fields, "script-src"),
            format!("'self' 'wasm-unsafe-eval' blob: {} 'unsafe-hashes' {}", hash("a"), hash("c"))
        );
        assert_eq!(directive(&fields, "style-src"), format!("'self' blob: {}", hash("b")));
        assert_eq!(directive(&fields, "frame-ancestors"), "'none'");
        assert_eq!(field(&fields, "X-Frame-Options"), Some("DENY"));
        assert_eq!(field(&fields, "Cross-Origin-Embedder-Policy"), Some("require-corp"));
        for foreign in ["http", "'unsafe-eval'", "'unsafe-inline' '", "*"] {
            assert!(!policy(&fields).contains(foreign), "{foreign} in {}", policy(&fields));
        }
    }

    #[test]
    fn framing_has_one_rule_for_all_pages() {
        let frame_ancestors = vec!["https://portal.example".to_owned(), "'self'".to_owned()];
        let rules = PagePolicy { csp: None, frame_ancestors: frame_ancestors.clone() };
        let custom = PagePolicy { csp: Some("default-src *".to_owned()), frame_ancestors };
        for fields in [
            rules.built_in(None),
            rules.own(&Inline::default()),
            custom.own(&Inline::default()),
            custom.built_in(None),
        ] {
            let allowed = directive(&fields, "frame-ancestors");
            assert_eq!(allowed, "https://portal.example 'self'");
            assert_eq!(field(&fields, "X-Frame-Options"), None, "it would contradict");
            assert_eq!(field(&fields, "Cross-Origin-Resource-Policy"), Some("cross-origin"));
        }
    }

    #[test]
    fn a_policy_of_the_operator_replaces_that_of_own_pages() {
        let with = |csp: &str| PagePolicy { csp: Some(csp.to_owned()), frame_ancestors: vec![] };
        let fields = with("script-src https:").own(&inline(b"<script>a</script>"));
        assert_eq!(policy(&fields), "script-src https:; frame-ancestors 'none'");
        assert_eq!(field(&fields, "X-Frame-Options"), Some("DENY"));
        assert_eq!(field(&fields, "Cross-Origin-Embedder-Policy"), Some("credentialless"));
        let framed = "script-src https:; Frame-Ancestors *";
        let fields = with(framed).own(&Inline::default());
        assert_eq!(policy(&fields), framed);
        assert_eq!(field(&fields, "X-Frame-Options"), None);
        assert!(PagePolicy::new(Some(framed.to_owned()), vec!["*".to_owned()]).is_err());
        let built_in = with(framed).built_in(None);
        assert!(policy(&built_in).starts_with(BUILT_IN));
    }

    #[test]
    fn the_policy_of_built_in_pages_is_strict() {
        let fields = PagePolicy::default().built_in(Some("'sha256-x'"));
        assert_eq!(
            policy(&fields),
            "default-src 'none'; script-src 'self' 'sha256-x'; style-src 'self'; \
             img-src 'self' data:; connect-src 'self' ws: wss:; manifest-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
    }
}
