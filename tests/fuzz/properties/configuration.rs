//! The configuration file.

use std::path::Path;
use std::time::{Duration, Instant};

use sesgate::config::{Config, Problem};

/// Any text is read to its end, and each problem has a place inside it. A comment changes nothing, a
/// line moves every place by one, and a key that nobody knows is told, whatever else is wrong.
pub(crate) fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let begin = Instant::now();
    let (config, problems) = read(text);
    let taken = begin.elapsed();
    assert!(taken < Duration::from_secs(5), "{} bytes took {taken:?}", text.len());
    assert!(config.is_some() || problems.len() == 1, "{problems:?}");
    for problem in &problems {
        assert_eq!(problem.file, "fuzz.toml");
        assert!(!problem.message.is_empty());
        let (line, column) = problem.place.expect("a problem has a place");
        let line = text.split('\n').nth(line.wrapping_sub(1));
        let line = line.unwrap_or_else(|| panic!("no such line: {problem}"));
        assert!((1..=line.chars().count() + 1).contains(&column), "{problem}");
    }
    assert!(problems.is_sorted());

    // The mark of the byte order may stand at the beginning alone.
    let (mark, rest) = match text.strip_prefix('\u{feff}') {
        Some(rest) => ("\u{feff}", rest),
        None => ("", text),
    };
    let (with_comment, moved) = read(&format!("{mark}# a comment\n{rest}"));
    assert_eq!(with_comment.is_some(), config.is_some());
    assert_moved(&problems, &moved);

    const UNKNOWN: &str = "no_such_key_anywhere";
    if config.is_some() && !text.contains(UNKNOWN) {
        let (config, with_unknown) = read(&format!("{mark}{UNKNOWN} = 1\n{rest}"));
        assert!(config.is_some());
        let (told, others): (Vec<_>, Vec<_>) =
            with_unknown.into_iter().partition(|problem| problem.message.contains(UNKNOWN));
        assert_eq!(told.len(), 1);
        assert_eq!(told.first().and_then(|problem| problem.place), Some((1, 1)));
        assert_moved(&problems, &others);
    }
}

fn read(text: &str) -> (Option<Config>, Vec<Problem>) {
    Config::parse(Path::new("fuzz.toml"), text)
}

/// The same problems, each a line further down; what is said of the file as a whole stays at its top.
fn assert_moved(problems: &[Problem], moved: &[Problem]) {
    let places = |(line, column): (usize, usize)| {
        let stays = (line, column) == (1, 1);
        [Some((line + 1, column)), stays.then_some((1, 1))].into_iter().flatten()
    };
    for problem in problems {
        let place = problem.place.expect("a problem has a place");
        let found = places(place)
            .any(|place| moved.contains(&Problem { place: Some(place), ..problem.clone() }));
        assert!(found, "{problem} is not among {moved:#?}");
    }
    assert_eq!(moved.len(), problems.len());
}
