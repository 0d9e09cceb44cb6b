//! The binary `convene`: reads the command line and starts what it names.

mod accounts;
mod addresses;
mod admin;
mod chat;
mod cli;
mod config;
mod im;
mod run;
mod store;
mod token;
mod webhooks;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;

use cli::{Cli, Command};

/// What a message leads to are short-lived pieces, made on one thread and freed on another: it is quicker at that than the
/// system's allocator, for 2 KiB more of each idle session.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match dispatch(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "convene: {error:#}"); // no stderr, nobody to tell
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Serve(args) => run::serve(&config::Settings::of(&config::load(&args.sources())?)?),
        Command::Token(args) => print(&token::mint(&args)?),
        Command::Chat(args) => chat::run(&args),
        Command::Admin(args) => print(&admin::run(&args)?),
        Command::Store(args) => print(store::run(&args)?.trim_end()),
        Command::CheckConfig(args) if args.print_reference => print(config::reference().trim_end()),
        Command::CheckConfig(args) => print(&config::Settings::of(&config::load(&args.serve.sources())?)?.summary()),
    }
}

fn print(text: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
