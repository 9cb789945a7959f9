//! The flags of the load test.
use clap::Args;
/// Stub.
#[derive(Clone, Debug, Args)]
pub struct Load {}
