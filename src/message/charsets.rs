//! Character sets of encoded words: labels, and bytes to text.
//!
//! They are those of the WHATWG encoding standard, by their labels there and by the names that Python has
//! for them: it writes some that nobody else knows (`eucgb2312_cn`).

use encoding_rs::Encoding;
use mail_parser::decoders::charsets::map::charset_decoder;

/// A character set that can be decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charset {
    encoding: &'static Encoding,
    is_ascii: bool,
}

impl Charset {
    /// Finds a character set by its name. UTF-16 has to name its byte order: without one Java and the web
    /// read opposite ones.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let (label, encoding) = labelled(&name)
            .or_else(|| labelled(&name.replace('_', "-")))
            .or_else(|| labelled(python_alias(&name.replace('-', "_"))?))?;
        let has_order = matches!(label.as_str(), "utf-16le" | "utf-16be");
        let is_utf16 = encoding == encoding_rs::UTF_16LE || encoding == encoding_rs::UTF_16BE;
        let is_ascii = matches!(label.as_str(), "us-ascii" | "ascii" | "ansi_x3.4-1968");
        (has_order || !is_utf16).then_some(Self { encoding, is_ascii })
    }

    /// Whether the second parser decodes this character set by that name. What it does not know it takes
    /// for UTF-8.
    pub(super) fn has_second_opinion(self, name: &str) -> bool {
        self.encoding == encoding_rs::UTF_8 || charset_decoder(name.as_bytes()).is_some()
    }

    /// Decodes a text; `None` where it is none in this character set.
    pub(super) fn decode(self, bytes: &[u8]) -> Option<String> {
        // The web reads 8-bit ASCII as windows-1252, others as damage.
        if self.is_ascii && !bytes.is_ascii() {
            return None;
        }
        let encoding = self.encoding;
        let text = encoding.decode_without_bom_handling_and_without_replacement(bytes)?;
        if encoding == encoding_rs::ISO_2022_JP {
            // Has to end in ASCII (RFC 1468), or the next word means something else to those who join them.
            let extended = [bytes, b"A"].concat();
            let shown = encoding.decode_without_bom_handling_and_without_replacement(&extended)?;
            if shown.strip_suffix('A') != Some(&text) {
                return None;
            }
        }
        Some(text.into_owned())
    }
}

fn labelled(label: &str) -> Option<(String, &'static Encoding)> {
    let encoding = Encoding::for_label_no_replacement(label.as_bytes())?;
    Some((label.to_owned(), encoding))
}

/// The label for a name that Python alone has.
fn python_alias(name: &str) -> Option<&'static str> {
    PYTHON.lines().find_map(|line| {
        let (label, aliases) = line.split_once(' ')?;
        aliases.split(' ').any(|alias| alias == name).then_some(label)
    })
}

/// A line has a label and Python's names (`encodings.aliases`) for it that are no labels of the WHATWG,
/// whether with `_` or with `-`.
const PYTHON: &str = include_str!("python_charsets.txt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_python_lead_to_labels() {
        for line in PYTHON.lines() {
            let (label, aliases) = line.split_once(' ').unwrap();
            let expected = Charset::named(label).unwrap();
            for alias in aliases.split(' ') {
                let shouted = alias.to_ascii_uppercase().replace('_', "-");
                for name in [alias, shouted.as_str()] {
                    let found = Charset::named(name).unwrap();
                    assert_eq!(found.encoding, expected.encoding, "{name}");
                    assert_eq!(found.is_ascii, expected.is_ascii, "{name}");
                }
                assert!(labelled(alias).is_none(), "{alias} is a label");
                assert!(labelled(&alias.replace('_', "-")).is_none(), "{alias} is a label");
            }
        }
    }

    #[test]
    fn other_names_lead_nowhere() {
        for name in [
            "",
            "utf_16",
            "utf-16",
            "u16",
            "utf_7",
            "u7",
            "hz",
            "iso2022_kr",
            "cp037",
            "mbcs",
            "johab",
        ] {
            assert!(Charset::named(name).is_none(), "{name}");
        }
    }
}
