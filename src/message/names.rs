//! Display names: RFC 2047 decoded, strictly.
//!
//! Readers differ on words that are not quite encoded words, so those are refused. A character split
//! over two encoded words is refused too: some readers join the bytes of adjacent words (Python), others
//! decode word by word (JavaMail), and libraries do not compose it, as RFC 2047 section 5 forbids it.
//! An encoded word within quotes is literal by RFC 2047 and decoded by most readers; it is decoded here,
//! and [`DisplayName::written`] has the literal reading.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::DisplayName;
use super::charsets::Charset;
use super::error::FieldError;
use crate::address::excerpt;

/// What may stand between words.
pub(super) const BLANKS: [char; 2] = [' ', '\t'];

/// A word of a phrase: a run of atoms and dots, or a quoted string.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) quoted: bool,
    blank_before: bool,
}

impl Word {
    pub(super) fn atoms(text: &str, blank_before: bool) -> Self {
        Self { text: text.to_owned(), quoted: false, blank_before }
    }

    pub(super) fn quoted(text: String, blank_before: bool) -> Self {
        Self { text, quoted: true, blank_before }
    }

    /// The word as it was written, with its quotes.
    pub(super) fn written(&self) -> String {
        if self.quoted { format!("{:?}", self.text) } else { self.text.clone() }
    }

    /// Whether an encoded word begins in it and does not end.
    pub(super) fn opens_encoded_word(&self) -> bool {
        !self.quoted && self.text.starts_with("=?") && !is_encoded_word(&self.text)
    }
}

/// Returns the name that the words before an address make; none when nothing is left to show.
pub(super) fn display_name(words: &[Word]) -> Result<Option<DisplayName>, FieldError> {
    // `"a"b` is `ab` to some and `a b` to others.
    if let Some([before, word]) = words.array_windows().find(|[_, word]| !word.blank_before) {
        return Err(if before.opens_encoded_word() {
            FieldError::QuotedEncodedWord(excerpt(&format!("{}\"{}", before.text, word.text)))
        } else {
            FieldError::InnerQuotes(excerpt(&word.text))
        });
    }
    let mut decoded = String::new();
    let mut written = String::new();
    // mail-parser puts no blank between a quoted string and its neighbours.
    let mut plain = words.len() == 1 || words.iter().all(|word| !word.quoted);
    let mut last = Kind::Text;
    for word in words {
        if word.text.trim_matches(BLANKS).is_empty() {
            // Empty quotes show nothing, but encoded words around them are not adjacent.
            last = Kind::Text;
        }
        for part in word.text.split(BLANKS).filter(|part| !part.is_empty()) {
            let text = encoded_word(part)?;
            plain &= text.as_ref().is_none_or(|text| text.has_second_opinion);
            let kind = match (&text, word.quoted) {
                (None, _) => Kind::Text,
                (Some(_), false) => Kind::Encoded,
                (Some(_), true) => Kind::EncodedInQuotes,
            };
            match (last, kind) {
                // RFC 2047 section 6.2: the blanks between encoded words are not shown.
                (Kind::Encoded, Kind::Encoded) => {}
                // In quotes some show them.
                (Kind::Encoded | Kind::EncodedInQuotes, Kind::Encoded | Kind::EncodedInQuotes) => {
                    return Err(FieldError::EncodedWord(excerpt(part)));
                }
                _ => decoded.push(' '),
            }
            decoded.push_str(text.as_ref().map_or(part, |decoded| &decoded.text));
            written.push(' ');
            written.push_str(part);
            last = kind;
        }
    }
    if decoded.chars().any(is_hidden) {
        return Err(FieldError::Name);
    }
    let decoded = one_blank(&decoded);
    let written = one_blank(&written);
    Ok((!decoded.is_empty()).then_some(DisplayName { decoded, written, plain }))
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Encoded,
    EncodedInQuotes,
}

/// Words as they were written, with a blank where blanks or comments were.
pub(super) fn written(words: &[Word]) -> String {
    let mut text = String::new();
    let mut was_quoted = true;
    for word in words {
        if word.blank_before || !(was_quoted || word.quoted) {
            text.push(' ');
        }
        text.push_str(&word.written());
        was_quoted = word.quoted;
    }
    text.trim_start().to_owned()
}

/// Takes one pair of `'` or `"` off, which many a program writes around a name.
pub(super) fn unquoted(text: &str) -> &str {
    let inside = |mark: char| text.strip_prefix(mark)?.strip_suffix(mark);
    inside('\'').or_else(|| inside('"')).unwrap_or(text)
}

/// Runs of blanks become one, those at the ends none.
fn one_blank(text: &str) -> String {
    text.split(BLANKS).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Line ends and other controls, and the characters of Unicode's Bidi_Control, which make a name look
/// like another.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// An encoded word, decoded.
#[derive(Debug)]
struct Decoded {
    text: String,
    /// The second parser knows its character set.
    has_second_opinion: bool,
}

/// Decodes `=?charset?encoding?text?=` (RFC 2047 section 2); other words are `None`.
///
/// Longer ones than the 75 characters of the RFC pass, and specials that a phrase forbids in them.
fn encoded_word(word: &str) -> Result<Option<Decoded>, FieldError> {
    if !word.contains("=?") {
        return Ok(None);
    }
    let unsafe_word = || FieldError::EncodedWord(excerpt(word));
    let (charset, encoding, text) = parts(word).ok_or_else(unsafe_word)?;
    let bytes = match encoding {
        "B" | "b" => STANDARD.decode(text).map_err(|_| unsafe_word())?,
        "Q" | "q" => q_decode(text).ok_or_else(unsafe_word)?,
        _ => return Err(unsafe_word()),
    };
    if bytes.is_empty() {
        return Err(unsafe_word());
    }
    // RFC 2231 section 5: a language may follow.
    let charset = charset.split_once('*').map_or(charset, |(charset, _)| charset);
    let known = Charset::named(charset).ok_or_else(|| FieldError::Charset(excerpt(charset)))?;
    let text = known.decode(&bytes).ok_or_else(unsafe_word)?;
    Ok(Some(Decoded { text, has_second_opinion: known.has_second_opinion(charset) }))
}

/// Returns whether a word has the form of an encoded word.
pub(super) fn is_encoded_word(word: &str) -> bool {
    parts(word).is_some()
}

/// The character set, encoding and text of an encoded word.
fn parts(word: &str) -> Option<(&str, &str, &str)> {
    let mut parts = word.strip_prefix("=?")?.strip_suffix("?=")?.split('?');
    let found = (parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then_some(found)
}

/// RFC 2047 section 4.2.
fn q_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'_' => b' ',
            b'=' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    Some(bytes)
}
