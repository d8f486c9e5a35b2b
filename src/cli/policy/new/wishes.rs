//! What somebody wishes of a policy, as flags and answers say it.

use std::net::IpAddr;
use std::time::SystemTime;

use clap::Args;
use ipnet::IpNet;

use super::sender::{Recipient, Sender, domain};
use crate::clock::rfc3339;
use crate::policy::moment;
use crate::redact::is_unprintable;

/// Longest display name, in characters.
const NAME_CHARACTERS: usize = 100;

#[derive(Debug, Clone, Default, Args)]
pub(super) struct Wishes {
    /// As whom the user may send: an address, or @DOMAIN for every address of a domain; may be
    /// repeated. `${aws:username}` stands for the name of the user.
    #[arg(long, value_name = "ADDRESS|@DOMAIN", value_parser = Sender::parse)]
    pub(super) from: Vec<Sender>,
    /// The display name in From, compared whole; may be repeated.
    #[arg(long, value_name = "NAME", value_parser = display_name)]
    pub(super) display_name: Vec<String>,
    /// Where bounces go, the reverse-path (MAIL FROM); may be repeated.
    #[arg(long, value_name = "ADDRESS|@DOMAIN", value_parser = Sender::parse)]
    pub(super) feedback: Vec<Sender>,
    /// The domain of every recipient; may be repeated.
    #[arg(long, value_name = "DOMAIN", value_parser = domain)]
    pub(super) to_domain: Vec<String>,
    /// Who is never a recipient: a domain with those below it, or an address; may be repeated.
    #[arg(long, value_name = "DOMAIN|ADDRESS", value_parser = Recipient::parse)]
    pub(super) deny_to: Vec<Recipient>,
    /// When: two moments, of which the second is over; may be repeated. IAM has no time of the day.
    #[arg(long, value_name = "BEGIN/END", value_parser = Hours::parse)]
    pub(super) hours: Vec<Hours>,
    /// Where the client is: a network, or an address; may be repeated.
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    pub(super) network: Vec<IpNet>,
}

/// A time between two moments, to the second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hours {
    pub(super) begin: SystemTime,
    /// The first moment behind it.
    pub(super) end: SystemTime,
}

impl Wishes {
    pub(super) fn is_empty(&self) -> bool {
        self.flags().is_empty()
    }

    /// The same, each wish once.
    pub(super) fn once(mut self) -> Self {
        fn once<T: PartialEq>(values: &mut Vec<T>) {
            let all = std::mem::take(values);
            for value in all {
                if !values.contains(&value) {
                    values.push(value);
                }
            }
        }
        once(&mut self.from);
        once(&mut self.display_name);
        once(&mut self.feedback);
        once(&mut self.to_domain);
        once(&mut self.deny_to);
        once(&mut self.hours);
        once(&mut self.network);
        self
    }

    /// The flags that say the same, in the order of the help.
    pub(super) fn flags(&self) -> Vec<(&'static str, String)> {
        let mut flags = Vec::new();
        let mut add = |flag, values: Vec<String>| {
            flags.extend(values.into_iter().map(|value| (flag, value)));
        };
        add("--from", shown(&self.from));
        add("--display-name", self.display_name.clone());
        add("--feedback", shown(&self.feedback));
        add("--to-domain", self.to_domain.clone());
        add("--deny-to", shown(&self.deny_to));
        add("--hours", self.hours.iter().map(|it| [it.begin(), it.end()].join("/")).collect());
        add("--network", shown(&self.network));
        flags
    }

    /// The command line that says the same.
    pub(super) fn command(&self) -> String {
        let flags = self.flags().into_iter();
        let words = flags.flat_map(|(flag, value)| [flag.to_owned(), for_a_shell(&value)]);
        ["sesgate policy new".to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
    }
}

impl Hours {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wanted = "write BEGIN/END, such as 2027-03-01T08:00Z/2027-03-01T18:00Z";
        let Some((begin, end)) = text.split_once('/') else {
            return Err(format!(
                "IAM knows moments and no time of the day: {wanted}, once for each day"
            ));
        };
        let [begin, end] = [begin, end].map(|text| {
            let moment = moment(text.trim()).and_then(to_the_second);
            moment.ok_or_else(|| format!("`{}` is no moment: {wanted}", text.trim()))
        });
        let (begin, end) = (begin?, end?);
        if begin >= end {
            return Err(format!("it ends before it begins: {wanted}"));
        }
        Ok(Self { begin, end })
    }

    pub(super) fn begin(&self) -> String {
        rfc3339(self.begin).unwrap_or_default()
    }

    pub(super) fn end(&self) -> String {
        rfc3339(self.end).unwrap_or_default()
    }

    pub(super) fn holds(&self, at: SystemTime) -> bool {
        self.begin <= at && at < self.end
    }
}

fn to_the_second(at: SystemTime) -> Option<SystemTime> {
    moment(&rfc3339(at)?)
}

fn shown<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

pub(super) fn display_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().any(is_unprintable) {
        return Err("a name has letters, and no characters that control or turn text".to_owned());
    }
    if text.chars().count() > NAME_CHARACTERS {
        return Err(format!("a name has at most {NAME_CHARACTERS} characters here"));
    }
    if text.contains(['*', '?', '$']) {
        return Err("the name is compared whole: give each name, or write the pattern into the \
                    policy that is printed, with `StringLike`"
            .to_owned());
    }
    if text.split_whitespace().collect::<Vec<_>>().join(" ") != text {
        return Err("blanks at an end or in a row do not arrive: write one".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse::<IpNet>().map_err(|_| {
            "write a network such as 192.0.2.0/24 or 2001:db8::/32, or an address".to_owned()
        })?,
    };
    if network.prefix_len() == 0 {
        return Err("that is every address: leave it out".to_owned());
    }
    // Clients have the IPv4 address that is mapped into IPv6.
    if let IpNet::V6(mapped) = network
        && let Some(address) = mapped.addr().to_ipv4_mapped()
        && let Some(length) = mapped.prefix_len().checked_sub(96)
        && let Ok(network) = IpNet::new(address.into(), length)
    {
        return Ok(network.trunc());
    }
    Ok(network.trunc())
}

/// A word as a shell takes it.
fn for_a_shell(word: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "@.-_/:+".contains(it);
    if word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
