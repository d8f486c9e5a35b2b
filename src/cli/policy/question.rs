//! Who asks, and with which context keys: what a line of `evaluate` and a case of `test` share.

use std::borrow::Cow;
use std::collections::HashSet;

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged;

use super::json::{self, Mistake, excerpt, kind};
use super::layers::Policies;
use crate::policy::lint::unknown_key;
use crate::policy::{Context, Principal, Spelled};

/// Most context keys of a request.
const MOST_KEYS: usize = 1_000;

/// Who asks, with the ARNs that are not written out.
#[derive(Debug, Clone)]
pub(super) enum Who {
    User { account: String, arn: String },
    Session { account: String, role_arn: String, session_arn: String },
    Root { account: String },
}

impl Who {
    pub(super) fn principal(&self) -> Principal<'_> {
        match self {
            Who::User { account, arn } => Principal::User { account, arn },
            Who::Session { account, role_arn, session_arn } => {
                Principal::RoleSession { account, role_arn, session_arn }
            }
            Who::Root { account } => Principal::Root { account },
        }
    }

    /// Reads an ARN or an account; or an object of `role` and `session`, for a role with a path, of
    /// which the ARN of the session says nothing.
    pub(super) fn read(value: &Value<'_>) -> Result<Who, Mistake> {
        let Value::Object(_) = value else {
            let text = json::string(value, "`principal`")?;
            return Who::parse(text).map_err(|what| Mistake::of(value, what));
        };
        let object = json::object(value, "`principal`", &["role", "session"])?;
        let part = |name: &str| {
            let part = json::member(object, name)
                .ok_or_else(|| Mistake::of(value, format!("`{name}` is missing")))?;
            let text = json::string(part, name)?;
            Who::parse(text).map_err(|what| Mistake::of(part, what))
        };
        match (part("role")?, part("session")?) {
            (
                Who::Session { role_arn, session_arn: no_name, account },
                Who::Session { session_arn, role_arn: without_path, account: of_session },
            ) if no_name.is_empty()
                && !session_arn.is_empty()
                && account == of_session
                && role_name(&role_arn) == role_name(&without_path) =>
            {
                Ok(Who::Session { account, role_arn, session_arn })
            }
            _ => Err(Mistake::of(
                value,
                "`role` is the ARN of a role, and `session` that of a session of this role",
            )),
        }
    }

    fn parse(text: &str) -> Result<Who, String> {
        let mistake = || {
            format!(
                "`{}` is not a principal; write the ARN of a user (`arn:aws:iam::111122223333:user/app`), a role, a role session (`arn:aws:sts::111122223333:assumed-role/app/session`), a federated user or a root user, or an account of 12 digits",
                excerpt(text)
            )
        };
        if is_account(text) {
            return Ok(Who::Root { account: text.to_owned() });
        }
        let fields: Vec<&str> = text.splitn(6, ':').collect();
        let &["arn", partition, service, "", account, name] = fields.as_slice() else {
            return Err(mistake());
        };
        let is_partition = partition == "aws" || partition.starts_with("aws-");
        let is_plain = name.bytes().all(|byte| byte.is_ascii_graphic() && !b"*?".contains(&byte));
        if !is_partition || !is_account(account) || !is_plain {
            return Err(mistake());
        }
        let (account, arn) = (account.to_owned(), text.to_owned());
        match (service, name.split_once('/')) {
            ("iam", None) if name == "root" => Ok(Who::Root { account }),
            ("iam", Some(("user", path))) if is_path(path) => Ok(Who::User { account, arn }),
            ("sts", Some(("federated-user", name))) if is_name(name) => {
                Ok(Who::User { account, arn })
            }
            // A session that has no name, so that nothing written about one session concerns it.
            ("iam", Some(("role", path))) if is_path(path) => {
                Ok(Who::Session { account, role_arn: arn, session_arn: String::new() })
            }
            ("sts", Some(("assumed-role", names))) => match names.split_once('/') {
                Some((role, session)) if is_name(role) && is_name(session) => {
                    let role_arn = format!("arn:{partition}:iam::{account}:role/{role}");
                    Ok(Who::Session { account, role_arn, session_arn: arn })
                }
                _ => Err(mistake()),
            },
            _ => Err(mistake()),
        }
    }
}

fn role_name(arn: &str) -> Option<&str> {
    arn.rsplit('/').next()
}

fn is_path(text: &str) -> bool {
    text.split('/').all(|part| !part.is_empty())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains('/')
}

/// Tells whether a text is the id of an account.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns the account that the ARN of a resource names, if it names one.
pub(super) fn owner(resource: &str) -> Option<&str> {
    resource.split(':').nth(4).filter(|account| is_account(account))
}

/// Whether values may be given with other spellings (decision 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spellings {
    /// AWS knows none.
    Refused,
    /// As an object of `text`, `spellings` and `in_any_case`.
    Taken,
}

/// Reads an object of context keys, each with a value or a list of them; an empty list is an absent
/// key. Numbers and booleans are their text, as in a policy.
pub(super) fn context<'v>(
    value: &'v Value<'_>,
    spellings: Spellings,
) -> Result<Context<'v>, Mistake> {
    let mut context = Context::new();
    let Value::Object(object) = value else {
        let what = format!("`context` is an object, not {}", kind(value));
        return Err(Mistake::of(value, what));
    };
    if object.properties.len() > MOST_KEYS {
        return Err(Mistake::of(value, format!("`context` has more than {MOST_KEYS} keys")));
    }
    let mut given = 0;
    for member in &object.properties {
        let key = member.name.as_str();
        if key.is_empty() {
            return Err(Mistake::new(member.name.range().start, "an empty context key"));
        }
        let values = json::one_or_list(&member.value);
        let values = values
            .iter()
            .map(|value| spelled(key, value, spellings))
            .collect::<Result<Vec<_>, _>>()?;
        given += usize::from(!values.is_empty());
        context.set_list(key, values);
    }
    if context.iter().count() == given {
        return Ok(context);
    }
    // Two keys became one; say which.
    let mut seen = HashSet::new();
    let twice = object.properties.iter().find(|it| !seen.insert(it.name.as_str().to_lowercase()));
    let (at, key) = twice.map_or((object.range.start, String::new()), |member| {
        (member.name.range().start, excerpt(member.name.as_str()))
    });
    Err(Mistake::new(at, format!("context key `{key}` is given twice; letter case does not count")))
}

/// Checks that the keys of a context exist, so that none is misspelt: known here, or of a service that
/// nothing is known of here and asked for by a policy.
pub(super) fn check_keys(context: &Value<'_>, policies: &Policies) -> Result<(), Mistake> {
    let members = context.as_object().map_or(&[][..], |object| &object.properties);
    for member in members {
        let key = member.name.as_str();
        let is_ours =
            |service: &str| ["aws", "ses"].iter().any(|it| service.eq_ignore_ascii_case(it));
        let is_foreign = key.split_once(':').is_some_and(|(service, _)| !is_ours(service));
        if is_foreign && policies.all().any(|policy| policy.asks_for(key)) {
            continue;
        }
        if let Some(problem) = unknown_key(key).filter(|_| !key.is_empty()) {
            return Err(Mistake::new(member.name.range().start, problem));
        }
    }
    Ok(())
}

fn spelled<'v>(
    key: &str,
    value: &'v Value<'_>,
    spellings: Spellings,
) -> Result<Spelled<'v>, Mistake> {
    match value {
        Value::StringLit(text) => Ok(Spelled::from(text.value.as_ref())),
        Value::NumberLit(number) => Ok(Spelled::from(number.value)),
        Value::BooleanLit(boolean) => {
            Ok(Spelled::from(if boolean.value { "true" } else { "false" }))
        }
        Value::Object(_) if spellings == Spellings::Taken => {
            let object = json::object(value, "a value", &["text", "spellings", "in_any_case"])?;
            let text = json::member(object, "text")
                .ok_or_else(|| Mistake::of(value, "`text` is missing"))?;
            let others = json::member(object, "spellings").map_or(&[][..], json::one_or_list);
            let others = others
                .iter()
                .map(|other| json::string(other, "a spelling").map(Cow::Borrowed))
                .collect::<Result<Vec<_>, _>>()?;
            let spelled = Spelled::from(json::string(text, "`text`")?).with_spellings(others);
            match json::member(object, "in_any_case") {
                Some(Value::BooleanLit(boolean)) if boolean.value => Ok(spelled.in_any_case()),
                None | Some(Value::BooleanLit(_)) => Ok(spelled),
                Some(other) => {
                    let what = format!("`in_any_case` is a boolean, not {}", kind(other));
                    Err(Mistake::of(other, what))
                }
            }
        }
        other => {
            let (key, kind) = (excerpt(key), kind(other));
            let what = format!(
                "context key `{key}` has {kind} as a value; write strings, or leave an absent key out"
            );
            Err(Mistake::of(other, what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written, and role, session or user it stands for; a mistake when empty.
    const PRINCIPALS: [(&str, &[&str]); 18] = [
        ("111122223333", &["root", "111122223333"]),
        ("arn:aws:iam::111122223333:root", &["root", "111122223333"]),
        ("arn:aws:iam::111122223333:user/a", &["user", "arn:aws:iam::111122223333:user/a"]),
        (
            "arn:aws-cn:iam::111122223333:user/p/a",
            &["user", "arn:aws-cn:iam::111122223333:user/p/a"],
        ),
        (
            "arn:aws:sts::111122223333:federated-user/a",
            &["user", "arn:aws:sts::111122223333:federated-user/a"],
        ),
        (
            "arn:aws:iam::111122223333:role/p/a",
            &["session", "arn:aws:iam::111122223333:role/p/a", ""],
        ),
        (
            "arn:aws-us-gov:sts::111122223333:assumed-role/a/s",
            &[
                "session",
                "arn:aws-us-gov:iam::111122223333:role/a",
                "arn:aws-us-gov:sts::111122223333:assumed-role/a/s",
            ],
        ),
        ("", &[]),
        ("*", &[]),
        ("app", &[]),
        ("1111222233334", &[]),
        ("arn:aws:iam::111122223333:user/", &[]),
        ("arn:aws:iam::111122223333:user/*", &[]),
        ("arn:aws:iam::111122223333:group/a", &[]),
        ("arn:aws:iam:us-east-1:111122223333:user/a", &[]),
        ("arn:aws:iam::1111:user/a", &[]),
        ("arn:aws:sts::111122223333:assumed-role/a", &[]),
        ("arn:azure:iam::111122223333:root", &[]),
    ];

    #[test]
    fn principals() {
        for (text, wanted) in PRINCIPALS {
            let who = Who::parse(text);
            let shown = match &who {
                Ok(Who::User { arn, .. }) => vec!["user", arn],
                Ok(Who::Session { role_arn, session_arn, .. }) => {
                    vec!["session", role_arn, session_arn]
                }
                Ok(Who::Root { account }) => vec!["root", account],
                Err(_) => vec![],
            };
            assert_eq!(shown, wanted, "{text}: {who:?}");
        }
    }
}
