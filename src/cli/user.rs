//! `sesgate user`: what the configuration of users needs.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use clap::Subcommand;
use zeroize::Zeroizing;

use crate::principals::hash_password;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Reads a password from the terminal or the first line of standard input and prints its hash
    /// for `password_hash`.
    HashPassword,
}

pub(super) fn run(command: &Command) -> ExitCode {
    match command {
        Command::HashPassword => match hash() {
            Ok(hash) => {
                let printed = writeln!(io::stdout(), "{hash}");
                if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Err(error) => {
                eprintln!("cannot make a hash: {error}");
                ExitCode::FAILURE
            }
        },
    }
}

fn hash() -> io::Result<String> {
    let password = password()?;
    // What AUTH can carry: a client could never send a control character.
    if password.is_empty() || password.chars().any(char::is_control) {
        return Err(io::Error::other("the password is empty or has control characters"));
    }
    hash_password(&password).map_err(io::Error::other)
}

fn password() -> io::Result<Zeroizing<String>> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        let first = Zeroizing::new(rpassword::prompt_password("Password: ")?);
        let again = Zeroizing::new(rpassword::prompt_password("Again: ")?);
        if first != again {
            return Err(io::Error::other("the two differ"));
        }
        return Ok(first);
    }
    let mut line = Zeroizing::new(String::new());
    stdin.lock().read_line(&mut line)?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(line)
}
