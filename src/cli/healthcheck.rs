//! `sesgate healthcheck`: asks the admin port of a running relay, for images without a shell.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::ConfigFile;
use super::problems::{self, Severity};
use crate::config::Config;

const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Asks whether the process lives (`/livez`), not whether it takes mail.
    #[arg(long)]
    live: bool,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let (config, problems) = Config::read(&arguments.file.sources());
    let Some(address) = config.and_then(|config| config.admin) else {
        problems::print(&problems, Severity::Mistake);
        problems::tell("no `[admin]` address to ask");
        return ExitCode::FAILURE;
    };
    match ask(address, if arguments.live { "/livez" } else { "/readyz" }) {
        Ok((status, _)) if status.contains(" 200 ") => ExitCode::SUCCESS,
        Ok((status, reasons)) => {
            problems::tell(&format!("{address}: {status}"));
            reasons.lines().for_each(problems::tell);
            ExitCode::FAILURE
        }
        Err(error) => {
            problems::tell(&format!("{address}: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Returns the status line of a page and what is on it.
fn ask(address: SocketAddr, page: &str) -> std::io::Result<(String, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET {page} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    let (head, page) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    Ok((head.lines().next().unwrap_or_default().to_owned(), page.to_owned()))
}
