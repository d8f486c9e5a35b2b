//! Cases by message: a user, an envelope, header fields, a client and a moment, decided as the relay
//! would under a configuration.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use jsonc_parser::ast::Value;

use super::asker::{Asker, Wanted};
use super::case::Case;
use super::configuration::{Configuration, Key};
use super::coverage::Coverage;
use super::expect::Answer;
use super::files::plain;
use super::json::{self, Mistake, kind, one_or_list};
use super::layers::Policies;
use super::mail;
use crate::address::Address;
use crate::authorize::{Client, Denial, Message, Occasion, STEPS, Verdict, Vpc};
use crate::message::HeaderSection;
use crate::policy::{StepBudget, moment};
use crate::principals::Principal;
use crate::smtp::{Envelope, Reply};

/// Members of a case that only a `request` has; of a message the configuration says them.
const OF_REQUESTS: [&str; 6] =
    ["request", "scps", "rcps", "session_policy", "resource_policy", "effect"];
/// The EHLO name of a client that says none.
const EHLO: &str = "localhost";

/// The configurations of a run, each read once.
#[derive(Debug, Default)]
pub(super) struct Configurations(HashMap<Key, Rc<Configuration>>);

impl Configurations {
    /// The configuration of a case; its documents count for the coverage.
    fn of(
        &mut self,
        case: &Case<'_, '_>,
        coverage: &mut Option<Coverage>,
    ) -> Result<Rc<Configuration>, Mistake> {
        let user = case.string("user")?.unwrap_or("app").to_owned();
        let written = case.member("config");
        let key = match written {
            Some(Value::StringLit(path)) => {
                Key::File(plain(&case.folder().join(path.value.as_ref())))
            }
            Some(Value::Object(object)) => {
                Key::Case(case.path.into(), object.range.start, user.clone())
            }
            None => Key::Case(case.path.into(), usize::MAX, user.clone()),
            Some(other) => {
                let what = "`config` is a file of the relay, or an object with its sections, not";
                return Err(Mistake::of(other, format!("{what} {}", kind(other))));
            }
        };
        if let Some(known) = self.0.get(&key) {
            return Ok(Rc::clone(known));
        }
        let read = match (&key, written) {
            (Key::File(path), Some(named)) => Configuration::of_file(path, named)?,
            (_, written) => {
                Configuration::of_case(case.path, written.map(|it| (it, case.text)), &user)?
            }
        };
        if let (Key::File(_), Some(coverage)) = (&key, coverage) {
            coverage.add_configured(&read.config);
        }
        let read = Rc::new(read);
        self.0.insert(key, Rc::clone(&read));
        Ok(read)
    }
}

/// A message that a case asks about.
struct Given {
    client: Client,
    envelope: Envelope,
    header: HeaderSection,
    now: SystemTime,
}

/// Decides about the message of a case, with its policies in place of the user's where it has any.
pub(super) fn decide(
    case: &Case<'_, '_>,
    policies: &Policies,
    configurations: &mut Configurations,
    coverage: &mut Option<Coverage>,
) -> Result<Answer, Mistake> {
    for name in OF_REQUESTS {
        if let Some(value) = case.member(name) {
            let what = format!("`{name}` beside a `message`, whose layers are those of `config`");
            return Err(Mistake::of(value, what));
        }
    }
    let configuration = configurations.of(case, coverage)?;
    let Given { client, envelope, header, now } = match read(case, policies, &configuration)? {
        Ok(given) => given,
        Err(refused) => return Ok(refused),
    };

    let authorizer = &configuration.authorizer;
    let occasion = Occasion { id: uuid::Uuid::nil(), now, steps: STEPS };
    let decided = authorizer.decide(&client, &envelope, &header, occasion);
    let verdict = match &decided {
        Ok(verdict) => Some(verdict),
        Err(Denial::Policy { verdict, .. }) => Some(&**verdict),
        Err(_) => None,
    };
    let mut answer = None;
    if let Ok(chosen) = authorizer.chosen(&client, &envelope, &header) {
        let message = Message { envelope: &envelope, header: &header, x_ses: &chosen.x_ses };
        authorizer.ask(&client, message, now, &StepBudget::unbounded(), |asked| {
            if let Some(coverage) = coverage.as_mut() {
                coverage.observe(&asked.layers, &asked.request);
            }
            let Some(decision) = asked.decision() else { return };
            if answer.is_none() && verdict.is_some_and(|it| is_of(it, &Verdict::of(&decision))) {
                answer = Some(Answer::of(&decision));
            }
        });
    }
    let mut answer = answer.unwrap_or_default();
    answer.reply = decided.err().map(mail::reply);
    Ok(answer)
}

/// Reads the message of a case with whose it is, or the answer to one that cannot be read.
fn read(
    case: &Case<'_, '_>,
    policies: &Policies,
    configuration: &Configuration,
) -> Result<Result<Given, Answer>, Mistake> {
    let (mut client, ehlo) = client(case, configuration)?;
    let has = |name: &str| case.member(name).is_some();
    let replaced = has("policies") || has("policy_files") || has("condition");
    configuration
        .is_enough(&client.principal, replaced)
        .map_err(|problem| Mistake::of(case.member("config").unwrap_or(case.value), problem))?;
    let mut principal = (*client.principal).clone();
    if replaced {
        principal.policies.clone_from(&policies.identity);
    }
    if has("boundary") {
        principal.boundary.clone_from(&policies.boundary);
    }
    client.principal = Arc::new(principal);
    let now = at(case)?;

    const MEMBERS: [&str; 4] = ["from", "to", "header", "eml"];
    let value = case.required("message")?;
    let object = json::object(value, "`message`", &MEMBERS)?;
    let member = |name: &str| json::member(object, name);
    let required = |name: &str| {
        member(name).ok_or_else(|| Mistake::of(value, format!("a message without `{name}`")))
    };
    let address = |value: &Value<'_>, what: &str| -> Result<Address, Mistake> {
        mail::address(json::string(value, what)?).map_err(|problem| Mistake::of(value, problem))
    };
    let from = required("from")?;
    let reverse_path = address(from, "`from`")?;
    let to = required("to")?;
    let paths = one_or_list(to).iter().map(|path| address(path, "an address of `to`"));
    let paths = paths.collect::<Result<Vec<_>, _>>()?;
    if paths.is_empty() {
        return Err(Mistake::of(to, "`to` is empty; write an address"));
    }
    let section = match (member("header"), member("eml")) {
        (Some(_), Some(eml)) => {
            return Err(Mistake::of(eml, "`header` and `eml` together; write one of the two"));
        }
        (None, None) => mail::only_from(reverse_path.as_str()),
        (Some(header), None) => {
            let mut lines = String::new();
            for line in one_or_list(header) {
                lines.push_str(json::string(line, "a line of `header`")?);
                lines.push_str("\r\n");
            }
            format!("{lines}\r\n").into_bytes()
        }
        (None, Some(named)) => {
            let path = case.folder().join(json::string(named, "`eml`")?);
            let bytes = std::fs::read(&path)
                .map_err(|error| Mistake::of(named, format!("{}: {error}", path.display())))?;
            mail::section(&bytes)
        }
    };
    let envelope = match mail::envelope(reverse_path, paths, ehlo) {
        Ok(envelope) => envelope,
        Err(reply) => return Ok(Err(Answer::refused(reply.to_string()))),
    };
    let header = match HeaderSection::parse(&section) {
        Ok(header) => header,
        Err(error) => {
            let reply = Reply::transaction_failed(&error.to_string());
            return Ok(Err(Answer::refused(reply.to_string())));
        }
    };
    Ok(Ok(Given { client, envelope, header, now }))
}

/// Tells whether a verdict is of that decision: it may know the nearest statement beside it.
fn is_of(verdict: &Verdict, other: &Verdict) -> bool {
    (verdict.decision, &verdict.statement, &verdict.spelling)
        == (other.decision, &other.statement, &other.spelling)
}

/// The client of a case, and its EHLO name.
fn client<'v>(
    case: &Case<'v, '_>,
    configuration: &Configuration,
) -> Result<(Client, &'v str), Mistake> {
    const MEMBERS: [&str; 6] = ["listener", "source_ip", "vpc", "vpc_endpoint", "tls", "ehlo"];
    let value = case.member("client");
    let object = value.map(|it| json::object(it, "`client`", &MEMBERS)).transpose()?;
    let member = |name: &str| object.and_then(|it| json::member(it, name));
    let string =
        |name: &str| member(name).map(|it| json::string(it, &format!("`{name}`"))).transpose();
    let source_ip = match (member("source_ip"), string("source_ip")?) {
        (Some(at), Some(text)) => Some(
            text.parse::<IpAddr>()
                .map_err(|_| Mistake::of(at, "`source_ip` is an IP address such as `192.0.2.1`"))?,
        ),
        _ => None,
    };
    let no_tls = match member("tls") {
        None => false,
        Some(Value::BooleanLit(tls)) => !tls.value,
        Some(other) => {
            return Err(Mistake::of(other, format!("`tls` is a boolean, not {}", kind(other))));
        }
    };
    let wanted = Wanted {
        user: case.string("user")?.map(str::to_owned),
        listener: string("listener")?.map(str::to_owned),
        source_ip,
        vpc_endpoint: string("vpc_endpoint")?.map(str::to_owned),
        no_tls,
    };
    let ehlo = string("ehlo")?.unwrap_or(EHLO);
    let place = |problem| Mistake::of(case.member("user").or(value).unwrap_or(case.value), problem);
    if configuration.has_listeners {
        if let Some(vpc) = member("vpc") {
            return Err(Mistake::of(vpc, "`vpc` is what the listener states in `config`"));
        }
        let asker = Asker::find(&wanted, &configuration.config, &configuration.users);
        return Ok((asker.map_err(place)?.client, ehlo));
    }
    if let Some(listener) = member("listener") {
        return Err(Mistake::of(listener, "`listener` of a `config` without `listeners`"));
    }
    let principal = user(&configuration.users, wanted.user.as_deref()).map_err(place)?;
    let mut client = Asker::nowhere(&wanted, principal).client;
    let vpc = Vpc { endpoint: wanted.vpc_endpoint, id: string("vpc")?.map(str::to_owned) };
    client.vpc = Some(vpc).filter(|vpc| *vpc != Vpc::default());
    Ok((client, ehlo))
}

/// The user of a configuration that is meant: by its name, else the only one.
fn user<'u>(users: &'u [Principal], name: Option<&str>) -> Result<&'u Principal, String> {
    match (name, users) {
        (None, [only]) => Ok(only),
        (None, _) => Err("say whose message it is: `user`".to_owned()),
        (Some(name), users) => {
            let found = users.iter().find(|user| user.name == name);
            found.ok_or_else(|| format!("there is no user `{name}` in the configuration"))
        }
    }
}

/// The moment of the decision, which is now unless the case says it.
fn at(case: &Case<'_, '_>) -> Result<SystemTime, Mistake> {
    let Some(value) = case.member("at") else {
        #[expect(clippy::disallowed_methods, reason = "the moment of the decision (decision 8)")]
        let now = SystemTime::now();
        return Ok(now);
    };
    moment(json::string(value, "`at`")?).ok_or_else(|| {
        Mistake::of(value, "`at` is a moment as policies have it, such as `2026-12-31T23:59:59Z`")
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::super::sources;
    use super::*;
    use crate::authorize::Authorizer;
    use crate::decision_log::{Event, Record, Recorded};
    use crate::relay::{Mail, facts};

    /// What is decided about a message is decided about its record again.
    #[test]
    fn records_are_decided_as_their_messages() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/decisions");
        let mut configurations = Configurations::default();
        let mut played = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let file = json::parse(&text).unwrap();
            for value in &file.as_array().unwrap().elements {
                let own = value.as_object().unwrap();
                let case = Case { value, own, shared: None, text: &text, path: &path };
                let policies = sources::load(&case, &mut None).unwrap().unwrap();
                let configuration = configurations.of(&case, &mut None).unwrap();
                let given = read(&case, &policies, &configuration).unwrap();
                let Ok(given) = given else { continue };
                let name = case.string("name").unwrap().unwrap_or_default();
                is_decided_again(&configuration.authorizer, &given, name);
                played += 1;
            }
        }
        assert!(played > 190, "only {played} messages");
    }

    fn is_decided_again(authorizer: &Authorizer, given: &Given, name: &str) {
        let Given { client, envelope, header, now } = given;
        let facts = facts(client, envelope, header);
        let shown = |address: &Address| address.as_str().to_owned();
        let recipients: Vec<_> = envelope.forward_paths.iter().map(shown).collect();
        let from: Vec<_> = header.from().iter().map(|mailbox| shown(&mailbox.address)).collect();
        let record = Record {
            principal: Some(&client.principal.name),
            client: Some(&client.peer.to_string()),
            tls: Some("none"),
            ehlo: Some(&envelope.ehlo),
            reverse_path: Some(envelope.reverse_path.as_str()),
            recipients: &recipients,
            from: &from,
            waited_ms: Some(2_000),
            elapsed_ms: Some(5_000),
            facts: Some(&facts),
            ..Record::new(Event::Relayed, Uuid::nil())
        };
        let line = record.to_line(*now + Duration::from_secs(3));
        let recorded = Recorded::parse(&line).unwrap();
        let mail = Mail::of(&recorded).unwrap_or_else(|error| panic!("{name}: {error}"));
        let late = now.duration_since(mail.at).unwrap();
        assert!(late < Duration::from_millis(1), "{name}: {late:?}");
        let at = |now| Occasion { id: Uuid::nil(), now, steps: STEPS };
        let again = mail.client(&client.principal);
        assert_eq!(
            authorizer.decide(&again, &mail.envelope, &mail.header, at(mail.at)),
            authorizer.decide(client, envelope, header, at(*now)),
            "{name}\n{}",
            String::from_utf8_lossy(&line),
        );
    }
}
