#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| skirmish_fuzz::checks::v1_replica::check(bytes));
