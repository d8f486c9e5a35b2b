//! The values of the `X-SES-` fields, which choose how SES sends.

/// What the client asked for with `X-SES-` fields (decision 11).
///
/// The fields never reach SES: a value is authorised and then passed as a parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XSes {
    /// `X-SES-CONFIGURATION-SET`: 1 to 64 of `[A-Za-z0-9_-]`.
    pub configuration_set: Option<String>,
    /// `X-SES-MESSAGE-TAGS`: at most 50 names with their values, each name once.
    pub message_tags: Vec<(String, String)>,
    /// `X-SES-SOURCE-ARN`: the identity the reverse-path is sent with.
    pub source_arn: Option<IdentityArn>,
    /// `X-SES-FROM-ARN`: the identity From is sent with; the same as `source_arn` when both are there.
    pub from_arn: Option<IdentityArn>,
    /// `X-SES-RETURN-PATH-ARN`: the identity that takes bounces.
    pub return_path_arn: Option<IdentityArn>,
    /// `X-SES-LIST-MANAGEMENT-OPTIONS`: the contact list, perhaps with a topic.
    pub list_management: Option<ListManagement>,
    /// `X-SES-TENANT`: 1 to 64 of `[A-Za-z0-9_-]`.
    pub tenant: Option<String>,
}

/// The ARN of one SES identity, whole and without wildcards.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdentityArn {
    text: String,
    region: String,
    account: String,
    name: String,
}

impl IdentityArn {
    /// Returns the ARN as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns its region, `eu-west-1`.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Returns the 12 digits of its account.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Returns the identity: a domain or an address.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A contact list and the topic of it that a message belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListManagement {
    /// The name of the contact list.
    pub contact_list: String,
    /// The name of the topic, if one is given.
    pub topic: Option<String>,
}
