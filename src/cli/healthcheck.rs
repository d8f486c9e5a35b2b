//! `sesgate healthcheck`: asks the admin port of a running relay, for images without a shell.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use super::problems::{self, Severity};
use crate::config::{Config, Sources};

const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn run(sources: &Sources) -> ExitCode {
    let (config, problems) = Config::read(sources);
    let Some(address) = config.and_then(|config| config.admin) else {
        problems::print(&problems, Severity::Mistake);
        eprintln!("no `[admin]` address to ask");
        return ExitCode::FAILURE;
    };
    match ask(address) {
        Ok(status) if status.contains(" 200 ") => ExitCode::SUCCESS,
        Ok(status) => {
            eprintln!("{address}: {status}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{address}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the status line of `GET /readyz`.
fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
