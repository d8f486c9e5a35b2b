//! Files of cases of what a command tells: `tests/explain/cases.txt` says what a case is.

use std::process::Output;

use crate::support::path;

/// Plays all cases of a file and returns how many there are; `run` does what is asked.
pub(crate) fn play(file: &str, run: impl Fn(&str) -> Output) -> usize {
    let text = std::fs::read_to_string(path(file)).unwrap();
    let mut played = 0;
    for case in text.split("\n== ").skip(1) {
        let (title, rest) = case.split_once('\n').unwrap();
        let rest = rest.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let lines: Vec<_> = rest.collect();
        let [ask, exit, told @ ..] = lines.as_slice() else { panic!("{title}: too short") };
        let output = run(ask.strip_prefix("ask ").unwrap());
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let status: i32 = exit.strip_prefix("exit ").unwrap().parse().unwrap();
        assert_eq!(output.status.code(), Some(status), "{title}\n{out}{errors}");
        assert!(!out.contains('\u{1b}'), "{title}: no colours but on a terminal");
        let mut unread = out.as_str();
        for line in told {
            match line.split_at(2) {
                ("> ", part) => {
                    let at = unread.find(part);
                    let at = at.unwrap_or_else(|| panic!("{title}: no `{part}` in\n{out}"));
                    unread = &unread[at + part.len()..];
                }
                ("! ", part) => assert!(!out.contains(part), "{title}: `{part}` in\n{out}"),
                ("e ", part) => assert!(errors.contains(part), "{title}: no `{part}` in\n{errors}"),
                _ => panic!("{title}: what is `{line}`?"),
            }
        }
        played += 1;
    }
    played
}
