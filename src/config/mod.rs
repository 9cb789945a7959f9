//! Flags and environment become a [`Config`]; whatever can be refused is refused here, with a
//! sentence that says what and what to do.
//!
//! `main` calls [`parse`] once. Nothing else of the program reads flags or the environment.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

mod load;
mod serve;

pub use load::Load;
pub use serve::{LogFormat, LogLevel, NamedRoom, Serve};

/// What the program is to do.
#[derive(Debug)]
pub enum Config {
    /// Run the server.
    Serve(Box<Serve>),
    /// Run the load test.
    Load(Box<Load>),
}

/// What to print instead of running, and how to exit.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Text for people, with its line ends.
    pub text: String,
    /// 0: it was asked for, and goes to standard output. 2: the flags are wrong; standard error.
    pub exit_code: u8,
}

/// A multiplayer game server for the browser: one binary, one thread, one port.
#[derive(Debug, Parser)]
#[command(name = "skirmish", version, max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server (the same as no command at all)
    #[command(after_help = EXAMPLES)]
    Serve(Box<Serve>),
    /// Put a load of many clients on a server of the JSON dialect and measure what they see
    Load(Box<Load>),
}

const EXAMPLES: &str = "\
Examples:
  skirmish                              play at http://localhost:8765/
  skirmish --port 80 --host play.example.com
  skirmish --listen 127.0.0.1:0         a free port; the first line says which
  skirmish --www my-game/               serve your own page
  skirmish load --clients 1000          see what the server bears

Every flag has an environment variable: --room-players-max is SKIRMISH_ROOM_PLAYERS_MAX. A flag
that may be repeated takes a list with commas there. PORT is taken like SKIRMISH_PORT.";

/// Reads the arguments (the first is the program's name) and the environment.
///
/// # Errors
/// [`Answer`]: the text of `--help` and `--version`, or one sentence about what is wrong.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Config, Answer> {
    let matches = Cli::command().try_get_matches_from(args).map_err(|error| answer(&error))?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| answer(&error))?;
    match cli.command {
        Some(Command::Load(load)) => Ok(Config::Load(load)),
        Some(Command::Serve(serve)) => Ok(Config::Serve(Box::new(serve.checked()?))),
        None => Ok(Config::Serve(Box::new(cli.serve.checked()?))),
    }
}

/// An [`Answer`] that refuses, with exit code 2.
#[must_use]
pub fn refusal(sentence: &str) -> Answer {
    Answer { text: format!("skirmish: {sentence}\n"), exit_code: 2 }
}

fn answer(error: &clap::Error) -> Answer {
    let text = error.to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Answer { text, exit_code: 0 };
    }
    // The first paragraph says what is wrong; the others repeat the usage.
    let first = text.split("\n\n").next().unwrap_or_default();
    let what = first.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" ");
    refusal(&format!("{what}; see skirmish --help."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_args(args: &[&str]) -> Result<Config, Answer> {
        parse(["skirmish"].iter().chain(args).map(OsString::from))
    }

    fn refused(args: &[&str]) -> String {
        let answer = parse_args(args).expect_err("it should be refused");
        assert_eq!(answer.exit_code, 2);
        assert_eq!(answer.text.lines().count(), 1, "one sentence: {}", answer.text);
        answer.text
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_flags_get_one_sentence() {
        assert!(refused(&["--prot", "1"]).contains("--prot"));
        assert!(refused(&["--port", "70000"]).contains("70000"));
        assert!(refused(&["--listen", "nowhere"]).contains("nowhere"));
        assert!(refused(&["--room", "Lobby=dots"]).contains("Lobby"));
        assert!(refused(&["--room", "lobby"]).contains("NAME=RULES"));
        assert!(refused(&["--www", "/nowhere/at/all"]).contains("/nowhere/at/all"));
        assert!(refused(&["--allow-origin", "example.com"]).contains("example.com"));
        assert!(refused(&["--host", "http://example.com"]).contains("example.com"));
        assert!(refused(&["--rooms-open", "false"]).contains("--room"));
        assert!(refused(&["--port", "1", "--listen", "127.0.0.1:2"]).contains("--listen"));
        assert!(refused(&["play"]).contains("play"));
    }

    #[test]
    fn help_and_version_are_answers_and_no_faults() {
        for flag in ["--help", "-h", "--version", "-V"] {
            let answer = parse_args(&[flag]).expect_err("it is printed");
            assert_eq!(answer.exit_code, 0, "{flag}");
            assert!(answer.text.contains("skirmish"), "{flag}");
        }
    }

    #[test]
    fn serve_is_the_default_command() {
        for args in [&["--seed", "5"][..], &["serve", "--seed", "5"][..]] {
            let Ok(Config::Serve(serve)) = parse_args(args) else { panic!("{args:?}") };
            assert_eq!(serve.seed, Some(5));
        }
    }
}
