//! PROXY headers: the cases in `tests/proxy_headers`, what holds for any header, and reading from a
//! socket.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;
use sesgate::proxy_protocol::{Header, LONGEST_BYTES, Parsed, ReadError, Refused, parse, read};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::support::path;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// What may stand behind a header: the next header, TLS, SMTP, anything.
const BEHIND: [&[u8]; 4] = [b"PROXY UNKNOWN\r\n", b"\x16\x03\x01\x02\x00", b"EHLO x\r\n", b"\0\n"];

fn cases(file: &str) -> Vec<(String, Vec<u8>, Value)> {
    let text = std::fs::read_to_string(path("tests/proxy_headers").join(file)).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    let read = |case: Value| {
        let bytes = match (case["text"].as_str(), case["hex"].as_str()) {
            (Some(text), None) => text.as_bytes().to_vec(),
            (None, Some(digits)) => hex(digits),
            _ => panic!("either `text` or `hex`: {case}"),
        };
        (case["name"].as_str().unwrap().to_owned(), bytes, case)
    };
    cases.into_iter().map(read).collect()
}

fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|digit| *digit != b' ').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn expected(case: &Value, length: usize) -> Header {
    let header = case["header"].as_object().unwrap();
    for key in header.keys() {
        assert!(["source", "destination", "vpce", "is_local"].contains(&key.as_str()), "{key}");
    }
    let address = |key| header.get(key).map(|it| it.as_str().unwrap().parse().unwrap());
    Header {
        length,
        is_local: header.get("is_local").is_some_and(|it| it.as_bool().unwrap()),
        source: address("source"),
        destination: address("destination"),
        vpce: header.get("vpce").map(|it| it.as_str().unwrap().to_owned()),
    }
}

/// Every beginning waits for more, and asks for no more than is to come.
fn beginnings_wait(bytes: &[u8]) {
    for length in 0..bytes.len() {
        match parse(&bytes[..length]) {
            Ok(Parsed::Incomplete(more)) => {
                assert!((1..=bytes.len() - length).contains(&more), "{more} behind {length}");
            }
            other => panic!("{length} of {} bytes: {other:?}", bytes.len()),
        }
    }
}

#[test]
fn accepted_headers_say_what_they_say() {
    for (name, bytes, case) in cases("accepted.json") {
        let header = Parsed::Header(expected(&case, bytes.len()));
        assert_eq!(parse(&bytes).as_ref(), Ok(&header), "{name}");
        for behind in BEHIND {
            assert_eq!(parse(&[&bytes, behind].concat()).as_ref(), Ok(&header), "{name}");
        }
        beginnings_wait(&bytes);
    }
}

#[test]
fn refused_headers_are_refused_for_what_is_wrong() {
    for (name, bytes, case) in cases("refused.json") {
        let refused = parse(&bytes).expect_err(&name);
        assert_eq!(refused.to_string(), case["refused"], "{name}");
        for behind in BEHIND {
            assert_eq!(parse(&[&bytes, behind].concat()).as_ref(), Err(&refused), "{name}");
        }
    }
}

/// Up to where it is refused a header waits, so a client gains nothing by sending in pieces.
#[test]
fn what_is_refused_is_refused_in_pieces_too() {
    for (name, bytes, _) in cases("refused.json") {
        let mut was_refused = false;
        for length in 0..=bytes.len() {
            match parse(&bytes[..length]) {
                Ok(Parsed::Incomplete(more)) => assert!(more > 0 && !was_refused, "{name}"),
                Ok(Parsed::Header(header)) => panic!("{name}: {header:?}"),
                Err(_) => was_refused = true,
            }
        }
        assert!(was_refused, "{name}");
    }
}

/// The bytes of a version 2 header with these fields.
fn version_2(source: SocketAddr, destination: SocketAddr, fields: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let (family, addresses) = match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            (0x11, [source.octets(), destination.octets()].concat())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            (0x21, [source.octets(), destination.octets()].concat())
        }
        _ => panic!("of one family"),
    };
    let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    let mut block = [addresses, ports].concat();
    for (kind, value) in fields {
        block.push(*kind);
        block.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        block.extend(value);
    }
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[0x21, family], &length, &block].concat()
}

fn version_1(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    let (from_port, to_port) = (source.port(), destination.port());
    format!("PROXY {family} {from} {to} {from_port} {to_port}\r\n").into_bytes()
}

fn addresses() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    let v4 = any::<([u8; 4], [u8; 4])>().prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b)));
    let v6 = any::<([u8; 16], [u8; 16])>().prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b)));
    let mapped = any::<([u8; 4], [u8; 4])>().prop_map(|(a, b)| {
        let mapped = |it| IpAddr::V6(Ipv4Addr::from(it).to_ipv6_mapped());
        (mapped(a), mapped(b))
    });
    (prop_oneof![v4, v6, mapped], any::<(u16, u16)>())
        .prop_map(|((a, b), (p, q))| (SocketAddr::new(a, p), SocketAddr::new(b, q)))
}

/// Fields without a meaning of their own.
fn fields() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let kind = any::<u8>().prop_filter("has a meaning", |kind| ![0x03, 0xEA].contains(kind));
    prop::collection::vec((kind, prop::collection::vec(any::<u8>(), 0..40)), 0..8)
}

fn canonical(address: SocketAddr) -> Option<SocketAddr> {
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

proptest! {
    #[test]
    fn addresses_come_back_from_both_versions(
        (source, destination) in addresses(),
        fields in fields(),
        digits in "[0-9a-f]{8,32}",
        at in 0..9_usize,
    ) {
        let mut header = Header {
            length: 0,
            is_local: false,
            source: canonical(source),
            destination: canonical(destination),
            vpce: None,
        };
        let bytes = version_1(source, destination);
        header.length = bytes.len();
        prop_assert_eq!(parse(&bytes), Ok(Parsed::Header(header.clone())));
        beginnings_wait(&bytes);

        let mut fields = fields;
        let id = format!("vpce-{digits}");
        fields.insert(at.min(fields.len()), (0xEA, [&[1], id.as_bytes()].concat()));
        header.vpce = Some(id);
        let bytes = version_2(source, destination, &fields);
        header.length = bytes.len();
        if bytes.len() > LONGEST_BYTES {
            prop_assert_eq!(parse(&bytes), Err(Refused::TooLong(LONGEST_BYTES)));
        } else {
            prop_assert_eq!(parse(&bytes), Ok(Parsed::Header(header)));
            beginnings_wait(&bytes);
        }
    }
}

#[test]
fn a_changed_bit_is_noticed_by_the_checksum() {
    let (_, bytes, _) = cases("accepted.json")
        .into_iter()
        .find(|(name, ..)| name.starts_with("As a Network Load Balancer sends it"))
        .unwrap();
    for index in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[index] ^= 1 << bit;
            match parse(&changed) {
                Err(_) => {}
                // `LOCAL` has nothing to check, and another type of field is no checksum.
                Ok(Parsed::Header(header)) => assert!(header.is_local || index == 28, "{index}"),
                Ok(Parsed::Incomplete(_)) => assert!([14, 15].contains(&index), "{index}"),
            }
        }
    }
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

fn within(duration: Duration) -> Instant {
    Instant::now() + duration
}

/// What stands behind a header is still in the socket, also when the header came in pieces.
#[tokio::test]
async fn a_socket_keeps_what_stands_behind() {
    for (name, bytes, case) in cases("accepted.json") {
        for cut in [0, 1, bytes.len() / 2, bytes.len() - 1, bytes.len()] {
            let (client, mut server) = pair().await;
            client.set_nodelay(true).unwrap();
            let mut client = client.into_std().unwrap();
            client.set_nonblocking(false).unwrap();
            let (first, second) = bytes.split_at(cut);
            client.write_all(first).unwrap();
            let reading = async {
                let header = read(&mut server, within(Duration::from_secs(20))).await.unwrap();
                (header, server)
            };
            let writing = async {
                tokio::task::yield_now().await;
                client.write_all(second).unwrap();
                client.write_all(b"EHLO client.test\r\n").unwrap();
                drop(client);
            };
            let ((header, mut server), ()) = tokio::join!(reading, writing);
            assert_eq!(header, expected(&case, bytes.len()), "{name}");
            let mut rest = Vec::new();
            server.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, b"EHLO client.test\r\n", "{name}, cut at {cut}");
        }
    }
}

/// A refusal does not wait for bytes that cannot help.
#[tokio::test]
async fn a_socket_without_a_header_is_refused_at_once() {
    let (client, mut server) = pair().await;
    client.try_write(b"EHLO").unwrap();
    let refused = read(&mut server, within(Duration::from_secs(3600))).await.unwrap_err();
    assert!(matches!(refused, ReadError::Refused(Refused::NoHeader)), "{refused}");
    drop(client);
}

#[tokio::test]
async fn a_header_comes_in_time_or_not_at_all() {
    for begun in [&b""[..], b"PROXY TCP4 ", SIGNATURE] {
        let (client, mut server) = pair().await;
        if !begun.is_empty() {
            client.try_write(begun).unwrap();
        }
        let error = read(&mut server, within(Duration::from_millis(100))).await.unwrap_err();
        assert!(matches!(error, ReadError::TooSlow), "{error}");
        drop(client);
        let error = read(&mut server, within(Duration::from_secs(20))).await.unwrap_err();
        assert!(matches!(error, ReadError::Closed), "{error}");
    }
}
