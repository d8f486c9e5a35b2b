//! What `--help` and the manual pages say of each command beside its options: exit statuses,
//! examples, environment and files.

use std::fmt::Write as _;

use clap::Command;

/// What is told of one command.
#[derive(Debug)]
pub(super) struct Page {
    /// The words behind `sesgate`; none for all of it.
    pub(super) command: &'static str,
    /// Exit statuses and when they come.
    pub(super) exit_status: &'static [(&'static str, &'static str)],
    /// What to type, and what it does.
    pub(super) examples: &'static [(&'static str, &'static str)],
    /// Variables and what they are for.
    pub(super) environment: &'static [(&'static str, &'static str)],
    /// Paths and what is there.
    pub(super) files: &'static [(&'static str, &'static str)],
}

const USAGE: (&str, &str) = ("2", "the command line cannot be understood");
const UNUSABLE: (&str, &str) = ("78", "the configuration cannot be used; every mistake is listed");
const CONFIG: (&str, &str) = (
    "config/sesgate.toml",
    "the configuration, unless --config or SESGATE_CONFIG names another file",
);
const SETTINGS: (&str, &str) =
    ("SESGATE_…", "settings over those of the file; `sesgate config variables` lists them");
const NO_COLOR: (&str, &str) = ("NO_COLOR", "when set and not empty, nothing is coloured");
const AWS: (&str, &str) = (
    "AWS_PROFILE, AWS_ACCESS_KEY_ID, …",
    "where credentials for SES come from, as for every tool of AWS",
);

/// Every page, the whole program first.
pub(super) const PAGES: &[Page] = &[
    Page {
        command: "",
        exit_status: &[
            ("0", "it went well"),
            ("1", "it did not; standard error, or the report, says why"),
            USAGE,
            UNUSABLE,
        ],
        examples: &[
            ("sesgate check --config /etc/sesgate/sesgate.toml", "is the configuration good?"),
            ("sesgate doctor --config /etc/sesgate/sesgate.toml", "and everything around it?"),
            ("sesgate serve --config /etc/sesgate/sesgate.toml", "take mail"),
            ("sesgate help policy lint", "what a command takes"),
        ],
        environment: &[
            SETTINGS,
            AWS,
            NO_COLOR,
            (
                "CLICOLOR_FORCE",
                "when set and not empty, output is coloured although it is no terminal",
            ),
            ("TERM", "dumb: neither colours nor progress"),
        ],
        files: &[CONFIG],
    },
    Page {
        command: "serve",
        exit_status: &[
            ("0", "SIGTERM or SIGINT came, and what was in flight has been finished"),
            ("1", "it could not start, such as for a port in use; or a second signal came"),
            USAGE,
            UNUSABLE,
        ],
        examples: &[
            ("sesgate serve", "with config/sesgate.toml"),
            ("sesgate serve --config /etc/sesgate/sesgate.toml", "with another file"),
            ("kill -HUP PID", "read the configuration again, all or nothing"),
            (
                "sesgate serve --candidate next",
                "try next/policies/app.json beside policies/app.json",
            ),
        ],
        environment: &[
            SETTINGS,
            AWS,
            ("LISTEN_FDS, LISTEN_PID", "sockets that systemd hands over"),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT, …",
                "where traces and log lines go, when built with the feature otlp",
            ),
            ("NO_COLOR", "when set and not empty, the log on a terminal is not coloured"),
        ],
        files: &[CONFIG],
    },
    Page {
        command: "check",
        exit_status: &[
            ("0", "`serve` would start with it"),
            ("1", "so it would, but with --strict there are warnings"),
            USAGE,
            UNUSABLE,
        ],
        examples: &[
            ("sesgate check", "with config/sesgate.toml"),
            ("sesgate check --strict", "in CI: warnings fail too"),
            ("sesgate check --config /etc/sesgate/sesgate.toml", "with another file"),
        ],
        environment: &[SETTINGS, NO_COLOR],
        files: &[CONFIG],
    },
    Page {
        command: "config",
        exit_status: &[("…", "each command has its own; see its help")],
        examples: &[],
        environment: &[SETTINGS],
        files: &[CONFIG],
    },
    Page {
        command: "config print",
        exit_status: &[
            ("0", "the configuration can be used"),
            ("1", "the output could not be written"),
            USAGE,
            UNUSABLE,
        ],
        examples: &[
            ("sesgate config print", "file, environment and defaults in one"),
            ("sesgate config print --set log.level=debug", "and with a flag"),
        ],
        environment: &[SETTINGS],
        files: &[CONFIG],
    },
    Page {
        command: "config variables",
        exit_status: &[("0", "the list was printed"), ("1", "it was not"), USAGE],
        examples: &[("sesgate config variables | grep memory", "which one is it?")],
        environment: &[],
        files: &[],
    },
    Page {
        command: "doctor",
        exit_status: &[
            ("0", "nothing failed"),
            ("1", "something failed; its line says how to mend it"),
            USAGE,
            UNUSABLE,
        ],
        examples: &[
            ("sesgate doctor", "look at everything, send nothing"),
            ("sesgate doctor --send-from app@example.com", "prove that the role may send"),
            ("sesgate doctor --format json | jq '.checks[] | select(.fix)'", "what is to be done"),
        ],
        environment: &[
            SETTINGS,
            AWS,
            ("AWS_ENDPOINT_URL_STS", "another STS to ask whose the credentials are"),
            NO_COLOR,
        ],
        files: &[CONFIG],
    },
    Page {
        command: "healthcheck",
        exit_status: &[
            ("0", "the relay takes mail"),
            (
                "1",
                "it does not, or does not answer within 2 s, or no [admin] address is configured",
            ),
            USAGE,
        ],
        examples: &[(
            "sesgate healthcheck --config /etc/sesgate/sesgate.toml",
            "as HEALTHCHECK of an image, or from a script",
        )],
        environment: &[SETTINGS],
        files: &[CONFIG],
    },
    Page {
        command: "policy",
        exit_status: &[("…", "each command has its own; see its help")],
        examples: &[
            ("sesgate policy new --from app@example.com", "a first policy, with cases"),
            ("sesgate policy lint policies/", "find mistakes"),
            ("sesgate policy test cases/", "does each request get the decision expected?"),
        ],
        environment: &[],
        files: &[],
    },
    Page {
        command: "policy explain",
        exit_status: &[
            ("0", "the message would be permitted"),
            ("1", "it would be refused"),
            USAGE,
            (
                "64",
                "there is no such user or listener, the listener would not take the client, or the\n      message or a value cannot be read",
            ),
            UNUSABLE,
        ],
        examples: &[
            (
                "sesgate policy explain --user app --from app@example.com --rcpt you@example.net",
                "a message with that From",
            ),
            (
                "sesgate policy explain --user app --from app@example.com --rcpt you@example.net \\\n    --message mail.eml --listener 2525 --at 2027-01-01",
                "the header section of a message in a file, next year",
            ),
            (
                "sesgate policy explain --user app --context ses:FromAddress=app@example.com",
                "a bare request instead of a message",
            ),
        ],
        environment: &[SETTINGS, NO_COLOR],
        files: &[CONFIG],
    },
    Page {
        command: "policy evaluate",
        exit_status: &[
            ("0", "every line was answered, refused lines included"),
            ("1", "the input could not be read, or the output not be written"),
            USAGE,
        ],
        examples: &[("sesgate policy evaluate < requests.jsonl", "one answer a line")],
        environment: &[],
        files: &[],
    },
    Page {
        command: "policy lint",
        exit_status: &[
            ("0", "nothing is worse than a suggestion"),
            ("1", "warnings"),
            (
                "2",
                "errors, warnings with --deny-warnings, a file that cannot be read, no policy at\n      all, or a command line that cannot be understood",
            ),
        ],
        examples: &[
            ("sesgate policy lint policies/", "every file *.json of a folder, at any depth"),
            ("sesgate policy lint --kind scp scp.json", "a service control policy"),
            (
                "sesgate policy lint --config /etc/sesgate/sesgate.toml",
                "every policy in use, each as what it is attached to",
            ),
            ("sesgate policy lint --allow broad-resource policies/", "but for what is meant so"),
            ("sesgate policy lint --format sarif policies/ > lint.sarif", "for code scanning"),
            ("sesgate policy lint --rules", "what it can find"),
        ],
        environment: &[NO_COLOR],
        files: &[],
    },
    Page {
        command: "policy new",
        exit_status: &[
            ("0", "the policy was printed, or written"),
            (
                "1",
                "it was not: the linter or a case objects to what was wished, a file is there, or the\n      output could not be written",
            ),
            (
                "2",
                "nothing was wished, one wish takes away another, or the command line cannot be\n      understood",
            ),
        ],
        examples: &[
            ("sesgate policy new", "on a terminal: asks what is wished"),
            (
                "sesgate policy new --from app@example.com --to-domain example.com",
                "as one address, and to one domain alone",
            ),
            (
                "sesgate policy new --from @example.com --write policies/app.json",
                "writes policies/app.json and policies/cases/app.json",
            ),
        ],
        environment: &[],
        files: &[],
    },
    Page {
        command: "policy test",
        exit_status: &[
            ("0", "all cases passed"),
            ("1", "some failed, or less of the policies is reached than --coverage asks for"),
            (
                "2",
                "a file cannot be read, there are no cases, or the command line cannot be\n      understood",
            ),
        ],
        examples: &[
            ("sesgate policy test cases/", "every file *.json of a folder, at any depth"),
            ("sesgate policy test --format junit cases/ > report.xml", "for CI"),
            ("sesgate policy test --coverage=90 cases/", "which statements does no case reach?"),
        ],
        environment: &[SETTINGS, NO_COLOR],
        files: &[],
    },
    Page {
        command: "policy replay",
        exit_status: &[
            ("0", "every decision comes out as before"),
            ("1", "some come out otherwise"),
            (
                "2",
                "as 0, but records were left out: standard error says which and why; or the\n      command line cannot be understood",
            ),
            ("3", "some come out otherwise, and records were left out"),
            ("64", "there is no such user"),
            UNUSABLE,
        ],
        examples: &[
            (
                "sesgate policy replay --log decisions.jsonl --config new/sesgate.toml",
                "yesterday's mail with another configuration",
            ),
            (
                "sesgate policy replay --log decisions.jsonl --policy new.json --user app",
                "with another policy for one user",
            ),
            ("sesgate policy replay --log decisions.jsonl --format junit > report.xml", "for CI"),
        ],
        environment: &[SETTINGS],
        files: &[CONFIG],
    },
    Page {
        command: "user",
        exit_status: &[("…", "each command has its own; see its help")],
        examples: &[],
        environment: &[],
        files: &[],
    },
    Page {
        command: "user hash-password",
        exit_status: &[("0", "the hash was printed"), ("1", "there is none"), USAGE],
        examples: &[
            ("sesgate user hash-password", "ask for the password"),
            ("pass show app | sesgate user hash-password", "from a password store"),
        ],
        environment: &[],
        files: &[],
    },
    Page {
        command: "user import-ses",
        exit_status: &[("0", "the hash was printed"), ("1", "there is none"), USAGE],
        examples: &[(
            "sesgate user import-ses --region eu-west-1",
            "ask for the secret access key of the IAM user",
        )],
        environment: &[],
        files: &[],
    },
    Page {
        command: "version",
        exit_status: &[("0", "always")],
        examples: &[("sesgate version --json | jq -r .commit", "the commit alone")],
        environment: &[],
        files: &[],
    },
    Page {
        command: "completions",
        exit_status: &[("0", "the script was printed"), USAGE],
        examples: &[
            (
                "sesgate completions bash > /etc/bash_completion.d/sesgate",
                "for every user of this machine",
            ),
            ("source <(sesgate completions bash)", "for this shell"),
            ("sesgate completions zsh > \"${fpath[1]}/_sesgate\"", "for zsh"),
            ("sesgate completions fish > ~/.config/fish/completions/sesgate.fish", "for fish"),
        ],
        environment: &[],
        files: &[],
    },
    Page {
        command: "man",
        exit_status: &[("0", "the pages were written"), ("1", "they were not"), USAGE],
        examples: &[
            ("sesgate man | man -l -", "read the page of sesgate itself"),
            ("sesgate man /usr/local/share/man/man1", "install all pages"),
        ],
        environment: &[],
        files: &[],
    },
];

impl Page {
    /// Returns the page of a command.
    pub(super) fn of(command: &str) -> Option<&'static Page> {
        PAGES.iter().find(|page| page.command == command)
    }
}

/// Adds to the long help of every command its exit statuses and examples.
pub(super) fn attach(command: Command) -> Command {
    attach_below(command, "")
}

fn attach_below(command: Command, path: &str) -> Command {
    let header = *command.get_styles().get_header();
    let command = match Page::of(path) {
        Some(page) => command.after_long_help(long_help(page, header)),
        None => command,
    };
    command.mut_subcommands(|sub| {
        let below = format!("{path} {}", sub.get_name());
        attach_below(sub, below.trim_start())
    })
}

fn long_help(page: &Page, header: anstyle::Style) -> String {
    let mut text = String::new();
    let heading = |text: &mut String, name: &str| {
        let gap = if text.is_empty() { "" } else { "\n" };
        let _ = writeln!(text, "{gap}{header}{name}:{header:#}");
    };
    heading(&mut text, "Exit status");
    for (status, about) in page.exit_status {
        let _ = writeln!(text, "  {status:<3} {about}");
    }
    if !page.environment.is_empty() {
        heading(&mut text, "Environment");
        for (name, about) in page.environment {
            let _ = writeln!(text, "  {name}\n      {about}");
        }
    }
    if !page.examples.is_empty() {
        heading(&mut text, "Examples");
        for (line, about) in page.examples {
            let _ = writeln!(text, "  {line}\n      {about}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    /// The words behind `sesgate` of every command.
    fn commands(command: &Command, path: &str) -> Vec<String> {
        let below = command.get_subcommands().flat_map(|sub| {
            let below = format!("{path} {}", sub.get_name());
            commands(sub, below.trim_start())
        });
        std::iter::once(path.to_owned()).chain(below).collect()
    }

    #[test]
    fn every_command_has_a_page_and_an_about() {
        let mut pages: Vec<_> = PAGES.iter().map(|page| page.command.to_owned()).collect();
        let mut commands = commands(&Cli::command(), "");
        pages.sort();
        commands.sort();
        assert_eq!(pages, commands);
        for page in PAGES {
            assert!(!page.exit_status.is_empty(), "{}", page.command);
        }
    }

    #[test]
    fn every_example_can_be_typed() {
        let mut count = 0;
        let examples = PAGES.iter().flat_map(|page| page.examples);
        for (line, _) in examples.filter(|(line, _)| line.starts_with("sesgate ")) {
            let words = line.split_whitespace().filter(|word| *word != "\\");
            let words = words.take_while(|word| !["|", ">", "<"].contains(word));
            let parsed = Cli::command().try_get_matches_from(words);
            let is_help = parsed.as_ref().is_err_and(|it| it.exit_code() == 0);
            assert!(parsed.is_ok() || is_help, "{line}: {parsed:?}");
            count += 1;
        }
        assert!(count > 20, "only {count} examples");
    }
}
