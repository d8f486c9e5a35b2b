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

fn python_alias(name: &str) -> Option<&'static str> {
    PYTHON.iter().find(|(_, aliases)| aliases.contains(&name)).map(|(label, _)| *label)
}

/// Python's names (`encodings.aliases`) that are no labels of the WHATWG, whether with `_` or with `-`.
const PYTHON: &[(&str, &[&str])] = &[
    ("big5", &["big5_tw", "x_mac_trad_chinese"]),
    ("big5-hkscs", &["big5hkscs", "hkscs"]),
    ("euc-jp", &["eucjp", "u_jis", "ujis"]),
    ("euc-kr", &["euckr", "ks_c_5601", "ks_c_5601_1987", "ks_x_1001", "ksx1001", "x_mac_korean"]),
    ("gb18030", &["gb18030_2000"]),
    (
        "gb2312",
        &["euc_cn", "euccn", "eucgb2312_cn", "gb2312_1980", "gb2312_80", "x_mac_simp_chinese"],
    ),
    ("gbk", &["936", "cp936", "ms936"]),
    ("iso-2022-jp", &["iso2022_jp", "iso2022jp"]),
    ("iso-8859-1", &["8859", "iso8859", "iso_8859_1_1987", "latin", "latin_1"]),
    ("iso-8859-10", &["iso_8859_10_1992"]),
    ("iso-8859-11", &["iso_8859_11_2001", "thai"]),
    ("iso-8859-13", &["l7", "latin7"]),
    ("iso-8859-14", &["iso_8859_14_1998", "iso_celtic", "iso_ir_199", "l8", "latin8"]),
    ("iso-8859-15", &["latin9"]),
    ("iso-8859-16", &["iso8859_16", "iso_8859_16_2001", "iso_ir_226", "l10", "latin10"]),
    ("iso-8859-2", &["iso_8859_2_1987"]),
    ("iso-8859-3", &["iso_8859_3_1988"]),
    ("iso-8859-4", &["iso_8859_4_1988"]),
    ("iso-8859-5", &["iso_8859_5_1988"]),
    ("iso-8859-6", &["iso_8859_6_1987"]),
    ("iso-8859-7", &["iso_8859_7_1987"]),
    ("iso-8859-8", &["iso_8859_8_1988"]),
    ("iso-8859-9", &["iso_8859_9_1989"]),
    ("macintosh", &["mac_roman", "macroman"]),
    ("shift_jis", &["s_jis", "shiftjis", "x_mac_japanese"]),
    ("tis-620", &["iso_ir_166", "tis620", "tis_620_0", "tis_620_2529_0", "tis_620_2529_1"]),
    (
        "us-ascii",
        &[
            "646",
            "ansi_x3.4_1968",
            "ansi_x3.4_1986",
            "ansi_x3_4_1968",
            "cp367",
            "csascii",
            "ibm367",
            "iso646_us",
            "iso_646.irv_1991",
            "iso_ir_6",
            "us",
        ],
    ),
    ("utf-16be", &["unicodebigunmarked", "utf_16_be"]),
    ("utf-16le", &["unicodelittleunmarked", "utf_16_le"]),
    ("utf-8", &["cp65001", "u8", "utf", "utf8_ucs2", "utf8_ucs4"]),
    ("windows-1250", &["1250"]),
    ("windows-1251", &["1251"]),
    ("windows-1252", &["1252"]),
    ("windows-1253", &["1253"]),
    ("windows-1254", &["1254"]),
    ("windows-1255", &["1255"]),
    ("windows-1256", &["1256"]),
    ("windows-1257", &["1257"]),
    ("windows-1258", &["1258"]),
    ("windows-31j", &["932", "cp932", "mskanji"]),
    ("windows-949", &["949", "cp949", "ms949", "uhc"]),
    ("x-mac-cyrillic", &["mac_cyrillic", "maccyrillic"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_python_lead_to_labels() {
        for (label, aliases) in PYTHON {
            let expected = Charset::named(label).unwrap();
            for alias in *aliases {
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
