//! Users that can send nothing at all, whatever they send: found before an app meets it.
//!
//! Told only where it is sure. What depends on SES, on the message or on the moment may allow.

use std::sync::Arc;

use super::{Loader, Parts};
use crate::address::Address;
use crate::config::{self, Config};
use crate::identities::Identities;
use crate::policy::{
    self, Condition, Context, Effect, Layers, Outcome, Policy, Request, Statement,
};
use crate::principals::Principal;

const ACTION: &str = "ses:SendRawEmail";
const TAG: &str = "aws:PrincipalTag";
/// What a user's own policies are called here.
const OWN: &str = "its policies";

impl Loader<'_> {
    /// Notes users that can send nothing, each with the reason.
    pub(super) fn silent(&mut self, parts: &Parts) {
        if !self.problems.is_empty() {
            // A policy that cannot be read would be missing.
            return;
        }
        let identities = parts.basis.listed.identities(None);
        let levels = &parts.basis.service_control_policies;
        for (user, read) in self.config.users.iter().zip(&parts.users) {
            let sender = Sender::new(self.config, &identities, &read.principal);
            // That a user has no policy was told.
            if let Some(reason) =
                (!read.principal.policies.is_empty()).then(|| sender.reason(levels)).flatten()
            {
                let message = format!("user `{}` can send nothing: {reason}", user.name.value);
                self.warn(&user.name, message);
            }
        }
    }
}

/// One user, and what its mail can be sent with.
struct Sender<'a> {
    config: &'a Config,
    identities: &'a Identities,
    principal: &'a Principal,
    /// The ARNs of all identities that are known.
    known: Vec<String>,
    /// The listeners through which it can come.
    listeners: Vec<&'a config::Listener>,
}

impl<'a> Sender<'a> {
    fn new(config: &'a Config, identities: &'a Identities, principal: &'a Principal) -> Self {
        let own =
            config.identities.known.iter().map(|it| config.account.arn("identity", &it.name.value));
        let delegated = config.identities.delegated.iter().map(|it| it.arn.value.clone());
        let speaks = |it: &&config::Listener| {
            it.clients.is_empty() || it.clients.iter().any(|it| it.user.value == principal.name)
        };
        Self {
            config,
            identities,
            principal,
            known: own.chain(delegated).collect(),
            listeners: config.listeners.iter().filter(speaks).collect(),
        }
    }

    /// Why nothing can be allowed.
    fn reason(&self, levels: &[Vec<Arc<Policy>>]) -> Option<String> {
        let boundary = self.principal.boundary.iter().map(|policies| ("its boundary", policies));
        // Of a level without any Allow a warning of its own tells.
        let levels = levels.iter().filter(|level| allows(level).next().is_some());
        let levels = levels.map(|level| ("the service control policy", level));
        std::iter::once((OWN, &self.principal.policies))
            .chain(boundary)
            .chain(levels)
            .find_map(|(layer, policies)| self.closed(layer, policies))
            .or_else(|| self.configuration_set())
    }

    /// Why no statement of a layer can allow anything: what is wrong with the one that got furthest.
    fn closed(&self, layer: &str, policies: &[Arc<Policy>]) -> Option<String> {
        let mut furthest: Option<(u8, String)> = None;
        for (policy, statement) in allows(policies) {
            let (reached, reason) = self.stuck(statement)?;
            if furthest.as_ref().is_none_or(|(other, _)| reached > *other) {
                let place = format!("{}:{}", policy.name(), statement.line());
                furthest = Some((reached, format!("{reason} ({place})")));
            }
        }
        Some(match furthest {
            None => format!("there is no Allow in {layer}"),
            Some((_, reason)) if layer == OWN => reason,
            Some((_, reason)) => format!("{layer} lets nothing pass: {reason}"),
        })
    }

    /// Why an Allow can never apply, and how far a request gets in it.
    fn stuck(&self, statement: &Statement) -> Option<(u8, String)> {
        if matches!(self.asked(statement, "*"), Outcome::ActionDiffers) {
            let is_other = |it: &str| it.eq_ignore_ascii_case("ses:SendEmail");
            let only = if statement.action_patterns().any(is_other) {
                "the Allow is for `ses:SendEmail`, and mail over SMTP is `ses:SendRawEmail`"
            } else {
                "the Allow is not for `ses:SendRawEmail`, which mail over SMTP is"
            };
            return Some((0, only.to_owned()));
        }
        if !statement.is_not_resource() && !self.known.iter().any(|it| self.covers(statement, it)) {
            let reasons = statement.resource_patterns().map(|pattern| self.unreachable(pattern));
            let reasons: Option<Vec<_>> = reasons.collect();
            if let Some(reason) = reasons.and_then(|all| all.into_iter().next()) {
                return Some((1, reason));
            }
        }
        statement.conditions().iter().find_map(|it| self.unmet(it)).map(|reason| (2, reason))
    }

    fn asked<'s>(&self, statement: &'s Statement, resource: &'s str) -> Outcome<'s> {
        let context = Context::new();
        let who =
            policy::Principal::User { account: &self.principal.account, arn: &self.principal.arn };
        let outcome = statement.outcome(
            &Layers::<Arc<Policy>>::default(),
            &Request {
                action: ACTION,
                resource,
                parents: &[],
                resource_account: &self.config.account.id,
                principal: &who,
                context: &context,
            },
        );
        match outcome {
            Outcome::ActionDiffers => Outcome::ActionDiffers,
            Outcome::PrincipalDiffers => Outcome::PrincipalDiffers,
            Outcome::ResourceDiffers => Outcome::ResourceDiffers,
            // What it needs of the context was not asked for.
            Outcome::Applies(_) | Outcome::ConditionFails { .. } => Outcome::Applies(None),
        }
    }

    fn covers(&self, statement: &Statement, resource: &str) -> bool {
        matches!(self.asked(statement, resource), Outcome::Applies(_))
    }

    /// Why no mail has a resource that this pattern matches; nothing where some may have.
    fn unreachable(&self, pattern: &str) -> Option<String> {
        if let Some(tag) = self.missing_tag(pattern) {
            return Some(format!("`Resource` uses the tag `{tag}`, which the user does not have"));
        }
        let fields: Vec<_> = pattern.splitn(6, ':').collect();
        let &[_, _, service, region, account, resource] = fields.as_slice() else { return None };
        let is_other = |field: &str, ours: &str| !field.contains(['*', '?', '$']) && field != ours;
        let ours = &self.config.account;
        if is_other(service, "ses") {
            return Some(format!("`{pattern}` is nothing of SES"));
        }
        if is_other(account, &ours.id) {
            return Some(format!(
                "`{pattern}` is of account {account}, and mail goes out from {}; an identity of \
                 another account belongs in `[[identities.delegated]]`",
                ours.id
            ));
        }
        if is_other(region, &ours.region) {
            let ours = &ours.region;
            return Some(format!("`{pattern}` is of {region}, and mail goes out from {ours}"));
        }
        match resource.strip_prefix("identity/") {
            Some(name) => self.no_identity(name),
            None if resource.starts_with("configuration-set/") => {
                Some("`Resource` has configuration sets and no identity".to_owned())
            }
            None => None,
        }
    }

    /// Why no mail is judged as an identity of such a name, of which none is known.
    fn no_identity(&self, name: &str) -> Option<String> {
        if self.config.identities.from_ses || name.contains('$') {
            return None;
        }
        let Some((local, domain)) = name.rsplit_once('@') else {
            return (!name.contains(['*', '?']))
                .then(|| format!("the identity `{name}` is not listed in `[[identities.known]]`"));
        };
        if domain.contains(['*', '?']) {
            return None;
        }
        let local = local.replace(['*', '?'], "x");
        let address = Address::parse(&format!("{local}@{domain}")).ok()?;
        match self.identities.covering(&address) {
            Some(identity) => Some(format!(
                "`identity/{name}` matches no mail, since all of `{domain}` is judged as \
                 `identity/{}`; put that into `Resource`, and the addresses into a condition on \
                 `ses:FromAddress`",
                identity.name
            )),
            None => self
                .identities
                .is_authoritative()
                .then(|| format!("no identity of the account covers `{name}`")),
        }
    }

    /// Why a condition never holds for this user.
    fn unmet(&self, condition: &Condition) -> Option<String> {
        let (operator, key) = (condition.operator(), condition.key());
        let base = operator.rsplit_once(':').map_or(operator, |(_, base)| base);
        let negated = ["StringNot", "ArnNot", "NotIpAddress", "NumericNot", "DateNot", "Null"];
        let holds_without = base.ends_with("IfExists")
            || operator.starts_with("ForAllValues:")
            || negated.iter().any(|start| base.starts_with(start));
        if holds_without {
            return None;
        }
        let is = |name: &str| key.eq_ignore_ascii_case(name);
        let any =
            |states: fn(&config::Listener) -> bool| self.listeners.iter().any(|it| states(it));
        let is_stated = if is("aws:SourceVpc") {
            any(|it| it.vpc.is_some())
        } else if is("aws:SourceVpce") {
            any(|it| it.vpc_endpoint.is_some() || !it.proxies.is_empty())
        } else if is("aws:VpcSourceIp") {
            any(|it| it.vpc.is_some() || it.vpc_endpoint.is_some() || !it.proxies.is_empty())
        } else {
            true
        };
        if !is_stated {
            return Some(format!(
                "the Allow asks for `{key}`, which none of its listeners states: see `vpc`, \
                 `vpc_endpoint` and `proxy_protocol`"
            ));
        }
        let tag = key.split_once('/').filter(|(name, _)| name.eq_ignore_ascii_case(TAG));
        if let Some((_, tag)) = tag.filter(|(_, tag)| !self.has_tag(tag)) {
            return Some(format!(
                "the Allow asks for the tag `{tag}`, which the user does not have"
            ));
        }
        let missing: Option<Vec<_>> =
            condition.operands().map(|operand| self.missing_tag(operand)).collect();
        let tag = missing?.into_iter().next()?;
        Some(format!("the Allow uses the tag `{tag}`, which the user does not have"))
    }

    fn has_tag(&self, tag: &str) -> bool {
        self.principal.tags.iter().any(|(key, _)| key.eq_ignore_ascii_case(tag))
    }

    /// A variable of a text that stands for a tag which the user does not have.
    fn missing_tag<'t>(&self, text: &'t str) -> Option<&'t str> {
        text.split("${").skip(1).find_map(|rest| {
            let (variable, _) = rest.split_once('}')?;
            let (name, tag) = variable.split_once('/')?;
            // Behind a comma there is a default.
            let is_missing =
                name.eq_ignore_ascii_case(TAG) && !tag.contains(',') && !self.has_tag(tag);
            is_missing.then_some(tag)
        })
    }

    /// Why mail of every identity that its policies allow needs a configuration set that they do not.
    fn configuration_set(&self) -> Option<String> {
        let open: Vec<_> = allows(&self.principal.policies)
            .map(|(_, statement)| statement)
            .filter(|statement| self.stuck(statement).is_none())
            .collect();
        let allowed = |resource: &str| open.iter().any(|it| self.covers(it, resource));
        // A message may name another set, or an identity that nobody lists.
        let is_wide = open.iter().any(|it| {
            it.is_not_resource()
                || it.resource_patterns().any(|pattern| {
                    let name = pattern.splitn(6, ':').nth(5);
                    let name = name.and_then(|resource| resource.strip_prefix("identity/"));
                    name.is_none_or(|name| name.contains(['*', '?', '$', '@']))
                })
        });
        if is_wide || self.config.identities.from_ses {
            return None;
        }
        let known = self.config.identities.known.iter();
        let mut used =
            known.filter(|it| allowed(&self.config.account.arn("identity", &it.name.value)));
        let first = used.next()?;
        let blocked = |it: &config::Identity| {
            let set = it.configuration_set.as_ref();
            set.is_some_and(|set| !allowed(&self.config.account.arn("configuration-set", set)))
        };
        let delegated = self.config.identities.delegated.iter();
        let is_all = blocked(first)
            && used.all(blocked)
            && !delegated.into_iter().any(|it| allowed(&it.arn.value));
        is_all.then(|| {
            let set = first.configuration_set.as_deref().unwrap_or_default();
            format!(
                "`{}` has the default configuration set `{set}`, which no Allow covers; add `{}` to \
                 `Resource`",
                first.name.value,
                self.config.account.arn("configuration-set", set)
            )
        })
    }
}

fn allows(policies: &[Arc<Policy>]) -> impl Iterator<Item = (&Policy, &Statement)> {
    let all = policies.iter().flat_map(|policy| {
        policy.statements().iter().map(move |statement| (policy.as_ref(), statement))
    });
    all.filter(|(_, statement)| statement.effect() == Effect::Allow)
}
