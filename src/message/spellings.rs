//! The other spellings of a display name, for Deny alone (decision 7).
//!
//! People read `CEO` in `Ceo`, in `C\u{200b}EO` and in `ＣＥＯ`. Letters of other scripts that look alike
//! are not taken for each other: what looks alike depends on the font, and names are made of them.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::CodePointSetData;
use icu_properties::props::DefaultIgnorableCodePoint;

use super::names;

/// Returns the spellings of a name, never `decoded` itself, each once, twelve at most: as it is written,
/// all in lower case, without characters that show nothing, with compatible characters as plain ones
/// (NFKC), and the latter two in lower case; all but the first once more without quotes around the name.
pub(super) fn of_name(decoded: &str, written: &str) -> Vec<String> {
    let mut spellings = Vec::new();
    let mut add = |spelling: String| {
        if spelling != decoded && !spellings.contains(&spelling) {
            spellings.push(spelling);
        }
    };
    add(written.to_owned());
    for name in [decoded, without_quotes(decoded)] {
        add(name.to_owned());
        add(name.to_lowercase());
        if !name.is_ascii() {
            let seen = seen(name);
            // Once more behind it: NFKC makes blanks of some accents that stand alone.
            let plain = self::seen(&ComposingNormalizerBorrowed::new_nfkc().normalize(&seen));
            for spelling in [seen, plain] {
                let lower = spelling.to_lowercase();
                add(spelling);
                add(lower);
            }
        }
    }
    spellings
}

/// What is left without the quotes around all of it, which are not read as a part of the name and which
/// some mail programs take off.
fn without_quotes(mut name: &str) -> &str {
    loop {
        let bare = names::unquoted(name).trim();
        if bare.is_empty() || bare == name {
            return name;
        }
        name = bare;
    }
}

/// What of a text can be seen: no default-ignorable characters of Unicode, no marks of interlinear
/// annotation, and one blank for any run of white space.
fn seen(text: &str) -> String {
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let shows = |character: &char| {
        !ignorable.contains(*character) && !matches!(character, '\u{fff9}'..='\u{fffb}')
    };
    let visible: String = text.chars().filter(shows).collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_are_few_and_each_is_another() {
        let cases: &[(&str, &str, &[&str])] = &[
            ("ceo", "ceo", &[]),
            ("The CEO", "The CEO", &["the ceo"]),
            ("ceo", "=?utf-8?Q?ceo?=", &["=?utf-8?Q?ceo?="]),
            ("J\u{fc}rgen", "J\u{fc}rgen", &["j\u{fc}rgen"]),
            ("ce\u{200b}o", "x", &["x", "ceo"]),
            (
                "\u{feff}C\u{ad}E\u{e0020}O\u{fe0f}",
                "x",
                &["x", "\u{feff}c\u{ad}e\u{e0020}o\u{fe0f}", "CEO", "ceo"],
            ),
            ("the\u{a0}\u{200b}\u{2003}ceo\u{3164}", "x", &["x", "the ceo"]),
            ("\u{ff23}\u{ff25}\u{ff2f}", "x", &["x", "\u{ff43}\u{ff45}\u{ff4f}", "CEO", "ceo"]),
            (
                "\u{1d402}\u{200d}\u{24ba}\u{2122}",
                "x",
                &[
                    "x",
                    "\u{1d402}\u{200d}\u{24d4}\u{2122}",
                    "\u{1d402}\u{24ba}\u{2122}",
                    "\u{1d402}\u{24d4}\u{2122}",
                    "CETM",
                    "cetm",
                ],
            ),
            ("e\u{301}", "x", &["x", "\u{e9}"]),
            ("a\u{2003}\u{b4}b", "x", &["x", "a \u{b4}b", "a \u{301}b"]),
            ("'a@example.com'", "'a@example.com'", &["a@example.com"]),
            ("\"'CEO'\"", "\"'CEO'\"", &["\"'ceo'\"", "CEO", "ceo"]),
            ("' Ceo '", "' Ceo '", &["' ceo '", "Ceo", "ceo"]),
            (
                "'C\u{200b}EO'",
                "x",
                &[
                    "x",
                    "'c\u{200b}eo'",
                    "'CEO'",
                    "'ceo'",
                    "C\u{200b}EO",
                    "c\u{200b}eo",
                    "CEO",
                    "ceo",
                ],
            ),
            ("''", "''", &[]),
            ("'", "'", &[]),
            ("'a\"", "'a\"", &[]),
        ];
        for (decoded, written, expected) in cases {
            assert_eq!(of_name(decoded, written), *expected, "{decoded:?}");
        }
    }

    #[test]
    fn what_shows_nothing_is_left_out() {
        // Default_Ignorable_Code_Point of Unicode, and the marks of interlinear annotation.
        let ranges = [
            0xad..=0xad,
            0x34f..=0x34f,
            0x61c..=0x61c,
            0x115f..=0x1160,
            0x17b4..=0x17b5,
            0x180b..=0x180f,
            0x200b..=0x200f,
            0x202a..=0x202e,
            0x2060..=0x206f,
            0x3164..=0x3164,
            0xfe00..=0xfe0f,
            0xfeff..=0xfeff,
            0xffa0..=0xffa0,
            0xfff0..=0xfffb,
            0x1bca0..=0x1bca3,
            0x1d173..=0x1d17a,
            0xe0000..=0xe0fff,
        ];
        for number in ranges.into_iter().flatten() {
            let character = char::from_u32(number).unwrap();
            assert_eq!(seen(&format!("c{character}eo")), "ceo", "U+{number:04X}");
        }
        for kept in ["c-eo", "c.eo", "c\u{301}eo", "c\u{600}eo", "c\u{2800}eo"] {
            assert_eq!(seen(kept), kept);
        }
    }
}
