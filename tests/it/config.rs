//! `tests/configs/*.toml`: configurations with mistakes, and every line that an operator is shown.
//!
//! Comment lines hold the rest of a case. `#$ NAME=VALUE` is a variable of the environment (`\\n` a
//! line end), `#@ KEY=VALUE` a flag `--set`, and `#- no file` says that there is nothing but these.
//! `#! ` is what `sesgate check` says, without the folder, and `#= ` a line that `sesgate config print`
//! shows.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sesgate::config::{self, Config, Problem, Sources};
use sesgate::gateway;

use crate::support::{path, program};

/// The lines of a case that begin with a marker, without it.
fn marked<'t>(text: &'t str, marker: &str) -> Vec<&'t str> {
    text.lines().filter_map(|line| line.strip_prefix(marker)).collect()
}

/// What the configuration of a case is read from.
fn sources(file: &Path, text: &str) -> Sources {
    let environment = marked(text, "#$ ").into_iter().map(|line| {
        let (name, value) = line.split_once('=').unwrap();
        (name.into(), value.replace("\\n", "\n").into())
    });
    let set = marked(text, "#@ ").into_iter().map(str::to_owned).collect();
    if marked(text, "#- no file").is_empty() {
        Sources::new(Some(file.to_owned()), environment, set)
    } else {
        Sources::without_file(environment, set)
    }
}

/// Problems and warnings of a configuration, as an operator reads them.
fn read(file: &Path, text: &str) -> (Vec<String>, Vec<String>) {
    let (config, mut problems) = Config::read(&sources(file, text));
    let mut warnings = Vec::new();
    if let Some(config) = config {
        let loaded = gateway::load(&config);
        problems.extend(loaded.problems);
        warnings = loaded.warnings;
    }
    let folder = format!("{}/", file.parent().unwrap().display());
    let here = format!("{}/", path("").display());
    let show = |problem: Problem| {
        problem.to_string().replace(&folder, "").replace(here.trim_end_matches('/'), ".")
    };
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
            marked(&text, "#! ").into_iter().map(str::to_owned).collect();
        let (problems, warnings) = read(&file, &text);
        let warnings = warnings.into_iter().map(|warning| format!("warning: {warning}"));
        let mut got: Vec<String> = problems.into_iter().chain(warnings).collect();
        expected.sort();
        got.sort();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if got != expected {
            failures.push(format!("{name}\nexpected {expected:#?}\ngot {got:#?}"));
        }
        let printed = Config::read_settings(&sources(&file, &text)).1.to_toml();
        let folder = format!("{}/", file.parent().unwrap().display());
        let printed = printed.replace(&folder, "").replace(&path("").display().to_string(), "");
        for line in marked(&text, "#= ") {
            if !printed.lines().any(|printed| printed == line) {
                failures.push(format!("{name} should show {line}\n{printed}"));
            }
        }
    }
    assert!(played >= 9, "only {played} configurations");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A level of service control policies is a file, or a list of files that count together.
#[test]
fn levels_of_service_control_policies_stay_apart() {
    let file = path("tests/configs/scp-levels-of-a-variable.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (config, problems) = Config::read(&sources(&file, &text));
    assert_eq!(problems, Vec::new());
    let config = config.unwrap();
    let names = |files: Vec<std::path::PathBuf>| -> BTreeSet<String> {
        let name = |file: &Path| file.file_name().unwrap().to_string_lossy().into_owned();
        files.iter().map(|file| name(file)).collect()
    };
    // A change of any of them is noticed.
    let watched = names(config.files());
    assert!(watched.contains("full-access.json") && watched.contains("deny-plain-text.json"));
    let now = std::time::SystemTime::now();
    let explainer = gateway::load(&config).parts.into_explainer(&config, now);
    let scps = explainer.authorizer.layers(&explainer.users[0], &[]).scps;
    let levels: Vec<Vec<String>> = scps
        .iter()
        .map(|level| level.iter().map(|policy| policy.name().to_owned()).collect())
        .collect();
    let (full, deny) =
        ("tests/configs/scps/full-access.json", "tests/configs/scps/deny-plain-text.json");
    assert_eq!(levels, [vec![full, deny], vec![deny]]);
}

#[test]
fn the_default_file_is_right_and_says_the_defaults() {
    let file = path("config/sesgate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (problems, warnings) = read(&file, &text);
    // A first run looks whole.
    assert_eq!([problems, warnings].concat(), Vec::<String>::new());
    let (written, _) = Config::parse(&file, &text);
    let mut written = written.unwrap();
    // What only a laptop wants: elsewhere nothing is written beside the configuration.
    let directory = written.server.certificate_directory.take();
    assert!(directory.is_some_and(|it| it.value.ends_with("config/tls")));
    // Without the sections that only repeat defaults, the same comes out.
    let mut kept = String::new();
    let mut skipping = false;
    for line in text.lines() {
        if line.starts_with('[') {
            skipping =
                ["[server]", "[admin]", "[limits]", "[log]", "[decision_log]"].contains(&line);
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
    assert_eq!(written.admin_hosts, absent.admin_hosts);
    assert_eq!(format!("{:?}", written.limits), format!("{:?}", absent.limits));
    assert_eq!(format!("{:?}", written.log), format!("{:?}", absent.log));
    assert_eq!(written.decision_log, absent.decision_log);
}

#[test]
fn the_default_file_names_every_key() {
    let text = std::fs::read_to_string(path("config/sesgate.toml")).unwrap();
    let source = ["src/config/schema.rs", "src/config/listeners.rs"]
        .map(|file| std::fs::read_to_string(path(file)).unwrap())
        .concat();
    let mut keys = 0;
    for (at, _) in source.match_indices("table.") {
        let Some((call, rest)) = source[at..].split_once('"') else { continue };
        let Some((key, _)) = rest.split_once('"') else { continue };
        if call.contains(';') || !key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            continue;
        }
        keys += 1;
        let named = text.contains(&format!("{key} =")) || text.contains(&format!("{key}]]"));
        assert!(named, "`{key}` is not in config/sesgate.toml");
    }
    assert!(keys > 40, "only {keys} keys were found in the source");
}

#[test]
fn a_section_that_the_build_does_not_have_is_a_mistake() {
    let file = path("config/sesgate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let line = text.lines().count() + 1;
    let text = format!("{text}[otlp]\nstrip_traceparent = true\n");
    let (_, problems) = Config::parse(&file, &text);
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let mistake = format!(
        "{}:{line}:1: `[otlp]` needs a build that has it: the image, or \
         `cargo build --features otlp`",
        file.display(),
    );
    let expected = if cfg!(feature = "otlp") { vec![] } else { vec![mistake] };
    assert_eq!(problems, expected);
}

#[test]
fn a_file_that_is_not_there_is_one_problem() {
    let (config, problems) = Config::read(&Sources::of_file(Path::new("no/such/file.toml")));
    assert!(config.is_none());
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert!(problem.to_string().starts_with("no/such/file.toml: cannot be read: "), "{problem}");
}

/// The environment alone.
fn of_environment(pairs: &[(&str, &str)]) -> (Option<Config>, Vec<String>) {
    let pairs = pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let (config, problems) = Config::read(&Sources::without_file(pairs, Vec::new()));
    (config, problems.iter().map(ToString::to_string).collect())
}

#[test]
fn every_key_of_the_default_file_has_a_variable_and_every_variable_its_key() {
    let text = std::fs::read_to_string(path("config/sesgate.toml")).unwrap();
    let mut written = BTreeSet::new();
    let mut table = String::new();
    for line in text.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if let Some(name) = line.strip_prefix("[[").and_then(|line| line.strip_suffix("]]")) {
            table = format!("{name}.<n>.");
        } else if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            table = format!("{name}.");
        }
        let Some((key, value)) = line.split_once(" = ") else { continue };
        let is_absent = table == "otlp." && !cfg!(feature = "otlp");
        if is_absent || !key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            continue;
        }
        let list = format!("{table}{key}.<n>.");
        match key {
            "passwords" => written.extend([format!("{list}hash"), format!("{list}expires")]),
            "clients" => written.extend([format!("{list}network"), format!("{list}user")]),
            "x_ses" => {
                written.extend(["forbid", "allow", "force"].map(|it| format!("{table}{key}.{it}")));
            }
            _ => {
                assert!(!value.starts_with("[{"), "what is in `{key}`?");
                written.insert(format!("{table}{key}"));
            }
        }
    }
    // A password in clear is for variables and files of secrets alone.
    written.insert("users.<n>.password".to_owned());
    let variables = config::variables();
    let known: BTreeSet<_> = variables.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(known, written);
    assert!(known.len() > 80, "{}", known.len());
    let names: Vec<_> = variables.iter().flat_map(|(_, names)| names).collect();
    let unique: BTreeSet<_> = names.iter().collect();
    assert_eq!(names.len(), unique.len(), "a variable is of two keys");
    // What Kubernetes sets for a Service must not be a setting.
    for name in names {
        let is_link = ["_SERVICE_HOST", "_PORT", "_TCP", "_ADDR", "_PROTO"];
        assert!(!is_link.iter().any(|ending| name.ends_with(ending)), "{name}");
        assert!(!name.contains("_SERVICE_PORT") && !name.contains("_PORT_"), "{name}");
    }
}

#[test]
fn each_variable_is_taken() {
    for (key, names) in config::variables() {
        for name in names.iter().filter(|name| !name.ends_with("_FILE")) {
            let name = name.replace("<n>", "0");
            let (config, problems) = of_environment(&[(&name, "?")]);
            assert!(config.is_some(), "{name}");
            assert!(
                !problems.iter().any(|problem| problem.contains("no such setting")),
                "{name} of {key}: {problems:#?}"
            );
        }
    }
}

/// Keys and values, without where they came from.
fn values(settings: &config::Settings) -> Vec<(String, serde_json::Value)> {
    let json = settings.to_json();
    let one =
        |it: &serde_json::Value| (it["key"].as_str().unwrap().to_owned(), it["value"].clone());
    json.as_array().unwrap().iter().map(one).collect()
}

#[test]
fn what_is_printed_is_a_file_that_says_the_same() {
    let mut files: Vec<_> = std::fs::read_dir(path("tests/configs")).unwrap().collect();
    files.push(Ok(std::fs::read_dir(path("config"))
        .unwrap()
        .map(Result::unwrap)
        .find(|it| it.file_name() == "sesgate.toml")
        .unwrap()));
    let mut played = 0;
    for file in files {
        let file = file.unwrap().path();
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let (config, settings, problems) = Config::read_settings(&sources(&file, &text));
        // What was not understood is a comment.
        if config.is_none() || file.extension().is_none_or(|it| it != "toml") {
            continue;
        }
        let printed = settings.to_toml();
        assert_eq!(printed, Config::read_settings(&sources(&file, &text)).1.to_toml());
        let elsewhere = tempfile::tempdir().unwrap();
        let other = elsewhere.path().join("printed.toml");
        std::fs::write(&other, &printed).unwrap();
        let (config, again, _) = Config::read_settings(&Sources::of_file(&other));
        assert!(config.is_some(), "{}\n{printed}", file.display());
        if problems.is_empty() {
            played += 1;
            assert_eq!(values(&settings), values(&again), "{}", file.display());
        }
    }
    assert!(played >= 3, "only {played}");
}

#[test]
fn a_broken_file_still_shows_what_the_environment_says() {
    let environment = [("SESGATE_LOG_LEVEL", "debug"), ("SESGATE_LOG_LEVLE", "debug")];
    let environment = environment.map(|(name, value)| (name.into(), value.into()));
    let file = path("tests/configs/not-toml.toml");
    let sources = Sources::new(Some(file), environment, Vec::new());
    let (config, settings, problems) = Config::read_settings(&sources);
    assert!(config.is_none());
    let shown = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(shown.contains("not-toml.toml:2:10: "), "{shown}");
    assert!(shown.contains("SESGATE_LOG_LEVLE: no such setting; did you mean SESGATE_LOG_LEVEL?"));
    assert_eq!(problems.len(), 2, "{shown}");
    assert!(settings.to_toml().contains("level = \"debug\"  # SESGATE_LOG_LEVEL\n"));
}

#[test]
fn hostile_variables_are_told_in_one_short_line() {
    use std::os::unix::ffi::OsStringExt;
    let long = "x".repeat(1 << 20);
    let cases: [(&[u8], &[u8], &str); 7] = [
        (b"SESGATE_LOG_LEVEL", b"\xff\xfe", "SESGATE_LOG_LEVEL: the value is not UTF-8"),
        (b"SESGATE_\xff", b"1", "SESGATE_\u{fffd}: no such setting; "),
        (b"SESGATE_LOG_LEVEL", b"in\0fo", "SESGATE_LOG_LEVEL: there is a NUL in the value"),
        (b"SESGATE_LOG_LEVEL", b"info\n", r"not `info\n`"),
        (b"SESGATE_LOG_LEVEL", b"\x1b[2J", r"not `\u{1b}[2J`"),
        (b"SESGATE_LOG_LEVEL", long.as_bytes(), " \u{2026} x"),
        (b"SESGATE_USERS_99999999999999999999_NAME", b"a", ": no such setting; "),
    ];
    for (name, value, expected) in cases {
        let pair = (OsString::from_vec(name.to_vec()), OsString::from_vec(value.to_vec()));
        let (_, problems) = Config::read(&Sources::without_file([pair], Vec::new()));
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert!(lines.iter().any(|line| line.contains(expected)), "{expected}: {lines:#?}");
        assert!(lines.iter().all(|line| line.chars().count() < 1_500), "{lines:#?}");
        assert!(!lines.iter().any(|line| line.chars().any(char::is_control)), "{lines:#?}");
    }
}

/// The file of each kind of secret: who may read it is told with the key that names it.
#[test]
fn files_of_secrets_that_others_can_read_or_change_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(at("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(at("tls.key"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(at("hash.key"), "0123456789abcdef0123456789abcdef").unwrap();
    std::fs::write(at("password"), "secret").unwrap();
    // As Kubernetes mounts them.
    std::os::unix::fs::symlink(at("password"), at("link")).unwrap();
    let text = "[account]\nid = \"123456789012\"\nregion = \"us-east-1\"\n\
                [upstream]\nkind = \"outbox\"\ndirectory = \"outbox\"\n\
                [log]\naddresses = \"hash\"\nhash_key_file = \"hash.key\"\n\
                [[listeners]]\naddress = \"127.0.0.1:2525\"\n\
                certificate = \"tls.crt\"\nkey = \"tls.key\"\n";
    std::fs::write(at("sesgate.toml"), text).unwrap();
    let pairs = [
        ("SESGATE_USER_NAME", "app".into()),
        ("SESGATE_USER_PASSWORD_FILE", at("link").into_os_string()),
        ("SESGATE_USER_POLICIES", path("config/policies/from-marketing.json").into_os_string()),
    ];
    let pairs = pairs.map(|(name, value)| (name.into(), value));
    let sources = Sources::new(Some(at("sesgate.toml")), pairs, Vec::new());
    for (mode, what) in [
        (0o644, Some("can be read by everybody on")),
        (0o604, Some("can be read by everybody on")),
        (0o660, Some("can be changed by others on")),
        (0o602, Some("can be changed by others on")),
        (0o640, None),
        (0o440, None),
        (0o600, None),
        (0o400, None),
    ] {
        for secret in ["tls.key", "hash.key", "password"] {
            std::fs::set_permissions(at(secret), Permissions::from_mode(mode)).unwrap();
        }
        let (config, problems) = Config::read(&sources);
        assert!(problems.is_empty(), "{problems:?}");
        let loaded = gateway::load(&config.unwrap());
        assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
        let folder = format!("{}/", folder.path().display());
        let got: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
        let expected = [
            ("{folder}sesgate.toml:13:8", "tls.key"),
            ("{folder}sesgate.toml:9:18", "hash.key"),
            ("SESGATE_USER_PASSWORD_FILE", "link"),
        ];
        let told = |what: &str| {
            expected.map(|(place, name)| {
                let place = place.replace("{folder}", &folder);
                format!(
                    "{place}: `{folder}{name}` {what} this machine (mode {mode:04o}); `chmod g-w,o= \
                     {folder}{name}`, or for a secret that Kubernetes mounts `defaultMode: 0440`"
                )
            })
        };
        assert_eq!(got, what.map_or_else(Vec::new, |what| told(what).to_vec()), "{mode:o}");
    }
}

#[test]
fn a_secret_is_read_from_its_file_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hash");
    let hash = bcrypt::hash("secret", 10).unwrap();
    let read = |content: &[u8]| {
        std::fs::write(&file, content).unwrap();
        let pairs = [
            ("SESGATE_USER_NAME", "app"),
            ("SESGATE_USER_PASSWORD_HASH_FILE", file.to_str().unwrap()),
            ("SESGATE_ACCOUNT_ID", "111122223333"),
            ("SESGATE_ACCOUNT_REGION", "eu-west-1"),
            ("SESGATE_UPSTREAM_KIND", "ses"),
            ("SESGATE_UPSTREAM_ENDPOINT_URL", "https://vpce.example/"),
        ];
        let pairs = pairs.map(|(name, value)| (name.into(), value.into()));
        let (config, settings, problems) =
            Config::read_settings(&Sources::without_file(pairs, Vec::new()));
        let shown = format!("{}{}{problems:?}", settings.to_toml(), settings.to_json());
        assert!(!shown.contains(&hash), "{shown}");
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        (config.unwrap(), problems, settings.to_toml())
    };
    for content in [hash.clone(), format!("{hash}\n"), format!("{hash}\r\n")] {
        let (config, problems, printed) = read(content.as_bytes());
        assert_eq!(problems, Vec::<String>::new());
        assert!(config.files().contains(&file), "a change of the file must be noticed");
        assert!(gateway::load(&config).problems.is_empty());
        let line = "password_hash = \"********\"  # SESGATE_USER_PASSWORD_HASH_FILE";
        assert!(printed.lines().any(|printed| printed == line), "{printed}");
    }
    let cases: [(&[u8], &str); 4] = [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff", "is not UTF-8"),
        (&[b'x'; 70_000], "is longer than 65536 bytes: no secret is"),
    ];
    for (content, expected) in cases {
        let (_, problems, _) = read(content);
        let line = format!("SESGATE_USER_PASSWORD_HASH_FILE: `{}` {expected}", file.display());
        assert!(problems.contains(&line), "{problems:#?}");
    }
}

/// What `check` says of a user is what the decisions come to, for senders of every kind of identity.
#[test]
fn who_can_send_nothing_is_refused_whatever_it_sends_and_nobody_else_is_told_so() {
    let file = path("tests/configs/silent-users.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let silent: BTreeSet<_> = marked(&text, "#! ")
        .into_iter()
        .filter_map(|line| line.split_once(" can send nothing: "))
        .filter_map(|(start, _)| Some(start.split_once("user `")?.1.trim_end_matches('`')))
        .collect();
    let users = text.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    // Nothing says the VPC of a client here.
    let users = users.filter(|name| !name.contains('.') && *name != "in-the-vpc");
    for user in users {
        let is_allowed =
            ["a@example.com", "a@example.net", "a@mail.example.com"].iter().any(|from| {
                let mut explain = program();
                explain.args([
                    "policy",
                    "explain",
                    "--user",
                    user,
                    "--rcpt",
                    "b@example.com",
                    "--from",
                ]);
                explain.arg(from).arg("--config").arg(&file);
                let explained = explain.output().unwrap();
                String::from_utf8_lossy(&explained.stdout).starts_with("allowed")
            });
        assert_eq!(is_allowed, !silent.contains(user), "{user}");
    }
    assert_eq!(silent.len(), 12);
}
