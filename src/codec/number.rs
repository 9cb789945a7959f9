//! Whole numbers in JSON, in every spelling: `5`, `5.0` and `5e0` are one number (RFC 8259,
//! section 6), and the JSON libraries of some languages write all of them.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// A whole number in JSON. One with a fraction, or out of the range of `T`, is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole<T>(pub T);

/// Deserializes a field as [`Whole`].
///
/// # Errors
/// The value is not a whole number in the range of `T`.
pub fn whole<'de, T: TryFrom<i128>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    Whole::deserialize(from).map(|whole| whole.0)
}

impl<'de, T: TryFrom<i128>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Whole<T>, D::Error> {
        from.deserialize_any(Number(PhantomData)).map(Whole)
    }
}

struct Number<T>(PhantomData<T>);

impl<T: TryFrom<i128>> Visitor<'_> for Number<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a whole number in range")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        let error = || E::invalid_value(Unexpected::Unsigned(number), &self);
        i128::from(number).try_into().map_err(|_| error())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        let error = || E::invalid_value(Unexpected::Signed(number), &self);
        i128::from(number).try_into().map_err(|_| error())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        let error = || E::invalid_value(Unexpected::Float(number), &self);
        // Beyond the range of i128 the cast gives its ends, which are beyond that of `T`.
        let whole = (number.fract() == 0.0).then_some(number as i128);
        whole.and_then(|number| number.try_into().ok()).ok_or_else(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<T: TryFrom<i128>>(text: &str) -> Option<T> {
        serde_json::from_str(text).ok().map(|Whole(number)| number)
    }

    #[test]
    fn a_whole_number_has_many_spellings() {
        for text in ["5", "5.0", "5e0", "5E+0", "0.5e1", "50e-1", "5.000"] {
            assert_eq!(parse::<u32>(text), Some(5), "{text}");
        }
        for text in ["0", "-0", "0.0", "-0.0", "0e9"] {
            assert_eq!(parse::<u8>(text), Some(0), "{text}");
        }
        assert_eq!(parse::<i32>("-2147483648.0"), Some(i32::MIN));
        assert_eq!(parse::<u64>("18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse::<u16>("6.5535e4"), Some(65_535));
    }

    #[test]
    fn other_values_are_refused() {
        for text in [
            "5.5", "5e-1", "256", "256.0", "1e300", "-1", "-1.0", "-1e300", "1e400", "\"5\"",
            "null", "true", "[5]", "{}", "05", "5.", "+5", "NaN",
        ] {
            assert_eq!(parse::<u8>(text), None, "{text}");
        }
        assert_eq!(parse::<u64>("18446744073709551616"), None);
    }
}
