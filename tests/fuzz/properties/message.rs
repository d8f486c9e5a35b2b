//! A whole message, from what a client sends to what is forwarded.

use std::time::{Duration, Instant};

use sesgate::address::Address;
use sesgate::message::{HeaderSection, XSes};
use sesgate::smtp::BareLf;
use sesgate::smtp::content::{Decoder, Event};

/// A field with its folds, as whole lines.
struct Field<'a> {
    name: String,
    lines: &'a [u8],
}

/// However content is cut, its header section is read once and the same; what is forwarded says the
/// same without the fields that never pass, and has every other byte as it came (decisions 4 and 11).
///
/// The first byte picks the pieces and a field that is made long; the rest is content without its end.
pub(crate) fn message(bytes: &[u8]) {
    let [options, content @ ..] = bytes else { return };
    let mut wire = stuffed(content);
    wire.extend_from_slice(b".\r\n");
    let whole = receive(&wire, wire.len());
    assert_eq!(receive(&wire, usize::from(*options >> 1).max(1)), whole);
    let Some((header, content)) = whole else { return };
    if options & 1 == 1 {
        is_read_in_time(&content, usize::from(*options >> 1));
    }
    let Ok(section) = HeaderSection::parse(&content) else {
        assert!(header.is_none_or(|header| HeaderSection::parse(&header).is_err()));
        return;
    };
    // What was screened when the blank line came is what is relayed in the end.
    let header = header.expect("the blank line was told");
    assert_eq!(header, content[..section.bytes()]);
    same(&HeaderSection::parse(&header).expect("is read alone"), &section);

    let fields = fields(&header);
    let (removed, kept): (Vec<_>, Vec<_>) = fields.iter().partition(|field| never_passes(field));
    let join =
        |fields: &[&Field<'_>]| fields.iter().map(|it| it.lines).collect::<Vec<_>>().concat();
    let body = &content[section.bytes() - 2..];
    let expected = [join(&kept), body.to_vec()].concat();
    let forwarded = section.forwarded(content.clone());
    assert_eq!(forwarded, expected);

    let sent = HeaderSection::parse(&forwarded).expect("what was taken is taken again");
    assert_eq!((sent.from(), sent.sender()), (section.from(), section.sender()));
    assert_eq!(sent.resent_from(), section.resent_from());
    assert_eq!(sent.resent_sender(), section.resent_sender());
    assert_eq!((sent.return_path(), sent.xses()), (None, &XSes::default()));
    // Bcc alone may name more recipients than are forwarded, and each was a claim.
    let beside: Vec<&Address> =
        section.recipients().iter().filter(|it| sent.recipients().contains(it)).collect();
    assert!(beside.len() == sent.recipients().len());
    if removed.iter().all(|field| field.name != "bcc") {
        assert!(beside.iter().copied().eq(sent.recipients()), "in order");
    }
    assert_eq!(sent.forwarded(forwarded.clone()), forwarded);

    // One author more, before or behind the others, is an ambiguity and no message.
    let other = b"fRoM: other@example.net\r\n".as_slice();
    for twice in [[other, &content].concat(), [&header[..header.len() - 2], other, body].concat()] {
        assert!(HeaderSection::parse(&twice).is_err());
    }
    // A field that says nothing to anybody changes nothing, unless it makes the section too large.
    let filled = [b"Filler: x\r\n".as_slice(), &content].concat();
    if fields.len() < 500 && header.len() < 64 * 1024 {
        same(&HeaderSection::parse(&filled).expect("one field more"), &section);
    }
}

/// What a client writes for that content, the end left out.
fn stuffed(content: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    if !wire.ends_with(b"\r\n") && !wire.is_empty() {
        wire.extend_from_slice(b"\r\n");
    }
    wire
}

/// The header section as it stood when it was told, and the content; none when it is spoilt.
fn receive(wire: &[u8], size: usize) -> Option<(Option<Vec<u8>>, Vec<u8>)> {
    let mut decoder = Decoder::new(BareLf::Refuse, 1 << 20);
    let mut header = None;
    for mut piece in wire.chunks(size) {
        while !piece.is_empty() {
            let (used, event) = decoder.decode(piece);
            piece = &piece[used..];
            match event {
                Event::HeaderEnd => {
                    assert!(header.replace(decoder.kept().to_vec()).is_none());
                }
                Event::End if decoder.fault().is_none() => return Some((header, decoder.take())),
                Event::End => return None,
                Event::More | Event::HeaderTooLong => {}
            }
        }
    }
    // The end of what a client writes is always an end, but for a line that was never ended right.
    assert!(decoder.is_ambiguous(), "no end of data");
    None
}

fn same(one: &HeaderSection, other: &HeaderSection) {
    assert_eq!((one.from(), one.sender()), (other.from(), other.sender()));
    assert_eq!(one.resent_from(), other.resent_from());
    assert_eq!(one.resent_sender(), other.resent_sender());
    assert_eq!(one.return_path(), other.return_path());
    assert_eq!(one.recipients(), other.recipients());
    assert_eq!(one.xses(), other.xses());
}

/// The fields of a header section that was taken, read in the simplest way.
fn fields(header: &[u8]) -> Vec<Field<'_>> {
    let mut fields: Vec<Field<'_>> = Vec::new();
    let mut start = 0;
    for line in header.split_inclusive(|byte| *byte == b'\n') {
        let end = start + line.len();
        match line {
            b"\r\n" => break,
            [b' ' | b'\t', ..] => {
                let field = fields.last_mut().expect("a fold follows a field");
                field.lines = &header[start - field.lines.len()..end];
            }
            line => {
                let name = line.split(|byte| *byte == b':').next().expect("has a first piece");
                let name = String::from_utf8_lossy(name).to_ascii_lowercase();
                fields.push(Field { name, lines: line });
            }
        }
        start = end;
    }
    fields
}

fn never_passes(field: &Field<'_>) -> bool {
    ["bcc", "return-path"].contains(&field.name.as_str()) || field.name.starts_with("x-ses-")
}

/// One field repeated as far as a field may go costs time in proportion: its square would take seconds.
fn is_read_in_time(content: &[u8], pick: usize) {
    const FIELD_BYTES: usize = 16 * 1024;
    let lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
    let Some(line) = lines.get(pick % lines.len().max(1)) else { return };
    let line = line.strip_suffix(b"\r\n").unwrap_or(line);
    let colon = line.iter().position(|byte| *byte == b':').map_or(0, |at| at + 1);
    let (name, value) = line.split_at(colon);
    if value.is_empty() {
        return;
    }
    let name = if name.is_empty() { b"To:" } else { name };
    let room = FIELD_BYTES.saturating_sub(name.len() + 2);
    let field = [name, &value.repeat(room / value.len()), b"\r\n"].concat();
    let author: &[u8] =
        if name.eq_ignore_ascii_case(b"from:") { b"" } else { b"From: app@example.com\r\n" };
    let long = [author, &field, b"\r\n"].concat();
    let begin = Instant::now();
    let _ = HeaderSection::parse(&long);
    let taken = begin.elapsed();
    assert!(taken < Duration::from_secs(2), "{} bytes took {taken:?}", long.len());
}
