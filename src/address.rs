//! The one grammar of an addr-spec, its spellings and its domain.
//!
//! A subset of RFC 5322 section 3.4.1 that every mail program reads alike. Envelope paths, header
//! fields and identities all use it; brackets, display names and lists are left to them.

use std::fmt;

const LOCAL_PART_BYTES: usize = 64; // RFC 5321 section 4.5.3.1.1
const ADDRESS_BYTES: usize = 254; // RFC 5321 section 4.5.3.1.3, less the brackets of a path
const LABEL_BYTES: usize = 63; // RFC 1035 section 2.3.4
const QUOTED_CHARACTERS: usize = 64;

/// An address, `local-part@domain`, exactly as it was written.
///
/// Two addresses are equal when their bytes are: letter case and quotes count. Policies see this text
/// (SES guide: conditions are case-sensitive); [`Address::spellings`] holds the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    local_part: String,
    text: String,
}

impl Address {
    /// Reads an addr-spec.
    ///
    /// The local part is a dot-atom of at most 64 bytes, or one in quotes (`"admin"@example.com`). The
    /// domain has two or more labels of letters, digits and hyphens; A-labels stay as they are.
    ///
    /// # Errors
    ///
    /// Anything else: quotes that are needed, address literals, comments, blanks, encoded words,
    /// characters that are not ASCII, more than 254 bytes.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if !text.is_ascii() {
            return Err(AddressError::NotAscii);
        }
        let Some((local_part, domain)) = text.rsplit_once('@') else {
            return Err(AddressError::NoDomain);
        };
        if local_part.is_empty() {
            return Err(AddressError::NoLocalPart(excerpt(text)));
        }
        if domain.is_empty() {
            return Err(AddressError::NoDomain);
        }
        if local_part.len() > LOCAL_PART_BYTES {
            return Err(AddressError::LongLocalPart(excerpt(text)));
        }
        // An encoded word is an atom by its characters, and a name to those who decode it.
        if !is_dot_atom(unquoted(local_part).unwrap_or(local_part)) || local_part.contains("=?") {
            return Err(AddressError::LocalPart(excerpt(text)));
        }
        check_domain(domain)?;
        if text.len() > ADDRESS_BYTES {
            return Err(AddressError::Long(excerpt(text)));
        }
        Ok(Self { local_part: local_part.to_owned(), text: text.to_owned() })
    }

    /// Returns the address as written, quotes kept.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns what stands before the last `@`, as written.
    #[must_use]
    pub fn local_part(&self) -> &str {
        &self.local_part
    }

    /// Returns what stands after the last `@`, letter case kept.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.text.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// Returns the other spellings of this address, for `Resource` of a Deny alone (decision 7).
    ///
    /// The domain in lower case, all in lower case, needless quotes off, and both; never the text itself,
    /// each once.
    #[must_use]
    pub fn spellings(&self) -> Vec<String> {
        let unquoted = unquoted(&self.local_part);
        if unquoted.is_none() && !self.text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Vec::new();
        }
        let plain = unquoted.unwrap_or(&self.local_part);
        let domain = self.domain();
        let lower = domain.to_ascii_lowercase();
        let mut spellings = Vec::new();
        for local in [self.local_part.as_str(), plain] {
            let all = [
                format!("{local}@{domain}"),
                format!("{local}@{lower}"),
                format!("{}@{lower}", local.to_ascii_lowercase()),
            ];
            for spelling in all {
                if spelling != self.text && !spellings.contains(&spelling) {
                    spellings.push(spelling);
                }
            }
        }
        spellings
    }

    /// Returns the address without the quotes of its local part, if it has any: they are needless.
    #[must_use]
    pub fn without_quotes(&self) -> Option<String> {
        unquoted(&self.local_part).map(|local| format!("{local}@{}", self.domain()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Why a text is not an address.
///
/// The texts are the SES endpoint's own where they are known, so that clients see nothing new. What
/// they quote is printable ASCII of at most 64 characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no `@`, or nothing after it.
    #[error("Missing final '@domain'")]
    NoDomain,
    /// Nothing stands before the `@`.
    #[error("User name is missing: '{0}'")]
    NoLocalPart(String),
    /// The local part is not a dot-atom, with or without quotes.
    #[error("Address contains illegal characters in user name: '{0}'.")]
    LocalPart(String),
    /// The local part has more than 64 bytes.
    #[error("User name is longer than 64 characters: '{0}'.")]
    LongLocalPart(String),
    /// The address has more than 254 bytes.
    #[error("Address is longer than 254 characters: '{0}'.")]
    Long(String),
    /// A character is not ASCII; there is no SMTPUTF8 in SES.
    #[error("Address contains non-ASCII characters: write its domain in Punycode (xn--).")]
    NotAscii,
    /// The domain has one label only.
    #[error("Invalid domain name '{0}': it has no dot, use a full domain such as 'example.com'.")]
    OneLabel(String),
    /// The domain has an underscore.
    #[error("Invalid domain name '{0}': it has an underscore.")]
    Underscore(String),
    /// The domain ends with a dot.
    #[error("Domain ends with dot")]
    FinalDot,
    /// The domain is an address literal, `[192.0.2.1]`.
    #[error("Invalid domain name '{0}': address literals are not accepted.")]
    Literal(String),
    /// The domain is anything else than labels of letters, digits and inner hyphens.
    #[error("Invalid domain name '{0}'.")]
    Domain(String),
}

/// Checks a domain: two or more labels of letters, digits and inner hyphens, at most 253 bytes.
///
/// # Errors
///
/// Anything else, with the variants of [`AddressError`] that speak of domains.
pub fn check_domain(domain: &str) -> Result<(), AddressError> {
    if domain.starts_with('[') {
        return Err(AddressError::Literal(excerpt(domain)));
    }
    if domain.ends_with('.') {
        return Err(AddressError::FinalDot);
    }
    if domain.bytes().any(|byte| byte != b'.' && byte != b'_' && !is_label_byte(byte)) {
        return Err(AddressError::Domain(excerpt(domain)));
    }
    if domain.contains('_') {
        return Err(AddressError::Underscore(excerpt(domain)));
    }
    if domain.len() > ADDRESS_BYTES - 1 || !domain.split('.').all(is_label) {
        return Err(AddressError::Domain(excerpt(domain)));
    }
    if !domain.contains('.') {
        return Err(AddressError::OneLabel(excerpt(domain)));
    }
    Ok(())
}

/// Returns text of a client for an answer: printable ASCII, at most 64 characters.
#[must_use]
pub fn excerpt(text: &str) -> String {
    let printable = |character: char| if matches!(character, ' '..='~') { character } else { '?' };
    if text.chars().nth(QUOTED_CHARACTERS).is_none() {
        return text.chars().map(printable).collect();
    }
    text.chars().take(QUOTED_CHARACTERS - 3).map(printable).chain("...".chars()).collect()
}

/// RFC 5322 section 3.2.3.
pub(crate) fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

fn is_dot_atom(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext))
}

fn unquoted(local_part: &str) -> Option<&str> {
    local_part.strip_prefix('"')?.strip_suffix('"')
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_BYTES).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
}

fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_have_one_reading_pass() {
        let long = format!("{}@example.com", "a".repeat(64));
        let cases = [
            ("a@example.com", "a", "example.com"),
            ("First.Last+tag@Sub.Example.COM", "First.Last+tag", "Sub.Example.COM"),
            ("\"admin\"@example.com", "\"admin\"", "example.com"),
            ("\"a.b\"@example.com", "\"a.b\"", "example.com"),
            ("!#$%&'*+-/?=^_`{|}~@example.com", "!#$%&'*+-/?=^_`{|}~", "example.com"),
            ("a@xn--bcher-kva.example", "a", "xn--bcher-kva.example"),
            ("a@1and1.example", "a", "1and1.example"),
            (long.as_str(), &*"a".repeat(64), "example.com"),
        ];
        for (text, local_part, domain) in cases {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.as_str(), text);
            assert_eq!(address.to_string(), text);
            assert_eq!(address.local_part(), local_part);
            assert_eq!(address.domain(), domain);
        }
    }

    #[test]
    fn anything_else_is_refused_in_words_of_ses() {
        let cases = [
            ("", "Missing final '@domain'"),
            ("alice", "Missing final '@domain'"),
            ("alice@", "Missing final '@domain'"),
            ("@example.com", "User name is missing: '@example.com'"),
            ("a..b@example.com", illegal("a..b@example.com")),
            (".a@example.com", illegal(".a@example.com")),
            ("a.@example.com", illegal("a.@example.com")),
            ("a b@example.com", illegal("a b@example.com")),
            ("a@b@example.com", illegal("a@b@example.com")),
            ("\"a b\"@example.com", illegal("\"a b\"@example.com")),
            ("\"a,b@c\"@example.com", illegal("\"a,b@c\"@example.com")),
            ("\"a\\b\"@example.com", illegal("\"a\\b\"@example.com")),
            ("\"\"@example.com", illegal("\"\"@example.com")),
            ("\"@example.com", illegal("\"@example.com")),
            ("a(b)@example.com", illegal("a(b)@example.com")),
            ("@relay.example:a@example.com", illegal("@relay.example:a@example.com")),
            ("=?utf-8?Q?a?=@example.com", illegal("=?utf-8?Q?a?=@example.com")),
            (
                "a\u{7f}@example.com",
                "Address contains illegal characters in user name: 'a?@example.com'.",
            ),
            ("j\u{fc}rgen@example.com", NOT_ASCII),
            ("a@b\u{fc}cher.example", NOT_ASCII),
            (
                "a@localhost",
                "Invalid domain name 'localhost': it has no dot, use a full domain such as 'example.com'.",
            ),
            (
                "a@my_host.example.com",
                "Invalid domain name 'my_host.example.com': it has an underscore.",
            ),
            ("a@example.com.", "Domain ends with dot"),
            (
                "a@[192.0.2.1]",
                "Invalid domain name '[192.0.2.1]': address literals are not accepted.",
            ),
            ("a@.example.com", "Invalid domain name '.example.com'."),
            ("a@example..com", "Invalid domain name 'example..com'."),
            ("a@-example.com", "Invalid domain name '-example.com'."),
            ("a@example-.com", "Invalid domain name 'example-.com'."),
            ("a@exa mple.com", "Invalid domain name 'exa mple.com'."),
            ("a@example.com ", "Invalid domain name 'example.com '."),
        ];
        for (text, expected) in cases {
            assert_eq!(Address::parse(text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    const NOT_ASCII: &str =
        "Address contains non-ASCII characters: write its domain in Punycode (xn--).";

    fn illegal(address: &str) -> &'static str {
        format!("Address contains illegal characters in user name: '{address}'.").leak()
    }

    #[test]
    fn long_parts_are_refused() {
        let local = format!("{}@example.com", "a".repeat(65));
        assert!(matches!(Address::parse(&local), Err(AddressError::LongLocalPart(_))));
        let label = format!("a@{}.com", "b".repeat(64));
        assert!(matches!(Address::parse(&label), Err(AddressError::Domain(_))));
        let domain = [&*"c".repeat(60); 4].join(".");
        assert!(Address::parse(&format!("{}@{domain}", "a".repeat(10))).is_ok());
        let whole = format!("{}@{domain}", "a".repeat(11));
        let error = Address::parse(&whole).unwrap_err();
        assert_eq!(error, AddressError::Long(excerpt(&whole)));
        assert_eq!(excerpt(&whole).len(), 64);
    }

    #[test]
    fn spellings_are_the_other_ways_to_write_it() {
        let cases: [(&str, &[&str]); 5] = [
            ("a@example.com", &[]),
            ("a@Example.com", &["a@example.com"]),
            ("A@example.com", &["a@example.com"]),
            ("A@Example.com", &["A@example.com", "a@example.com"]),
            (
                "\"Admin\"@Example.com",
                &[
                    "\"Admin\"@example.com",
                    "\"admin\"@example.com",
                    "Admin@Example.com",
                    "Admin@example.com",
                    "admin@example.com",
                ],
            ),
        ];
        for (text, expected) in cases {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.spellings(), expected);
            let is_quoted = text.starts_with('"');
            let plain = is_quoted.then(|| text.replace('"', ""));
            assert_eq!(address.without_quotes(), plain);
        }
    }
}
