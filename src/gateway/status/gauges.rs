//! The part of `/metrics` that is looked at when somebody asks.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::GatewayStatus;
use super::process::Process;
use crate::build_info;

type Label<'a> = [(&'static str, &'a str); 1];

/// Writes one metric after the other.
struct Writer<'e>(DescriptorEncoder<'e>);

impl Writer<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn counter(&mut self, name: &str, help: &str, value: impl EncodeCounterValue) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        encoder.encode_counter::<Label<'_>, _, u64>(&value, None)
    }

    fn gauges<'a, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'a str, V)>,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (of, value) in values {
            encoder.encode_family(&[(label, of)])?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (of, value) in values {
            let labels = [(label, of)];
            encoder.encode_family(&labels)?.encode_counter::<Label<'_>, _, u64>(&value, None)?;
        }
        Ok(())
    }
}

impl Collector for GatewayStatus {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Writer(encoder);
        self.build(&mut out)?;
        self.clients(&mut out)?;
        self.logins(&mut out)?;
        self.sending(&mut out)?;
        self.files(&mut out)?;
        self.process(&mut out)
    }
}

impl GatewayStatus {
    fn build(&self, out: &mut Writer<'_>) -> fmt::Result {
        let help = "What the program was built from";
        let labels = [
            ("version", build_info::VERSION),
            ("commit", build_info::COMMIT),
            ("rustc", build_info::RUSTC),
            ("target", build_info::TARGET),
            ("features", build_info::FEATURES),
        ];
        let name = "sesgate_build";
        out.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(&labels)?;
        let help = "1 when mail is taken: /readyz says what stands against it";
        out.gauge("sesgate_ready", help, u32::from(self.sources.readiness.is_ready()))
    }

    fn clients(&self, out: &mut Writer<'_>) -> fmt::Result {
        let (open, before_login) = self.sources.admission.connections();
        let help = "Connections that are open";
        let states = [("before_login", before_login), ("after_login", open - before_login)];
        out.gauges("sesgate_connections_open", help, "state", states)?;
        let help = "Records that there was no room to keep for the decision log's file";
        out.counter("sesgate_decision_records_dropped", help, self.sources.decisions.dropped())?;
        let help = "Memory for messages in flight, all of it and what is in use";
        let memory =
            [("budget", self.sources.memory.bytes()), ("used", self.sources.memory.used())];
        out.gauges("sesgate_message_memory_bytes", help, "kind", memory)
    }

    fn logins(&self, out: &mut Writer<'_>) -> fmt::Result {
        let counts = self.sources.relay.rules().principals.guard().counts();
        let help = "Logins by result";
        let results = [
            ("accepted", counts.accepted),
            ("invalid", counts.invalid),
            ("locked", counts.turned_away),
            ("busy", counts.busy),
        ];
        out.counters("sesgate_logins", help, "result", results)?;
        let help = "Locks against guessing, of a client network or of a user within one";
        let locks = [("network", counts.network_locks), ("user", counts.user_locks)];
        out.counters("sesgate_login_locks", help, "of", locks)?;
        let help = "Password hashes that were computed";
        out.counter("sesgate_password_hashes", help, counts.hashes)?;
        let help = "Password checks that wait for a processor";
        out.gauge("sesgate_password_checks_waiting", help, counts.waiting)
    }

    /// Rates and quotas, as far as they are known.
    fn sending(&self, out: &mut Writer<'_>) -> fmt::Result {
        let pace = self.sources.pace.status();
        let help = "Recipients per second: what SES and the operator allow, and the rate just now";
        let rates = [("allowed", pace.nominal_rate), ("current", pace.current_rate)];
        let known = rates.into_iter().filter_map(|(kind, rate)| Some((kind, rate?)));
        out.gauges("sesgate_rate_recipients_per_second", help, "kind", known)?;
        let help = "Messages that wait for their turn";
        out.gauge("sesgate_pacing_waiting_messages", help, pace.waiting)?;
        let help = "Answers of SES that throttled a call";
        out.counter("sesgate_ses_throttles", help, pace.throttles)?;
        if let Some((quota, age)) = &pace.quota {
            let help = "Recipients in 24 hours: the quota of SES and what it says is used";
            #[expect(clippy::cast_precision_loss, reason = "a metric")]
            let since = pace.taken_since_reading as f64;
            let kinds =
                [("most", quota.max_24_hour_send), ("used", quota.sent_last_24_hours + since)];
            out.gauges("sesgate_quota_recipients", help, "kind", kinds)?;
            let help = "Age of what SES said last of rate and quota";
            out.gauge("sesgate_quota_age_seconds", help, age.as_secs_f64())?;
        }
        let Some(said) = self.sources.inventory.as_ref().map(|inventory| inventory.snapshot())
        else {
            return Ok(());
        };
        if let Some(account) = &said.account {
            let help = "1 when SES sends for the account";
            out.gauge("sesgate_ses_sending_enabled", help, u32::from(account.sending_enabled))?;
            let help = "1 when the account is out of the sandbox";
            let production = u32::from(account.production_access);
            out.gauge("sesgate_ses_production_access", help, production)?;
        }
        out.gauge("sesgate_ses_identities", "Identities that SES lists", said.identities.len())
    }

    fn files(&self, out: &mut Writer<'_>) -> fmt::Result {
        let active = self.active().clone();
        let help = "When the configuration in use was read";
        let name = "sesgate_configuration_timestamp_seconds";
        out.gauge(name, help, unix_seconds(active.since))?;
        let help = "1 when the last reading of the configuration was refused";
        let refused = u32::from(active.refused.is_some());
        out.gauge("sesgate_configuration_refused", help, refused)?;
        let help = "When the certificate of a listener expires";
        let certificates = active.listeners.iter().filter_map(|door| {
            let certificate = door.certificate.as_ref()?;
            Some((door.address.as_str(), certificate.not_after))
        });
        let name = "sesgate_certificate_expiry_timestamp_seconds";
        out.gauges(name, help, "listener", certificates)
    }

    /// The names that every Prometheus client uses.
    fn process(&self, out: &mut Writer<'_>) -> fmt::Result {
        let process = Process::now();
        let name = "process_start_time_seconds";
        out.gauge(name, "When the process began", unix_seconds(self.started))?;
        if let Some(seconds) = process.cpu_seconds {
            let help = "Time of processors, user and system";
            let (unit, kind) = (Some(&Unit::Seconds), MetricType::Counter);
            let mut encoder = out.0.encode_descriptor("process_cpu", help, unit, kind)?;
            encoder.encode_counter::<Label<'_>, _, u64>(&seconds, None)?;
        }
        if let Some(bytes) = process.resident_bytes {
            out.gauge("process_resident_memory_bytes", "Resident memory", bytes)?;
        }
        if let Some(open) = process.descriptors {
            out.gauge("process_open_fds", "Descriptors that are open", open)?;
        }
        if let Some(most) = process.most_descriptors {
            out.gauge("process_max_fds", "Descriptors that may be open", most)?;
        }
        Ok(())
    }
}

fn unix_seconds(moment: SystemTime) -> f64 {
    moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
