//! The flags of `skirmish pages`.

use std::path::PathBuf;

use clap::Args;

/// Where to write the built-in pages.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Pages {
    /// Folder to write to; it is made if it does not exist
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,

    /// Replace files that exist
    #[arg(long)]
    pub force: bool,
}
