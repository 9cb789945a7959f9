//! Parses flags and environment variables into a [`Config`]. Invalid settings are rejected here,
//! with a sentence that says what is wrong and what to do.
//!
//! `main` calls [`parse`] once. Nothing else reads flags or the environment.

use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

mod errors;
mod load;
mod pages;
mod serve;
mod service_links;
mod values;

use service_links::is_service_link;

pub use load::{Acks, Dialect, Expect, FIGURES, Load, Pattern, Transport};
pub use pages::Pages;
pub use serve::{BotSeats, LogFormat, LogLevel, NamedRoom, Serve};

/// The command to run, with its settings.
#[derive(Debug)]
pub enum Config {
    /// Run the server.
    Serve(Box<Serve>),
    /// Check what the server would start with.
    Check(Box<Serve>),
    /// Run the load test.
    Load(Box<Load>),
    /// Write the built-in pages to a folder.
    Pages(Pages),
}

/// Text to print instead of running, and the exit code.
#[derive(Debug, PartialEq, Eq)]
pub struct Exit {
    /// The text, with its line ends.
    pub text: String,
    /// 0 for help and version, which go to standard output; 2 for invalid flags (standard error).
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
    /// Run the server (the default command)
    #[command(after_help = EXAMPLES)]
    Serve(Box<Serve>),
    /// Check flags, variables and files as the server would at its start, also while it runs
    Check(Box<Serve>),
    /// Connect many simulated clients to a server and measure what they see
    Load(Box<Load>),
    /// Write the built-in pages to a folder, to be changed and served with --www
    Pages(Pages),
}

/// The names of the commands.
const COMMANDS: [&str; 4] = ["serve", "check", "load", "pages"];

const EXAMPLES: &str = "\
Examples:
  skirmish                              play at http://localhost:8765/
  skirmish --port 80 --host play.example.com
  skirmish --listen 127.0.0.1:0         use a free port and print it
  skirmish --www my-game/               serve your own pages
  skirmish check --port 80              check the settings without starting
  skirmish pages my-game/               begin with a copy of the built-in pages
  skirmish load --clients 1000          measure a server under load

Every flag has an environment variable: --room-players-max is SKIRMISH_ROOM_PLAYERS_MAX. For a
repeatable flag the variable is a comma-separated list; for a flag without a value it is true or
false. A flag overrides its variable. An empty variable counts as unset. PORT works like
SKIRMISH_PORT.";

/// Parses the arguments (the first is the program's name) and the environment.
///
/// # Errors
/// [`Exit`]: the text of `--help` or `--version`, or one sentence about an invalid setting.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Config, Exit> {
    let args: Vec<OsString> = args.into_iter().collect();
    let mut command = command(&args);
    let matches = command.try_get_matches_from_mut(&args);
    let matches = matches.map_err(|error| exit_for(&error, &args))?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| exit_for(&error, &args))?;
    let (serve, sub, is_check) = match cli.command {
        Some(Command::Load(load)) => {
            let mut load = load.checked()?;
            load.command = command_line(&args);
            return Ok(Config::Load(Box::new(load)));
        }
        Some(Command::Pages(pages)) => return Ok(Config::Pages(pages)),
        Some(Command::Serve(serve)) => (*serve, matches.subcommand_matches("serve"), false),
        Some(Command::Check(serve)) => (*serve, matches.subcommand_matches("check"), true),
        None => (cli.serve, None, false),
    };
    let serve = resolve_listen(serve, sub.unwrap_or(&matches))?;
    let serve = Box::new(serve.checked()?);
    Ok(if is_check { Config::Check(serve) } else { Config::Serve(serve) })
}

/// The arguments as a shell takes them; the program without its folder.
fn command_line(args: &[OsString]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,%+@".contains(c);
    let quoted = |arg: &OsString| match arg.to_string_lossy() {
        arg if !arg.is_empty() && arg.chars().all(is_plain) => arg.into_owned(),
        arg => format!("'{}'", arg.replace('\'', r"'\''")),
    };
    let flags = args.iter().skip(1).map(quoted);
    ["skirmish".to_owned()].into_iter().chain(flags).collect::<Vec<_>>().join(" ")
}

/// The environment variables that start with `SKIRMISH_` and are not read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct StrayVariables {
    /// Most likely misspelled.
    pub unknown: Vec<String>,
    /// Made by Kubernetes for a service.
    pub service_links: Vec<String>,
}

impl StrayVariables {
    /// Finds them in the environment.
    #[must_use]
    pub fn find() -> StrayVariables {
        let cli = Cli::command();
        let known: Vec<_> = cli.get_arguments().filter_map(Arg::get_env).collect();
        let is_ours = |name: &str| {
            known.iter().any(|variable| *variable == name)
                || FOR_TESTS.iter().any(|start| name.starts_with(start))
        };
        let mut stray = StrayVariables::default();
        for (name, value) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if is_service_link(&name, &value.to_string_lossy()) {
                stray.service_links.push(name);
            } else if name.starts_with("SKIRMISH_") && !is_ours(&name) {
                stray.unknown.push(name);
            }
        }
        stray.unknown.sort();
        stray.service_links.sort();
        stray
    }
}

/// Prefixes of variables that tests and scripts read.
const FOR_TESTS: [&str; 5] =
    ["SKIRMISH_SIM_", "SKIRMISH_FUZZ_", "SKIRMISH_BLESS", "SKIRMISH_BIN", "SKIRMISH_SKIP_BROWSER"];

/// Builds the clap command for `args`. An empty variable counts as unset, and so does one that
/// Kubernetes has made. If `args` name a command, only the flags of that command read variables.
fn command(args: &[OsString]) -> clap::Command {
    let has_command = args.get(1).is_some_and(|arg| COMMANDS.iter().any(|name| arg == name));
    let prepare = |arg: Arg, has_variable: bool| {
        let is_unset = |name: &OsStr| {
            let value = std::env::var_os(name).unwrap_or_default();
            let link = name.to_str().zip(value.to_str());
            value.is_empty() || link.is_some_and(|(name, value)| is_service_link(name, value))
        };
        let reads_none = !has_variable || arg.get_env().is_some_and(is_unset);
        let arg = if reads_none { arg.env(Resettable::Reset) } else { arg };
        // Report -1 as an invalid value, not as an unknown flag.
        let takes_value = arg.get_action().takes_values();
        if takes_value { arg.allow_negative_numbers(true) } else { arg }
    };
    Cli::command()
        .mut_args(|arg| prepare(arg, !has_command))
        .mut_subcommands(|command| command.mut_args(|arg| prepare(arg, true)))
}

/// Rejects `--listen` together with `--port`; a flag overrides the variable of the other.
fn resolve_listen(mut serve: Serve, matches: &ArgMatches) -> Result<Serve, Exit> {
    use ValueSource::{CommandLine, EnvVariable};
    match (matches.value_source("listen"), matches.value_source("port")) {
        (Some(CommandLine), Some(CommandLine)) => {
            return Err(refusal("--listen already includes a port; remove --port."));
        }
        (Some(EnvVariable), Some(EnvVariable)) => {
            let sentence = "SKIRMISH_LISTEN already includes a port; unset SKIRMISH_PORT.";
            return Err(refusal(sentence));
        }
        (Some(EnvVariable), Some(CommandLine)) => serve.listen.clear(),
        // With --listen the port is not used.
        _ => {}
    }
    Ok(serve)
}

/// An [`Exit`] with one error sentence and exit code 2.
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
        let answer = parse_args(args).expect_err("rejected");
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
    fn errors_say_what_is_wrong_and_what_to_do() {
        for (args, said) in [
            (&["--prot", "1"][..], "unknown flag --prot; did you mean --port? See skirmish --"),
            (&["laod"], "unknown command \"laod\"; did you mean load? See"),
            (&["play"], "unknown command \"play\"; see skirmish --help."),
            (&["serve", "now"], "unknown command \"now\"; see"),
            (
                &["--port", "70000"],
                "invalid value \"70000\" for --port: expected a whole number from 0 to 65535",
            ),
            (&["--port", "-1"], "invalid value \"-1\" for --port: expected a whole number"),
            (&["--port=x"], "invalid value \"x\" for --port: expected a whole number"),
            (&["--port"], "--port needs a value; see"),
            (&["--port", "--echo"], "--port needs a value; see"),
            (&["--log"], "--log needs a value; see"),
            (&["--port", "1", "--port", "2"], "--port is given twice; see"),
            (&["--port", "0", "serve"], "flags go after the command: skirmish serve --flag"),
            (&["--listen", "nowhere"], "such as 127.0.0.1:8765"),
            (&["--listen", ""], "invalid value \"\" for --listen: expected ADDR:PORT"),
            (&["--rooms-open", "maybe"], "expected true or false"),
            (&["--log", "xml"], "invalid value \"xml\" for --log: expected text or json; see"),
            (&["--echo=1"], "--echo takes no value; see"),
            (
                &["--seed", "-1"],
                "invalid value \"-1\" for --seed: expected a whole number from 0 to",
            ),
            (&["--drain-s", "3601"], "expected a whole number from 0 to 3600"),
            (&["--keep-alive-s", "0"], "expected a whole number from 1 to 86400"),
            (&["--allow-origin", "example.com"], "expected SCHEME://HOST[:PORT], such as"),
            (&["load", "--client", "5"], "did you mean --clients? See skirmish load --help."),
            (
                &["load", "--clients", "0"],
                "expected a whole number from 1 to 1000000; see skirmish load",
            ),
            (&["load", "nowhere"], "invalid value \"nowhere\" for URL: expected an address"),
            (&["load", "--dialect", "xml"], "expected json, socketio or v1; see skirmish load"),
            (&["load", "--transport", "polling"], "--transport needs --dialect socketio"),
            (&["load", "--mix", "json=0"], "for --mix: expected shares from 1 to 100, such as"),
            (&["load", "--mix", "json=1", "--acks", "all"], "--acks needs --dialect socketio"),
            (
                &["load", "--mix", "json=1", "--dialect", "json"],
                "--mix and --dialect cannot be used together",
            ),
            (
                &["load", "--expect", "gap<1"],
                "for --expect: unknown figure \"gap\"; the figures are ",
            ),
            (&["load", "--expect", "gap_p99"], "and a number, such as gap_p99<60; see"),
            (&["load", "--expect", "cpu_cores<1"], "--expect cpu_cores<1 needs --pid."),
            (&["load", "--expect", "ack_p99<9"], "--expect ack_p99<9 needs --dialect socketio."),
            (&["load", "--compare", "a.json"], "--report is missing; see"),
            (&["load", "--pattern", "spiral"], "expected random, straight or crowd; see"),
            (&["load", "--dialect", "json", "--acks", "all"], "--acks needs --dialect socketio"),
            (
                &["load", "--dialect", "socketio", "--transport", "tcp"],
                "expected polling, websocket or upgrade; see",
            ),
            (
                &["load", "--attacks-hz", "-1"],
                "invalid value \"-1\" for --attacks-hz: expected a number",
            ),
            (&["--csp", "img-src a, b"], "for --csp: expected a policy on one line"),
            (&["--csp", "img-src *"], "--csp applies to the pages of --www; add --www DIR."),
            (
                &["--frame-ancestors", "https://a/b"],
                "for --frame-ancestors: expected an origin such as https://portal.example",
            ),
            (&["pages"], "DIR is missing; see skirmish pages --help."),
            (&["pages", "a", "--forse"], "did you mean --force? See skirmish pages --help."),
            (&["load", "ftp://h/"], "expected an address such as ws://127.0.0.1:8765/"),
            (&["load", "ws://h/", "--insecure"], "use a wss:// address"),
            (&["load", "--pid", "1.5"], "invalid value \"1.5\" for --pid: expected a whole number"),
        ] {
            let sentence = refused(args);
            assert!(sentence.contains(said), "{args:?}: {sentence}");
        }
    }

    #[test]
    fn rooms_must_agree_and_fit_the_maximum() {
        let two = ["--room", "a=dots", "--room", "a=chess"];
        assert!(refused(&two).contains("--room a=dots and --room a=chess name the same room"));
        let twice = ["--room", "a=dots", "--room", "a=dots", "--rooms-max", "1"];
        assert!(parse_args(&twice).is_ok());
        let many = ["--room", "a=dots", "--room", "b=dots", "--rooms-max", "1"];
        assert!(refused(&many).contains("--room names 2 rooms, but --rooms-max allows 1"));
    }

    #[test]
    fn a_map_has_two_sides() {
        let said = "expected WIDTHxHEIGHT, each from 100 to 65535, such as 16000x16000";
        for map in ["16000", "16000x", "99x16000", "16000x65536", "1.5e3x100"] {
            let refusal = refused(&["--map", map]);
            assert!(refusal.contains(&format!("{map:?} for --map: {said}")), "{refusal}");
        }
        let Ok(Config::Serve(serve)) = parse_args(&["--map", "65535x100"]) else {
            panic!("it is right");
        };
        assert_eq!(serve.map, Some((65_535, 100)));
    }

    #[test]
    fn bots_need_a_room_that_holds_them() {
        for (args, said) in [
            (&["--bots", "battle"][..], "expected ROOM=N with N from 1 to 100, such as battle=4"),
            (&["--bots", "Battle=4"], "a room name has 1 to 32"),
            (&["--bots", "battle=0"], "expected a whole number from 1 to 100"),
            (&["--bots", "battle=101"], "expected a whole number from 1 to 100"),
            (&["--bots", "battle=many"], "expected a whole number from 1 to 100"),
            (
                &["--bots", "a=2", "--bots", "a=3"],
                "--bots a=2 and --bots a=3 name the same room; remove one of them",
            ),
            (
                &["--bots", "a=9", "--room-players-max", "8"],
                "--bots a=9 is more than the 8 players that a room holds",
            ),
            (
                &["--bots", "a=2", "--rooms-open", "false", "--room", "b=dots"],
                "--bots names the room a, which --rooms-open false does not allow; add --room a=",
            ),
        ] {
            let sentence = refused(args);
            assert!(sentence.contains(said), "{args:?}: {sentence}");
        }
        let closed = ["--rooms-open", "false", "--room", "a=dots", "--bots", "a=2"];
        assert!(parse_args(&closed).is_ok());
        let Ok(Config::Serve(serve)) = parse_args(&["--bots", "battle=4,dots=2"]) else {
            panic!("two rooms")
        };
        assert_eq!(["battle", "dots", "a"].map(|room| serve.bots_of(room)), [4, 2, 0]);
    }

    #[test]
    fn help_and_version_exit_with_0() {
        for flag in ["--help", "-h", "--version", "-V"] {
            let answer = parse_args(&[flag]).expect_err("printed");
            assert_eq!(answer.exit_code, 0, "{flag}");
            assert!(answer.text.contains("skirmish"), "{flag}");
        }
    }

    #[test]
    fn the_command_line_is_quoted_for_a_shell() {
        let args = ["/bin/skirmish", "load", "--expect", "gap_p99<60", "ws://h/?a=1", "it's", ""];
        let line = command_line(&args.map(OsString::from));
        assert_eq!(line, r"skirmish load --expect 'gap_p99<60' 'ws://h/?a=1' 'it'\''s' ''");
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
