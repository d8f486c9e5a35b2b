//! Plays the corpora of the fuzz targets again, without looking for new inputs.

#[path = "../fuzz/properties.rs"]
mod properties;

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;

use crate::support::path;

fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(path(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn every_input_keeps_its_property() {
    let targets: BTreeSet<String> =
        properties::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("tests/fuzz/corpus"), targets);
    let mut failures = Vec::new();
    for (target, property) in properties::ALL {
        let folder = format!("tests/fuzz/corpus/{target}");
        let inputs = names(&folder);
        assert!(inputs.len() >= 10, "{folder} has {} inputs", inputs.len());
        for input in inputs {
            let bytes = fs::read(path(&folder).join(&input)).unwrap();
            if catch_unwind(|| property(&bytes)).is_err() {
                failures.push(format!("{folder}/{input}"));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// The targets and this file play the same.
#[test]
fn every_target_has_its_property() {
    for (target, _) in properties::ALL {
        let text = fs::read_to_string(path("tests/fuzz").join(format!("{target}.rs"))).unwrap();
        assert!(text.contains(&format!("properties::{target}(bytes)")), "{target}.rs");
        let manifest = fs::read_to_string(path("tests/fuzz/Cargo.toml")).unwrap();
        assert!(manifest.contains(&format!("path = \"{target}.rs\"")), "Cargo.toml: {target}");
    }
}
