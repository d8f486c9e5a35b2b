//! `tests/dialogues/*.smtp` → dialogues. The format is described in `tests/dialogues/README.md`.

use std::fs;
use std::path::Path;

use sesgate::smtp::{Auth, BareLf, SessionSettings};

use crate::support::settings;

/// One file.
#[derive(Clone, Debug)]
pub(crate) struct Dialogue {
    /// File name without `.smtp`.
    pub(crate) name: String,
    /// The comment lines at the top: rule and source.
    pub(crate) title: String,
    /// Settings of the listener; host name `gate.test`.
    pub(crate) settings: SessionSettings,
    /// TLS from the first byte on.
    pub(crate) implicit_tls: bool,
    /// What depends on bytes being there already: not to be split.
    pub(crate) whole: bool,
    /// What the caller of the session answers instead of accepting.
    pub(crate) answers: Answers,
    /// What is said, in order.
    pub(crate) turns: Vec<Turn>,
}

/// What the caller of the session answers, each list in order; afterwards it accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answers {
    pub(crate) auth_busy: bool,
    pub(crate) mail: Vec<String>,
    pub(crate) data: Vec<String>,
    pub(crate) header: Vec<String>,
    pub(crate) relay: Vec<String>,
}

/// What the client sends at once, and what it is then told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turn {
    /// Line of the file.
    pub(crate) line: usize,
    /// What happens before anything is sent.
    pub(crate) event: Option<Event>,
    /// Bytes of the client.
    pub(crate) send: Vec<u8>,
    /// Reply lines.
    pub(crate) expect: Vec<Expect>,
    /// Whether the connection is closed behind the replies.
    pub(crate) close: bool,
    /// Content that is relayed in this turn, if the file says.
    pub(crate) relayed: Option<Vec<u8>>,
    /// Envelope that is relayed in this turn, if the file says: `from > to, to`.
    pub(crate) envelope: Option<String>,
}

/// What happens besides bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// TLS is in place.
    Tls,
    /// sesgate shuts down.
    Shutdown,
    /// The client was silent too long.
    Timeout,
}

/// What the client expects to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// A reply line; `{id}` stands for any word.
    Line(String),
    /// Any number of reply lines.
    Skip,
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> Dialogue {
    let name = path.file_stem().unwrap().to_string_lossy();
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"));
    parse(&name, &text).unwrap_or_else(|problem| panic!("{name}.smtp: {problem}"))
}

/// Reads the text of a file.
pub(crate) fn parse(name: &str, text: &str) -> Result<Dialogue, String> {
    let mut dialogue = Dialogue {
        name: name.to_owned(),
        title: String::new(),
        settings: settings(),
        implicit_tls: false,
        whole: false,
        answers: Answers::default(),
        turns: Vec::new(),
    };
    for (index, line) in text.lines().enumerate() {
        read_line(&mut dialogue, index + 1, line)
            .map_err(|problem| format!("line {}: {problem}", index + 1))?;
    }
    if dialogue.title.is_empty() || dialogue.turns.is_empty() {
        return Err("a dialogue has a title and turns".to_owned());
    }
    Ok(dialogue)
}

fn read_line(dialogue: &mut Dialogue, number: usize, line: &str) -> Result<(), String> {
    if let Some(comment) = line.strip_prefix('#') {
        if dialogue.turns.is_empty() {
            dialogue.title.push_str(comment);
        }
    } else if line == "..." {
        turn(dialogue, number).expect.push(Expect::Skip);
    } else if let Some(directive) = line.strip_prefix("@ ") {
        return read_directive(dialogue, number, directive);
    } else if let Some((mark @ ("C" | "S" | "R" | "E"), rest)) = line.split_once([':', '|']) {
        let raw = line.as_bytes()[1] == b'|';
        let text = rest.strip_prefix(' ').unwrap_or(rest);
        let bytes = if raw { unescape(text)? } else { [text.as_bytes(), b"\r\n"].concat() };
        match mark {
            "C" => client_turn(dialogue, number).send.extend(bytes),
            "R" => turn(dialogue, number).relayed.get_or_insert_default().extend(bytes),
            "E" => turn(dialogue, number).envelope = Some(text.to_owned()),
            _ if text == "<close>" => turn(dialogue, number).close = true,
            _ => turn(dialogue, number).expect.push(Expect::Line(text.to_owned())),
        }
    } else if !line.is_empty() {
        return Err(format!(
            "`{line}` is none of `#`, `@`, `C:`, `C|`, `S:`, `R:`, `R|`, `E:`, `...`"
        ));
    }
    Ok(())
}

fn read_directive(dialogue: &mut Dialogue, number: usize, text: &str) -> Result<(), String> {
    let count = |text: &str| text.parse::<usize>().map_err(|_| format!("`{text}` is no number"));
    let settings = &mut dialogue.settings;
    let answers = &mut dialogue.answers;
    match text.split(' ').collect::<Vec<_>>()[..] {
        ["tls"] => event(dialogue, number, Event::Tls),
        ["shutdown"] => event(dialogue, number, Event::Shutdown),
        ["timeout"] => event(dialogue, number, Event::Timeout),
        ["tls", "implicit"] => dialogue.implicit_tls = true,
        ["starttls", "off"] => settings.starttls = false,
        ["require-tls"] => {
            settings.require_tls = true;
            settings.auth = Auth::Offered { in_clear: false };
        }
        ["auth", "none"] => settings.auth = Auth::None,
        ["auth", "tls"] => settings.auth = Auth::Offered { in_clear: false },
        ["auth", "busy"] => answers.auth_busy = true,
        ["bare-lf", "normalize"] => settings.bare_lf = BareLf::Normalize,
        ["message-bytes", bytes] => settings.message_bytes = count(bytes)?,
        ["whole"] => dialogue.whole = true,
        ["limit", name, value] => {
            let value = count(value)?;
            let limits = &mut settings.limits;
            let small = u32::try_from(value).map_err(|_| "too large".to_owned())?;
            match name {
                "command-line-bytes" => limits.command_line_bytes = value,
                "auth-line-bytes" => limits.auth_line_bytes = value,
                "recipients" => limits.recipients = value,
                "errors" => limits.errors = small,
                "unknown-before-auth" => limits.unknown_before_auth = small,
                "idle-commands" => limits.idle_commands = small,
                "auth-failures" => limits.auth_failures = small,
                "messages" => limits.messages = small,
                _ => return Err(format!("unknown limit `{name}`")),
            }
        }
        ["mail", answer] => answers.mail.push(answer.to_owned()),
        ["data", answer] => answers.data.push(answer.to_owned()),
        ["header", answer] => answers.header.push(answer.to_owned()),
        ["relay", answer] => answers.relay.push(answer.to_owned()),
        _ => return Err(format!("unknown directive `{text}`")),
    }
    Ok(())
}

fn turn(dialogue: &mut Dialogue, line: usize) -> &mut Turn {
    if dialogue.turns.is_empty() {
        dialogue.turns.push(Turn { line, ..Turn::default() });
    }
    dialogue.turns.last_mut().unwrap()
}

/// A client that says something after it was told something begins a turn.
fn client_turn(dialogue: &mut Dialogue, line: usize) -> &mut Turn {
    if dialogue.turns.last().is_some_and(|turn| !turn.expect.is_empty() || turn.close) {
        dialogue.turns.push(Turn { line, ..Turn::default() });
    }
    turn(dialogue, line)
}

fn event(dialogue: &mut Dialogue, line: usize, event: Event) {
    dialogue.turns.push(Turn { line, event: Some(event), ..Turn::default() });
}

/// Undoes `\r`, `\n`, `\t`, `\\`, `\xHH` and `\{TEXT*N}`.
pub(crate) fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let problem = || format!("unknown escape `\\{escape}`");
        let mut letters = escape.chars();
        let letter = letters.next().ok_or_else(problem)?;
        rest = letters.as_str();
        match letter {
            'r' => bytes.push(b'\r'),
            'n' => bytes.push(b'\n'),
            't' => bytes.push(b'\t'),
            '\\' => bytes.push(b'\\'),
            'x' => {
                let (digits, behind) = rest.split_at_checked(2).ok_or_else(problem)?;
                bytes.push(u8::from_str_radix(digits, 16).map_err(|_| problem())?);
                rest = behind;
            }
            '{' => {
                let (repeat, behind) = rest.split_once('}').ok_or_else(problem)?;
                let (unit, count) = repeat.rsplit_once('*').ok_or_else(problem)?;
                let count = count.parse().map_err(|_| problem())?;
                bytes.extend_from_slice(unescape(unit)?.repeat(count).as_slice());
                rest = behind;
            }
            _ => return Err(problem()),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}
