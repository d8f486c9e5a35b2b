//! Address fields: the strict grammar of From and its like, and the wider one of To, Cc and Bcc.
//!
//! Both follow RFC 5322 section 3.4 without its obsolete forms. Nothing recurses: a comment nested
//! thousands deep costs a counter.

use super::error::{FieldError, MessageError};
use super::names::{self, BLANKS, Word};
use super::{DisplayName, Mailbox};
use crate::address::{Address, AddressError, excerpt, is_atext};

/// Reads From, Sender, Resent-From and Resent-Sender: mailboxes, commas, nothing else.
pub(super) fn mailboxes(field: &'static str, value: &[u8]) -> Result<Vec<Mailbox>, MessageError> {
    let (text, folds) = unfold(value).map_err(|error| MessageError::Field { field, error })?;
    let mailboxes = List { strict: true, ..List::default() }.read(&text, &folds);
    let mailboxes = mailboxes.map_err(|problem| problem.within(field))?;
    if mailboxes.is_empty() {
        return Err(MessageError::Field { field, error: FieldError::Empty });
    }
    Ok(mailboxes)
}

/// Reads To, Cc and Bcc: mailboxes and groups, perhaps with comments and needless commas, or nothing.
pub(super) fn addresses(field: &'static str, value: &[u8]) -> Result<Vec<Address>, MessageError> {
    let (text, folds) = unfold(value).map_err(|error| MessageError::Field { field, error })?;
    check_broken_words(&text).map_err(|error| MessageError::Field { field, error })?;
    let mailboxes = List::default().read(&text, &folds).map_err(|problem| problem.within(field))?;
    Ok(mailboxes.into_iter().map(|mailbox| mailbox.address).collect())
}

/// Reads Return-Path: an address in brackets or bare, or `<>`, which names none.
pub(super) fn path(field: &'static str, value: &[u8]) -> Result<Option<Address>, MessageError> {
    let (text, _) = unfold(value).map_err(|error| MessageError::Field { field, error })?;
    let text = text.trim_matches(BLANKS);
    let path = text.strip_prefix('<').and_then(|text| text.strip_suffix('>'));
    if path == Some("") {
        return Ok(None);
    }
    match Address::parse(path.unwrap_or(text)) {
        Ok(address) => Ok(Some(address)),
        Err(error) => Err(MessageError::Address { field, error }),
    }
}

/// Takes the line ends out (RFC 5322 section 2.2.3), and says before which bytes of the text they were.
/// What is left is printable ASCII and blanks.
pub(super) fn unfold(value: &[u8]) -> Result<(String, Vec<usize>), FieldError> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut folds = Vec::new();
    for byte in value {
        match byte {
            b'\r' => {}
            b'\n' => folds.push(bytes.len()),
            other => bytes.push(*other),
        }
    }
    if !bytes.is_ascii() {
        return Err(FieldError::EightBit);
    }
    if bytes.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(FieldError::Control);
    }
    let text = String::from_utf8(bytes).map_err(|_| FieldError::EightBit)?;
    Ok((text, folds))
}

/// Names of recipients are no facts, so an encoded word that is none does no harm to a reading. The
/// second parser seeks the end of each in the rest of the field, though: few keep its time linear.
fn check_broken_words(text: &str) -> Result<(), FieldError> {
    let parts = text.split(|character: char| " \t()<>,;:\"\\".contains(character));
    let mut broken = parts.filter(|part| part.contains("=?") && !names::is_encoded_word(part));
    broken.nth(BROKEN_WORDS).map_or(Ok(()), |part| Err(FieldError::EncodedWord(excerpt(part))))
}

const BROKEN_WORDS: usize = 16;

/// A fault of the list itself, or of an address in it.
#[derive(Debug)]
enum Problem {
    Field(FieldError),
    Address(AddressError),
}

impl Problem {
    fn within(self, field: &'static str) -> MessageError {
        match self {
            Self::Field(error) => MessageError::Field { field, error },
            Self::Address(error) => MessageError::Address { field, error },
        }
    }
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Self::Field(error)
    }
}

impl From<AddressError> for Problem {
    fn from(error: AddressError) -> Self {
        Self::Address(error)
    }
}

/// A list of mailboxes while it is read.
#[derive(Debug, Default)]
struct List {
    strict: bool,
    mailboxes: Vec<Mailbox>,
    /// The words of the mailbox or group under way.
    words: Vec<Word>,
    /// Its address in brackets.
    address: Option<Address>,
    /// It has a comment, or one stands before it.
    has_comment: bool,
    in_group: bool,
    /// A group has just ended: a comma has to follow.
    after_group: bool,
    /// A comma came last.
    after_comma: bool,
}

impl List {
    /// Reads a text that had line ends at `folds`.
    fn read(mut self, text: &str, folds: &[usize]) -> Result<Vec<Mailbox>, Problem> {
        let mut tokens = Tokens { text, rest: text, folds, is_folded: false, hides_at: false };
        loop {
            let next =
                tokens.next_token().map_err(|error| self.within_encoded_word(error, &tokens));
            let Some((token, blank_before)) = next? else { break };
            let is_comma = matches!(token, Token::Comma);
            match token {
                Token::Comment(_) if !self.strict => {
                    self.has_comment = true;
                    continue;
                }
                Token::Comment(text) => return Err(FieldError::Comment(excerpt(text)).into()),
                Token::Comma => self.comma()?,
                _ if self.after_group => return Err(FieldError::OpenGroup.into()),
                Token::Word(text) => self.word(Word::atoms(text, blank_before))?,
                Token::Quoted(text) => self.word(Word::quoted(text, blank_before))?,
                Token::Angle(text) => self.angle(text)?,
                Token::Colon => self.open_group()?,
                Token::Semicolon => self.close_group()?,
            }
            self.after_comma = is_comma;
        }
        // Python's `email.utils` ends quotes and comments at a CR, and reads on within what is left of
        // them. Without an `@` in any it finds no address of its own there, so that names of
        // recipients, which are no facts, may be folded.
        if tokens.is_folded && (self.strict || tokens.hides_at) {
            return Err(FieldError::Folded.into());
        }
        if self.in_group {
            return Err(FieldError::OpenGroup.into());
        }
        let is_empty = self.words.is_empty() && self.address.is_none();
        if self.strict && is_empty && self.after_comma {
            return Err(FieldError::Comma.into());
        }
        self.finish()?;
        Ok(self.mailboxes)
    }

    /// Quotes that do not end are none where they begin inside an encoded word.
    fn within_encoded_word(&self, error: FieldError, tokens: &Tokens<'_>) -> FieldError {
        match self.words.last() {
            Some(word) if error == FieldError::Open('"') && word.opens_encoded_word() => {
                FieldError::QuotedEncodedWord(excerpt(&format!("{}\"{}", word.text, tokens.rest)))
            }
            _ => error,
        }
    }

    fn word(&mut self, word: Word) -> Result<(), Problem> {
        if self.address.is_some() {
            return Err(FieldError::Text(excerpt(&word.written())).into());
        }
        self.words.push(word);
        Ok(())
    }

    fn angle(&mut self, text: &str) -> Result<(), Problem> {
        if self.address.is_some() {
            return Err(FieldError::Text(excerpt(text)).into());
        }
        if text.starts_with('@') && text.contains(':') {
            return Err(FieldError::Route(excerpt(text)).into());
        }
        self.address = Some(Address::parse(text)?);
        Ok(())
    }

    fn comma(&mut self) -> Result<(), Problem> {
        let is_empty = self.words.is_empty() && self.address.is_none();
        if self.strict && is_empty {
            return Err(FieldError::Comma.into());
        }
        self.after_group = false;
        self.finish()
    }

    fn open_group(&mut self) -> Result<(), Problem> {
        if self.strict {
            return Err(FieldError::Group.into());
        }
        if self.in_group || self.address.is_some() || self.words.is_empty() {
            return Err(FieldError::OpenGroup.into());
        }
        self.in_group = true;
        // The name of a group is no claim, but `a@example.com:;` would hide an address in one.
        let words = std::mem::take(&mut self.words);
        check_phrase(&words, |_| false)
    }

    fn close_group(&mut self) -> Result<(), Problem> {
        if !self.in_group {
            return Err(FieldError::Semicolon.into());
        }
        self.in_group = false;
        self.after_group = true;
        self.finish()
    }

    /// Ends the mailbox under way, if there is one.
    fn finish(&mut self) -> Result<(), Problem> {
        let words = std::mem::take(&mut self.words);
        let has_comment = std::mem::take(&mut self.has_comment);
        let (address, display_name) = match (self.address.take(), words.as_slice()) {
            (None, []) => return Ok(()),
            (None, [Word { text, quoted: false, .. }]) => (Address::parse(text)?, None),
            (None, words) => return Err(not_an_address(words)),
            (Some(address), words) => {
                let repeats = |word: &str| {
                    words.len() == 1 && !has_comment && names::unquoted(word) == address.as_str()
                };
                check_phrase(words, repeats)?;
                let display_name = self.display_name(words)?;
                (address, display_name)
            }
        };
        self.mailboxes.push(Mailbox { display_name, address });
        Ok(())
    }

    /// Names are facts for policies in the strict fields alone.
    fn display_name(&self, words: &[Word]) -> Result<Option<DisplayName>, FieldError> {
        if self.strict { names::display_name(words) } else { Ok(None) }
    }
}

/// Words before brackets: an unquoted `@` among them is an address to some programs. Where the word
/// `repeats` the very address in the brackets it is the same address to all of them.
fn check_phrase(words: &[Word], repeats: impl Fn(&str) -> bool) -> Result<(), Problem> {
    let mut unquoted = words.iter().filter(|word| !word.quoted && word.text.contains('@'));
    match unquoted.find(|word| !repeats(&word.text)) {
        Some(word) => Err(FieldError::Text(excerpt(&word.text)).into()),
        None => Ok(()),
    }
}

/// Words without brackets that are more than one address.
fn not_an_address(words: &[Word]) -> Problem {
    if words.iter().any(|word| word.text.contains('@')) {
        FieldError::Text(excerpt(&names::written(words))).into()
    } else {
        AddressError::NoDomain.into()
    }
}

/// A piece of an address list.
#[derive(Debug)]
enum Token<'a> {
    /// Atoms, dots and `@` without a blank in between.
    Word(&'a str),
    /// A quoted string, without its quotes and backslashes.
    Quoted(String),
    /// A comment without its outer parentheses.
    Comment(&'a str),
    /// What stands in angle brackets.
    Angle(&'a str),
    Comma,
    Colon,
    Semicolon,
}

struct Tokens<'a> {
    text: &'a str,
    rest: &'a str,
    /// Before which bytes of the text a line ended, in order.
    folds: &'a [usize],
    /// A line ended within quotes or a comment.
    is_folded: bool,
    /// Quotes or a comment have an `@` in them.
    hides_at: bool,
}

impl<'a> Tokens<'a> {
    /// Returns the next token, and whether a blank stands before it.
    fn next_token(&mut self) -> Result<Option<(Token<'a>, bool)>, FieldError> {
        let text = self.rest.trim_start_matches(BLANKS);
        let blank_before = text.len() < self.rest.len();
        let word_bytes = text.bytes().take_while(|byte| is_word_byte(*byte)).count();
        if word_bytes > 0 {
            let (word, rest) = text.split_at_checked(word_bytes).unwrap_or((text, ""));
            self.rest = rest;
            return Ok(Some((Token::Word(word), blank_before)));
        }
        let mut characters = text.chars();
        let Some(first) = characters.next() else { return Ok(None) };
        self.rest = characters.as_str();
        let token = match first {
            ',' => Token::Comma,
            ':' => Token::Colon,
            ';' => Token::Semicolon,
            '"' => {
                let quoted = self.quoted()?;
                self.passed(characters.as_str(), &quoted);
                Token::Quoted(quoted)
            }
            '(' => {
                let comment = self.comment()?;
                self.passed(characters.as_str(), comment);
                Token::Comment(comment)
            }
            '<' => {
                let (inside, rest) = self.rest.split_once('>').ok_or(FieldError::Open('<'))?;
                self.rest = rest;
                Token::Angle(inside)
            }
            other => return Err(FieldError::Special(other)),
        };
        Ok(Some((token, blank_before)))
    }

    /// Notes what readers that end it at a fold could find in quotes or a comment, which began before
    /// `begun` and ended before what is left.
    fn passed(&mut self, begun: &str, inside: &str) {
        let (start, end) = (self.text.len() - begun.len(), self.text.len() - self.rest.len());
        let next = self.folds.partition_point(|fold| *fold < start);
        self.is_folded |= self.folds.get(next).is_some_and(|fold| *fold < end);
        self.hides_at |= inside.contains('@');
    }

    fn quoted(&mut self) -> Result<String, FieldError> {
        let mut text = String::new();
        let mut characters = self.rest.chars();
        loop {
            match characters.next() {
                Some('"') => break,
                Some('\\') => text.push(characters.next().ok_or(FieldError::Open('"'))?),
                Some(character) => text.push(character),
                None => return Err(FieldError::Open('"')),
            }
        }
        self.rest = characters.as_str();
        Ok(text)
    }

    fn comment(&mut self) -> Result<&'a str, FieldError> {
        let text = self.rest;
        let mut depth = 1_usize;
        let mut characters = text.char_indices();
        while depth > 0 {
            match characters.next() {
                Some((_, '(')) => depth += 1,
                Some((_, ')')) => depth -= 1,
                Some((_, '\\')) => drop(characters.next()),
                Some(_) => {}
                None => return Err(FieldError::Open('(')),
            }
        }
        let (inside, rest) = text.split_at_checked(characters.offset() - 1).unwrap_or((text, ""));
        self.rest = rest.strip_prefix(')').unwrap_or(rest);
        Ok(inside)
    }
}

fn is_word_byte(byte: u8) -> bool {
    is_atext(byte) || byte == b'.' || byte == b'@'
}
