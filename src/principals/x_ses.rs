//! Which `X-SES-` fields a user's messages may carry, and which values hold whatever they carry
//! (decision 11).

use crate::message::XSes;

/// The field that is forbidden until allowed: a policy that does not ask for `ses:TenantName` lets every
/// tenant through.
const TENANT: &str = "X-SES-TENANT";

/// The rules of one user.
#[derive(Debug, Clone)]
pub struct XSesRules {
    forbidden: Vec<&'static str>,
    forced: XSes,
}

/// What holds for one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The values that hold.
    pub x_ses: XSes,
    /// Fields of the message whose values gave way to forced ones.
    pub overruled: Vec<&'static str>,
}

impl Default for XSesRules {
    fn default() -> Self {
        Self { forbidden: vec![TENANT], forced: XSes::default() }
    }
}

impl XSesRules {
    /// Puts rules together: `allowed` and `forbidden` are names of fields, and what neither names
    /// stays as it is by default: all but `X-SES-TENANT` are allowed.
    #[must_use]
    pub fn new(allowed: &[&'static str], forbidden: &[&'static str], forced: XSes) -> Self {
        let mut all = forbidden.to_vec();
        all.extend([TENANT].iter().filter(|name| !allowed.contains(name)));
        Self { forbidden: all, forced }
    }

    /// Whether a client may not say this field.
    #[must_use]
    pub fn forbids(&self, name: &str) -> bool {
        // SES reads SOURCE-ARN as FROM-ARN.
        let same = if name == "X-SES-SOURCE-ARN" { "X-SES-FROM-ARN" } else { name };
        self.forbidden.iter().any(|forbidden| *forbidden == name || *forbidden == same)
    }

    /// Applies the rules to what a message asks for.
    ///
    /// # Errors
    /// The name of a field that is not allowed.
    pub fn apply(&self, asked: &XSes) -> Result<Chosen, &'static str> {
        let forced: Vec<_> = self.forced.names().collect();
        let mut overruled = Vec::new();
        for name in asked.names() {
            if forced.contains(&name) {
                if !self.forced.agrees(asked, name) {
                    overruled.push(name);
                }
            } else if self.forbids(name) {
                return Err(name);
            }
        }
        Ok(Chosen { x_ses: asked.clone().with(&self.forced), overruled })
    }
}
