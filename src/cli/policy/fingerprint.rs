//! Fingerprints of lines, by which code scanning knows a finding again after other lines moved.
//!
//! They are those that GitHub's upload of SARIF computes itself, `primaryLocationLineHash`, so that
//! both ways of uploading name a finding alike.

use std::collections::HashMap;

/// Characters from the beginning of a line that its hash is made of, those of later lines included.
const WINDOW: usize = 100;
const FACTOR: u64 = 37;
/// Stands behind the last character.
const END: u16 = 0xFFFF;
const LINE_FEED: u16 = 0x0A;

/// Returns the fingerprint of each line: a hash in hexadecimal, a colon, and how many lines up to
/// here have that hash.
///
/// Blanks and tabs do not count, and any end of a line counts as a line feed.
pub(super) fn of_lines(text: &str) -> Vec<String> {
    let mut units = Vec::with_capacity(text.len() + 1);
    let mut starts = vec![0];
    let mut add = |unit: u16| {
        units.push(unit);
        if unit == LINE_FEED {
            starts.push(units.len());
        }
    };
    let mut after_return = false;
    for unit in text.encode_utf16() {
        match unit {
            0x09 | 0x20 => {}
            0x0A if after_return => {}
            0x0D => add(LINE_FEED),
            other => add(other),
        }
        after_return = unit == 0x0D;
    }
    add(END);
    let mut seen: HashMap<u64, usize> = HashMap::new();
    let lines = starts.iter().map(|start| {
        let rest = units.get(*start..).unwrap_or_default();
        let window = rest.iter().copied().chain(std::iter::repeat(0)).take(WINDOW);
        let hash = window
            .fold(0_u64, |hash, unit| hash.wrapping_mul(FACTOR).wrapping_add(u64::from(unit)));
        let count = seen.entry(hash).and_modify(|count| *count += 1).or_insert(1);
        format!("{hash:x}:{count}")
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts and the fingerprints of their lines, as GitHub's own tests have them.
    const KNOWN: [(&str, &[&str]); 6] = [
        ("", &["c129715d7a2bc9a3:1"]),
        (
            " a\nb\n  \t\tc\n d",
            &["271789c17abda88f:1", "54703d4cd895b18:1", "180aee12dab6264:1", "a23a3dc5e078b07b:1"],
        ),
        (
            " hello; \t\nworld!!!\n\n\n  \t\tGreetings\n End",
            &[
                "8b7cf3e952e7aeb2:1",
                "b1ae1287ec4718d9:1",
                "bff680108adb0fcc:1",
                "c6805c5e1288b612:1",
                "b86d3392aea1be30:1",
                "e6ceba753e1a442:1",
            ],
        ),
        (
            " hello; \t\r\nworld!!!\r\n\r\n\r\n  \t\tGreetings\r\n End\r\n",
            &[
                "e9496ae3ebfced30:1",
                "fb7c023a8b9ccb3f:1",
                "ce8ba1a563dcdaca:1",
                "e20e36e16fcb0cc8:1",
                "b3edc88f2938467e:1",
                "c8e28b0b4002a3a0:1",
                "c129715d7a2bc9a3:1",
            ],
        ),
        (
            " hello; \t\nworld!!!\r\n\n\r  \t\tGreetings\r End\r\n",
            &[
                "e9496ae3ebfced30:1",
                "fb7c023a8b9ccb3f:1",
                "ce8ba1a563dcdaca:1",
                "e20e36e16fcb0cc8:1",
                "b3edc88f2938467e:1",
                "c8e28b0b4002a3a0:1",
                "c129715d7a2bc9a3:1",
            ],
        ),
        (
            "Lorem ipsum dolor sit amet.\nLorem ipsum dolor sit amet.\nLorem ipsum dolor sit amet.\n\
             Lorem ipsum dolor sit amet.\nLorem ipsum dolor sit amet.\n",
            &[
                "a7f2ff13bc495cf2:1",
                "a7f2ff1481e87703:1",
                "a9cf91f7bbf1862b:1",
                "55ec222b86bcae53:1",
                "cc97dc7b1d7d8f7b:1",
                "c129715d7a2bc9a3:1",
            ],
        ),
    ];

    #[test]
    fn they_are_those_of_github() {
        for (text, wanted) in KNOWN {
            assert_eq!(of_lines(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn equal_lines_are_counted() {
        let lines = of_lines(&"Lorem ipsum dolor sit amet.\n".repeat(10));
        let counts = lines.iter().filter_map(|line| line.rsplit_once(':')).map(|(_, it)| it);
        assert_eq!(counts.collect::<String>(), "12345611111");
    }
}
