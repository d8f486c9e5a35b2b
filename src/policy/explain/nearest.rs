//! Which Allow came nearest to allowing a request, for the log: found in a bounded number of steps.

use std::fmt;

use super::super::budget::StepBudget;
use super::super::document::Policy;
use super::super::effect::Effect;
use super::super::evaluate::Layers;
use super::super::kind::PolicyKind;
use super::super::request::Request;
use super::super::statement::{Outcome, Statement};
use super::{Condition, hint, layer_name, values};

/// A hint compares each value with each operand: it is left out where these are more pairs.
const COMPARED: usize = 1_000;

/// An Allow that does not apply.
#[derive(Debug, Clone)]
pub struct Nearest<'a> {
    layer: PolicyKind,
    policy: &'a Policy,
    statement: &'a Statement,
    outcome: Outcome<'a>,
    /// What was nearly right, and what to write; may hold values.
    pub hint: Option<String>,
}

/// Returns which Allow came nearest to allowing a request that no statement denies: of the first layer
/// in which none applies the statement that got furthest. None is there where a layer has no Allow at
/// all, and none is returned once the budget is used up.
#[must_use]
pub fn nearest<'a>(
    layers: &Layers<'a>,
    request: &Request<'a>,
    budget: &StepBudget,
) -> Option<Nearest<'a>> {
    let boundary = layers.boundary.into_iter().map(|policies| (PolicyKind::Boundary, policies));
    let scps = layers.scps.iter().map(|level| (PolicyKind::ServiceControl, level.as_slice()));
    let all = std::iter::once((PolicyKind::Identity, layers.identity))
        .chain(boundary)
        .chain(scps)
        .chain(std::iter::once((PolicyKind::Resource, layers.resource)));
    for (layer, policies) in all {
        let mut best: Option<(u8, &Policy, &Statement, Outcome<'_>)> = None;
        let mut is_allowed = false;
        for policy in policies {
            let allows = policy.statements().iter().filter(|it| it.effect() == Effect::Allow);
            for statement in allows {
                let outcome = statement.outcome_within(layers.has_boundary(), request, budget);
                if budget.is_used_up() {
                    return None;
                }
                let reached = match outcome {
                    Outcome::Applies(_) => {
                        is_allowed = true;
                        break;
                    }
                    Outcome::ActionDiffers => 0,
                    Outcome::PrincipalDiffers => 1,
                    Outcome::ResourceDiffers => 2,
                    Outcome::ConditionFails { .. } => 3,
                };
                if best.as_ref().is_none_or(|(other, ..)| reached > *other) {
                    best = Some((reached, policy, statement, outcome));
                }
            }
        }
        if !is_allowed {
            let (_, policy, statement, outcome) = best?;
            let hint = hint_of(statement, outcome, request);
            return Some(Nearest { layer, policy, statement, outcome, hint });
        }
    }
    None
}

/// What was nearly right in what failed first.
fn hint_of(statement: &Statement, outcome: Outcome<'_>, request: &Request<'_>) -> Option<String> {
    match outcome {
        Outcome::ActionDiffers => hint::action(statement),
        Outcome::ResourceDiffers if statement.resource_patterns().count() <= COMPARED => {
            hint::resource(statement, request)
        }
        Outcome::ConditionFails { operator, key } => {
            let failed = |it: &&Condition| it.operator() == operator && it.key() == key;
            let condition = statement.conditions().iter().find(failed)?;
            let values = values(request.context, key);
            let pairs = condition.operands().count() * values.as_ref().map_or(1, Vec::len);
            (pairs <= COMPARED)
                .then(|| hint::failed(condition, values.as_deref(), request.context))?
        }
        _ => None,
    }
}

/// The statement and what failed first in it, without any value.
impl fmt::Display for Nearest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (policy, line) = (self.policy.name(), self.statement.line());
        write!(f, "{policy}:{line}: Allow statement ")?;
        match self.statement.sid() {
            Some(sid) => write!(f, "`{sid}`")?,
            None => write!(f, "{}", self.statement.index() + 1)?,
        }
        write!(f, " ({}) {}", layer_name(self.layer), self.outcome)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::{Context, Principal};
    use super::*;

    fn policy(name: &str, statements: &str) -> Arc<Policy> {
        let text = format!(r#"{{ "Version": "2012-10-17", "Statement": [{statements}] }}"#);
        Arc::new(Policy::parse(PolicyKind::Identity, name, &text).unwrap())
    }

    #[test]
    fn the_allow_that_got_furthest_in_the_first_layer_without_one_is_the_nearest() {
        let all = r#"{ "Effect": "Allow", "Action": "ses:*", "Resource": "*" }"#;
        let other = r#"{ "Effect": "Allow", "Action": "ses:SendEmail", "Resource": "*" },
            { "Sid": "Near", "Effect": "Allow", "Action": "ses:SendRawEmail", "Resource": "*",
              "Condition": { "StringEquals": { "ses:FromAddress": "A@example.com" } } },
            { "Effect": "Allow", "Action": "ses:SendRawEmail", "Resource": "arn:aws:ses:::x" }"#;
        let deny = r#"{ "Effect": "Deny", "Action": "sqs:*", "Resource": "*" }"#;
        let mut context = Context::new();
        context.set("ses:FromAddress", "a@example.com");
        let who = Principal::User { account: "1", arn: "arn:aws:iam::1:user/a" };
        let request = Request {
            action: "ses:SendRawEmail",
            resource: "arn:aws:ses:us-east-1:1:identity/example.com",
            parents: &[],
            resource_account: "1",
            principal: &who,
            context: &context,
        };
        let told = |identity: &str, boundary: Option<&str>, steps: u64| {
            let identity = [policy("identity.json", identity)];
            let boundary = boundary.map(|text| [policy("boundary.json", text)]);
            let layers = Layers {
                identity: &identity,
                boundary: boundary.as_ref().map(<[_; 1]>::as_slice),
                session: None,
                scps: &[],
                rcps: &[],
                resource: &[],
            };
            let found = nearest(&layers, &request, &StepBudget::of(steps));
            found.map(|found| (found.to_string(), found.hint.unwrap_or_default()))
        };
        let near = |file: &str, layer: &str| {
            let told = format!(
                "{file}:2: Allow statement `Near` ({layer}) condition `StringEquals` on \
                 `ses:FromAddress` does not hold"
            );
            Some((told, "differs only in letter case from `A@example.com`".to_owned()))
        };
        assert_eq!(told(other, None, 10_000), near("identity.json", "identity"));
        assert_eq!(told(other, Some(deny), 10_000), near("identity.json", "identity"));
        assert_eq!(told(all, Some(other), 10_000), near("boundary.json", "boundary"));
        assert_eq!(told(all, Some(deny), 10_000), None, "there is no Allow to be near to");
        assert_eq!(told(other, None, 1), None, "it must not take long");
    }
}
