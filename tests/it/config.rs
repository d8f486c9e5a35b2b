//! `tests/configs/*.toml`: configurations with mistakes, and every line that an operator is shown.
//!
//! The comment lines that begin with `#!` are what `sesgate check` says, without the file name.

use sesgate::config::{Config, Problem};
use sesgate::gateway;

use crate::support::path;

/// Problems and warnings of a configuration, as an operator reads them.
fn read(file: &std::path::Path, text: &str) -> (Vec<String>, Vec<String>) {
    let (config, mut problems) = Config::parse(file, text);
    let mut warnings = Vec::new();
    if let Some(config) = config {
        let loaded = gateway::load(&config);
        problems.extend(loaded.problems);
        warnings = loaded.warnings;
    }
    let folder = format!("{}/", file.parent().unwrap().display());
    let show = |problem: Problem| problem.to_string().replace(&folder, "");
    (problems.into_iter().map(show).collect(), warnings.into_iter().map(show).collect())
}

#[test]
fn every_mistake_is_listed_at_once_with_its_place() {
    let mut failures = Vec::new();
    let mut played = 0;
    for entry in std::fs::read_dir(path("tests/configs")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        played += 1;
        let text = std::fs::read_to_string(&file).unwrap();
        let mut expected: Vec<String> =
            text.lines().filter_map(|line| line.strip_prefix("#! ")).map(str::to_owned).collect();
        let (problems, warnings) = read(&file, &text);
        let warnings = warnings.into_iter().map(|warning| format!("warning: {warning}"));
        let mut got: Vec<String> = problems.into_iter().chain(warnings).collect();
        expected.sort();
        got.sort();
        if got != expected {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            failures.push(format!("{name}\nexpected {expected:#?}\ngot {got:#?}"));
        }
    }
    assert!(played >= 5, "only {played} configurations");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_default_file_is_right_and_says_the_defaults() {
    let file = path("config/sesgate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (problems, warnings) = read(&file, &text);
    assert_eq!(problems, Vec::<String>::new());
    // The guide's own example, as it stands there.
    let [warning] = warnings.as_slice() else { panic!("{warnings:#?}") };
    assert!(
        warning.starts_with(
            "policies/recipients-example-com.json:13:11: \
             security-warning[for-all-values-without-null]: "
        ),
        "{warning}"
    );
    let (written, _) = Config::parse(&file, &text);
    let written = written.unwrap();
    // Without the sections that only repeat defaults, the same comes out.
    let mut kept = String::new();
    let mut skipping = false;
    for line in text.lines() {
        if line.starts_with('[') {
            skipping = ["[server]", "[admin]", "[limits]", "[log]"].contains(&line);
        }
        if !skipping {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    let (absent, problems) = Config::parse(&file, &kept);
    let absent = absent.unwrap();
    assert_eq!(problems, Vec::new());
    assert_eq!(format!("{:?}", written.server), format!("{:?}", absent.server));
    assert_eq!(format!("{:?}", written.admin), format!("{:?}", absent.admin));
    assert_eq!(format!("{:?}", written.limits), format!("{:?}", absent.limits));
    assert_eq!(format!("{:?}", written.log), format!("{:?}", absent.log));
}

#[test]
fn the_default_file_names_every_key() {
    let text = std::fs::read_to_string(path("config/sesgate.toml")).unwrap();
    let source = ["src/config/sections.rs", "src/config/listeners.rs"]
        .map(|file| std::fs::read_to_string(path(file)).unwrap())
        .concat();
    let mut keys = 0;
    for (at, _) in source.match_indices("table.") {
        let Some((_, rest)) = source[at..].split_once('"') else { continue };
        let Some((key, _)) = rest.split_once('"') else { continue };
        if !key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            continue;
        }
        keys += 1;
        let named = text.contains(&format!("{key} =")) || text.contains(&format!("{key}]]"));
        assert!(named, "`{key}` is not in config/sesgate.toml");
    }
    assert!(keys > 40, "only {keys} keys were found in the source");
}

#[test]
fn a_file_that_is_not_there_is_one_problem() {
    let (config, problems) = Config::read(std::path::Path::new("no/such/file.toml"));
    assert!(config.is_none());
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert!(problem.to_string().starts_with("no/such/file.toml: cannot be read: "), "{problem}");
}
