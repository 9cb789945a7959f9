//! Flags and environment become a [`Config`]; whatever can be refused is refused here, with a
//! sentence that says what and what to do.
//!
//! `main` calls [`parse`] once. Nothing else of the program reads flags or the environment.

use std::ffi::OsString;

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

mod errors;
mod load;
mod serve;
mod values;

pub use load::{Acks, Dialect, Load, Transport};
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
pub struct Exit {
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
    /// Put a load of many clients on a server and measure what they see
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
that may be repeated takes a list with commas there, and one without a value true or false. A flag
goes before a variable, and an empty variable is none. PORT is taken like SKIRMISH_PORT.";

/// Reads the arguments (the first is the program's name) and the environment.
///
/// # Errors
/// [`Exit`]: the text of `--help` and `--version`, or one sentence about what is wrong.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Config, Exit> {
    let args: Vec<OsString> = args.into_iter().collect();
    let mut command = command(&args);
    let matches = command.try_get_matches_from_mut(&args);
    let matches = matches.map_err(|error| exit_for(&error, &args))?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| exit_for(&error, &args))?;
    let (serve, sub) = match cli.command {
        Some(Command::Load(load)) => return Ok(Config::Load(Box::new(load.checked()?))),
        Some(Command::Serve(serve)) => (*serve, matches.subcommand_matches("serve")),
        None => (cli.serve, None),
    };
    let serve = one_place(serve, sub.unwrap_or(&matches))?;
    Ok(Config::Serve(Box::new(serve.checked()?)))
}

/// The variables of the environment that look like ours and are not: misspelled, most likely.
#[must_use]
pub fn unknown_variables() -> Vec<String> {
    let cli = Cli::command();
    let known: Vec<_> = cli.get_arguments().filter_map(Arg::get_env).collect();
    let is_ours = |name: &str| {
        known.iter().any(|variable| *variable == name)
            || FOR_TESTS.iter().any(|start| name.starts_with(start))
    };
    let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    let mut stray: Vec<String> =
        names.filter(|name| name.starts_with("SKIRMISH_") && !is_ours(name)).collect();
    stray.sort();
    stray
}

/// Variables that tests and scripts read.
const FOR_TESTS: [&str; 5] =
    ["SKIRMISH_SIM_", "SKIRMISH_FUZZ_", "SKIRMISH_BLESS", "SKIRMISH_BIN", "SKIRMISH_SKIP_BROWSER"];

/// The command line for `args`. An empty variable is as good as none, and with a command the flags
/// in front of it have none at all.
fn command(args: &[OsString]) -> clap::Command {
    let has_command = args.get(1).is_some_and(|arg| arg == "serve" || arg == "load");
    let prepare = |arg: Arg, has_variable: bool| {
        let value = arg.get_env().and_then(std::env::var_os);
        let is_empty = value.is_some_and(|value| value.is_empty());
        let arg = if is_empty || !has_variable { arg.env(Resettable::Reset) } else { arg };
        // A number below 0 is a wrong value and not an unknown flag.
        let takes_value = arg.get_action().takes_values();
        if takes_value { arg.allow_negative_numbers(true) } else { arg }
    };
    Cli::command()
        .mut_args(|arg| prepare(arg, !has_command))
        .mut_subcommands(|command| command.mut_args(|arg| prepare(arg, true)))
}

/// `--listen` and `--port` exclude each other, but a flag goes before a variable.
fn one_place(mut serve: Serve, matches: &ArgMatches) -> Result<Serve, Exit> {
    use ValueSource::{CommandLine, EnvVariable};
    match (matches.value_source("listen"), matches.value_source("port")) {
        (Some(CommandLine), Some(CommandLine)) => {
            return Err(refusal("--listen has a port already; leave out --port."));
        }
        (Some(EnvVariable), Some(EnvVariable)) => {
            let sentence = "SKIRMISH_LISTEN has a port already; leave out SKIRMISH_PORT.";
            return Err(refusal(sentence));
        }
        (Some(EnvVariable), Some(CommandLine)) => serve.listen.clear(),
        // With --listen, nobody asks for the port.
        _ => {}
    }
    Ok(serve)
}

/// An [`Exit`] that refuses, with exit code 2.
#[must_use]
pub fn refusal(sentence: &str) -> Exit {
    Exit { text: format!("skirmish: {sentence}\n"), exit_code: 2 }
}

fn exit_for(error: &clap::Error, args: &[OsString]) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Exit { text: error.to_string(), exit_code: 0 };
    }
    refusal(&errors::sentence(error, &Cli::command(), args))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_args(args: &[&str]) -> Result<Config, Exit> {
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
    fn what_is_wrong_is_said_in_plain_words() {
        for (args, said) in [
            (&["--prot", "1"][..], "there is no flag --prot; did you mean --port? See skirmish --"),
            (&["laod"], "\"laod\" is neither a command nor a flag; did you mean load? See"),
            (&["play"], "\"play\" is neither a command nor a flag; see skirmish --help."),
            (&["serve", "now"], "\"now\" is neither a command nor a flag; see"),
            (
                &["--port", "70000"],
                "--port cannot be \"70000\": it is a whole number from 0 to 65535",
            ),
            (&["--port", "-1"], "--port cannot be \"-1\": it is a whole number"),
            (&["--port=x"], "--port cannot be \"x\": it is a whole number"),
            (&["--port"], "--port needs a value; see"),
            (&["--port", "--echo"], "--port needs a value; see"),
            (&["--log"], "--log needs a value; see"),
            (&["--port", "1", "--port", "2"], "--port is there twice; see"),
            (&["--port", "0", "serve"], "flags stand behind the command: skirmish serve --flag"),
            (&["--listen", "nowhere"], "such as 127.0.0.1:8765"),
            (&["--listen", ""], "--listen cannot be \"\": an address is written ADDR:PORT"),
            (&["--rooms-open", "maybe"], "it is true or false"),
            (&["--log", "xml"], "--log cannot be \"xml\": it is text or json; see"),
            (&["--echo=1"], "--echo takes no value; see"),
            (&["--seed", "-1"], "--seed cannot be \"-1\": it is a whole number from 0 to"),
            (&["--drain-s", "3601"], "it is a whole number from 0 to 3600"),
            (&["load", "--client", "5"], "did you mean --clients? See skirmish load --help."),
            (
                &["load", "--clients", "0"],
                "it is a whole number from 1 to 1000000; see skirmish load",
            ),
            (&["load", "nowhere"], "URL cannot be \"nowhere\": an address begins with ws://"),
            (&["load", "--dialect", "xml"], "it is json or socketio; see skirmish load"),
            (&["load", "--transport", "polling"], "--transport is for Socket.IO: add --dialect"),
            (&["load", "--dialect", "json", "--acks", "all"], "--acks is for Socket.IO: add"),
            (
                &["load", "--dialect", "socketio", "--transport", "tcp"],
                "it is polling, websocket or upgrade; see",
            ),
            (&["load", "--attacks-hz", "-1"], "--attacks-hz cannot be \"-1\": it is a number"),
            (&["load", "https://h/"], "the load test speaks no TLS"),
            (&["load", "--pid", "1.5"], "--pid cannot be \"1.5\": it is a whole number"),
        ] {
            let sentence = refused(args);
            assert!(sentence.contains(said), "{args:?}: {sentence}");
        }
    }

    #[test]
    fn rooms_fit_together_and_into_the_server() {
        let two = ["--room", "a=dots", "--room", "a=chess"];
        assert!(refused(&two).contains("--room a=dots and --room a=chess are one room"));
        let twice = ["--room", "a=dots", "--room", "a=dots", "--rooms-max", "1"];
        assert!(parse_args(&twice).is_ok());
        let many = ["--room", "a=dots", "--room", "b=dots", "--rooms-max", "1"];
        assert!(refused(&many).contains("--room names 2 rooms, but --rooms-max allows 1"));
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
    fn socket_io_has_a_path_of_its_own() {
        let path = |args: &[&str]| match parse_args(&[&["load"], args].concat()) {
            Ok(Config::Load(load)) => load.url.path,
            other => panic!("{other:?}"),
        };
        assert_eq!(path(&[]), "/");
        for (url, right) in [
            ("ws://h", "/socket.io/"),
            ("http://h/?a", "/socket.io/"),
            ("http://h/game/", "/game/"),
        ] {
            assert_eq!(path(&[url, "--dialect", "socketio", "--transport", "upgrade"]), right);
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
