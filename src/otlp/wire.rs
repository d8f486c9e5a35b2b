//! Protobuf, as far as OTLP needs it.

use crate::trace::{Attribute, Value};

/// The longest text of an attribute, in bytes; what is beyond is cut off.
const TEXT_BYTES: usize = 16 * 1024;
/// The most texts of one attribute.
const TEXTS: usize = 64;

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// Writes one message; a field is named by its number. What has its default value is not written.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn plain(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }

    fn tag(&mut self, field: u32, kind: u64) {
        self.plain(u64::from(field) << 3 | kind);
    }

    pub(super) fn number(&mut self, field: u32, number: u64) {
        self.tag(field, VARINT);
        self.plain(number);
    }

    pub(super) fn fixed64(&mut self, field: u32, number: u64) {
        self.tag(field, FIXED64);
        self.0.extend(number.to_le_bytes());
    }

    pub(super) fn fixed32(&mut self, field: u32, number: u32) {
        self.tag(field, FIXED32);
        self.0.extend(number.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, LENGTH);
        self.plain(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.0.extend(bytes);
    }

    pub(super) fn text(&mut self, field: u32, text: &str) {
        let end = text.floor_char_boundary(TEXT_BYTES);
        self.bytes(field, text.get(..end).unwrap_or(text).as_bytes());
    }

    /// Writes a message within this one.
    pub(super) fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        self.tag(field, LENGTH);
        let start = self.0.len();
        write(self);
        let length = self.0.len() - start;
        self.plain(u64::try_from(length).unwrap_or(u64::MAX));
        let digits = self.0.len() - start - length;
        // The length goes before what it measures.
        if let Some(tail) = self.0.get_mut(start..) {
            tail.rotate_right(digits);
        }
    }

    /// Appends fields that were written elsewhere.
    pub(super) fn fields(&mut self, fields: &[u8]) {
        self.0.extend(fields);
    }

    /// Writes attributes, each in a field of this number.
    pub(super) fn attributes(&mut self, field: u32, attributes: &[Attribute]) {
        for (name, value) in attributes {
            self.attribute(field, name, |message| message.value(value));
        }
    }

    pub(super) fn attribute(&mut self, field: u32, name: &str, value: impl FnOnce(&mut Self)) {
        self.message(field, |message| {
            message.text(1, name);
            message.message(2, value);
        });
    }

    /// Writes what an `AnyValue` holds.
    fn value(&mut self, value: &Value) {
        match value {
            Value::Text(text) => self.text(1, text),
            Value::Flag(flag) => self.number(2, u64::from(*flag)),
            Value::Number(number) => self.number(3, number.cast_unsigned()),
            Value::Texts(texts) => self.message(5, |array| {
                for text in texts.iter().take(TEXTS) {
                    array.message(1, |value| value.text(1, text));
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lengths_are_those_of_protobuf() {
        let written = |write: &dyn Fn(&mut Message)| {
            let mut message = Message::default();
            write(&mut message);
            message.into_bytes()
        };
        // The examples of the protobuf encoding guide.
        assert_eq!(written(&|m| m.number(1, 150)), [0x08, 0x96, 0x01]);
        assert_eq!(written(&|m| m.text(2, "testing")), b"\x12\x07testing");
        assert_eq!(written(&|m| m.message(3, |m| m.number(1, 150))), [0x1a, 3, 0x08, 0x96, 0x01]);
        assert_eq!(written(&|m| m.number(1, (-2_i64).cast_unsigned())).len(), 11);
        assert_eq!(written(&|m| m.fixed32(16, 1)), [0x85, 0x01, 1, 0, 0, 0]);
        let long = written(&|m| m.message(1, |m| m.bytes(1, &[7; 300])));
        assert_eq!(long.get(..6), Some(&[0x0a, 0xaf, 0x02, 0x0a, 0xac, 0x02][..]));
        assert_eq!(long.len(), 306);
    }

    #[test]
    fn texts_are_bounded() {
        let mut message = Message::default();
        message.text(1, &"é".repeat(TEXT_BYTES));
        assert!(message.into_bytes().len() <= TEXT_BYTES + 4);
        let mut message = Message::default();
        message.attributes(1, &[("a", Value::Texts(vec![String::new(); 1000]))]);
        assert!(message.into_bytes().len() < 10 * TEXTS);
    }
}
