//! `sesgate version`: what this program was built from.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::build_info;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Prints one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let features: Vec<_> = build_info::features().collect();
    let mut out = io::stdout().lock();
    let printed = if arguments.json {
        let object = json!({
            "version": build_info::VERSION,
            "commit": build_info::COMMIT,
            "target": build_info::TARGET,
            "rustc": build_info::RUSTC,
            "features": features,
            "entropy": build_info::ENTROPY,
        });
        writeln!(out, "{object:#}")
    } else {
        let features = if features.is_empty() { "none".to_owned() } else { features.join(", ") };
        writeln!(
            out,
            "sesgate {}\ncommit:   {}\ntarget:   {}\nrustc:    {}\nfeatures: {features}\nentropy:  {}",
            build_info::VERSION,
            build_info::COMMIT,
            build_info::TARGET,
            // The word is before it already.
            build_info::RUSTC.trim_start_matches("rustc "),
            build_info::ENTROPY,
        )
    };
    if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
