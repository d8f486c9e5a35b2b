//! The `sesgate` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    sesgate::cli::run()
}
