//! What a client asks for when it joins: a room, rules and a name, from a query or from `auth`.

use std::borrow::Cow;

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use super::tokens::TokenHash;
use crate::game::{Games, Rules};
use crate::http::{Request, query};
use crate::limits::{PLAYER_NAME_CHARS_MAX, is_room_name};
use crate::wire::{Dialect, Offset};

/// What a client asks for when it joins.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// The language that the client speaks.
    pub dialect: Dialect,
    /// The room's name; empty for the default room.
    pub room: String,
    /// The rules for a new room, if the client asks for any.
    pub rules: Option<&'static Rules>,
    /// The player's name, cleaned.
    pub name: Option<Box<str>>,
    /// Whether it may come back to its player after a loss, or does so.
    pub resume: Resume,
}

impl Resume {
    /// The token that it presents.
    #[must_use]
    pub fn token(self) -> Option<TokenHash> {
        match self {
            Resume::With(token) | Resume::Recover(token, _) => Some(token),
            Resume::No | Resume::Ask => None,
        }
    }
}

/// What a client says about a resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Nothing: if it is lost, its player leaves.
    No,
    /// It asks for a token.
    Ask,
    /// It presents a token, and asks for another one.
    With(TokenHash),
    /// It presents a token that it wants to keep, and says which event it has received last.
    Recover(TokenHash, Offset),
}

impl JoinRequest {
    /// Reads the query of a request.
    ///
    /// # Errors
    /// One sentence, for an invalid room name or unknown rules.
    pub fn of(dialect: Dialect, request: &Request, games: &Games) -> Result<JoinRequest, String> {
        let get = |name| query::get(request.query, name);
        let join_request = JoinRequest::new(dialect).resuming(get("resume").as_deref());
        join_request.with(games, get("room"), get("rules"), get("name"))
    }

    /// A client that names nothing.
    #[must_use]
    pub fn new(dialect: Dialect) -> JoinRequest {
        let resume = if dialect.always_resumes() { Resume::Ask } else { Resume::No };
        JoinRequest { dialect, room: String::new(), rules: None, name: None, resume }
    }

    /// With what it says about a resume, if it says something: `0` or `false`, a token, or anything
    /// else, which asks for one. A token that it has presented before counts.
    #[must_use]
    pub fn resuming(mut self, resume: Option<&str>) -> JoinRequest {
        if let Some(text) = resume.filter(|text| !text.is_empty()) {
            let has_token = self.resume.token().is_some();
            self.resume = match TokenHash::of(text) {
                Some(token) => Resume::With(token),
                None if has_token || self.dialect.always_resumes() => self.resume,
                None if matches!(text, "0" | "false") => Resume::No,
                None => Resume::Ask,
            };
        }
        self
    }

    /// Replaces the fields that are present and not empty.
    ///
    /// # Errors
    /// One sentence, for an invalid room name or unknown rules.
    pub fn with(
        self,
        games: &Games,
        room: Option<Cow<str>>,
        rules: Option<Cow<str>>,
        name: Option<Cow<str>>,
    ) -> Result<JoinRequest, String> {
        let is_present = |text: &Cow<str>| !text.is_empty();
        let room = match room.filter(is_present) {
            Some(room) if !is_room_name(&room) => {
                return Err("Invalid room name: use 1 to 32 of a-z 0-9 _ -.".to_owned());
            }
            Some(room) => room.into_owned(),
            None => self.room,
        };
        let rules = match rules.filter(is_present) {
            Some(name) => Some(
                games
                    .named(&name)
                    .ok_or_else(|| format!("Unknown rules. Available: {}.", games.names()))?,
            ),
            None => self.rules,
        };
        let name = name.and_then(|name| clean_name(&name)).or(self.name);
        Ok(JoinRequest { room, rules, name, ..self })
    }
}

/// Cleans a player's name: removes control characters, characters that are invisible or change the
/// direction of text, and spaces that are doubled or at the ends. `None` if nothing visible is
/// left.
fn clean_name(name: &str) -> Option<Box<str>> {
    let words: Vec<String> = name
        .split_whitespace()
        .map(|word| word.chars().filter(|c| !is_invisible(*c)).collect())
        .filter(|word: &String| !word.is_empty())
        .collect();
    let short: String = words.join(" ").chars().take(PLAYER_NAME_CHARS_MAX).collect();
    let short = short.trim_end();
    // A mark alone has nothing to stand on.
    let is_visible = |c: char| c != ' ' && c.general_category_group() != GeneralCategoryGroup::Mark;
    short.chars().any(is_visible).then(|| short.into())
}

/// Whether a character has no glyph of its own, or one that is blank.
fn is_invisible(c: char) -> bool {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator, PrivateUse};
    // Not by category: fillers and selectors that are letters, marks and symbols, the replacement
    // characters, and what Unicode sets aside as ignorable (Default_Ignorable_Code_Point).
    matches!(c, '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{2065}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{ffff}' | '\u{1d159}' | '\u{e0000}'..='\u{10ffff}')
        || matches!(
            c.general_category(),
            Control | Format | LineSeparator | ParagraphSeparator | PrivateUse
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    // T64
    #[test]
    fn names_are_cleaned() {
        let clean = |name: &str| clean_name(name).unwrap_or_default().into_string();
        assert_eq!(clean("Ann"), "Ann");
        assert_eq!(clean("  Ann \n\t Lee\u{0}\u{1b}[2J "), "Ann Lee[2J");
        assert_eq!(clean("\u{202e}live\u{200b}\u{200f}"), "live");
        assert_eq!(clean("\u{200b} \u{feff}"), "");
        assert_eq!(clean(""), "");
        for blank in
            ["\u{2800}", "\u{1d159}", "\u{e0041}", "\u{301}\u{302}", "\u{20dd}", "\u{17b4}"]
        {
            assert_eq!(clean(blank), "", "{blank:?} shows nothing");
            assert_eq!(clean(&format!("{blank} {blank}")), "", "{blank:?} twice");
        }
        assert_eq!(clean("e\u{301}"), "e\u{301}", "a letter with an accent");
        assert_eq!(clean("\u{1f600}\u{2605}!"), "\u{1f600}\u{2605}!");
        assert_eq!(clean(&"é".repeat(10_000)).chars().count(), 16);
        assert_eq!(clean("<b>Ann</b>"), "<b>Ann</b>", "pages show it as text");
        assert_eq!(clean("fifteen chars.. x"), "fifteen chars..", "no space at the cut");
    }
}
