//! `sesgate user`: what the configuration of users needs.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use clap::Subcommand;
use zeroize::Zeroizing;

use super::problems::tell;
use crate::principals::{hash_password, ses_smtp_password};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Reads a password and prints its hash for `password_hash`.
    ///
    /// On a terminal it is asked for twice and not shown; else it is the first line of standard
    /// input.
    HashPassword,
    /// Reads an AWS secret access key and prints the hash of the SMTP password that SES takes for it.
    ///
    /// With it an app keeps its SES user name and password. On a terminal the key is asked for twice
    /// and not shown; else it is the first line of standard input.
    ImportSes {
        /// The region whose SES endpoint the app uses today.
        #[arg(long, value_name = "REGION")]
        region: String,
    },
}

pub(super) fn run(command: &Command) -> ExitCode {
    let made = match command {
        Command::HashPassword => secret("Password").and_then(|password| hash(&password)),
        Command::ImportSes { region } => {
            secret("Secret access key").and_then(|secret| hash(&ses_smtp_password(&secret, region)))
        }
    };
    match made {
        Ok(hash) => {
            let printed = writeln!(io::stdout(), "{hash}");
            if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            tell(&format!("cannot make a hash: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn hash(password: &Zeroizing<String>) -> io::Result<String> {
    hash_password(password).map_err(io::Error::other)
}

/// Asks on a terminal, twice, or takes the first line of standard input.
fn secret(name: &str) -> io::Result<Zeroizing<String>> {
    let secret = read(name)?;
    // What AUTH can carry: a client could never send a control character.
    if secret.is_empty() || secret.chars().any(char::is_control) {
        let name = name.to_lowercase();
        return Err(io::Error::other(format!("the {name} is empty or has control characters")));
    }
    Ok(secret)
}

fn read(name: &str) -> io::Result<Zeroizing<String>> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        let first = Zeroizing::new(rpassword::prompt_password(format!("{name}: "))?);
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
