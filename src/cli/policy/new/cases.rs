//! Cases that show of each wish a mail that it lets through and one that it stops.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use super::document::{NEVER_TO_ADDRESSES, NEVER_TO_DOMAINS, SEND, sid};
use super::layout::Json;
use super::mail::Mail;
use super::sender::{Recipient, Sender, others};
use super::wishes::Wishes;
use crate::clock::rfc3339;

/// The author of mail of which nobody says whom it is from.
const AUTHOR: &str = "app@example.com";
/// Domains of recipients of which nobody says anything.
const DOMAINS: [&str; 4] = ["example.net", "elsewhere.example", "elsewhere.test", "elsewhere.net"];
const LOCAL_PARTS: [&str; 3] = ["you", "them", "everybody"];

/// What all cases share, and the cases.
pub(super) struct Cases {
    pub(super) shared: Vec<(&'static str, Json)>,
    pub(super) cases: Json,
}

/// Writes the cases.
///
/// # Errors
/// When no mail can be as all of it is wished.
pub(super) fn of(wishes: &Wishes) -> Result<Cases, String> {
    let mut writer = Writer { wishes, usual: usual(wishes)?, cases: Vec::new() };
    let usual = writer.usual.clone();
    writer.sent(&format!("{} writes to {}", usual.author, usual.to.join(" and ")), SEND, |_| {});
    writer.senders()?;
    writer.names();
    writer.recipients()?;
    writer.times();
    writer.networks()?;
    Ok(Cases { shared: usual.surroundings(None), cases: Json::List(writer.cases) })
}

/// The mail that is as all of it is wished.
fn usual(wishes: &Wishes) -> Result<Mail, String> {
    let author = wishes.from.first().map_or_else(|| AUTHOR.to_owned(), Sender::example);
    let to = match wishes.to_domain.first() {
        Some(domain) => vec![recipient(wishes, domain)?],
        None => vec![stranger(wishes)?],
    };
    Ok(Mail {
        reverse_path: wishes.feedback.first().map_or_else(|| author.clone(), Sender::example),
        author,
        name: wishes.display_name.first().cloned(),
        to,
        source_ip: wishes.network.first().and_then(|network| network.hosts().next()),
        at: wishes.hours.first().map(|hours| hours.begin),
    })
}

/// An address of a domain that may be a recipient.
fn recipient(wishes: &Wishes, domain: &str) -> Result<String, String> {
    let addresses = LOCAL_PARTS.map(|local_part| format!("{local_part}@{domain}"));
    let is_free = |address: &String| !wishes.deny_to.iter().any(|it| it.is(address));
    addresses.into_iter().find(is_free).ok_or_else(|| {
        format!("nobody is left of --to-domain {domain}: --deny-to takes it away; leave one out")
    })
}

/// An address of which nothing is said.
fn stranger(wishes: &Wishes) -> Result<String, String> {
    let is_free = |domain: &&str| !wishes.to_domain.iter().any(|it| it == domain);
    let mut addresses = DOMAINS.into_iter().filter(is_free).map(|it| recipient(wishes, it));
    addresses.find(Result::is_ok).unwrap_or_else(|| {
        Err(format!("no domain is left for a case: of {} leave one out", DOMAINS.join(", ")))
    })
}

struct Writer<'w> {
    wishes: &'w Wishes,
    usual: Mail,
    cases: Vec<Json>,
}

impl Writer<'_> {
    /// A mail that is let through by a statement.
    fn sent(&mut self, name: &str, sid: &str, change: impl FnOnce(&mut Mail)) {
        self.case(name, vec![("decision", "Allowed"), ("statement", sid)], change);
    }

    /// A mail that no statement allows.
    fn stopped(&mut self, name: &str, change: impl FnOnce(&mut Mail)) {
        self.case(name, vec![("decision", "ImplicitlyDenied")], change);
    }

    /// A mail that a statement denies.
    fn denied(&mut self, name: &str, sid: &str, change: impl FnOnce(&mut Mail)) {
        self.case(name, vec![("decision", "ExplicitlyDenied"), ("statement", sid)], change);
    }

    fn case(
        &mut self,
        name: &str,
        expect: Vec<(&'static str, &str)>,
        change: impl FnOnce(&mut Mail),
    ) {
        let mut mail = self.usual.clone();
        change(&mut mail);
        let expect = expect.into_iter().map(|(name, value)| (name, Json::text(value)));
        let mut members = vec![("name", Json::text(name)), ("message", mail.message())];
        members.extend(mail.surroundings(Some(&self.usual)));
        members.push(("expect", Json::Object(expect.collect())));
        self.cases.push(Json::Object(members));
    }

    fn senders(&mut self) -> Result<(), String> {
        let Wishes { from, feedback, .. } = self.wishes;
        for address in from.iter().skip(1).map(Sender::example) {
            self.sent(&format!("from {address}"), SEND, |mail| mail.author = address);
        }
        if !from.is_empty() {
            for address in enough(others(from), "--from")? {
                self.stopped(&format!("not from {address}"), |mail| mail.author = address);
            }
        }
        for address in feedback.iter().skip(1).map(Sender::example) {
            let name = format!("with bounces to {address}");
            self.sent(&name, SEND, |mail| mail.reverse_path = address);
        }
        if !feedback.is_empty() {
            for address in enough(others(feedback), "--feedback")? {
                let name = format!("not with bounces to {address}");
                self.stopped(&name, |mail| mail.reverse_path = address);
            }
        }
        Ok(())
    }

    fn names(&mut self) {
        let names = &self.wishes.display_name;
        let Some(first) = names.first() else { return };
        for name in names.iter().skip(1) {
            self.sent(&format!("as {name}"), SEND, |mail| mail.name = Some(name.clone()));
        }
        let others = [format!("{first} Team"), "Somebody Else".to_owned(), "Nobody".to_owned()];
        if let Some(other) = others.into_iter().find(|other| !names.contains(other)) {
            self.stopped(&format!("not as {other}"), |mail| mail.name = Some(other));
        }
        self.stopped("not without a name", |mail| mail.name = None);
    }

    fn recipients(&mut self) -> Result<(), String> {
        let wishes = self.wishes;
        let usual = self.usual.to.concat();
        for domain in wishes.to_domain.iter().skip(1) {
            let address = recipient(wishes, domain)?;
            self.sent(&format!("to {address}"), SEND, |mail| mail.to = vec![address]);
        }
        if !wishes.to_domain.is_empty() {
            let other = stranger(wishes)?;
            self.stopped(&format!("not to {other}"), |mail| mail.to = vec![other.clone()]);
            let name = format!("not to {usual} and {other}");
            self.stopped(&name, |mail| mail.to.push(other));
        }
        for refused in &wishes.deny_to {
            let addresses = match refused {
                Recipient::Address(address) => vec![address.clone()],
                Recipient::Domain(domain) => {
                    vec![format!("you@{domain}"), format!("you@mail.{domain}")]
                }
            };
            // The statement for domains stands first.
            let is_of_domain = |address: &str| {
                let mut domains =
                    wishes.deny_to.iter().filter(|it| matches!(it, Recipient::Domain(_)));
                domains.any(|it| it.is(address))
            };
            let sid = |address: &str| {
                if is_of_domain(address) { NEVER_TO_DOMAINS } else { NEVER_TO_ADDRESSES }
            };
            for address in &addresses {
                let to = vec![address.clone()];
                let name = format!("never to {address}");
                self.denied(&name, sid(address), |mail| mail.to = to);
            }
            if let Some(address) = addresses.into_iter().next() {
                let name = format!("never to {usual} and {address}");
                self.denied(&name, sid(&address), |mail| mail.to.push(address));
            }
        }
        Ok(())
    }

    fn times(&mut self) {
        let hours = &self.wishes.hours;
        for (number, it) in hours.iter().enumerate() {
            // Of times that overlap the first allows.
            let first = hours.iter().position(|other| other.holds(it.begin)).unwrap_or(number);
            if number > 0 {
                let name = format!("at {}", it.begin());
                self.sent(&name, &sid(first), |mail| mail.at = Some(it.begin));
            }
            let second = Duration::from_secs(1);
            let is_outside = |at: &SystemTime| !hours.iter().any(|other| other.holds(*at));
            let edges = [it.begin.checked_sub(second), Some(it.end)].into_iter().flatten();
            for at in edges.filter(is_outside) {
                let name = format!("not at {}", rfc3339(at).unwrap_or_default());
                self.stopped(&name, |mail| mail.at = Some(at));
            }
        }
    }

    fn networks(&mut self) -> Result<(), String> {
        let networks = &self.wishes.network;
        let examples = networks.iter().skip(1).filter_map(|network| network.hosts().next());
        for address in examples {
            let name = format!("connected from {address}");
            self.sent(&name, SEND, |mail| mail.source_ip = Some(address));
        }
        let Some(first) = networks.first() else { return Ok(()) };
        let mut others: Vec<IpAddr> = match first.addr() {
            IpAddr::V4(_) => [[203, 0, 113, 1], [198, 51, 100, 1], [192, 0, 2, 1], [10, 0, 0, 1]]
                .map(|it| Ipv4Addr::from(it).into())
                .to_vec(),
            IpAddr::V6(_) => [[0x2001, 0xdb8, 0xffff], [0x2001, 0xdb8, 1], [0xfd00, 0, 1]]
                .map(|[a, b, c]| Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 1).into())
                .to_vec(),
        };
        others.retain(|address| !networks.iter().any(|network| network.contains(address)));
        let other =
            others.first().ok_or("--network leaves hardly any address out: leave it out")?;
        let (name, other) = (format!("not connected from {other}"), *other);
        self.stopped(&name, |mail| mail.source_ip = Some(other));
        Ok(())
    }
}

fn enough(others: Vec<String>, flag: &str) -> Result<Vec<String>, String> {
    if others.is_empty() {
        return Err(format!("no address is left for a case of {flag}: leave one out"));
    }
    Ok(others)
}
