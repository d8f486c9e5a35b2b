//! Plays `tests/policies/*.json` with `sesgate policy test`, which says what a case file holds.
//!
//! That it fails what should fail is shown by `tests/evaluate/fail.json`, in `policy_cli.rs`.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail where it stands"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sesgate::policy::{Policy, PolicyKind};

#[test]
fn every_case_comes_out_as_it_says() {
    let cases: usize = files("tests/policies").iter().map(|path| cases(path)).sum();
    assert!(cases > 1000, "only {cases} cases");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sesgate"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["policy", "test", "tests/policies"]);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let printed = (text(output.stdout), text(output.stderr));
    assert_eq!(printed, (format!("{cases} passed, 0 failed\n"), String::new()));
    assert!(output.status.success());
}

/// How many cases a file holds, counted without the reader of the command.
fn cases(path: &Path) -> usize {
    let file: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let list = |value: &Value| value.as_array().map_or(1, Vec::len);
    let count = |case: &Value| {
        let contexts = ["holds", "fails"].iter().filter_map(|name| case.get(name)).map(list);
        contexts.reduce(|sum, next| sum + next).unwrap_or(1)
    };
    let count = file.get("cases").unwrap_or(&file).as_array().unwrap().iter().map(count).sum();
    assert!(count > 0, "{} has no cases", path.display());
    count
}

#[test]
fn every_policy_shipped_loads() {
    for path in files("config/policies") {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        Policy::parse(PolicyKind::Identity, &name, &text).unwrap();
    }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let paths = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let is_json = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
    let files: Vec<PathBuf> = paths.filter(is_json).collect();
    assert!(!files.is_empty(), "{} has no files", folder.display());
    files
}
