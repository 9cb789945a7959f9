//! What a client sends.

use std::fmt::Display;
use std::io::Write;

use serde::Serialize;

/// What a client says first, as an answer to INFO.
#[derive(Clone, Debug, Serialize)]
pub struct Connect<'a> {
    /// Whether the server answers each operation with `+OK`.
    pub verbose: bool,
    /// Whether the server checks subjects strictly.
    pub pedantic: bool,
    /// Whether the client wants its own messages, too.
    pub echo: bool,
    /// Whether the client reads messages with headers.
    pub headers: bool,
    /// Whether a request without a subscriber is answered with status 503. Needs `headers`.
    pub no_responders: bool,
    /// The name of the connection, for the operator.
    pub name: &'a str,
    /// The language of the client.
    pub lang: &'a str,
    /// The version of the client.
    pub version: &'a str,
    /// 1: the client takes INFO at any time.
    pub protocol: u8,
    /// User and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a str>,
    /// See `user`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass: Option<&'a str>,
    /// A token instead of user and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<&'a str>,
}

/// Appends CONNECT.
pub fn connect(options: &Connect, out: &mut Vec<u8>) {
    let json = serde_json::to_string(options).expect("text and numbers are always JSON");
    line(out, format_args!("CONNECT {json}"));
}

/// Appends a message to a subject. An answer goes to the subject `reply`.
pub fn publish(subject: &str, reply: Option<&str>, payload: &[u8], out: &mut Vec<u8>) {
    let (reply, space) = reply.map_or(("", ""), |reply| (reply, " "));
    line(out, format_args!("PUB {subject} {reply}{space}{}", payload.len()));
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// Appends a message with header fields, whose names and values have no line ends.
pub fn publish_with_headers<'a>(
    subject: &str,
    reply: Option<&str>,
    fields: impl IntoIterator<Item = (&'a str, &'a str)>,
    payload: &[u8],
    out: &mut Vec<u8>,
) {
    let mut headers = b"NATS/1.0\r\n".to_vec();
    for (name, value) in fields {
        line(&mut headers, format_args!("{name}: {value}"));
    }
    headers.extend_from_slice(b"\r\n");
    let (reply, space) = reply.map_or(("", ""), |reply| (reply, " "));
    let (of_headers, all) = (headers.len(), headers.len() + payload.len());
    line(out, format_args!("HPUB {subject} {reply}{space}{of_headers} {all}"));
    out.extend_from_slice(&headers);
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// Appends a subscription to a pattern. The client chooses its number.
pub fn subscribe(pattern: &str, number: u64, out: &mut Vec<u8>) {
    line(out, format_args!("SUB {pattern} {number}"));
}

/// Appends the end of a subscription, now or after a number of messages in all.
pub fn unsubscribe(number: u64, after: Option<u64>, out: &mut Vec<u8>) {
    match after {
        Some(after) => line(out, format_args!("UNSUB {number} {after}")),
        None => line(out, format_args!("UNSUB {number}")),
    }
}

/// Appends a ping. The pong means that the server has read all before it.
pub fn ping(out: &mut Vec<u8>) {
    line(out, "PING");
}

/// Appends the answer to a ping.
pub fn pong(out: &mut Vec<u8>) {
    line(out, "PONG");
}

fn line(out: &mut Vec<u8>, text: impl Display) {
    write!(out, "{text}\r\n").expect("writing to memory cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn operations_are_lines() {
        assert_eq!(written(|out| publish("a.b", None, b"hi", out)), "PUB a.b 2\r\nhi\r\n");
        assert_eq!(written(|out| publish("a", Some("r.1"), b"", out)), "PUB a r.1 0\r\n\r\n");
        let fields = [("Nats-Expected-Last-Subject-Sequence", "17")];
        assert_eq!(
            written(|out| publish_with_headers("a", Some("r"), fields, b"hi", out)),
            "HPUB a r 53 55\r\nNATS/1.0\r\nNats-Expected-Last-Subject-Sequence: 17\r\n\r\nhi\r\n"
        );
        assert_eq!(written(|out| subscribe("a.>", 3, out)), "SUB a.> 3\r\n");
        assert_eq!(written(|out| unsubscribe(3, None, out)), "UNSUB 3\r\n");
        assert_eq!(written(|out| unsubscribe(3, Some(1), out)), "UNSUB 3 1\r\n");
        assert_eq!(written(ping) + &written(pong), "PING\r\nPONG\r\n");
    }

    #[test]
    fn secrets_are_only_sent_if_there_are_some() {
        let mut options = Connect {
            verbose: false,
            pedantic: false,
            echo: false,
            headers: true,
            no_responders: true,
            name: "a \"node\"",
            lang: "rust",
            version: "1",
            protocol: 1,
            user: None,
            pass: None,
            auth_token: None,
        };
        assert_eq!(
            written(|out| connect(&options, out)),
            concat!(
                r#"CONNECT {"verbose":false,"pedantic":false,"echo":false,"headers":true,"#,
                r#""no_responders":true,"name":"a \"node\"","lang":"rust","version":"1","#,
                r#""protocol":1}"#,
                "\r\n"
            )
        );
        options.auth_token = Some("t");
        assert!(written(|out| connect(&options, out)).ends_with(",\"auth_token\":\"t\"}\r\n"));
    }
}
