//! Reads the token of `--admin-token-file`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tracing::warn;

use crate::limits::ADMIN_TOKEN_BYTES_MIN;

/// The token in a file, without the white space around it.
///
/// # Errors
/// One sentence: it cannot be read, or is too short.
pub fn read(file: &Path) -> Result<String, String> {
    let name = file.display();
    let text = fs::read_to_string(file)
        .map_err(|error| format!("cannot read --admin-token-file {name}: {error}."))?;
    let token = text.trim();
    if token.len() < ADMIN_TOKEN_BYTES_MIN || token.contains(char::is_control) {
        return Err(format!(
            "{name} must contain one line with a token of at least {ADMIN_TOKEN_BYTES_MIN} \
             characters; make one with: openssl rand -hex 24"
        ));
    }
    let mode = fs::metadata(file).map_or(0, |data| data.permissions().mode());
    if mode & 0o007 != 0 {
        warn!(file = %name, "every user of this machine may read the token; use chmod 640");
    }
    Ok(token.to_owned())
}
