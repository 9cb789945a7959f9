//! `skirmish`: the server with its own games, and the load test.

use std::process::ExitCode;

fn main() -> ExitCode {
    skirmish::run(&skirmish::game::GAMES)
}
