//! What a call takes for granted that says neither user nor listener.

use std::time::SystemTime;

use super::super::asker::Asker;
use super::{ACTION, Arguments, EHLO, RESOURCE};
use crate::clock::rfc3339;

/// Returns what was assumed about client, message and moment, each with the option that says it; of a
/// call that names the user or the listener nothing, since those say who asks.
pub(super) fn of(arguments: &Arguments, asker: &Asker, at: SystemTime) -> Vec<String> {
    if arguments.client.names_somebody() {
        return Vec::new();
    }
    let mut assumed = asker.assumed.clone();
    if arguments.ehlo.is_none() {
        assumed.push(format!("its EHLO name is `{EHLO}`, as aws:UserAgent: --ehlo"));
    }
    if let (None, Some(moment)) = (arguments.at, rfc3339(at)) {
        assumed.push(format!("it is {moment}: --at"));
    }
    let is_message = arguments.context.is_empty();
    if is_message && arguments.message.is_none() {
        assumed.push("the message has From with the address of --from alone: --message".to_owned());
    }
    if !is_message && arguments.action.is_none() {
        assumed.push(format!("the action is `{ACTION}`: --action"));
    }
    if !is_message && arguments.resource.is_none() {
        assumed.push(format!("the resource is `{RESOURCE}`: --resource"));
    }
    assumed
}
