//! The kinds of policies, by what they are attached to.

use std::fmt;

/// What a policy is attached to, which decides what its document may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// Of a user, group or role.
    Identity,
    /// A permissions boundary.
    Boundary,
    /// Given with temporary credentials.
    Session,
    /// A service control policy (SCP) of the organization of the principal.
    ServiceControl,
    /// A resource control policy (RCP) of the organization of the resource.
    ResourceControl,
    /// Of a resource; for SES a sending authorization policy of an identity.
    Resource,
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PolicyKind::Identity => "an identity policy",
            PolicyKind::Boundary => "a permissions boundary",
            PolicyKind::Session => "a session policy",
            PolicyKind::ServiceControl => "a service control policy",
            PolicyKind::ResourceControl => "a resource control policy",
            PolicyKind::Resource => "a resource policy",
        })
    }
}
