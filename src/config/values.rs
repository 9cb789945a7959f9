//! How values are written, for both commands. Each parser refuses with what is right, in words that
//! follow "--flag cannot be X:".

use std::net::SocketAddr;

/// A parser of whole numbers from `least` to `most`.
pub(super) fn whole<T: TryFrom<u64>>(
    least: u64,
    most: u64,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| format!("it is a whole number from {least} to {most}"))
    }
}

/// A whole number from 1 up, as far as the machine counts.
pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "it is a whole number from 1 up".to_owned())
}

/// A number from `least` to `most`, with a fraction or without.
pub(super) fn number(text: &str, least: f64, most: f64) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("it is a number from {least} to {most}")),
    }
}

/// Yes or no, as people and scripts write it.
pub(super) fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err("it is true or false (or yes or no, 1 or 0)".to_owned()),
    }
}

/// An address with its port.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let right = "an address is written ADDR:PORT, such as 127.0.0.1:8765 or [::1]:8765";
    text.parse().map_err(|_| right.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(whole::<u32>(1, 9)("9"), Ok(9));
        for text in ["0", "10", "-1", "1.5", "", "many"] {
            let said = whole::<u32>(1, 9)(text);
            assert_eq!(said, Err("it is a whole number from 1 to 9".to_owned()), "{text}");
        }
        assert!(whole::<u64>(0, u64::MAX)("18446744073709551616").is_err());
        assert!(at_least_one("0").is_err() && at_least_one("1").is_ok());
    }

    #[test]
    fn yes_and_no_have_several_words() {
        for (text, is_true) in [("1", true), ("YES", true), ("true", true), ("0", false)] {
            assert_eq!(truth(text), Ok(is_true), "{text}");
        }
        assert!(truth("maybe").is_err() && truth("").is_err());
    }

    #[test]
    fn an_address_has_a_port() {
        assert!(address("[::1]:0").is_ok());
        for text in ["nowhere", "127.0.0.1", "::1:80", "localhost:80"] {
            assert!(address(text).unwrap_err().contains("such as 127.0.0.1:8765"), "{text}");
        }
    }
}
