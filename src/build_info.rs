//! What this program was built from.
//!
//! `build.rs` finds it out; nothing here is read at run time.

/// The version, as in `Cargo.toml`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The version with the commit, its hash cut to 12 digits, such as `0.1.0 (f9b37de1c2d3)`; the
/// version alone when the commit is unknown.
pub const VERSION_AND_COMMIT: &str = env!("BUILD_SESGATE_VERSION");
/// The commit in full, with `-dirty` when sources differed from it; `unknown` when nothing told it.
pub const COMMIT: &str = env!("BUILD_SESGATE_COMMIT");
/// What it runs on, such as `x86_64-unknown-linux-gnu`.
pub const TARGET: &str = env!("BUILD_SESGATE_TARGET");
/// The compiler, such as `rustc 1.95.0 (59807616e 2026-04-14)`.
pub const RUSTC: &str = env!("BUILD_SESGATE_RUSTC");
/// The cargo features that are on, in the order of the alphabet, with commas between; may be empty.
pub const FEATURES: &str = env!("BUILD_SESGATE_FEATURES");
/// Where aws-lc takes its seeds from: `kernel`, or `kernel and processor` where the build did not read
/// `.cargo/config.toml`; the jitter of the processor makes a start slow.
pub const ENTROPY: &str = env!("BUILD_SESGATE_ENTROPY");

/// Returns the features that are on.
pub fn features() -> impl Iterator<Item = &'static str> {
    FEATURES.split(',').filter(|name| !name.is_empty())
}
