//! `Principal` and `NotPrincipal`: whom a resource policy names.

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged;

use super::arn;
use super::effect::Effect;
use super::error::{Problem, Problems};
use super::json::strings;
use super::request::Principal;
use super::rules::{self, INVALID_PRINCIPAL};
use super::words::{nearest, quoted};

/// How directly a statement of a resource policy names the one who asks; the closest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Naming {
    /// The user, the session, or everybody.
    Itself,
    /// The role of the session.
    Role,
    /// The account, which delegates to its own policies.
    Account,
}

/// The `Principal` or `NotPrincipal` of a statement.
#[derive(Debug, Clone)]
pub(super) struct Principals {
    negated: bool,
    entries: Vec<Named>,
}

#[derive(Debug, Clone)]
enum Named {
    Everybody,
    Account(Box<str>),
    Arn(Box<str>),
    /// Services, federated and canonical users, and the ids left by deleted principals.
    Nobody,
}

impl Principals {
    /// Tells how directly the principal is named, `None` when it is not.
    ///
    /// `NotPrincipal` names whomever no entry names. An account there exempts from a Deny its root
    /// user alone, and shuts out from an Allow all its principals: both the narrower reading. From a
    /// Deny it exempts nobody who has a permissions boundary (IAM user guide, `NotPrincipal`).
    pub(super) fn naming(
        &self,
        principal: &Principal<'_>,
        effect: Effect,
        has_boundary: bool,
    ) -> Option<Naming> {
        let named = |entry: &Named| entry.naming(principal);
        if !self.negated {
            return self.entries.iter().filter_map(named).min();
        }
        if effect == Effect::Deny && has_boundary {
            return Some(Naming::Itself);
        }
        let is_root = matches!(principal, Principal::Root { .. });
        let exempt = self
            .entries
            .iter()
            .filter_map(named)
            .any(|naming| naming != Naming::Account || is_root || effect == Effect::Allow);
        (!exempt).then_some(Naming::Itself)
    }

    /// Tells whether it is `"Principal": "*"`, which resource control policies must have.
    pub(super) fn is_everybody(&self) -> bool {
        !self.negated && matches!(self.entries.as_slice(), [Named::Everybody])
    }

    /// Reads `"*"` or an object of lists by type.
    pub(super) fn read<'t>(
        value: &Value<'t>,
        negated: bool,
        problems: &mut Problems<'t>,
    ) -> Principals {
        let mut entries = Vec::new();
        match value {
            Value::StringLit(text) if text.value == "*" => entries.push(Named::Everybody),
            Value::Object(object) => {
                for member in &object.properties {
                    let kind = member.name.as_str();
                    if !KINDS.contains(&kind) {
                        let hint = match nearest(kind, KINDS) {
                            Some(near) => format!("did you mean `{near}`?"),
                            None => format!("write one of {}", KINDS.join(", ")),
                        };
                        let message = format!("unknown type of principal {}", quoted(kind));
                        let at = member.name.range().start;
                        problems.add(at, INVALID_PRINCIPAL, message, hint);
                        continue;
                    }
                    for (at, text) in strings(&member.value, "a principal", problems) {
                        match Named::read(kind, &text) {
                            Ok(entry) => entries.push(entry),
                            Err(problem) => problems.push(at, problem),
                        }
                    }
                }
            }
            other => problems.add(
                other.range().start,
                INVALID_PRINCIPAL,
                "not a principal",
                r#"write "*" or an object such as {"AWS": "111122223333"}"#,
            ),
        }
        Principals { negated, entries }
    }
}

const KINDS: [&str; 4] = ["AWS", "Service", "Federated", "CanonicalUser"];

impl Named {
    fn read(kind: &str, text: &str) -> Result<Named, Problem> {
        let shown = quoted(text);
        if kind == "AWS" && text == "*" {
            return Ok(Named::Everybody);
        }
        if text.contains(['*', '?']) {
            return Err(Problem::new(
                rules::WILDCARD_IN_PRINCIPAL,
                format!("wildcard in principal {shown}"),
                "name it in full, or write `*` alone for everybody",
            ));
        }
        if kind != "AWS" {
            return if text.is_empty() {
                Err(Problem::new(INVALID_PRINCIPAL, "empty principal", "name one"))
            } else {
                Ok(Named::Nobody)
            };
        }
        if is_account(text) {
            return Ok(Named::Account(text.into()));
        }
        if is_unique_id(text) {
            return Ok(Named::Nobody);
        }
        let not_named = || {
            let fix = "write an account id of 12 digits or the ARN of a user, role, session or account root";
            Problem::new(INVALID_PRINCIPAL, format!("{shown} is not a principal"), fix)
        };
        let [_, _, service, region, account, name] = arn::fields(text).ok_or_else(not_named)?;
        if !region.is_empty() || !is_account(account) {
            return Err(not_named());
        }
        let has_name =
            |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty());
        match service {
            "iam" if name == "root" => Ok(Named::Account(account.into())),
            "iam" if has_name("user/") || has_name("role/") => Ok(Named::Arn(text.into())),
            "sts" if has_name("assumed-role/") || has_name("federated-user/") => {
                Ok(Named::Arn(text.into()))
            }
            _ => Err(not_named()),
        }
    }

    fn naming(&self, principal: &Principal<'_>) -> Option<Naming> {
        match self {
            Named::Everybody => Some(Naming::Itself),
            Named::Nobody => None,
            Named::Account(account) => {
                (principal.account() == account.as_ref()).then_some(Naming::Account)
            }
            Named::Arn(named) => match principal {
                Principal::User { arn, .. } if *arn == named.as_ref() => Some(Naming::Itself),
                Principal::RoleSession { session_arn, .. } if *session_arn == named.as_ref() => {
                    Some(Naming::Itself)
                }
                Principal::RoleSession { role_arn, .. } if *role_arn == named.as_ref() => {
                    Some(Naming::Role)
                }
                _ => None,
            },
        }
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Tells whether the text is the id of a user or role, which is what AWS leaves in place of a
/// deleted one.
fn is_unique_id(text: &str) -> bool {
    (text.starts_with("AIDA") || text.starts_with("AROA"))
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}
