//! The shares of the dialects in one run.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;

use super::Dialect;

/// Largest share, so that every part of a run has all dialects.
const SHARE_MAX: u32 = 100;

/// Dialects and their shares, such as `json=2,socketio=1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix(Vec<(Dialect, u32)>);

impl Mix {
    /// The dialect of the client `index`. Every part of as many clients as the sum of the shares
    /// has all dialects.
    #[must_use]
    pub fn dialect(&self, index: usize) -> Dialect {
        let sum: u32 = self.0.iter().map(|(_, share)| share).sum();
        let mut place = index as u32 % sum;
        for (dialect, share) in &self.0 {
            match place.checked_sub(*share) {
                Some(rest) => place = rest,
                None => return *dialect,
            }
        }
        unreachable!("the place is below the sum")
    }

    /// Whether a dialect has a share.
    #[must_use]
    pub fn has(&self, dialect: Dialect) -> bool {
        self.0.iter().any(|(one, _)| *one == dialect)
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Mix, String> {
        let expected =
            || format!("expected shares from 1 to {SHARE_MAX}, such as json=2,socketio=1");
        let mut shares = Vec::new();
        for part in text.split(',') {
            let (name, share) = part.trim_ascii().split_once('=').ok_or_else(expected)?;
            let dialect = Dialect::from_str(name, false)
                .map_err(|_| format!("unknown dialect {name:?}; expected json, socketio or v1"))?;
            let share = share.parse().ok().filter(|share| (1..=SHARE_MAX).contains(share));
            if shares.iter().any(|(one, _)| *one == dialect) {
                return Err(format!("{name} is given twice"));
            }
            shares.push((dialect, share.ok_or_else(expected)?));
        }
        Ok(Mix(shares))
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shares: Vec<String> =
            self.0.iter().map(|(dialect, share)| format!("{dialect}={share}")).collect();
        f.write_str(&shares.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_shared_out() {
        let mix: Mix = "json=2, socketio=1".parse().unwrap();
        assert_eq!(mix.to_string(), "json=2,socketio=1");
        let socketio: Vec<usize> =
            (0..9).filter(|index| mix.dialect(*index) == Dialect::SocketIo).collect();
        assert_eq!(socketio, [2, 5, 8]);
        let one: Mix = "socketio=7".parse().unwrap();
        assert!(one.has(Dialect::SocketIo) && !one.has(Dialect::Json));
    }

    #[test]
    fn invalid_shares_are_rejected() {
        for (text, said) in [
            ("", "expected shares"),
            ("json", "expected shares"),
            ("json=0", "expected shares"),
            ("json=101", "expected shares"),
            ("json=1,", "expected shares"),
            ("json=1,json=2", "given twice"),
            ("xml=1", "unknown dialect \"xml\""),
        ] {
            let sentence = text.parse::<Mix>().unwrap_err();
            assert!(sentence.contains(said), "{text}: {sentence}");
        }
    }
}
