//! How much of an address the log shows, and what is kept out of the words of others (decision 21).

use std::borrow::Cow;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;

use crate::text::hex;

/// How many addresses of one kind are shown: as many as a message that is sent may have recipients. A
/// header section may name twenty times as many.
pub const ADDRESSES: usize = 50;

/// Addresses of one kind as they are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The first [`ADDRESSES`].
    pub shown: Vec<String>,
    /// How many more there are.
    pub omitted: usize,
}

impl Addresses {
    /// How many more there are than are shown, if any.
    #[must_use]
    pub fn omitted(&self) -> Option<usize> {
        Some(self.omitted).filter(|more| *more > 0)
    }
}

/// Shows addresses in full, in part, or under a hash.
#[derive(Debug, Clone)]
pub enum Redaction {
    /// The whole address.
    Full,
    /// The domain alone.
    Domain,
    /// A keyed hash: the same for the same address and key.
    Hash(Box<hmac::Key>),
}

impl Redaction {
    /// Makes hashes with a key that lives as long as the process, and nobody knows.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn hash() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?;
        Ok(Self::Hash(Box::new(key)))
    }

    /// Makes hashes with that key: the same in every process that has it.
    #[must_use]
    pub fn keyed(key: &[u8]) -> Self {
        Self::Hash(Box::new(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    /// Returns whether addresses may be seen as they are.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full)
    }

    /// Shows one address.
    #[must_use]
    pub fn show(&self, address: &str) -> String {
        match self {
            Self::Full => address.to_owned(),
            Self::Domain => address
                .rsplit_once('@')
                .map_or_else(|| "*".to_owned(), |(_, domain)| format!("*@{domain}")),
            Self::Hash(key) => {
                let tag = hmac::sign(key, address.as_bytes());
                format!("#{}", hex(tag.as_ref().get(..8).unwrap_or_default()))
            }
        }
    }

    /// Shows several addresses, the first [`ADDRESSES`] of them.
    pub fn show_each<'a>(&self, addresses: impl IntoIterator<Item = &'a str>) -> Addresses {
        let mut rest = addresses.into_iter();
        let shown = rest.by_ref().take(ADDRESSES).map(|address| self.show(address)).collect();
        Addresses { shown, omitted: rest.count() }
    }
}

/// Returns a text with the user names and passwords of all URLs in it masked. Errors of libraries quote
/// the URL that they were given by the environment.
#[must_use]
pub fn without_passwords(text: &str) -> String {
    let mut parts = text.split("://");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>');
        let (url, rest) =
            part.split_at_checked(part.find(is_end).unwrap_or(part.len())).unwrap_or((part, ""));
        shown.push_str("://");
        match url.rsplit_once('@') {
            Some((_, host)) => shown.extend(["********@", host]),
            None => shown.push_str(url),
        }
        shown.push_str(rest);
    }
    shown
}

/// Whether a character steers the terminal that shows it, or lets a text look like another: controls
/// (C0, DEL, C1), ends of lines, and what turns the direction of writing (UAX 9 section 2), as names of
/// files and cases may hold them.
#[must_use]
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{206F}'
        )
}

/// Returns the words of others as one line that a terminal shows as they are: unprintable characters
/// are escaped, `\u{1b}`.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            c if is_unprintable(c) => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown.into()
}

/// Returns JSON that says the same to whoever parses it, and does nothing to a terminal: the breaks of
/// its lines aside, unprintable characters are escaped.
#[must_use]
pub fn printable_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            // None is beyond the Basic Multilingual Plane.
            c if is_unprintable(c) && c != '\n' => {
                shown.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        for (text, shown) in [
            ("policies/app.json: Größe 大 👩‍👩‍👧 naïve", "policies/app.json: Größe 大 👩‍👩‍👧 naïve"),
            ("\u{1b}[2J\u{7}\r\n\tend\u{7f}", "\\u{1b}[2J\\u{7}\\r\\n\\tend\\u{7f}"),
            ("\u{9b}31m\u{85}", "\\u{9b}31m\\u{85}"),
            (
                "a\u{202e}nosj.b\u{2066}\u{200f}\u{61c}\u{2028}",
                "a\\u{202e}nosj.b\\u{2066}\\u{200f}\\u{61c}\\u{2028}",
            ),
        ] {
            assert_eq!(printable(text), shown);
            let json = serde_json::json!({ "text": text });
            let escaped = printable_json(&format!("{json:#}"));
            assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), json);
            assert!(!escaped.contains(|c| is_unprintable(c) && c != '\n'), "{escaped}");
        }
    }

    #[test]
    fn each_way_shows_what_it_says() {
        let address = "a@example.com";
        assert_eq!(Redaction::Full.show(address), address);
        assert_eq!(Redaction::Domain.show(address), "*@example.com");
        let hash = Redaction::hash().unwrap();
        assert_eq!(hash.show(address), hash.show(address));
        assert_ne!(hash.show(address), hash.show("b@example.com"));
        assert!(!hash.show(address).contains("example"));
        assert_ne!(hash.show(address), Redaction::hash().unwrap().show(address));
    }

    #[test]
    fn passwords_in_urls_are_masked_wherever_they_stand() {
        for (text, shown) in [
            ("plain, me@example.com", "plain, me@example.com"),
            ("see http://host:80/a?b=c", "see http://host:80/a?b=c"),
            ("http://me:pw@host/", "http://********@host/"),
            (
                "`https://me:p/w@x@host` and \"http://t@h\" of me@example.com",
                "`https://********@host` and \"http://********@h\" of me@example.com",
            ),
        ] {
            assert_eq!(without_passwords(text), shown);
        }
    }

    #[test]
    fn what_is_left_out_is_counted() {
        for (given, omitted) in [(0, 0), (ADDRESSES, 0), (ADDRESSES + 1, 1), (1_050, 1_000)] {
            let shown = Redaction::Domain.show_each(vec!["a@example.com"; given]);
            assert_eq!((shown.shown.len(), shown.omitted), (given.min(ADDRESSES), omitted));
        }
    }

    /// The figure is that of `printf %s a@example.com | openssl dgst -sha256 -hmac KEY`.
    #[test]
    fn a_keyed_hash_can_be_made_by_hand() {
        let keyed = Redaction::keyed(b"0123456789abcdef0123456789abcdef");
        assert_eq!(keyed.show("a@example.com"), "#f9a936aaaaa5aac3");
    }
}
