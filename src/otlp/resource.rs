//! Who exports: the attributes that all records have in common.

use uuid::Uuid;

use super::wire::Message;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The field of a request in which what one resource exports stands.
const RESOURCE_RECORDS: u32 = 1;

/// The beginning of every request of a process.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    /// `resource` of `ResourceSpans` and of `ResourceLogs`, which are alike.
    resource: Vec<u8>,
}

impl Resource {
    /// `service` is its name, `more` what the operator says of it, which wins.
    pub(super) fn new(service: &str, more: &[(String, String)]) -> Self {
        let instance = Uuid::now_v7().to_string();
        let own = [
            ("service.name", service),
            ("service.version", VERSION),
            ("service.instance.id", &instance),
            ("telemetry.sdk.name", "sesgate"),
            ("telemetry.sdk.language", "rust"),
            ("telemetry.sdk.version", VERSION),
        ];
        let mut resource = Message::default();
        resource.message(1, |resource| {
            let own = own.into_iter().filter(|(name, _)| !more.iter().any(|(key, _)| key == name));
            let more = more.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            for (name, value) in own.chain(more) {
                resource.attribute(1, name, |message| message.text(1, value));
            }
        });
        Self { resource: resource.into_bytes() }
    }

    /// Returns an export request with these records in it.
    pub(super) fn request(&self, records: &[u8]) -> Vec<u8> {
        let mut request = Message::default();
        request.message(RESOURCE_RECORDS, |message| {
            message.fields(&self.resource);
            message.message(2, |scope| {
                scope.message(1, |scope| {
                    scope.text(1, "sesgate");
                    scope.text(2, VERSION);
                });
                scope.fields(records);
            });
        });
        request.into_bytes()
    }
}
