//! Parsers of flag values, shared by both commands. Each error says what was expected; it follows
//! "invalid value X for --flag:".

use std::net::SocketAddr;

/// Returns a parser of whole numbers from `least` to `most`.
pub(super) fn whole<T: TryFrom<u64>>(
    least: u64,
    most: u64,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| format!("expected a whole number from {least} to {most}"))
    }
}

/// Parses a whole number of at least 1.
pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "expected a whole number of at least 1".to_owned())
}

/// Parses a number from `least` to `most`, with or without a fraction.
pub(super) fn number(text: &str, least: f64, most: f64) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("expected a number from {least} to {most}")),
    }
}

/// Parses a boolean as people and scripts write it.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err("expected true or false (yes, no, 1 and 0 work, too)".to_owned()),
    }
}

/// Parses an IP address with a port. IPv4 in IPv6 becomes IPv4.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let expected = "expected ADDR:PORT, such as 127.0.0.1:8765 or [::1]:8765";
    let addr: SocketAddr = text.parse().map_err(|_| expected.to_owned())?;
    Ok(SocketAddr::new(addr.ip().to_canonical(), addr.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(whole::<u32>(1, 9)("9"), Ok(9));
        for text in ["0", "10", "-1", "1.5", "", "many"] {
            let said = whole::<u32>(1, 9)(text);
            assert_eq!(said, Err("expected a whole number from 1 to 9".to_owned()), "{text}");
        }
        assert!(whole::<u64>(0, u64::MAX)("18446744073709551616").is_err());
        assert!(at_least_one("0").is_err() && at_least_one("1").is_ok());
    }

    #[test]
    fn booleans_have_several_spellings() {
        for (text, is_true) in [("1", true), ("YES", true), ("true", true), ("0", false)] {
            assert_eq!(boolean(text), Ok(is_true), "{text}");
        }
        assert!(boolean("maybe").is_err() && boolean("").is_err());
    }

    #[test]
    fn an_address_has_a_port() {
        assert!(address("[::1]:0").is_ok());
        assert_eq!(address("[::ffff:127.0.0.1]:80"), address("127.0.0.1:80"));
        for text in ["nowhere", "127.0.0.1", "::1:80", "localhost:80"] {
            assert!(address(text).unwrap_err().contains("such as 127.0.0.1:8765"), "{text}");
        }
    }
}
