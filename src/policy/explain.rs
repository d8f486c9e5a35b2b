//! Why a request is decided as it is: each statement, the first element of it that failed, the value
//! seen there, and what was nearly right.

use super::condition::Condition;
use super::document::Policy;
use super::evaluate::Layers;
use super::request::{Context, Request, is_list_key};
use super::statement::{Effect, Outcome, Statement};

/// How one statement stands to a request.
#[derive(Debug, Clone)]
pub struct Explained<'a> {
    /// The layer that holds the policy, as in `identity` or `boundary`.
    pub layer: &'static str,
    /// The policy that holds the statement.
    pub policy: &'a Policy,
    /// The statement.
    pub statement: &'a Statement,
    /// Whether it applies, or what failed first.
    pub outcome: Outcome<'a>,
    /// What was seen where it failed: the action, the resource, or the values of the key.
    pub seen: Option<String>,
    /// What was nearly right, and what to write.
    pub hint: Option<String>,
}

/// Explains every statement of every layer, in the order of [`Layers`].
#[must_use]
pub fn explain<'a>(layers: &Layers<'a>, request: &Request<'a>) -> Vec<Explained<'a>> {
    let none: &[_] = &[];
    let scps = layers.scps.iter().flatten();
    let all = (layers.identity.iter().map(|policy| ("identity", policy)))
        .chain(layers.boundary.unwrap_or(none).iter().map(|policy| ("boundary", policy)))
        .chain(layers.session.unwrap_or(none).iter().map(|policy| ("session", policy)))
        .chain(scps.map(|policy| ("service control", policy)))
        .chain(layers.rcps.iter().map(|policy| ("resource control", policy)))
        .chain(layers.resource.iter().map(|policy| ("sending authorization", policy)));
    all.flat_map(|(layer, policy)| {
        policy.statements().iter().map(move |statement| {
            let outcome = statement.outcome(layers, request);
            let (seen, hint) = why(statement, &outcome, request);
            Explained { layer, policy, statement, outcome, seen, hint }
        })
    })
    .collect()
}

fn why(
    statement: &Statement,
    outcome: &Outcome<'_>,
    request: &Request<'_>,
) -> (Option<String>, Option<String>) {
    match outcome {
        Outcome::Applies(_) => (None, None),
        Outcome::ActionDiffers => {
            let sends = statement
                .action_patterns()
                .any(|action| action.eq_ignore_ascii_case("ses:SendEmail"));
            let hint = "mail over SMTP is `ses:SendRawEmail`, never `ses:SendEmail`";
            let hint = (sends && !statement.is_not_action()).then(|| hint.to_owned());
            (Some(request.action.to_owned()), hint)
        }
        Outcome::PrincipalDiffers => (None, None),
        Outcome::ResourceDiffers => {
            let folded = request.resource.to_lowercase();
            let near = statement
                .resource_patterns()
                .find(|pattern| pattern.to_lowercase() == folded && !statement.is_not_resource());
            let hint = near.map(|pattern| format!("differs only in letter case from `{pattern}`"));
            (Some(request.resource.to_owned()), hint)
        }
        Outcome::ConditionFails { operator, key } => {
            let failed = statement
                .conditions()
                .iter()
                .find(|condition| condition.operator() == *operator && condition.key() == *key);
            let values = values(request.context, key);
            let seen = match &values {
                Some(values) => values.join(", "),
                None => "(absent)".to_owned(),
            };
            let hint =
                failed.and_then(|failed| near_miss(failed, statement.effect(), values.as_deref()));
            (Some(seen), hint)
        }
    }
}

fn values(context: &Context<'_>, key: &str) -> Option<Vec<String>> {
    let (_, values) = context.iter().find(|(name, _)| name.eq_ignore_ascii_case(key))?;
    Some(values.iter().map(|value| value.text().to_owned()).collect())
}

fn near_miss(condition: &Condition, effect: Effect, values: Option<&[String]>) -> Option<String> {
    let (operator, key) = (condition.operator(), condition.key());
    let base = operator.rsplit_once(':').map_or(operator, |(_, base)| base);
    let qualified = base.len() < operator.len();
    if is_list_key(key) && !qualified && !base.starts_with("Null") {
        return Some(format!(
            "`{key}` is a list: a condition on it never holds without `ForAllValues:` or \
             `ForAnyValue:` before the operator"
        ));
    }
    let Some(values) = values else {
        return (effect == Effect::Deny)
            .then(|| format!("`{key}` is absent: a Deny that rests on it does not hold then"));
    };
    let like = base.starts_with("StringLike");
    let equals = base.starts_with("StringEquals") && !base.contains("IgnoreCase");
    if !(like || equals) {
        return None;
    }
    for operand in condition.operands() {
        for value in values {
            if operand != value && operand.to_lowercase() == value.to_lowercase() {
                return Some(format!("differs only in letter case from `{operand}`"));
            }
            if equals && operand.contains(['*', '?']) {
                return Some(format!(
                    "`{operator}` takes `*` and `?` literally; `StringLike` has wildcards"
                ));
            }
            if like && !operand.contains(['*', '?']) && value.contains(operand) {
                return Some(format!(
                    "`{operator}` compares the whole value; write `*{operand}*` for a part of it"
                ));
            }
            if like && ends_alike(operand, value) {
                return Some(format!("differs only in letter case from `{operand}`"));
            }
        }
    }
    None
}

/// Whether a pattern `*text` would match but for the case of letters.
fn ends_alike(operand: &str, value: &str) -> bool {
    operand.strip_prefix('*').is_some_and(|end| {
        !end.contains(['*', '?', '$'])
            && !value.ends_with(end)
            && value.to_lowercase().ends_with(&end.to_lowercase())
    })
}
