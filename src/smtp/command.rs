//! One command line → a verb and its arguments (RFC 5321 section 4.1).
//!
//! A line comes without its CRLF and within its limit. What may be said when is left to the
//! session; AUTH arguments are left to `sasl`.

use std::borrow::Cow;
use std::fmt;

use super::reply::Reply;
use crate::address::Address;

/// What a command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// EHLO, RFC 5321 section 4.1.1.1.
    Ehlo,
    /// HELO, RFC 5321 section 4.1.1.1.
    Helo,
    /// STARTTLS, RFC 3207.
    StartTls,
    /// AUTH, RFC 4954.
    Auth,
    /// MAIL, RFC 5321 section 4.1.1.2.
    Mail,
    /// RCPT, RFC 5321 section 4.1.1.3.
    Rcpt,
    /// DATA, RFC 5321 section 4.1.1.4.
    Data,
    /// RSET, RFC 5321 section 4.1.1.5.
    Rset,
    /// NOOP, RFC 5321 section 4.1.1.9.
    Noop,
    /// QUIT, RFC 5321 section 4.1.1.10.
    Quit,
    /// HELP, RFC 5321 section 4.1.1.8.
    Help,
    /// VRFY or EXPN, which SES disables.
    Lookup(&'static str),
    /// A known command that is never offered, such as XCLIENT.
    NotOffered(&'static str),
    /// BDAT (RFC 3030), whose payload must not be read as commands.
    Bdat,
    /// No SMTP: an HTTP method, a PROXY header or a header field.
    Foreign,
    /// Any other word.
    Unknown,
}

/// A command line split into its verb and what follows.
pub struct Line<'a> {
    /// What the line asks for, told even where the rest of the line is illegal.
    pub verb: Verb,
    /// What follows the verb and one blank; `None` if the line has bytes that no command may have.
    pub arguments: Option<Cow<'a, str>>,
}

/// What MAIL said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The reverse-path, never empty.
    pub reverse_path: Address,
    /// Whether `BODY=8BITMIME` was given (RFC 6152).
    pub body_8bit: bool,
    /// SIZE, if given and not zero (RFC 1870), in bytes and at most the limit.
    pub size: Option<u64>,
}

/// HTTP methods, HTTP/2's preface, and a PROXY header on a listener that expects none.
const FOREIGN_WORDS: [&str; 11] = [
    "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE", "PRI", "PROXY",
];
const VERBS: [(&str, Verb); 19] = [
    ("EHLO", Verb::Ehlo),
    ("HELO", Verb::Helo),
    ("STARTTLS", Verb::StartTls),
    ("AUTH", Verb::Auth),
    ("MAIL", Verb::Mail),
    ("RCPT", Verb::Rcpt),
    ("DATA", Verb::Data),
    ("RSET", Verb::Rset),
    ("NOOP", Verb::Noop),
    ("QUIT", Verb::Quit),
    ("HELP", Verb::Help),
    ("VRFY", Verb::Lookup("VRFY")),
    ("EXPN", Verb::Lookup("EXPN")),
    ("ETRN", Verb::NotOffered("ETRN")),
    ("XCLIENT", Verb::NotOffered("XCLIENT")),
    ("XFORWARD", Verb::NotOffered("XFORWARD")),
    ("TURN", Verb::NotOffered("TURN")),
    ("ATRN", Verb::NotOffered("ATRN")),
    ("BDAT", Verb::Bdat),
];

/// Longest EHLO name, in bytes: the longest domain (RFC 5321 section 4.5.3.1.2).
const EHLO_BYTES: usize = 255;

impl Verb {
    /// Returns its name, in capitals; none for what is no verb of SMTP.
    pub fn name(self) -> Option<&'static str> {
        VERBS.iter().find(|(_, verb)| *verb == self).map(|(name, _)| *name)
    }
}

impl Line<'_> {
    /// Splits a line without its CRLF.
    ///
    /// 8-bit bytes are let through for MAIL and RCPT alone, so that the answer can name the address.
    pub fn split(line: &[u8]) -> Line<'_> {
        let word_bytes =
            line.iter().position(|byte| !byte.is_ascii_graphic()).unwrap_or(line.len());
        let (word, rest) = line.split_at_checked(word_bytes).unwrap_or((line, &[]));
        let verb = verb(word);
        let arguments = if line.iter().any(u8::is_ascii_control) {
            None
        } else if matches!(verb, Verb::Mail | Verb::Rcpt) {
            Some(String::from_utf8_lossy(rest))
        } else {
            str::from_utf8(rest).ok().filter(|rest| rest.is_ascii()).map(Cow::Borrowed)
        };
        let arguments = arguments.map(|arguments| match arguments {
            Cow::Borrowed(text) => Cow::Borrowed(text.strip_prefix(' ').unwrap_or(text)),
            Cow::Owned(text) => Cow::Owned(text.strip_prefix(' ').unwrap_or(&text).to_owned()),
        });
        Line { verb, arguments }
    }
}

/// Returns whether a line starts like a TLS record, which has no line end to wait for.
pub fn starts_tls_record(line: &[u8]) -> bool {
    line.starts_with(&[0x16, 0x03])
}

/// Returns whether a line, perhaps not complete, is an AUTH command, which may be longer than others.
pub fn is_auth(line: &[u8]) -> bool {
    line.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"AUTH "))
}

/// Reads the name of EHLO or HELO: one printable word of at most 255 bytes.
///
/// # Errors
/// `501` with `syntax`.
pub fn ehlo_name<'a>(arguments: &'a str, syntax: &'static str) -> Result<&'a str, Reply> {
    let name = arguments.trim_matches(' ');
    if name.is_empty() || name.contains(' ') || name.len() > EHLO_BYTES {
        return Err(Reply::syntax(syntax));
    }
    Ok(name)
}

/// Reads `FROM:<address>`, perhaps without the brackets, and parameters.
///
/// # Errors
/// The reply that says what is wrong: `501`, `552` for a declared size over `message_bytes`, `553`, `555`.
pub fn mail(arguments: &str, message_bytes: usize) -> Result<Mail, Reply> {
    let syntax = || Reply::syntax("MAIL FROM: <address>");
    let (path, parameters) = path("FROM:", arguments).ok_or_else(syntax)?;
    if !path.is_ascii() {
        return Err(Reply::invalid_address(path));
    }
    let reverse_path = Address::parse(path).map_err(|_| Reply::invalid_reverse_path())?;
    let mut body_8bit = false;
    let mut declared = None;
    let mut seen = Vec::new();
    for parameter in parameters.split(' ').filter(|parameter| !parameter.is_empty()) {
        let (keyword, value) = match parameter.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (parameter, None),
        };
        let keyword = keyword.to_ascii_uppercase();
        match keyword.as_str() {
            "SIZE" => declared = size(value, message_bytes)?,
            "BODY" => body_8bit = body(value)?,
            "AUTH" => auth(value)?,
            _ => return Err(Reply::unknown_parameter(&keyword)),
        }
        if seen.contains(&keyword) {
            return Err(syntax());
        }
        seen.push(keyword);
    }
    Ok(Mail { reverse_path, body_8bit, size: declared })
}

/// Reads `TO:<address>`, perhaps without the brackets; RCPT has no parameters here.
///
/// # Errors
/// The reply that says what is wrong: `501`, `553`, `555`.
pub fn rcpt(arguments: &str) -> Result<Address, Reply> {
    let syntax = || Reply::syntax("RCPT TO: <address>");
    let (path, parameters) = path("TO:", arguments).ok_or_else(syntax)?;
    let forward_path = Address::parse(path).map_err(|_| Reply::invalid_address(path))?;
    match parameters.split(' ').find(|parameter| !parameter.is_empty()) {
        None => Ok(forward_path),
        Some(parameter) => {
            let keyword = parameter.split('=').next().unwrap_or_default();
            Err(Reply::unknown_parameter(&keyword.to_ascii_uppercase()))
        }
    }
}

/// Hides the arguments, which may be those of AUTH.
impl fmt::Debug for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("verb", &self.verb).finish_non_exhaustive()
    }
}

fn verb(word: &[u8]) -> Verb {
    if word.iter().position(|byte| *byte == b':').is_some_and(|at| at > 0) {
        return Verb::Foreign;
    }
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    if FOREIGN_WORDS.into_iter().any(is) {
        return Verb::Foreign;
    }
    VERBS.iter().find(|(name, _)| is(name)).map_or(Verb::Unknown, |(_, verb)| *verb)
}

/// Splits `FROM:<path> parameters`; blanks before the path are let through as SES's own syntax line
/// has one. A path without brackets, as in the examples of the SES guide, ends at a blank, and has
/// neither quotes nor half a pair of brackets, so that there is one reading of it.
fn path<'a>(prefix: &str, arguments: &'a str) -> Option<(&'a str, &'a str)> {
    let (start, rest) = arguments.split_at_checked(prefix.len())?;
    if !start.eq_ignore_ascii_case(prefix) {
        return None;
    }
    let rest = rest.trim_start_matches(' ');
    let Some(inside) = rest.strip_prefix('<') else {
        let (path, parameters) = rest.split_at_checked(rest.find(' ').unwrap_or(rest.len()))?;
        let is_bare = path.contains('@') && !path.contains(['<', '>', '"']);
        return is_bare.then_some((path, parameters));
    };
    let (path, parameters) = inside.split_once('>')?;
    if path.contains('<') {
        // A name within the brackets: no address of our grammar holds a bracket.
        return Some((inside.strip_suffix('>').unwrap_or(inside), ""));
    }
    (parameters.is_empty() || parameters.starts_with(' ')).then_some((path, parameters))
}

/// SIZE, RFC 1870: 1 to 20 digits. Zero says nothing.
fn size(value: Option<&str>, message_bytes: usize) -> Result<Option<u64>, Reply> {
    let digits = value
        .filter(|value| (1..=20).contains(&value.len()))
        .filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()))
        .ok_or_else(|| Reply::invalid_parameter("SIZE"))?;
    let most = u64::try_from(message_bytes).unwrap_or(u64::MAX);
    match digits.parse::<u64>() {
        Ok(0) => Ok(None),
        Ok(size) if size <= most => Ok(Some(size)),
        _ => Err(Reply::message_too_long()),
    }
}

/// BODY, RFC 6152.
fn body(value: Option<&str>) -> Result<bool, Reply> {
    match value.map(str::to_ascii_uppercase).as_deref() {
        Some("7BIT") => Ok(false),
        Some("8BITMIME") => Ok(true),
        _ => Err(Reply::invalid_parameter("BODY")),
    }
}

/// AUTH, RFC 4954 section 5: `<>` or xtext, checked and then ignored.
fn auth(value: Option<&str>) -> Result<(), Reply> {
    match value {
        Some("<>") => Ok(()),
        Some(value) if is_xtext(value) => Ok(()),
        _ => Err(Reply::invalid_parameter("AUTH")),
    }
}

/// xtext, RFC 3461 section 4: printable ASCII without `+` and `=`, or `+` and two capital hex digits.
fn is_xtext(value: &str) -> bool {
    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'A'..=b'F');
    let mut rest = value.as_bytes();
    loop {
        rest = match rest {
            [] => return !value.is_empty(),
            [b'+', first, second, rest @ ..] if is_hex(first) && is_hex(second) => rest,
            [b'+' | b'=', ..] => return false,
            [byte, rest @ ..] if byte.is_ascii_graphic() => rest,
            _ => return false,
        }
    }
}
