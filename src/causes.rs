//! What errors of libraries say, on one line of bounded length, and whether they speak of credentials.
//!
//! Their `Debug` says the same three times over, and their `Display` often not the cause.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;

use crate::redact::without_passwords;
use crate::text::chain;

/// Longest text, in characters.
const LONGEST: usize = 400;
/// Words of wrappers that say nothing.
const EMPTY: [&str; 3] =
    ["an error occurred while loading credentials", "dispatch failure", "other"];

/// Returns what an error says, with all of its causes. URLs of the environment may hold a password,
/// which is masked.
#[must_use]
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in chain(error) {
        let text = without_passwords(&cause.to_string());
        let mut line = text.lines().next().unwrap_or_default();
        while let Some(rest) = EMPTY.iter().find_map(|words| line.strip_prefix(words)) {
            line = rest.trim_start_matches([':', ' ']);
        }
        // Some wrappers say what their cause says.
        if said.last().is_some_and(|last| line.starts_with(last.as_str())) {
            said.pop();
        }
        if !line.is_empty() && !said.iter().any(|before| before.contains(line)) {
            said.push(line.to_owned());
        }
    }
    if said.is_empty() {
        return error.to_string();
    }
    let text = said.join(": ");
    let cut: String = text.chars().take(LONGEST).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { cut }
}

/// Returns whether there was nothing to call AWS with: no credentials were to be had.
#[must_use]
pub fn lacks_credentials(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|error| error.is::<CredentialsError>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_left_out_and_passwords_masked() {
        let inner = CredentialsError::provider_error("the answer of http://u:p@host/ was 500");
        let outer = CredentialsError::provider_error(inner);
        let said = causes(&outer);
        assert!(said.starts_with("the answer of http://"), "{said}");
        assert!(
            !said.contains("u:p") && !said.contains("loading") && !said.contains("{"),
            "{said}"
        );
        assert_eq!(said.matches("was 500").count(), 1, "{said}");
        assert!(lacks_credentials(&outer));
        assert!(!lacks_credentials(&std::io::Error::other("no")));
    }
}
