//! Parsers of flag values. Each error says what was expected; it follows "invalid value X for
//! --flag:". Spaces around an item of a list are ignored.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net};

use crate::limits;
use crate::origin::{Host, Origin};

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
    let addr: SocketAddr = text.trim_ascii().parse().map_err(|_| expected.to_owned())?;
    Ok(SocketAddr::new(addr.ip().to_canonical(), addr.port()))
}

/// Parses a number of bytes, or of KiB, MiB or GiB with the suffix K, M or G.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.as_bytes().last().map(u8::to_ascii_uppercase) {
        Some(b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'M') => (&text[..text.len() - 1], 1 << 20),
        Some(b'G') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<u64> = is_number.then(|| digits.parse().ok()).flatten();
    let bytes = number.and_then(|number| number.checked_mul(unit));
    bytes.filter(|bytes| *bytes >= limits::MEMORY_BYTES_MIN).ok_or_else(|| {
        let least = limits::MEMORY_BYTES_MIN >> 20;
        format!("expected a size of at least {least}M, such as 200M or 2G")
    })
}

/// Parses the width and height of a map.
pub(super) fn map_size(text: &str) -> Result<(u16, u16), String> {
    let (least, most) = (limits::MAP_SIDE_MIN, u16::MAX);
    let side = |text: &str| {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|side: &u16| is_number && *side >= least)
    };
    let sides = text.split_once(['x', 'X']).and_then(|(w, h)| side(w).zip(side(h)));
    sides.ok_or_else(|| {
        format!("expected WIDTHxHEIGHT, each from {least} to {most}, such as 16000x16000")
    })
}

/// Parses an origin, or `*` or `null`.
pub(super) fn origin(text: &str) -> Result<String, String> {
    let text = text.trim_ascii();
    if matches!(text, "*" | "null") || Origin::parse(text).is_some() {
        return Ok(text.to_owned());
    }
    Err(match text.is_ascii() {
        true => {
            "expected SCHEME://HOST[:PORT], such as https://example.com, \
            http://localhost:3000 or capacitor://localhost, or * or null"
        }
        false => "expected the name as browsers send it, such as https://xn--bcher-kva.example",
    }
    .to_owned())
}

/// Parses a Content Security Policy. A comma would begin another policy.
pub(super) fn csp(text: &str) -> Result<String, String> {
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
    let is_text = text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b',');
    let text = text.trim_matches([' ', ';']);
    let mut names =
        text.split(';').filter_map(|directive| directive.split(' ').find(|n| !n.is_empty()));
    if !is_text || text.is_empty() || !names.all(is_name) {
        return Err("expected a policy on one line, such as \"default-src 'self'; img-src *\", \
                    with ; between directives and no commas"
            .to_owned());
    }
    Ok(text.to_owned())
}

/// Parses an origin of `frame-ancestors` into a source expression (CSP Level 3, section 2.3.1).
pub(super) fn frame_ancestor(text: &str) -> Result<String, String> {
    let text = text.trim_ascii();
    if matches!(text, "self" | "'self'") {
        return Ok("'self'".to_owned());
    }
    if text == "*" || is_source(text) {
        return Ok(text.to_ascii_lowercase());
    }
    Err("expected an origin such as https://portal.example or https://*.portal.example, \
         or self or *"
        .to_owned())
}

/// Whether a text is `SCHEME://HOST[:PORT]`; the host may begin with `*.`, and the port be `*`.
/// This grammar is narrower than that of an [`Origin`].
fn is_source(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.parse::<Ipv6Addr>().is_ok() => ("", port),
        Some(_) => return false,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let name = host.strip_prefix("*.").unwrap_or(host);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        && (authority.starts_with('[') || name.split('.').all(is_label))
        && match port.strip_prefix(':') {
            Some(port) => port == "*" || port.parse::<u16>().is_ok_and(|port| port > 0),
            None => port.is_empty(),
        }
}

/// Parses a host, without the dot at its end.
pub(super) fn host(text: &str) -> Result<String, String> {
    match Host::parse(text.trim_ascii()) {
        Some(Host::Name(name)) => Ok(name.to_owned()),
        Some(Host::Ip(ip)) => Ok(ip.to_string()),
        None => Err("expected a bare host name such as play.example.com".to_owned()),
    }
}

/// Parses an address or a network. An IPv4 network written as IPv6 becomes IPv4, as the addresses
/// of peers do.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let expected = "expected an address or a network, such as 127.0.0.1 or 10.0.0.0/8";
    let text = text.trim_ascii();
    let written = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse().map_err(|_| expected.to_owned())?,
    };
    let mapped = match written {
        IpNet::V6(net) => net.addr().to_ipv4_mapped().zip(net.prefix_len().checked_sub(96)),
        IpNet::V4(_) => None,
    };
    let narrow = mapped.and_then(|(address, bits)| Ipv4Net::new(address, bits).ok());
    Ok(narrow.map_or(written, IpNet::V4).trunc())
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

    #[test]
    fn origins_have_any_scheme() {
        for text in [
            "*",
            "null",
            "https://Friend.example:443",
            "capacitor://localhost",
            "tauri://localhost",
            "app://.",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            "file://",
            "wss://friend.example",
            "http://[2001:db8::1]:8080",
        ] {
            assert_eq!(origin(text).as_deref(), Ok(text));
        }
        for text in ["friend.example", "https://", "https://a/", "https://*.a", "https://a:x", ""] {
            assert!(origin(text).unwrap_err().starts_with("expected SCHEME://"), "{text}");
        }
        assert!(origin("https://bücher.example").unwrap_err().contains("xn--"));
        assert_eq!(origin(" https://a ").as_deref(), Ok("https://a"), "an item of a list");
    }

    #[test]
    fn hosts_are_bare_names() {
        for (text, kept) in [
            ("play.example", "play.example"),
            ("play.example.", "play.example"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:db8::1]", "2001:db8::1"),
        ] {
            assert_eq!(host(text).as_deref(), Ok(kept));
        }
        for text in ["", "a:80", "a:", "http://a", "a/b", "*.a", "bücher.example", "::1"] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn policies_are_one_line() {
        for (text, kept) in [
            ("default-src 'self'", "default-src 'self'"),
            (" default-src * ; img-src data: ;", "default-src * ; img-src data:"),
            ("upgrade-insecure-requests", "upgrade-insecure-requests"),
        ] {
            assert_eq!(csp(text).as_deref(), Ok(kept));
        }
        for text in [
            "",
            " ; ",
            "default-src 'self'\r\nX: y",
            "default-src 'self'\nimg-src *",
            "default-src 'self', img-src *",
            "default-src \u{e9}",
            "default-src\u{7f}",
            "'self'",
            "https://example.com",
            "default-src *; img_src *",
        ] {
            assert!(csp(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn frame_ancestors_are_origins() {
        for (text, source) in [
            ("*", "*"),
            ("self", "'self'"),
            ("'self'", "'self'"),
            ("https://Portal.example", "https://portal.example"),
            ("https://*.portal.example:8443", "https://*.portal.example:8443"),
            ("http://localhost:*", "http://localhost:*"),
            ("http://127.0.0.1:80", "http://127.0.0.1:80"),
            ("http://[::1]:80", "http://[::1]:80"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert_eq!(frame_ancestor(text).as_deref(), Ok(source), "{text}");
        }
        for text in [
            "",
            "none",
            "'none'",
            "null",
            "portal.example",
            "https:",
            "https://",
            "https://portal.example/",
            "https://portal.example/path",
            "https://a b",
            "https://a;script-src *",
            "https://a\r\nX: y",
            "https://a'",
            "https://a:",
            "https://a:0",
            "https://a:99999",
            "https://a..b",
            "https://*",
            "https://a.*.b",
            "https://user@a",
            "https://[a]",
            "://a",
            "1a://b",
        ] {
            assert!(frame_ancestor(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_map_has_a_width_and_a_height() {
        for (text, map) in [("16000x9000", (16_000, 9_000)), ("100X65535", (100, 65_535))] {
            assert_eq!(map_size(text), Ok(map));
        }
        for text in [
            "",
            "16000",
            "x",
            "99x100",
            "100x99",
            "65536x100",
            "1e3x100",
            "+200x200",
            "200 x 200",
            "200x200x200",
            "-200x200",
        ] {
            let expected = "expected WIDTHxHEIGHT, each from 100 to 65535, such as 16000x16000";
            assert_eq!(map_size(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [("8388608", 8 << 20), ("200M", 200 << 20), ("2g", 2 << 30)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "1", "7M", "-8M", "+8M", "8 M", "8MB", "99999999999999999999G", "٨M"]
        {
            assert!(size(text).unwrap_err().contains("at least 8M"), "{text}");
        }
    }

    #[test]
    fn proxies_are_addresses_or_networks() {
        for (text, net) in [
            ("127.0.0.1", "127.0.0.1/32"),
            ("::1", "::1/128"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("2001:db8::7/32", "2001:db8::/32"),
            ("::ffff:127.0.0.1", "127.0.0.1/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(network(text).unwrap().to_string(), net, "{text}");
        }
        for text in ["", "nginx", "127.0.0.1:80", "10.0.0.0/33", "10.0.0.0/", "[::1]", "1.2.3"] {
            assert!(network(text).is_err(), "{text}");
        }
    }
}
