//! `sesgate policy evaluate` and `sesgate policy test`, as a program and a team's checks meet them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

fn sesgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sesgate"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).arg("policy");
    command
}

fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evaluate").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is answered to an input, line by line.
fn answers(input: &[u8]) -> Vec<String> {
    let mut child = sesgate().arg("evaluate").spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(str::to_owned).collect()
}

/// Each line of `lines.jsonl` has beneath it what is answered: all of it when it is an object, else
/// a part of its error.
#[test]
fn every_line_is_answered_as_it_says() {
    let text = data("lines.jsonl");
    let lines: Vec<&str> =
        text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let pairs: Vec<(&str, Value)> = lines
        .chunks(2)
        .map(|pair| {
            (pair[0], serde_json::from_str(pair[1]).unwrap_or_else(|_| panic!("{}", pair[1])))
        })
        .collect();
    let input: String = pairs.iter().map(|(line, _)| format!("{line}\n")).collect();
    let answers = answers(input.as_bytes());
    assert_eq!(answers.len(), pairs.len());
    let mut failures = Vec::new();
    for ((line, wanted), answer) in pairs.iter().zip(&answers) {
        let got: Value = serde_json::from_str(answer).unwrap();
        let is_wanted = match wanted {
            Value::String(part) => got["error"].as_str().is_some_and(|it| it.contains(part)),
            whole => got == *whole,
        };
        if !is_wanted || got.get("error").is_some() == got.get("decision").is_some() {
            failures.push(format!("{line}\n  got    {answer}\n  wanted {wanted}"));
        }
    }
    assert!(pairs.len() > 60, "only {} lines", pairs.len());
    assert!(failures.is_empty(), "{} lines:\n{}", failures.len(), failures.join("\n"));
}

const LINE: &str = r#"{"id":"a","policies":[{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ses:*","Resource":"*"}}],"action":"ses:SendEmail","resource":"*","principal":"arn:aws:iam::111122223333:user/app","context":{}}"#;
const ALLOWED: &str =
    r#"{"id":"a","decision":"Allowed","statement":{"policy":"policies[0]","index":0}}"#;

#[test]
fn a_bad_line_does_not_end_the_run() {
    let mut input = Vec::new();
    let mut wanted: Vec<&str> = Vec::new();
    let long = vec![b' '; 5 * 1024 * 1024];
    let bad: [(&[u8], &str); 6] = [
        (b"", "not valid JSON"),
        (b"\xFF", "byte 1 of the line is not UTF-8"),
        (b"{\"id\":\"\xC3\"}", "byte 8 of the line is not UTF-8"),
        (b"\0", "not valid JSON"),
        (&long, "the line is longer than 4194304 bytes"),
        (b"[1]", "a line is an object, not a list"),
    ];
    for (line, error) in bad {
        input.extend_from_slice(line);
        input.extend_from_slice(b"\n");
        wanted.push(error);
        // CRLF ends a line too.
        input.extend_from_slice(LINE.as_bytes());
        input.extend_from_slice(b"\r\n");
        wanted.push(ALLOWED);
    }
    // The last line needs no end.
    input.extend_from_slice(LINE.as_bytes());
    wanted.push(ALLOWED);
    let answers = answers(&input);
    assert_eq!(answers.len(), wanted.len());
    for (answer, wanted) in answers.iter().zip(wanted) {
        let got: Value = serde_json::from_str(answer).unwrap();
        assert!(answer == wanted || got["error"].as_str().unwrap().contains(wanted), "{answer}");
    }
    assert_eq!(self::answers(b""), Vec::<String>::new());
}

/// A program that asks one question at a time gets each answer before it asks the next.
#[test]
fn answers_come_when_the_input_pauses() {
    let mut child = sesgate().arg("evaluate").spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for part in ["", "half"] {
        let (first, second) = LINE.split_at(if part.is_empty() { 0 } else { 50 });
        stdin.write_all(first.as_bytes()).unwrap();
        stdin.write_all(second.as_bytes()).unwrap();
        stdin.write_all(b"\n").unwrap();
        let mut answer = String::new();
        stdout.read_line(&mut answer).unwrap();
        assert_eq!(answer.trim_end(), ALLOWED);
    }
    // A line that has begun does not keep back the answer to the one before.
    stdin.write_all(format!("{LINE}\n{{\"id\":").as_bytes()).unwrap();
    let mut answer = String::new();
    stdout.read_line(&mut answer).unwrap();
    assert_eq!(answer.trim_end(), ALLOWED);
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// More documents than are kept give the same answers as few.
#[test]
fn documents_forgotten_are_read_again() {
    let filler = "x".repeat(60_000);
    let mut input = String::new();
    for number in 0..600 {
        let document = json!({"Version": "2012-10-17", "Statement": [{
            "Sid": format!("S{}", number % 300), "Effect": "Allow", "Action": "ses:*", "Resource": "*",
            "Condition": {"StringNotEquals": {"aws:UserAgent": [filler, number.to_string()]}},
        }]});
        let line = json!({"id": number, "policies": [document], "action": "ses:SendEmail",
            "resource": "*", "principal": "arn:aws:iam::111122223333:user/app", "context": {}});
        input.push_str(&format!("{line}\n"));
    }
    for (number, answer) in answers(input.as_bytes()).iter().enumerate() {
        let wanted = json!({"id": number, "decision": "Allowed",
            "statement": {"policy": "policies[0]", "sid": format!("S{}", number % 300), "index": 0}});
        assert_eq!(serde_json::from_str::<Value>(answer).unwrap(), wanted);
    }
}

/// Runs `policy test` in a folder; gives exit status, standard output and standard error.
fn test(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = sesgate().current_dir(folder).arg("test").args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The folder of a team: `policies/app.json`, and cases that name it.
fn team() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "policies/app.json",
        r#"{"Version": "2012-10-17", "Statement": [
  {"Sid": "App", "Effect": "Allow", "Action": "ses:SendRawEmail", "Resource": "*",
    "Condition": {"StringEquals": {"ses:FromAddress": "app@example.com"}}}
]}"#,
    );
    write(
        "sesgate.toml",
        r#"
[account]
id = "123456789012"
[upstream]
kind = "outbox"
directory = "outbox"
[[listeners]]
address = "127.0.0.1:2525"
tls = "off"
user = "app"
source_ip = "10.1.2.3"
[[users]]
name = "app"
policies = ["policies/app.json"]
"#,
    );
    for name in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evaluate")).unwrap()
    {
        let name = name.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".json") || name.ends_with(".eml") {
            write(&format!("cases/{name}"), &data(&name));
        }
    }
    folder
}

#[test]
fn failures_are_told_with_what_came() {
    let folder = team();
    let (status, stdout, stderr) = test(folder.path(), &["cases/pass.json"]);
    assert_eq!((status, &*stdout, &*stderr), (0, "7 passed, 0 failed\n", ""));
    let (status, stdout, stderr) = test(folder.path(), &["cases/pass.json", "cases/fail.json"]);
    assert_eq!((status, &*stderr), (1, ""));
    assert_eq!(stdout, data("fail.txt"));
}

#[test]
fn messages_are_decided_as_the_relay_would() {
    let folder = team();
    let (status, stdout, stderr) = test(folder.path(), &["cases/messages.json"]);
    assert_eq!((status, &*stdout, &*stderr), (0, "9 passed, 0 failed\n", ""));
    let (status, stdout, stderr) = test(folder.path(), &["cases/messages-fail.json"]);
    assert_eq!((status, &*stderr), (1, ""));
    assert_eq!(stdout, data("messages-fail.txt"));
}

/// A policy of which cases reach a part, and what is left.
#[test]
fn what_no_case_reaches_is_told_with_its_place() {
    let folder = team();
    fs::write(folder.path().join("policies/wide.json"), data("coverage/wide.txt")).unwrap();
    fs::write(folder.path().join("cases/wide.json"), data("coverage/cases.txt")).unwrap();
    let all = data("coverage/missed.txt");
    let told = |arguments: &[&str]| {
        let (status, stdout, stderr) =
            test(folder.path(), &[&["cases/wide.json"], arguments].concat());
        assert_eq!(stderr, "");
        (status, stdout)
    };
    let counts = "coverage 50.0 %: 6 of 12 statements and operands";
    let passed = "3 passed, 0 failed\n";
    assert_eq!(told(&[]), (0, passed.to_owned()));
    for enough in ["--coverage", "--coverage=50"] {
        assert_eq!(told(&[enough]), (0, format!("{all}{counts}\n{passed}")), "{enough}");
    }
    assert_eq!(told(&["--coverage=51"]), (1, format!("{all}{counts}, less than 51 %\n{passed}")));
    let (status, report) = told(&["--coverage", "--format", "junit"]);
    assert_eq!(status, 0);
    assert!(report.contains(r#"tests="4" failures="0""#), "{report}");
    assert!(report.contains("<system-out>policies/wide.json:9:"), "{report}");
    let (status, report) = told(&["--coverage=51", "--format", "junit"]);
    assert_eq!(status, 1);
    let failure = format!(r#"<failure message="{counts}, less than 51 %" type="coverage">"#);
    assert!(report.contains(&failure), "{report}");
    assert!(report.contains(r#"tests="4" failures="1""#), "{report}");
    // Every policy of a configuration counts, also where no case concerns its user.
    let configured = folder.path().join("cases/configured.json");
    fs::write(&configured, r#"{"config": "../sesgate.toml", "cases": [{"name": "a",
        "message": {"from": "b@example.com", "to": "c@example.net"}, "expect": {"decision": "deny"}}]}"#)
        .unwrap();
    let (status, stdout, _) = test(folder.path(), &["cases/configured.json", "--coverage=1"]);
    assert_eq!(status, 1);
    let app = "policies/app.json:2:3: no case reaches statement `App`\n";
    assert!(stdout.starts_with(app), "{stdout}");
}

#[test]
fn what_cannot_be_read_is_told() {
    let folder = team();
    fs::create_dir(folder.path().join("empty")).unwrap();
    fs::write(folder.path().join("none.json"), "[]").unwrap();
    let told = |arguments: &[&str], passed: usize, wanted: &str| {
        let (status, stdout, stderr) = test(folder.path(), arguments);
        assert_eq!(status, 2, "{arguments:?}");
        assert!(stderr.contains(wanted), "{arguments:?}: {stderr}");
        assert_eq!(stdout, format!("{passed} passed, 0 failed\n"), "{arguments:?}");
    };
    told(&["empty"], 0, "there are no cases");
    told(&["none.json"], 0, "there are no cases");
    told(&["missing.json"], 0, "missing.json: No such file");
    // A policy among the files of a folder is passed over; named itself it is a mistake.
    told(&["policies"], 0, "there are no cases");
    told(&["policies/app.json"], 0, "a policy document, not a file of cases");
    told(&["missing.json", "cases/pass.json"], 7, "missing.json: No such file");
    for (text, problem) in MISTAKES {
        fs::write(folder.path().join("cases.json"), text).unwrap();
        told(&["cases.json"], 0, &format!("cases.json:{problem}"));
    }
    let (status, ..) = test(folder.path(), &[]);
    assert_eq!(status, 2);
}

/// A file of cases with a mistake, and where that is.
const MISTAKES: [(&str, &str); 33] = [
    (
        "[{\"name\": \"a\", \"request\": {\"context\": {\"ses:FromAdress\": \"b\"}}, \"expect\": {\"decision\": \"allow\"}}]",
        "1:40: context key `ses:FromAdress` is not among those that are known here; did you mean `ses:FromAddress`?",
    ),
    (
        "[{\"name\": \"a\", \"request\": {\"context\": {\"s3:prefix\": \"b\"}}, \"expect\": {\"decision\": \"allow\"}}]",
        "1:40: context key `s3:prefix` is of another service",
    ),
    (
        "[{\"name\": \"a\", \"condition\": {}, \"holds\": {\"FromAddress\": \"b\"}}]",
        "1:43: context key `FromAddress` has no service; did you mean `ses:FromAddress`?",
    ),
    (
        "[{\"name\": \"a\", \"expect\": {\"decision\": \"Allowed\", \"reply\": \"554\"}}]",
        "1:59: `reply` is of a `message`",
    ),
    (
        "[{\"name\": \"a\", \"message\": {}, \"expect\": {\"decision\": \"deny\"}}]",
        "1:27: a message without `from`",
    ),
    (
        "[{\"name\": \"a\", \"message\": {\"from\": \"b\"}, \"expect\": {\"decision\": \"deny\"}}]",
        "1:36: `b` is no address",
    ),
    (
        "[{\"name\": \"a\", \"message\": {\"from\": \"b@c.test\", \"to\": []}, \"expect\": {\"decision\": \"deny\"}}]",
        "1:54: `to` is empty",
    ),
    (
        "[{\"name\": \"a\", \"message\": {\"from\": \"b@c.test\", \"to\": \"b@c.test\", \"eml\": \"no.eml\"}, \"expect\": {\"decision\": \"deny\"}}]",
        "1:73: no.eml: No such file",
    ),
    (
        "[{\"name\": \"a\", \"message\": {\"subject\": \"b\"}, \"expect\": {\"decision\": \"deny\"}}]",
        "1:28: unknown member `subject`",
    ),
    (
        "[{\"name\": \"a\", \"message\": {}, \"scps\": [], \"expect\": {\"decision\": \"deny\"}}]",
        "1:39: `scps` beside a `message`",
    ),
    (
        "[{\"name\": \"a\", \"message\": {}, \"at\": \"noon\", \"expect\": {\"decision\": \"deny\"}}]",
        "1:37: `at` is a moment",
    ),
    (
        "[{\"name\": \"a\", \"message\": {}, \"client\": {\"source_ip\": \"b\"}, \"expect\": {\"decision\": \"deny\"}}]",
        "1:55: `source_ip` is an IP address",
    ),
    (
        "[{\"name\": \"a\", \"message\": {}, \"client\": {\"tls\": 1}, \"expect\": {\"decision\": \"deny\"}}]",
        "1:49: `tls` is a boolean",
    ),
    (
        "[{\"name\": \"a\", \"message\": {}, \"client\": {\"listener\": \"25\"}, \"expect\": {\"decision\": \"deny\"}}]",
        "1:54: `listener` of a `config` without `listeners`",
    ),
    (
        "[{\"name\": \"a\", \"message\": {}, \"config\": \"none.toml\", \"expect\": {\"decision\": \"deny\"}}]",
        "1:41: none.toml: cannot be read",
    ),
    (
        "[{\"name\": \"a\", \"message\": {}, \"config\": {\"account\": {\"id\": \"1\"}}, \"expect\": {\"decision\": \"deny\"}}]",
        "1:60: `config`: `id` must be",
    ),
    (
        "[{\"name\": \"a\", \"message\": {}, \"config\": {\n\"users\": [{\"name\": \"app\", \"polices\": []}]}, \"expect\": {\"decision\": \"deny\"}}]",
        "2:27: `config`: unknown key `polices`",
    ),
    (
        "[{\"name\": \"a\", \"message\": {}, \"config\": {\"users\": [{\"name\": \"app\", \"policies\": [{\"Statement\": []}]}]}, \"expect\": {\"decision\": \"deny\"}}]",
        "1:81: `config`: policy 1 of `config`:1:15: `Statement` is empty",
    ),
    (
        "[{\"name\": \"a\", \"message\": {}, \"config\": {\"users\": [{\"name\": \"b\"}]}, \"user\": \"c\", \"expect\": {\"decision\": \"deny\"}}]",
        "1:77: there is no user `c`",
    ),
    ("", "1:1: not valid JSON"),
    ("[\n{},]", "2:3: not valid JSON: trailing comma"),
    ("7", "1:1: a file of cases is a list or an object"),
    ("{}", "1:1: `cases` is missing"),
    ("{\"cases\": {}}", "1:11: `cases` is a list"),
    ("[1]", "1:2: a case is an object, not a number"),
    ("[{\"nam\": 1}]", "1:3: unknown member `nam` in a case"),
    ("[{\"name\": \"a\", \"name\": \"b\"}]", "1:16: `name` is given twice"),
    ("[\n{\"name\": \"a\"}]", "2:1: a case without `expect`"),
    ("[{\"name\": \"a\", \"expect\": {}}]", "1:26: `expect` has neither `decision` nor `error`"),
    ("[{\"name\": \"a\", \"expect\": {\"decision\": \"Allow\"}}]", "1:39: `Allow` is no decision"),
    (
        "[{\"name\": \"a\", \"policy_files\": [\"no.json\"], \"expect\": {\"decision\": \"allow\"}}]",
        "1:33: no.json: No such file",
    ),
    (
        "[{\"name\": \"a\", \"request\": {\"principal\": \"app\"}, \"expect\": {\"decision\": \"allow\"}}]",
        "1:41: `app` is not a principal",
    ),
    (
        "[{\"name\": \"a\", \"request\": {\"context\": {\"ses:FromAddress\": null}}, \"expect\": {\"decision\": \"allow\"}}]",
        "1:59: context key `ses:FromAddress` has `null` as a value",
    ),
];
