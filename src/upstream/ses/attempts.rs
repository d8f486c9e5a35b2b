//! What a trace shows of each attempt of a call.

use aws_sdk_sesv2::error::ProvideErrorMetadata;
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::FinalizerInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use crate::trace::{self, Value};

/// Notes the HTTP status, the request id and the error code of every answer.
#[derive(Debug)]
pub(super) struct Attempts;

impl Intercept for Attempts {
    fn name(&self) -> &'static str {
        "Attempts"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        trace::event("attempt", || {
            let mut attributes = Vec::new();
            if let Some(response) = context.response() {
                let status = i64::from(response.status().as_u16());
                attributes.push(("http.response.status_code", Value::Number(status)));
                let id = response.headers().get("x-amzn-requestid");
                attributes.extend(id.map(|id| ("aws.request_id", id.into())));
            }
            if let Some(Err(error)) = context.output_or_error() {
                let code = error.as_operation_error().map(|error| {
                    error.downcast_ref::<SendEmailError>().and_then(ProvideErrorMetadata::code)
                });
                let code = match code {
                    Some(code) => code.unwrap_or("unknown"),
                    None => "no answer",
                };
                attributes.push(("error.type", code.into()));
            }
            attributes
        });
        Ok(())
    }
}
