#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| skirmish_fuzz::checks::nats_operations::check(bytes));
