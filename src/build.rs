//! Tells the program what it was built from: commit, target, compiler and features.
//!
//! The commit is `SESGATE_COMMIT` where that is set (images and packages, which have no `.git`), else
//! that of git, with `-dirty` when the sources differ from it, else `unknown`. It runs again when
//! the commit or a source changed, and at no other time.

use std::env;
use std::path::Path;
use std::process::Command;

/// What the program is made of, relative to the top of the repository.
const SOURCES: [&str; 3] = ["src", "Cargo.toml", "Cargo.lock"];
/// What git writes when HEAD gets another commit; each may be missing.
const OF_GIT: [&str; 3] = ["HEAD", "logs/HEAD", "packed-refs"];

/// Keeps the jitter of the processor out of the seeds of aws-lc: it takes most of a start.
const NO_JITTER: &str = "AWS_LC_SYS_NO_JITTER_ENTROPY";

fn main() {
    println!("cargo::rerun-if-env-changed=SESGATE_COMMIT");
    for source in SOURCES {
        watch(source);
    }
    let commit = given().or_else(of_git);
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let version = match &commit {
        Some(commit) => format!("{version} ({})", short(commit)),
        None => version,
    };
    let commit = commit.unwrap_or_else(|| "unknown".to_owned());
    let rustc = env::var("RUSTC").ok().and_then(|rustc| output(&rustc, &["--version"]));
    let rustc = rustc.unwrap_or_else(|| "unknown".to_owned());
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=BUILD_SESGATE_VERSION={version}");
    println!("cargo::rustc-env=BUILD_SESGATE_COMMIT={commit}");
    println!("cargo::rustc-env=BUILD_SESGATE_TARGET={target}");
    println!("cargo::rustc-env=BUILD_SESGATE_RUSTC={rustc}");
    println!("cargo::rustc-env=BUILD_SESGATE_FEATURES={}", features());
    // The setting of aws-lc-sys, from `.cargo/config.toml`.
    println!("cargo::rerun-if-env-changed={NO_JITTER}");
    let entropy = match env::var(NO_JITTER).as_deref() {
        Ok("1") => "kernel",
        _ => "kernel and processor",
    };
    println!("cargo::rustc-env=BUILD_SESGATE_ENTROPY={entropy}");
}

/// The commit that whoever builds names.
fn given() -> Option<String> {
    let commit = env::var("SESGATE_COMMIT").ok()?;
    let commit = commit.trim();
    if commit.is_empty() {
        return None;
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._+".contains(c);
    if commit.len() > 64 || !commit.chars().all(is_name) {
        println!("cargo::error=SESGATE_COMMIT is no name of a commit: `{}`", commit.escape_debug());
        return None;
    }
    Some(commit.to_owned())
}

fn of_git() -> Option<String> {
    // Unpacked within the repository of something else, this is not that commit.
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != Path::new(".").canonicalize().ok()? {
        return None;
    }
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for file in OF_GIT.into_iter().chain(branch.as_deref()) {
        if let Some(path) = git(&["rev-parse", "--git-path", file]) {
            watch(&path);
        }
    }
    let commit = git(&["rev-parse", "--verify", "HEAD"])?;
    let status = ["status", "--porcelain", "--"];
    let changed = git(&[&status[..], &SOURCES[..]].concat());
    Some(if changed.is_some() { format!("{commit}-dirty") } else { commit })
}

/// A hash cut to its first digits; other names of commits stay whole.
fn short(commit: &str) -> String {
    const DIGITS: usize = 12;
    let hash = commit.split('-').next().unwrap_or_default();
    let is_hash = hash.len() == 40 && hash.chars().all(|c| c.is_ascii_hexdigit());
    match hash.get(..DIGITS) {
        Some(first) if is_hash => commit.replacen(hash, first, 1),
        _ => commit.to_owned(),
    }
}

/// Cargo takes a missing file for one that changed each time.
fn watch(path: &str) {
    if Path::new(path).exists() {
        println!("cargo::rerun-if-changed={path}");
    }
}

/// The features that are on, with commas.
fn features() -> String {
    let all = env::var("CARGO_CFG_FEATURE").unwrap_or_default();
    let mut features: Vec<_> =
        all.split(',').filter(|name| !name.is_empty() && *name != "default").collect();
    features.sort_unstable();
    features.join(",")
}

/// What git says, unless that is nothing; it must not write its index meanwhile.
fn git(arguments: &[&str]) -> Option<String> {
    output("git", &[&["--no-optional-locks"], arguments].concat())
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
