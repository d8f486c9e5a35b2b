//! What SES has: its actions and its types of resources. Service Authorization Reference for SES,
//! September 2026.

use super::super::action::ActionPattern;
use super::super::error::nearest;

/// The action of mail over SMTP.
pub(super) const SMTP_ACTION: &str = "ses:SendRawEmail";

/// Actions that send mail to recipients.
const SENDING: [&str; 6] = [
    "ses:SendEmail",
    SMTP_ACTION,
    "ses:SendTemplatedEmail",
    "ses:SendBulkEmail",
    "ses:SendBulkTemplatedEmail",
    "ses:SendCustomVerificationEmail",
];

/// Actions that work on no resource of their own, so that only `*` matches.
const WITHOUT_RESOURCE: [&str; 14] = [
    "ses:GetAccount",
    "ses:GetAccountSendingEnabled",
    "ses:GetSendQuota",
    "ses:GetSendStatistics",
    "ses:ListConfigurationSets",
    "ses:ListEmailIdentities",
    "ses:ListIdentities",
    "ses:ListTemplates",
    "ses:ListVerifiedEmailAddresses",
    "ses:UpdateAccountSendingEnabled",
    "ses:VerifyDomainDkim",
    "ses:VerifyDomainIdentity",
    "ses:VerifyEmailAddress",
    "ses:VerifyEmailIdentity",
];

/// The actions by their verbs.
const ACTIONS: [(&str, &str); 25] = [
    ("Allow", "VendedLogDeliveryForResource"),
    ("Associate", "EmailIdentityCertificate"),
    ("Batch", "GetMetricData"),
    ("Cancel", "ExportJob"),
    ("Clone", "ReceiptRuleSet"),
    (
        "Create",
        "AddonInstance AddonSubscription AddressList AddressListImportJob Archive ConfigurationSet \
         ConfigurationSetEventDestination ConfigurationSetTrackingOptions Contact ContactList \
         CustomVerificationEmailTemplate DedicatedIpPool DeliverabilityTestReport EmailIdentity \
         EmailIdentityPolicy EmailTemplate ExportJob ImportJob IngressPoint MultiRegionEndpoint \
         ReceiptFilter ReceiptRule ReceiptRuleSet Relay RuleSet Template Tenant \
         TenantResourceAssociation TrafficPolicy",
    ),
    (
        "Delete",
        "AddonInstance AddonSubscription AddressList Archive ConfigurationSet \
         ConfigurationSetEventDestination ConfigurationSetTrackingOptions Contact ContactList \
         CustomVerificationEmailTemplate DedicatedIpPool EmailIdentity EmailIdentityPolicy \
         EmailTemplate Identity IdentityPolicy IngressPoint MultiRegionEndpoint ReceiptFilter \
         ReceiptRule ReceiptRuleSet Relay RuleSet SuppressedDestination Template Tenant \
         TenantResourceAssociation TrafficPolicy VerifiedEmailAddress",
    ),
    ("Deregister", "MemberFromAddressList"),
    ("Describe", "ActiveReceiptRuleSet ConfigurationSet ReceiptRule ReceiptRuleSet"),
    ("Disassociate", "EmailIdentityCertificate"),
    (
        "Get",
        "Account AccountSendingEnabled AddonInstance AddonSubscription AddressList \
         AddressListImportJob Archive ArchiveExport ArchiveMessage ArchiveMessageContent \
         ArchiveSearch ArchiveSearchResults BlacklistReports ConfigurationSet \
         ConfigurationSetEventDestinations Contact ContactList CustomVerificationEmailTemplate \
         DedicatedIp DedicatedIpPool DedicatedIps DeliverabilityDashboardOptions \
         DeliverabilityTestReport DomainDeliverabilityCampaign DomainStatisticsReport \
         EmailAddressInsights EmailIdentity EmailIdentityPolicies EmailTemplate ExportJob \
         IdentityDkimAttributes IdentityMailFromDomainAttributes IdentityNotificationAttributes \
         IdentityPolicies IdentityVerificationAttributes ImportJob IngressPoint \
         MemberOfAddressList MessageInsights MultiRegionEndpoint Relay ReputationEntity RuleSet \
         SendQuota SendStatistics SuppressedDestination Template Tenant TrafficPolicy",
    ),
    (
        "List",
        "AddonInstances AddonSubscriptions AddressListImportJobs AddressLists ArchiveExports \
         ArchiveSearches Archives ConfigurationSets ContactLists Contacts \
         CustomVerificationEmailTemplates DedicatedIpPools DeliverabilityTestReports \
         DomainDeliverabilityCampaigns EmailIdentities EmailIdentityCertificates EmailTemplates \
         ExportJobs Identities IdentityPolicies ImportJobs IngressPoints MembersOfAddressList \
         MultiRegionEndpoints ReceiptFilters ReceiptRuleSets Recommendations Relays \
         ReputationEntities ResourceTenants RuleSets SuppressedDestinations TagsForResource \
         Templates TenantResources Tenants TrafficPolicies VerifiedEmailAddresses",
    ),
    (
        "Put",
        "AccountDedicatedIpWarmupAttributes AccountDetails AccountPricingAttributes \
         AccountSendingAttributes AccountSuppressionAttributes AccountVdmAttributes \
         ConfigurationSetArchivingOptions ConfigurationSetDeliveryOptions \
         ConfigurationSetReputationOptions ConfigurationSetSendingOptions \
         ConfigurationSetSuppressionOptions ConfigurationSetTrackingOptions \
         ConfigurationSetVdmOptions DedicatedIpInPool DedicatedIpPoolScalingAttributes \
         DedicatedIpWarmupAttributes DeliverabilityDashboardOption \
         EmailIdentityConfigurationSetAttributes EmailIdentityDkimAttributes \
         EmailIdentityDkimSigningAttributes EmailIdentityFeedbackAttributes \
         EmailIdentityMailFromAttributes IdentityPolicy SuppressedDestination \
         TenantSuppressionAttributes",
    ),
    ("Register", "MemberToAddressList"),
    ("Reorder", "ReceiptRuleSet"),
    ("Replicate", "EmailIdentityDkimSigningKey"),
    (
        "Send",
        "Bounce BulkEmail BulkTemplatedEmail CustomVerificationEmail Email RawEmail \
         TemplatedEmail",
    ),
    (
        "Set",
        "ActiveReceiptRuleSet IdentityDkimEnabled IdentityFeedbackForwardingEnabled \
         IdentityHeadersInNotificationsEnabled IdentityMailFromDomain IdentityNotificationTopic \
         ReceiptRulePosition",
    ),
    ("Start", "AddressListImportJob ArchiveExport ArchiveSearch"),
    ("Stop", "AddressListImportJob ArchiveExport ArchiveSearch"),
    ("Tag", "Resource"),
    ("Test", "RenderEmailTemplate RenderTemplate"),
    ("Untag", "Resource"),
    (
        "Update",
        "AccountSendingEnabled Archive ConfigurationSet ConfigurationSetEventDestination \
         ConfigurationSetReputationMetricsEnabled ConfigurationSetSendingEnabled \
         ConfigurationSetTrackingOptions Contact ContactList CustomVerificationEmailTemplate \
         EmailIdentityPolicy EmailTemplate IngressPoint ReceiptRule Relay \
         ReputationEntityCustomerManagedStatus ReputationEntityPolicy RuleSet Template \
         TrafficPolicy",
    ),
    ("Verify", "DomainDkim DomainIdentity EmailAddress EmailIdentity"),
];

/// Types of resources, as they begin the last field of an ARN.
pub(super) const RESOURCE_TYPES: [&str; 20] = [
    "identity",
    "configuration-set",
    "template",
    "custom-verification-email-template",
    "contact-list",
    "dedicated-ip-pool",
    "deliverability-test-report",
    "export-job",
    "import-job",
    "multi-region-endpoint",
    "tenant",
    "addon-instance",
    "addon-subscription",
    "mailmanager-address-list",
    "mailmanager-archive",
    "mailmanager-ingress-point",
    "mailmanager-relay",
    "mailmanager-rule-set",
    "mailmanager-smtp-relay",
    "mailmanager-traffic-policy",
];

fn actions() -> impl Iterator<Item = String> {
    ACTIONS
        .iter()
        .flat_map(|(verb, nouns)| nouns.split(' ').map(move |noun| format!("ses:{verb}{noun}")))
}

/// Tells whether the pattern matches an action of SES.
pub(super) fn has_action(pattern: &ActionPattern) -> bool {
    actions().any(|action| pattern.matches(&action))
}

/// Returns the action of SES that was probably meant.
pub(super) fn nearest_action(written: &str) -> Option<String> {
    nearest(written, actions())
}

/// Tells whether the pattern matches an action that sends mail to recipients.
pub(super) fn sends(pattern: &ActionPattern) -> bool {
    SENDING.iter().any(|action| pattern.matches(action))
}

/// Tells whether the action, written in full, works on no resource.
pub(super) fn has_no_resource(written: &str) -> bool {
    WITHOUT_RESOURCE.iter().any(|action| action.eq_ignore_ascii_case(written))
}
