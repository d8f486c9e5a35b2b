//! The standard environment variables (OpenTelemetry specification, "Environment Variable
//! Specification" and "OTLP Exporter Configuration"). They win over the configuration file.

use std::str::FromStr;
use std::time::Duration;

use super::collector::check_url;
use super::settings::{Headers, OtlpSettings, Target};
use crate::trace::Sampler;

/// Puts what the environment says over the settings; `get` returns the value of a variable.
///
/// Returns a line for each variable that cannot be used. Values are never shown where they may be
/// secrets.
pub fn apply(settings: &mut OtlpSettings, get: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut reader = Reader { get: &get, problems: Vec::new() };
    if reader.text("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        settings.traces.on = false;
        settings.logs.on = false;
        return Vec::new();
    }
    if let Some(url) = reader.url("OTEL_EXPORTER_OTLP_ENDPOINT") {
        settings.endpoint = Some(url);
    }
    reader.target("TRACES", "OTEL_BSP_SCHEDULE_DELAY", &mut settings.traces);
    reader.target("LOGS", "OTEL_BLRP_SCHEDULE_DELAY", &mut settings.logs);
    reader.sampler(&mut settings.sampler);
    if let Some(list) = reader.text("OTEL_PROPAGATORS") {
        settings.continues = list.split(',').any(|name| name.trim() == "tracecontext");
    }
    let resource = reader.pairs("OTEL_RESOURCE_ATTRIBUTES");
    settings.resource.retain(|(name, _)| !resource.iter().any(|(key, _)| key == name));
    settings.resource.extend(resource);
    let named = settings.resource.iter().find(|(name, _)| name == "service.name");
    if let Some((_, name)) = named {
        settings.service.clone_from(name);
    }
    if let Some(name) = reader.text("OTEL_SERVICE_NAME") {
        settings.service = name;
    }
    settings.resource.retain(|(name, _)| name != "service.name");
    if let Some(file) = reader.text("OTEL_EXPORTER_OTLP_CERTIFICATE") {
        settings.certificate = Some(file.into());
    }
    // What would not be used cannot be wrong: these variables are often set for everything that runs.
    if settings.traces_url().is_none() && settings.logs_url().is_none() {
        return Vec::new();
    }
    reader.problems
}

struct Reader<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<String>,
}

impl Reader<'_> {
    /// An empty value is none.
    fn text(&self, name: &str) -> Option<String> {
        let text = (self.get)(name)?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn note(&mut self, name: &str, what: &str) {
        self.problems.push(format!("`{name}` {what}"));
    }

    fn url(&mut self, name: &str) -> Option<String> {
        let url = self.text(name)?;
        match check_url(&url) {
            Ok(()) => Some(url),
            Err(what) => {
                self.note(name, &what);
                None
            }
        }
    }

    fn parsed<T: FromStr>(&mut self, name: &str, what: &str) -> Option<T> {
        let text = self.text(name)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.note(name, &format!("must be {what}, not `{text}`"));
        }
        parsed
    }

    /// The variables of one signal, which win over those of all signals.
    fn target(&mut self, signal: &str, delay: &str, target: &mut Target) {
        let exporter = format!("OTEL_{signal}_EXPORTER");
        match self.text(&exporter).as_deref() {
            None | Some("otlp") => {}
            Some("none") => target.on = false,
            Some(other) => {
                self.note(&exporter, &format!("must be `otlp` or `none`, not `{other}`"));
            }
        }
        let names = |what: &str| {
            ["OTEL_EXPORTER_OTLP_".to_owned(), format!("OTEL_EXPORTER_OTLP_{signal}_")]
                .map(|start| start + what)
        };
        for name in names("PROTOCOL") {
            match self.text(&name).as_deref() {
                None | Some("http/protobuf") => {}
                Some(other) if target.on => self.note(
                    &name,
                    &format!(
                        "must be `http/protobuf`, which collectors take on port 4318, not `{other}`"
                    ),
                ),
                Some(_) => {}
            }
        }
        for name in names("TIMEOUT") {
            if let Some(milliseconds) = self.parsed(&name, "a number of milliseconds") {
                target.timeout = Duration::from_millis(milliseconds);
            }
        }
        for name in names("HEADERS") {
            if let Some(text) = self.text(&name) {
                match pairs(&text) {
                    Some(headers) => target.headers = Headers(headers),
                    None => self.note(&name, "must be a list such as `name=value,name=value`"),
                }
            }
        }
        target.endpoint = self.url(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"));
        if let Some(milliseconds) = self.parsed(delay, "a number of milliseconds") {
            target.interval = Duration::from_millis(milliseconds);
        }
    }

    fn sampler(&mut self, sampler: &mut Sampler) {
        const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
        let ratio = self.parsed::<f64>(ARGUMENT, "a number from 0 to 1");
        if ratio.is_some_and(|ratio| !(0.0..=1.0).contains(&ratio)) {
            self.note(ARGUMENT, "must be a number from 0 to 1");
        }
        let ratio = ratio.unwrap_or(1.0);
        let Some(name) = self.text("OTEL_TRACES_SAMPLER") else { return };
        let plain = name.strip_prefix("parentbased_");
        let parent_based = plain.is_some();
        let ratio = match plain.unwrap_or(&name) {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => ratio,
            _ => {
                return self.note(
                    "OTEL_TRACES_SAMPLER",
                    &format!(
                        "must be `always_on`, `always_off` or `traceidratio`, or one of them \
                         behind `parentbased_`, not `{name}`"
                    ),
                );
            }
        };
        *sampler = Sampler { parent_based, ratio };
    }

    fn pairs(&mut self, name: &str) -> Vec<(String, String)> {
        let Some(text) = self.text(name) else { return Vec::new() };
        pairs(&text).unwrap_or_else(|| {
            self.note(name, "must be a list such as `key=value,key=value`");
            Vec::new()
        })
    }
}

/// Reads `key=value,key=value`, values percent-encoded where need be.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=')?;
            let name = name.trim();
            let value = decode(value.trim())?;
            (!name.is_empty()).then(|| (name.to_owned(), value))
        })
        .collect()
}

fn decode(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (OtlpSettings, Vec<String>) {
        let mut settings = OtlpSettings::new(None, Duration::from_secs(10), 1.0);
        let problems = apply(&mut settings, |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        (settings, problems)
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");

    #[test]
    fn nothing_is_exported_without_an_endpoint() {
        let (settings, problems) =
            read(&[("OTEL_TRACES_SAMPLER", "x"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
        assert_eq!((settings.traces_url(), settings.logs_url()), (None, None));
        assert_eq!(problems, [""; 0]);
    }

    #[test]
    fn urls_are_those_of_the_specification() {
        let both = |variables: &[(&str, &str)]| {
            let (settings, problems) = read(variables);
            assert_eq!(problems, [""; 0], "{variables:?}");
            [settings.traces_url(), settings.logs_url()].map(Option::unwrap_or_default)
        };
        let common = ["http://collector:4318/v1/traces", "http://collector:4318/v1/logs"];
        assert_eq!(both(&[ENDPOINT]), common);
        assert_eq!(
            both(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs/take?x=y")]),
            [common[0], "https://logs/take?x=y"],
        );
        assert_eq!(
            both(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:1/")]),
            ["http://t:1/", ""]
        );
        assert_eq!(both(&[ENDPOINT, ("OTEL_LOGS_EXPORTER", "none")]), [common[0], ""]);
        assert_eq!(both(&[ENDPOINT, ("OTEL_SDK_DISABLED", "True")]), ["", ""]);
        assert_eq!(
            both(&[ENDPOINT, ("OTEL_TRACES_EXPORTER", ""), ("OTEL_SDK_DISABLED", "")]),
            common
        );
    }

    #[test]
    fn everything_else_is_taken_over() {
        let (settings, problems) = read(&[
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20t%3D1, x-scope = a=b ,"),
            ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "y=z"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500"),
            ("OTEL_BLRP_SCHEDULE_DELAY", "50"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment.name=prod"),
            ("OTEL_SERVICE_NAME", "mail"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_PROPAGATORS", "baggage"),
        ]);
        assert_eq!(problems, [""; 0]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = [pair("authorization", "Bearer t=1"), pair("x-scope", "a=b")];
        assert_eq!(settings.traces.headers.0, headers);
        assert_eq!(settings.logs.headers.0, [pair("y", "z")]);
        assert_eq!(settings.traces.timeout.as_millis(), 2500);
        assert_eq!(settings.logs.timeout.as_millis(), 1500);
        assert_eq!(settings.logs.interval.as_millis(), 50);
        assert_eq!(settings.service, "mail");
        assert_eq!(settings.resource, [pair("deployment.environment.name", "prod")]);
        assert_eq!(settings.sampler, Sampler { parent_based: true, ratio: 0.25 });
        assert!(!settings.continues);
        assert!(!format!("{settings:?}").contains("Bearer"), "{settings:?}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=%zz-secret"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://me:secret@collector/"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
            ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
        ] {
            let (_, problems) = read(&[ENDPOINT, (name, value)]);
            assert!(!problems.is_empty(), "{name}={value}");
            for problem in problems {
                assert!(problem.starts_with(&format!("`{name}` ")), "{problem}");
                assert!(!problem.contains("secret"), "{problem}");
            }
        }
    }
}
