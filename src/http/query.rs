//! Query strings (`application/x-www-form-urlencoded`).

use std::borrow::Cow;

/// The first value of the parameter `name` in `query`, decoded; `None` if it is missing.
#[must_use]
pub fn get<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::get;

    #[test]
    fn values_are_decoded() {
        assert_eq!(get("room=a&name=Ann+Lee%21", "name").as_deref(), Some("Ann Lee!"));
        assert_eq!(get("room=&room=b", "room").as_deref(), Some(""));
        assert_eq!(get("rooms=a", "room"), None);
        assert_eq!(get("", "room"), None);
        assert_eq!(get("room=%ff%zz", "room").as_deref(), Some("\u{fffd}%zz"));
    }
}
