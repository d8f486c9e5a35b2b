//! A line of the decision log, from the bytes of a file to a message that policies can be asked about.

use std::sync::Arc;

use sesgate::decision_log::Recorded;
use sesgate::relay::{Mail, facts};

/// A message that is made of a record says what the record says, and nothing else.
pub(crate) fn log_record(bytes: &[u8]) {
    let Ok(record) = Recorded::parse(bytes) else { return };
    let Ok(mail) = Mail::of(&record) else { return };
    assert_eq!(mail.envelope.reverse_path.as_str(), record.reverse_path);
    assert!(mail.envelope.forward_paths.iter().map(|it| it.as_str()).eq(&record.recipients));
    assert_eq!(mail.header.from().len(), record.from.len());
    let recorded = record.facts.expect("a message is made of them");
    let again = facts(&mail.client(&Arc::default()), &mail.envelope, &mail.header);
    if again.too_long {
        // More than the relay writes.
        return;
    }
    assert_eq!(again.authors, recorded.authors);
    assert_eq!(again.return_path, recorded.return_path);
    assert_eq!(again.x_ses, recorded.x_ses);
    assert_eq!(again.vpc, recorded.vpc);
    let is_recorded = |path| recorded.header_recipients.contains(path);
    assert!(again.header_recipients.iter().all(is_recorded));
}
