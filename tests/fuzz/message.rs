//! Any content: no panic, and what is forwarded says the same about its author.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sesgate::message::{HeaderSection, XSes};

fuzz_target!(|content: &[u8]| {
    if let Ok(section) = HeaderSection::parse(content) {
        let forwarded = section.forwarded(content.to_vec());
        let sent = HeaderSection::parse(&forwarded).expect("what was taken is taken again");
        assert_eq!(sent.from(), section.from());
        assert_eq!(*sent.xses(), XSes::default());
    }
});
