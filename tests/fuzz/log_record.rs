//! See `properties::log_record`.
#![no_main]

#[expect(dead_code, reason = "each target plays one property")]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::log_record(bytes));
