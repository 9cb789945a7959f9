//! The header of the PROXY protocol, versions 1 and 2, with which a proxy tells the address of its
//! client (<https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>).
//!
//! A stream calls [`parse_proxy_header`] with the first bytes of a connection. Whether the peer may
//! send a header is decided before, by the server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::stream::{BadPreface, CompletePreface};
use crate::limits::PROXY_HEADER_BYTES_MAX;

/// How version 1 begins.
const V1_START: &[u8] = b"PROXY ";
/// The longest line of version 1, with its end (section 2.1).
const V1_BYTES_MAX: usize = 107;
/// How version 2 begins.
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The bytes of version 2 before the addresses.
const V2_FIXED_BYTES: usize = 16;
/// The version in the upper half, the command in the lower one.
const V2_LOCAL: u8 = 0x20;
const V2_PROXY: u8 = 0x21;
/// The address family in the upper half, the transport in the lower one.
const V2_TCP4: u8 = 0x11;
const V2_TCP6: u8 = 0x21;

/// Parses the first bytes of a connection, all that have arrived; `None` if more are needed. A
/// header names no client if it is `UNKNOWN` (version 1) or `LOCAL` (version 2), or has addresses
/// other than those of TCP.
///
/// # Errors
/// They begin with no valid header of at most [`PROXY_HEADER_BYTES_MAX`].
pub fn parse_proxy_header(bytes: &[u8]) -> Result<Option<CompletePreface>, BadPreface> {
    let may_begin = |start: &[u8]| bytes.starts_with(start) || start.starts_with(bytes);
    if may_begin(V1_START) {
        parse_v1(bytes)
    } else if may_begin(V2_START) {
        parse_v2(bytes)
    } else {
        Err(BadPreface)
    }
}

fn parse_v1(bytes: &[u8]) -> Result<Option<CompletePreface>, BadPreface> {
    let bytes = &bytes[..bytes.len().min(V1_BYTES_MAX)];
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < V1_BYTES_MAX { Ok(None) } else { Err(BadPreface) };
    };
    let line = bytes[..end].strip_prefix(V1_START).ok_or(BadPreface)?;
    let name_end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let (name, rest) = line.split_at(name_end);
    let client = match name {
        b"TCP4" => Some(v1_source::<Ipv4Addr>(rest).ok_or(BadPreface)?),
        b"TCP6" => Some(v1_source::<Ipv6Addr>(rest).ok_or(BadPreface)?),
        b"UNKNOWN" => None,
        _ => return Err(BadPreface),
    };
    Ok(Some(CompletePreface { bytes: end + 2, client }))
}

/// The first of two addresses and two ports, each after one space.
fn v1_source<A: FromStr + Into<IpAddr>>(bytes: &[u8]) -> Option<IpAddr> {
    let mut words = str::from_utf8(bytes).ok()?.strip_prefix(' ')?.split(' ');
    let mut address = || words.next()?.parse::<A>().ok();
    let (source, _destination) = (address()?, address()?);
    let mut port = || words.next().filter(|text| is_port(text));
    let _ports = (port()?, port()?);
    words.next().is_none().then(|| source.into())
}

/// Whether it is a number from 0 to 65535, without a sign or zeros in front.
fn is_port(text: &str) -> bool {
    (text == "0" || !text.starts_with(['0', '+'])) && text.parse::<u16>().is_ok()
}

fn parse_v2(bytes: &[u8]) -> Result<Option<CompletePreface>, BadPreface> {
    let Some(&fixed) = bytes.first_chunk::<V2_FIXED_BYTES>() else { return Ok(None) };
    let [.., command, family, high, low] = fixed;
    let end = V2_FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    // The block of a proxy's own connection is skipped, whatever it contains.
    let is_known = match command {
        V2_LOCAL => true,
        V2_PROXY => family >> 4 <= 3 && family & 0xf <= 2,
        _ => false,
    };
    if !is_known || end > PROXY_HEADER_BYTES_MAX {
        return Err(BadPreface);
    }
    // The addresses, and then extensions, which are skipped.
    let Some(block) = bytes.get(V2_FIXED_BYTES..end) else { return Ok(None) };
    let client = match (command, family) {
        (V2_PROXY, V2_TCP4) => {
            let [a, b, c, d, ..] = *block.first_chunk::<12>().ok_or(BadPreface)?;
            Some(IpAddr::from([a, b, c, d]))
        }
        (V2_PROXY, V2_TCP6) => {
            let block = block.first_chunk::<36>().ok_or(BadPreface)?;
            block.first_chunk::<16>().map(|source| IpAddr::from(*source))
        }
        _ => None,
    };
    Ok(Some(CompletePreface { bytes: end, client }))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const FULL: &str = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    const TCP4: &[u8] = b"\xc0\0\x02\x01\x7f\0\0\x01\x12\x67\0\x50";
    const TCP6: &[u8] = b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\
        \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x12\x67\0\x50";

    fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [V2_START, &[command, family], &length, block].concat()
    }

    fn complete(client: Option<&str>, bytes: usize) -> CompletePreface {
        let client = client.map(|client| client.parse().unwrap());
        CompletePreface { bytes, client }
    }

    /// Valid headers, with the client of each.
    fn headers() -> Vec<(Vec<u8>, Option<&'static str>)> {
        let v1 = |line: &str, client| ([line.as_bytes(), b"\r\n"].concat(), client);
        let longest = format!("PROXY UNKNOWN {FULL} {FULL} 65535 65535");
        assert_eq!(longest.len() + 2, V1_BYTES_MAX);
        let noise = [b"PROXY UNKNOWN \xff\0 \r \n\t"[..].to_vec(), b"\r\n".to_vec()].concat();
        let extended =
            |block: &[u8]| [block, b"\x04\0\x05hello\x20\0\x08\x01\0\0\0\0\x21\0\0"].concat();
        let padding = vec![7; PROXY_HEADER_BYTES_MAX - V2_FIXED_BYTES - TCP4.len()];
        vec![
            v1("PROXY TCP4 192.0.2.1 127.0.0.1 4711 80", Some("192.0.2.1")),
            v1("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0", Some("255.255.255.255")),
            v1("PROXY TCP6 2001:db8::7 ::1 4711 80", Some("2001:db8::7")),
            v1("PROXY TCP6 2001:DB8:0:0:0:0:0:7 ::1 4711 80", Some("2001:db8::7")),
            v1("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:127.0.0.1 4711 80", Some("::ffff:192.0.2.1")),
            v1(&format!("PROXY TCP6 {FULL} {FULL} 65535 65535"), Some(FULL)),
            v1("PROXY UNKNOWN", None),
            v1("PROXY UNKNOWN 192.0.2.1 127.0.0.1 4711 80", None),
            v1(&longest, None),
            (noise, None),
            (v2(V2_PROXY, V2_TCP4, TCP4), Some("192.0.2.1")),
            (v2(V2_PROXY, V2_TCP6, TCP6), Some("2001:db8::7")),
            (v2(V2_PROXY, V2_TCP4, &extended(TCP4)), Some("192.0.2.1")),
            (v2(V2_PROXY, V2_TCP6, &extended(TCP6)), Some("2001:db8::7")),
            (v2(V2_PROXY, V2_TCP4, &[TCP4, &padding].concat()), Some("192.0.2.1")),
            // No address, datagrams, and sockets of the file system.
            (v2(V2_PROXY, 0x00, b""), None),
            (v2(V2_PROXY, 0x00, TCP4), None),
            (v2(V2_PROXY, 0x01, b""), None),
            (v2(V2_PROXY, 0x10, TCP4), None),
            (v2(V2_PROXY, 0x12, TCP4), None),
            (v2(V2_PROXY, 0x22, TCP6), None),
            (v2(V2_PROXY, 0x31, &[b'/'; 216]), None),
            (v2(V2_LOCAL, 0x00, b""), None),
            (v2(V2_LOCAL, V2_TCP4, TCP4), None),
            (v2(V2_LOCAL, V2_TCP6, b"short"), None),
            (v2(V2_LOCAL, 0xff, &extended(b"")), None),
        ]
    }

    #[test]
    fn a_header_may_arrive_in_any_parts_and_leaves_what_follows() {
        for (header, client) in headers() {
            let text = header.escape_ascii().to_string();
            for end in 0..header.len() {
                assert_eq!(parse_proxy_header(&header[..end]), Ok(None), "{text}: {end}");
            }
            for rest in [&b""[..], b"GET / HTTP/1.1\r\n", b"\r\n", b"\x16\x03\x01", &[0; 9_000]] {
                let bytes = [&header, rest].concat();
                let expected = complete(client, header.len());
                assert_eq!(parse_proxy_header(&bytes), Ok(Some(expected)), "{text}");
            }
        }
    }

    #[test]
    fn an_invalid_header_is_refused() {
        let lines = [
            "GET / HTTP/1.1",
            "proxy TCP4 192.0.2.1 127.0.0.1 4711 80",
            "PROXY",
            "PROXY ",
            "PROXY  TCP4 192.0.2.1 127.0.0.1 4711 80",
            "PROXY TCP4",
            "PROXY TCP4 ",
            "PROXY TCP4 192.0.2.1",
            "PROXY TCP4 192.0.2.1 127.0.0.1 4711",
            "PROXY TCP4 192.0.2.1 127.0.0.1 4711 ",
            "PROXY TCP4 192.0.2.1 127.0.0.1 4711 80 ",
            "PROXY TCP4 192.0.2.1 127.0.0.1 4711 80 1",
            "PROXY TCP4  192.0.2.1 127.0.0.1 4711 80",
            "PROXY TCP4\t192.0.2.1 127.0.0.1 4711 80",
            "PROXY TCP4 192.0.2 127.0.0.1 4711 80",
            "PROXY TCP4 192.0.2.01 127.0.0.1 4711 80",
            "PROXY TCP4 192.0.2.256 127.0.0.1 4711 80",
            "PROXY TCP4 192.0.2.1 nowhere 4711 80",
            "PROXY TCP4 2001:db8::7 ::1 4711 80",
            "PROXY TCP4 ::ffff:192.0.2.1 ::ffff:127.0.0.1 4711 80",
            "PROXY TCP6 192.0.2.1 127.0.0.1 4711 80",
            "PROXY TCP6 2001:db8::7 127.0.0.1 4711 80",
            "PROXY TCP6 fe80::1%eth0 ::1 4711 80",
            "PROXY TCP6 [::1] ::1 4711 80",
            "PROXY TCP4 192.0.2.1 127.0.0.1 65536 80",
            "PROXY TCP4 192.0.2.1 127.0.0.1 04711 80",
            "PROXY TCP4 192.0.2.1 127.0.0.1 +4711 80",
            "PROXY TCP4 192.0.2.1 127.0.0.1 -1 80",
            "PROXY TCP4 192.0.2.1 127.0.0.1 4711 00",
            "PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\n",
            "PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r",
            "PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\nGET / HTTP/1.1",
            "PROXY UDP4 192.0.2.1 127.0.0.1 4711 80",
            "PROXY UNKNOWNS",
            "PROXY unknown",
        ];
        let lines = lines.map(|line| [line.as_bytes(), b"\r\n"].concat());
        let long = |count| [b"PROXY UNKNOWN ", &vec![b'x'; count][..], b"\r\n"].concat();
        assert!(parse_proxy_header(&long(91)).is_ok());
        let bad_signature = v2(V2_PROXY, V2_TCP4, TCP4).into_iter().rev().collect();
        let oversized = vec![7; PROXY_HEADER_BYTES_MAX - V2_FIXED_BYTES + 1];
        let others = [
            long(92),
            long(9_000),
            b"PROXY UNKNOWN \r".repeat(20),
            b"\r\n\r\n\0\r\nQUIT\r".to_vec(),
            b"\x16\x03\x01\x02\0".to_vec(),
            bad_signature,
            // Other versions and commands.
            v2(0x11, V2_TCP4, TCP4),
            v2(0x31, V2_TCP4, TCP4),
            v2(0x01, V2_TCP4, TCP4),
            v2(0x22, V2_TCP4, TCP4),
            v2(0x2f, V2_TCP4, TCP4),
            // Families and transports that do not exist.
            v2(V2_PROXY, 0x41, TCP4),
            v2(V2_PROXY, 0x13, TCP4),
            v2(V2_PROXY, 0xff, TCP4),
            // Too short for its addresses, or too long.
            v2(V2_PROXY, V2_TCP4, b""),
            v2(V2_PROXY, V2_TCP4, &TCP4[..11]),
            v2(V2_PROXY, V2_TCP6, TCP4),
            v2(V2_PROXY, V2_TCP6, &TCP6[..35]),
            v2(V2_PROXY, V2_TCP4, &oversized),
            v2(V2_LOCAL, 0x00, &oversized),
        ];
        for bytes in lines.into_iter().chain(others) {
            assert_eq!(parse_proxy_header(&bytes), Err(BadPreface), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_header_is_refused_as_soon_as_that_is_certain() {
        for (bytes, at) in [
            (&b"GET / HTTP/1.1"[..], 1),
            (b"PROXYTCP4 ", 6),
            (b"\r\n\r\nGET / HTTP/1.1", 5),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x02\x09", 16),
            (b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c", 16),
        ] {
            assert_eq!(parse_proxy_header(&bytes[..at - 1]), Ok(None), "{}", bytes.escape_ascii());
            assert_eq!(parse_proxy_header(&bytes[..at]), Err(BadPreface));
        }
    }

    #[test]
    fn a_changed_header_is_bounded_and_never_a_panic() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let headers = headers();
        let mut outcomes = [0; 3];
        for _ in 0..100_000 {
            let (header, _) = &headers[rng.random_range(0..headers.len())];
            let mut bytes = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            for _ in 0..rng.random_range(1..4) {
                let at = rng.random_range(0..bytes.len());
                match rng.random_range(0..4) {
                    0 => bytes[at] = rng.random(),
                    1 => bytes[at] ^= 1 << rng.random_range(0..8),
                    2 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, rng.random()),
                }
            }
            let result = parse_proxy_header(&bytes);
            let outcome = match result {
                Ok(Some(header)) => {
                    assert!(header.bytes <= bytes.len() && header.bytes <= PROXY_HEADER_BYTES_MAX);
                    // What follows makes no difference.
                    assert_eq!(parse_proxy_header(&bytes[..header.bytes]), result);
                    0
                }
                Ok(None) => 1,
                Err(BadPreface) => 2,
            };
            outcomes[outcome] += 1;
            bytes.resize(PROXY_HEADER_BYTES_MAX, b'x');
            assert_ne!(parse_proxy_header(&bytes), Ok(None), "it waits for no more bytes");
            let end = rng.random_range(0..bytes.len());
            if parse_proxy_header(&bytes) == Err(BadPreface) {
                assert!(!matches!(parse_proxy_header(&bytes[..end]), Ok(Some(_))));
            }
        }
        assert!(outcomes.iter().all(|count| *count > 100), "{outcomes:?}");
    }
}
