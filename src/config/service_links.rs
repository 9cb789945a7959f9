//! The environment variables that Kubernetes makes for each service ("service links"; Docker's
//! `--link` made the same). Those of a service called `skirmish` look like flags of the server.

use std::net::{IpAddr, SocketAddr};

/// Whether Kubernetes makes a variable of this name and value for a service called `skirmish`, or
/// `skirmish-...`: `SKIRMISH_SERVICE_HOST`, `SKIRMISH_SERVICE_PORT`, `SKIRMISH_SERVICE_PORT_WEB`,
/// `SKIRMISH_PORT` (an URL such as `tcp://10.0.0.7:8765`), `SKIRMISH_PORT_8765_TCP` (the same), and
/// that with `_PROTO`, `_PORT` or `_ADDR`.
pub(super) fn is_service_link(name: &str, value: &str) -> bool {
    let Some(rest) = name.strip_prefix("SKIRMISH").filter(|rest| rest.starts_with('_')) else {
        return false;
    };
    let is_address = value.parse::<IpAddr>().is_ok();
    let is_port = value.parse::<u16>().is_ok();
    let is_url = value.split_once("://").is_some_and(|(protocol, address)| {
        matches!(protocol, "tcp" | "udp" | "sctp") && address.parse::<SocketAddr>().is_ok()
    });
    let is_of_port = |parts: &[&str]| match parts {
        [_, _] => is_url,
        [_, protocol, "PROTO"] => protocol.eq_ignore_ascii_case(value),
        [port, _, "PORT"] => *port == value,
        [_, _, "ADDR"] => is_address,
        _ => false,
    };
    let port = rest.rsplit_once("_PORT_").map_or("", |(_, port)| port);
    let parts: Vec<&str> = port.split('_').collect();
    let has_port = parts[0].parse::<u16>().is_ok()
        && parts.get(1).is_some_and(|protocol| matches!(*protocol, "TCP" | "UDP" | "SCTP"));
    rest.ends_with("_SERVICE_HOST") && is_address
        || rest.ends_with("_SERVICE_PORT") && is_port
        || rest.contains("_SERVICE_PORT_") && is_port
        || rest.ends_with("_PORT") && is_url
        || has_port && is_of_port(&parts)
}

#[cfg(test)]
mod tests {
    use super::is_service_link;

    #[test]
    fn variables_of_a_service_are_recognised() {
        for (name, value) in [
            ("SKIRMISH_SERVICE_HOST", "10.96.0.7"),
            ("SKIRMISH_SERVICE_HOST", "fd00::7"),
            ("SKIRMISH_SERVICE_PORT", "8765"),
            ("SKIRMISH_SERVICE_PORT_WEB", "8765"),
            ("SKIRMISH_SERVICE_PORT_WEB_ADMIN", "9100"),
            ("SKIRMISH_PORT", "tcp://10.96.0.7:8765"),
            ("SKIRMISH_PORT", "tcp://[fd00::7]:8765"),
            ("SKIRMISH_PORT_8765_TCP", "tcp://10.96.0.7:8765"),
            ("SKIRMISH_PORT_8765_TCP_PROTO", "tcp"),
            ("SKIRMISH_PORT_8765_TCP_PORT", "8765"),
            ("SKIRMISH_PORT_8765_TCP_ADDR", "10.96.0.7"),
            ("SKIRMISH_PORT_53_UDP", "udp://10.96.0.7:53"),
            // Of a service `skirmish-admin`.
            ("SKIRMISH_ADMIN_SERVICE_HOST", "10.96.0.8"),
            ("SKIRMISH_ADMIN_SERVICE_PORT_METRICS", "9100"),
            ("SKIRMISH_ADMIN_PORT", "tcp://10.96.0.8:9100"),
            ("SKIRMISH_ADMIN_PORT_9100_TCP_ADDR", "10.96.0.8"),
        ] {
            assert!(is_service_link(name, value), "{name}={value}");
        }
    }

    #[test]
    fn other_variables_are_not() {
        for (name, value) in [
            ("SKIRMISH_PORT", "8765"),
            ("SKIRMISH_PORT", "http://10.96.0.7:8765"),
            ("SKIRMISH_PORT", "tcp://skirmish:8765"),
            ("SKIRMISH_PORT", "tcp://10.96.0.7"),
            ("SKIRMISH_HOST", "10.96.0.7"),
            ("SKIRMISH_SERVICE_HOST", "play.example.com"),
            ("SKIRMISH_SERVICE_PROT", "8765"),
            ("SKIRMISH_PORT_8765", "tcp://10.96.0.7:8765"),
            ("SKIRMISH_PORT_8765_TCP_PROT", "tcp"),
            ("SKIRMISH_PORT_8765_TCP_PORT", "1"),
            ("SKIRMISH_PORT_WEB_TCP", "tcp://10.96.0.7:8765"),
            ("SKIRMISH_LISTEN", "10.96.0.7:8765"),
            ("SKIRMISHES_SERVICE_HOST", "10.96.0.7"),
            ("OTHER_SERVICE_HOST", "10.96.0.7"),
        ] {
            assert!(!is_service_link(name, value), "{name}={value}");
        }
    }
}
