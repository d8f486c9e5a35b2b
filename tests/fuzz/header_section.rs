//! See `properties::header_section`.
#![no_main]

#[expect(dead_code, reason = "each target plays one property")]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::header_section(bytes));
