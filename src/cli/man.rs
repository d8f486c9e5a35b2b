//! `sesgate man`: the manual pages, for packages and for reading.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command, ValueHint};
use clap_mangen::Man;
use roff::{Roff, bold, roman};

use super::manual::Page;
use super::problems::tell;
use crate::build_info;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where to write a page for each command, such as /usr/share/man/man1; without it the page of
    /// sesgate itself goes to standard output.
    #[arg(value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    directory: Option<PathBuf>,
}

/// Writes the pages of a command line and all of its subcommands.
pub(super) fn run(arguments: &Arguments, command: Command) -> ExitCode {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let Some(directory) = &arguments.directory else {
        return match page(&command, "").and_then(|page| io::stdout().write_all(&page)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    };
    match write_all(&command, directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("{}: {error}", directory.display()));
            ExitCode::FAILURE
        }
    }
}

fn write_all(command: &Command, directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let mut open = vec![(command, String::new())];
    while let Some((command, path)) = open.pop() {
        let name = format!("sesgate {path}");
        let file = directory.join(format!("{}.1", name.trim_end().replace(' ', "-")));
        std::fs::write(file, page(command, &path)?)?;
        open.extend(command.get_subcommands().map(|sub| {
            let below = format!("{path} {}", sub.get_name());
            (sub, below.trim_start().to_owned())
        }));
    }
    Ok(())
}

/// The page of the command with these words behind `sesgate`.
fn page(command: &Command, path: &str) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone())
        .source(format!("sesgate {}", build_info::VERSION))
        .manual("sesgate");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    if command.get_arguments().next().is_some() {
        man.render_options_section(&mut out)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut out)?;
    }
    if let Some(page) = Page::of(path) {
        let mut roff = Roff::new();
        definitions(&mut roff, "EXIT STATUS", page.exit_status);
        definitions(&mut roff, "ENVIRONMENT", page.environment);
        definitions(&mut roff, "FILES", page.files);
        examples(&mut roff, page.examples);
        roff.to_writer(&mut out)?;
    }
    see_also(command, path).to_writer(&mut out)?;
    Ok(out)
}

fn definitions(roff: &mut Roff, heading: &str, entries: &[(&str, &str)]) {
    if entries.is_empty() {
        return;
    }
    roff.control("SH", [heading]);
    for (term, about) in entries {
        roff.control("TP", []);
        roff.text([bold(*term)]);
        roff.text([roman(one_line(about))]);
    }
}

fn examples(roff: &mut Roff, entries: &[(&str, &str)]) {
    if entries.is_empty() {
        return;
    }
    roff.control("SH", ["EXAMPLES"]);
    for (line, about) in entries {
        roff.control("PP", []);
        roff.text([roman(format!("{about}:"))]);
        roff.control("PP", []);
        roff.control("RS", ["4"]);
        roff.control("nf", []);
        for part in line.lines() {
            roff.text([bold(part)]);
        }
        roff.control("fi", []);
        roff.control("RE", []);
    }
}

fn see_also(command: &Command, path: &str) -> Roff {
    let above = match path.rsplit_once(' ') {
        Some((above, _)) => Some(format!("sesgate-{}", above.replace(' ', "-"))),
        None if path.is_empty() => None,
        None => Some("sesgate".to_owned()),
    };
    let name = if path.is_empty() { "sesgate".to_owned() } else { format!("sesgate-{path}") };
    let name = name.replace(' ', "-");
    let below = command.get_subcommands().map(|sub| format!("{name}-{}", sub.get_name()));
    let mut inlines = Vec::new();
    for page in above.into_iter().chain(below) {
        if !inlines.is_empty() {
            inlines.push(roman(", "));
        }
        inlines.extend([bold(page), roman("(1)")]);
    }
    let mut roff = Roff::new();
    if !inlines.is_empty() {
        roff.control("SH", ["SEE ALSO"]);
        roff.text(inlines);
    }
    roff
}

/// A text that the help wraps by hand.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
