//! What is wrong with the command line or a variable, in one plain sentence.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

/// The sentence for `error`, without "skirmish:" in front.
pub(super) fn sentence(error: &Error, command: &Command, args: &[OsString]) -> String {
    let is_load = args.get(1).is_some_and(|arg| arg == "load");
    let help = if is_load { "skirmish load --help" } else { "skirmish --help" };
    let what = what(error, command, args);
    if what.ends_with('?') { format!("{what} See {help}.") } else { format!("{what}; see {help}.") }
}

fn what(error: &Error, command: &Command, args: &[OsString]) -> String {
    let text = |kind| text(error, kind).unwrap_or_default();
    // "--port <PORT>", "--listen <ADDR:PORT>", "[URL]": only the name matters.
    let named = text(ContextKind::InvalidArg);
    let name = named.split(' ').next().unwrap_or_default().trim_matches(['[', ']', '<', '>']);
    match error.kind() {
        ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand => unknown(error),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let value = text(ContextKind::InvalidValue);
            if error.kind() == ErrorKind::InvalidValue && value.is_empty() {
                return format!("{name} needs a value");
            }
            let right = match (error.get(ContextKind::ValidValue), std::error::Error::source(error))
            {
                (Some(ContextValue::Strings(values)), _) => format!("it is {}", list(values)),
                (_, Some(right)) => right.to_string(),
                _ => "it cannot be understood".to_owned(),
            };
            format!("{} cannot be {value:?}: {right}", source_of(name, command, args))
        }
        ErrorKind::TooManyValues => format!("{name} takes no value"),
        ErrorKind::ArgumentConflict => match text(ContextKind::InvalidSubcommand).as_str() {
            "" => format!("{name} is there twice"),
            command => format!("flags stand behind the command: skirmish {command} --flag ..."),
        },
        ErrorKind::InvalidUtf8 => "something there is no text in UTF-8".to_owned(),
        _ => {
            let text = error.to_string();
            // The first paragraph says what is wrong; the others repeat the usage.
            let first = text.split("\n\n").next().unwrap_or_default();
            let words = first.trim_start_matches("error: ").split_whitespace();
            words.collect::<Vec<_>>().join(" ")
        }
    }
}

/// A word that is no flag and no command; with the one that was meant, if that can be guessed.
fn unknown(error: &Error) -> String {
    let unknown = text(error, ContextKind::InvalidArg)
        .or_else(|| text(error, ContextKind::InvalidSubcommand))
        .unwrap_or_default();
    let sentence = match unknown.starts_with('-') {
        true => format!("there is no flag {}", unknown.escape_debug()),
        false => format!("{unknown:?} is neither a command nor a flag"),
    };
    let meant = text(error, ContextKind::SuggestedArg)
        .or_else(|| text(error, ContextKind::SuggestedSubcommand));
    match meant {
        Some(meant) => format!("{sentence}; did you mean {meant}?"),
        None => sentence,
    }
}

/// Where a value came from: the flag, or the variable that stood in for it.
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

fn text(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.first().cloned(),
        _ => None,
    }
}

/// "a, b or c".
fn list(values: &[String]) -> String {
    match values.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => values.concat(),
    }
}
