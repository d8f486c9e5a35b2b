//! Findings about conditions that do not go together.

use super::super::operator::Family;
use super::view::{Condition, Statement};
use super::{Findings, rules};

/// Keys that a request has only through an endpoint of a VPC, where it has no `aws:SourceIp`.
const VPC: [&str; 3] = ["aws:sourcevpc", "aws:sourcevpce", "aws:vpcsourceip"];

/// Checks the conditions of a statement with each other.
pub(super) fn check(statement: &Statement<'_>, findings: &mut Findings<'_>) {
    check_networks(statement, findings);
    if statement.denies() {
        check_exceptions(statement, findings);
    }
}

fn check_networks(statement: &Statement<'_>, findings: &mut Findings<'_>) {
    let needs = |condition: &&Condition| !condition.holds_when_absent();
    let needed = || statement.conditions.iter().filter(needs);
    let Some(address) = needed().find(|it| it.folded_key == "aws:sourceip") else { return };
    let vpc = needed().find(|it| VPC.contains(&it.folded_key.as_str()));
    if let Some(vpc) = vpc {
        let verb = if statement.denies() { "denies" } else { "allows" };
        findings.add(
            rules::NETWORKS_TOGETHER,
            address.key_at.max(vpc.key_at),
            format!(
                "no request has both `aws:SourceIp` and `{}`, so that this never {verb}",
                vpc.key
            ),
            "write a statement for each; through a VPC the address is `aws:VpcSourceIp`",
        );
    }
}

/// A Deny of everything but this, and everything but that, denies only what is neither.
fn check_exceptions(statement: &Statement<'_>, findings: &mut Findings<'_>) {
    let is_exception = |condition: &&Condition| {
        condition.operator.negated
            && condition.operator.family != Family::Null
            && !is_exempting(&condition.folded_key)
    };
    let mut exceptions = statement.conditions.iter().filter(is_exception);
    let Some(first) = exceptions.next() else { return };
    let is_network = |condition: &Condition| {
        condition.folded_key == "aws:sourceip" || VPC.contains(&condition.folded_key.as_str())
    };
    let other = exceptions.find(|other| {
        // From our network or through our endpoint: there it is meant.
        other.folded_key != first.folded_key && !(is_network(first) && is_network(other))
    });
    if let Some(other) = other {
        findings.add(
            rules::DENY_NEEDS_BOTH,
            other.key_at,
            format!(
                "the Deny needs both: whoever fits in `{}` or in `{}` alone is not denied",
                first.key, other.key
            ),
            "write a Deny for each key",
        );
    }
}

/// Keys by which a Deny exempts some principals.
fn is_exempting(folded_key: &str) -> bool {
    folded_key.starts_with("aws:principal")
        || folded_key.starts_with("aws:via")
        || ["aws:username", "aws:userid"].contains(&folded_key)
}
