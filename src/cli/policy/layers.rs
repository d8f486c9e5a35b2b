//! Policies by layer, as a line of `evaluate` and a case of `test` have them.

use std::sync::Arc;

use jsonc_parser::ast::Value;

use super::json::Mistake;
use crate::policy::{Layers, Policy, PolicyKind};

/// The policies that a request is evaluated against, by layer.
#[derive(Debug, Default)]
pub(super) struct Policies {
    pub(super) identity: Vec<Arc<Policy>>,
    pub(super) boundary: Option<Vec<Arc<Policy>>>,
    session: Option<Vec<Arc<Policy>>>,
    scps: Vec<Vec<Arc<Policy>>>,
    rcps: Vec<Arc<Policy>>,
    resource: Vec<Arc<Policy>>,
}

/// How a command reads the documents of a layer.
pub(super) trait Documents {
    /// Reads the documents under a member, or of one level of it; those with problems are left out.
    fn read(
        &mut self,
        place: &str,
        kind: PolicyKind,
        value: &Value<'_>,
    ) -> Result<Vec<Arc<Policy>>, Mistake>;

    /// Takes the levels under a member.
    fn levels<'v, 't>(&self, place: &str, value: &'v Value<'t>)
    -> Result<&'v [Value<'t>], Mistake>;
}

impl Policies {
    /// Reads the documents of every layer, all of them, so that all problems are found at once.
    pub(super) fn load<'v, 't: 'v>(
        member: impl Fn(&str) -> Option<&'v Value<'t>>,
        documents: &mut impl Documents,
    ) -> Result<Policies, Mistake> {
        let mut policies = Policies::default();
        let mut layer =
            |place, kind| member(place).map(|value| documents.read(place, kind, value)).transpose();
        policies.identity = layer("policies", PolicyKind::Identity)?.unwrap_or_default();
        policies.boundary = layer("boundary", PolicyKind::Boundary)?;
        policies.session = layer("session_policy", PolicyKind::Session)?;
        let mut levels = |place, kind| {
            let levels =
                member(place).map_or(Ok(&[][..]), |value| documents.levels(place, value))?;
            let levels = levels.iter().enumerate();
            let read = |(at, level)| documents.read(&format!("{place}[{at}]"), kind, level);
            levels.map(read).collect::<Result<Vec<_>, Mistake>>()
        };
        policies.scps = levels("scps", PolicyKind::ServiceControl)?;
        policies.rcps = levels("rcps", PolicyKind::ResourceControl)?.concat();
        if let Some(value) = member("resource_policy") {
            policies.resource = documents.read("resource_policy", PolicyKind::Resource, value)?;
        }
        Ok(policies)
    }

    /// Iterates over all policies.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Policy>> {
        let limits = self.boundary.iter().chain(&self.session).flatten();
        let scps = self.scps.iter().flatten();
        self.identity.iter().chain(limits).chain(scps).chain(&self.rcps).chain(&self.resource)
    }

    pub(super) fn layers(&self) -> Layers<'_> {
        Layers {
            identity: &self.identity,
            boundary: self.boundary.as_deref(),
            session: self.session.as_deref(),
            scps: &self.scps,
            rcps: &self.rcps,
            resource: &self.resource,
        }
    }
}
