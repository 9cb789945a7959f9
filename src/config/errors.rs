//! Turns an error of clap into one plain sentence about the flag or the environment variable.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

/// Returns the sentence for `error`, without the prefix "skirmish:".
pub(super) fn sentence(error: &Error, command: &Command, args: &[OsString]) -> String {
    let command_name = args.get(1).and_then(|arg| ["load", "pages"].into_iter().find(|n| arg == n));
    let help = match command_name {
        Some(name) => format!("skirmish {name} --help"),
        None => "skirmish --help".to_owned(),
    };
    let what = what(error, command, args);
    if what.ends_with('?') { format!("{what} See {help}.") } else { format!("{what}; see {help}.") }
}

/// The flag with which the flag of a conflict cannot be used; the same one if it is given twice.
fn other_flag(error: &Error) -> Option<String> {
    let other = match error.get(ContextKind::PriorArg)? {
        ContextValue::String(other) => other,
        ContextValue::Strings(others) => others.first()?,
        _ => return None,
    };
    other.split([' ', '=']).next().map(str::to_owned)
}

fn what(error: &Error, command: &Command, args: &[OsString]) -> String {
    let text = |kind| text(error, kind).unwrap_or_default();
    // clap writes "--port <PORT>", "--listen <ADDR:PORT>", "[URL]": keep only the name.
    let named = text(ContextKind::InvalidArg);
    let name = named.split(' ').next().unwrap_or_default().trim_matches(['[', ']', '<', '>']);
    match error.kind() {
        ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand => unknown(error),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let value = text(ContextKind::InvalidValue);
            if error.kind() == ErrorKind::InvalidValue && value.is_empty() {
                return format!("{name} needs a value");
            }
            let valid = error.get(ContextKind::ValidValue);
            let expected = match (valid, std::error::Error::source(error)) {
                (Some(ContextValue::Strings(values)), _) => format!("expected {}", list(values)),
                (_, Some(expected)) => expected.to_string(),
                _ => "it cannot be parsed".to_owned(),
            };
            format!("invalid value {value:?} for {}: {expected}", source_of(name, command, args))
        }
        ErrorKind::MissingRequiredArgument => format!("{name} is missing"),
        ErrorKind::TooManyValues => format!("{name} takes no value"),
        ErrorKind::ArgumentConflict => match text(ContextKind::InvalidSubcommand).as_str() {
            "" => match other_flag(error).filter(|other| *other != name) {
                Some(other) => format!("{name} and {other} cannot be used together"),
                None => format!("{name} is given twice"),
            },
            command => format!("flags go after the command: skirmish {command} --flag ..."),
        },
        ErrorKind::InvalidUtf8 => not_utf8(args),
        _ => {
            let text = error.to_string();
            // The first paragraph says what is wrong; the others repeat the usage.
            let first = text.split("\n\n").next().unwrap_or_default();
            let words = first.trim_start_matches("error: ").split_whitespace();
            words.collect::<Vec<_>>().join(" ")
        }
    }
}

/// The sentence for an unknown flag or command, with a suggestion if clap has one.
fn unknown(error: &Error) -> String {
    let unknown = text(error, ContextKind::InvalidArg)
        .or_else(|| text(error, ContextKind::InvalidSubcommand))
        .unwrap_or_default();
    let sentence = match unknown.starts_with('-') {
        true => format!("unknown flag {}", unknown.escape_debug()),
        false => format!("unknown command {unknown:?}"),
    };
    let suggestion = text(error, ContextKind::SuggestedArg)
        .or_else(|| text(error, ContextKind::SuggestedSubcommand));
    match suggestion {
        Some(suggestion) => format!("{sentence}; did you mean {suggestion}?"),
        None => sentence,
    }
}

/// Names the source of a value: the flag, or the environment variable that set it.
fn source_of(name: &str, command: &Command, args: &[OsString]) -> String {
    let is_given = args.iter().any(|arg| {
        let arg = arg.to_string_lossy();
        arg.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    });
    let long = name.trim_start_matches('-');
    let flag = command.get_arguments().find(|arg| arg.get_long() == Some(long));
    match flag.and_then(|flag| flag.get_env()) {
        Some(variable) if !is_given => format!("{} ({name})", variable.display()),
        _ => name.to_owned(),
    }
}

/// clap does not say which argument or variable it is.
fn not_utf8(args: &[OsString]) -> String {
    let is_ours = |name: &str| name.starts_with("SKIRMISH_");
    let variable = std::env::vars_os()
        .filter(|(_, value)| value.to_str().is_none())
        .find_map(|(name, _)| name.into_string().ok().filter(|name| is_ours(name)));
    match variable.filter(|_| args.iter().all(|arg| arg.to_str().is_some())) {
        Some(name) => format!("the value of {name} is not valid UTF-8"),
        None => "an argument is not valid UTF-8".to_owned(),
    }
}

fn text(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.first().cloned(),
        _ => None,
    }
}

/// Formats a list as "a, b or c".
fn list(values: &[String]) -> String {
    match values.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => values.concat(),
    }
}
