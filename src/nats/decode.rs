//! What a server sends.

use serde::Deserialize;

use super::subject::is_subject;

/// Bytes of the longest line. The line of a message has at most 4 KiB (`max_control_line` of the
/// server); INFO names all servers of the cluster.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// What a server sent.
#[derive(Debug, PartialEq)]
pub enum Operation<'a> {
    /// What the server is. It comes first, and again when something changes.
    Info(Box<Info>),
    /// A message to a subscription.
    Message(Message<'a>),
    /// Wants a PONG.
    Ping,
    /// Answers a PING.
    Pong,
    /// An operation was right; only if the client is verbose.
    Ok,
    /// An operation was wrong, or the connection ends: what the server says about it.
    Error(&'a str),
}

/// What a server says about itself. Fields that it does not send are empty.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Info {
    /// Its number, which is new after each start.
    pub server_id: String,
    /// Its name.
    pub server_name: String,
    /// Its version, such as `2.9.10`.
    pub version: String,
    /// Whether it knows headers.
    pub headers: bool,
    /// Whether it has `JetStream`.
    pub jetstream: bool,
    /// Bytes of the largest payload, with its headers.
    pub max_payload: usize,
    /// Whether it wants a user or a token.
    pub auth_required: bool,
    /// Whether TLS must begin now.
    pub tls_required: bool,
    /// Whether TLS may begin now.
    pub tls_available: bool,
    /// The number of this connection.
    pub client_id: u64,
    /// The addresses of its cluster, `host:port`.
    pub connect_urls: Vec<String>,
    /// Whether it is about to stop, so that clients should go to another one.
    pub ldm: bool,
}

/// A message to a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Where it was published.
    pub subject: &'a str,
    /// The number of the subscription.
    pub subscription: u64,
    /// Where an answer goes.
    pub reply: Option<&'a str>,
    /// Its headers.
    pub headers: Headers<'a>,
    /// Its payload.
    pub payload: &'a [u8],
}

/// The headers of a message, which may have a status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    /// The status, such as 503 if a subject has no subscriber.
    pub status: Option<u16>,
    fields: &'a str,
}

impl<'a> Headers<'a> {
    /// The first value of a field. Names are compared as they are written.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&'a str> {
        let fields = self.fields.lines().filter_map(|line| line.split_once(':'));
        let mut values = fields.filter(|(field, _)| *field == name).map(|(_, value)| value.trim());
        values.next()
    }
}

/// The bytes are not of this protocol: one sentence about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadOperation(pub &'static str);

const NOT_NATS: BadOperation = BadOperation("The server sent something that is not of NATS.");
const BAD_MESSAGE: BadOperation = BadOperation("The server sent a malformed message.");

/// Decodes the operation at the start of `bytes`, with a payload of at most `payload_bytes_max`
/// with its headers. Returns the bytes that it has, and the operation, or `None` if more bytes are
/// needed.
///
/// # Errors
/// It is none that a server sends, its line has more than [`LINE_BYTES_MAX`], or its payload more
/// than allowed.
pub fn decode(
    bytes: &[u8],
    payload_bytes_max: usize,
) -> Result<Option<(usize, Operation<'_>)>, BadOperation> {
    let scanned = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = scanned.iter().position(|byte| *byte == b'\n') else {
        let too_long = BadOperation("The server sent a line that is too long.");
        return if scanned.len() < LINE_BYTES_MAX { Ok(None) } else { Err(too_long) };
    };
    let line = bytes[..end].strip_suffix(b"\r").ok_or(NOT_NATS)?;
    let line = str::from_utf8(line).map_err(|_| NOT_NATS)?;
    let (name, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let after = end + 1;
    let operation = match name {
        "MSG" => return message(rest, after, bytes, false, payload_bytes_max),
        "HMSG" => return message(rest, after, bytes, true, payload_bytes_max),
        "INFO" => Operation::Info(Box::new(serde_json::from_str(rest).map_err(|_| NOT_NATS)?)),
        "PING" => Operation::Ping,
        "PONG" => Operation::Pong,
        "+OK" => Operation::Ok,
        "-ERR" => Operation::Error(rest.trim().trim_matches('\'')),
        _ => return Err(NOT_NATS),
    };
    Ok(Some((after, operation)))
}

/// Decodes the message whose line has these `arguments`, and whose payload begins at `at`.
fn message<'a>(
    arguments: &'a str,
    at: usize,
    bytes: &'a [u8],
    has_headers: bool,
    payload_bytes_max: usize,
) -> Result<Option<(usize, Operation<'a>)>, BadOperation> {
    let mut arguments = arguments.split([' ', '\t']).filter(|argument| !argument.is_empty());
    let mut next = || arguments.next();
    let subject = next().filter(|subject| is_subject(subject)).ok_or(BAD_MESSAGE)?;
    let subscription = number(next())?;
    let rest = [next(), next(), next(), next()];
    let (reply, header_bytes, total_bytes) = match (has_headers, rest) {
        (false, [total, None, ..]) => (None, 0, number(total)?),
        (false, [reply, total, None, _]) => (reply, 0, number(total)?),
        (true, [of_headers, total, None, _]) => (None, number(of_headers)?, number(total)?),
        (true, [reply, of_headers, total, None]) => (reply, number(of_headers)?, number(total)?),
        _ => return Err(BAD_MESSAGE),
    };
    let (header_bytes, total_bytes) = (size(header_bytes), size(total_bytes));
    if header_bytes > total_bytes {
        return Err(BAD_MESSAGE);
    }
    if total_bytes > payload_bytes_max {
        return Err(BadOperation("The server sent a message that is too large."));
    }
    let Some(rest) = bytes.get(at..at + total_bytes + 2) else { return Ok(None) };
    let (whole, line_end) = rest.split_at(total_bytes);
    if line_end != b"\r\n" {
        return Err(BAD_MESSAGE);
    }
    let (of_headers, payload) = whole.split_at(header_bytes);
    let headers = if has_headers { headers(of_headers)? } else { Headers::default() };
    let message = Message { subject, subscription, reply, headers, payload };
    Ok(Some((at + rest.len(), Operation::Message(message))))
}

/// At most 18 digits, so that sums do not overflow.
fn number(digits: Option<&str>) -> Result<u64, BadOperation> {
    let is_number = |text: &&str| text.len() <= 18 && text.bytes().all(|it| it.is_ascii_digit());
    digits.filter(is_number).and_then(|text| text.parse().ok()).ok_or(BAD_MESSAGE)
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn headers(bytes: &[u8]) -> Result<Headers<'_>, BadOperation> {
    let text = str::from_utf8(bytes).map_err(|_| BAD_MESSAGE)?;
    let text = text.strip_prefix("NATS/1.0").ok_or(BAD_MESSAGE)?;
    let (first, fields) = text.split_once("\r\n").ok_or(BAD_MESSAGE)?;
    let status = match first.split_ascii_whitespace().next() {
        Some(status) => Some(status.parse().map_err(|_| BAD_MESSAGE)?),
        None => None,
    };
    Ok(Headers { status, fields })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(bytes: &str) -> Result<Option<(usize, Operation<'_>)>, BadOperation> {
        decode(bytes.as_bytes(), 100)
    }

    fn message(bytes: &str) -> Message<'_> {
        match one(bytes) {
            Ok(Some((used, Operation::Message(message)))) if used == bytes.len() => message,
            other => panic!("{bytes:?}: {other:?}"),
        }
    }

    #[test]
    fn messages_have_a_subject_a_reply_headers_and_a_payload() {
        let none = Headers::default();
        let whole = Message {
            subject: "a.b",
            subscription: 7,
            reply: Some("r.1"),
            headers: none,
            payload: b"hi",
        };
        assert_eq!(message("MSG a.b 7 r.1 2\r\nhi\r\n"), whole);
        assert_eq!(message("MSG  a.b\t7   2\r\nhi\r\n"), Message { reply: None, ..whole });
        let empty = Message { reply: None, payload: b"", ..whole };
        assert_eq!(message("MSG a.b 7 0\r\n\r\n"), empty);
        let fields = "NATS/1.0\r\nOne: 1\r\nTwo:2\r\nOne: 3\r\n\r\n";
        let text =
            format!("HMSG a.b 7 r.1 {} {}\r\n{fields}hi\r\n", fields.len(), fields.len() + 2);
        let with_fields = message(&text);
        assert_eq!(Message { headers: none, ..with_fields }, whole);
        let Message { headers, .. } = with_fields;
        assert_eq!([headers.value("One"), headers.value("Two")], [Some("1"), Some("2")]);
        assert_eq!((headers.value("one"), headers.status), (None, None));
        let unanswered = message("HMSG a.b 7 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
        assert_eq!((unanswered.headers.status, unanswered.payload), (Some(503), &b""[..]));
        let said = message("HMSG a.b 7 28 28\r\nNATS/1.0 404 No Messages\r\n\r\n\r\n");
        assert_eq!(said.headers.status, Some(404));
    }

    #[test]
    fn other_operations_are_lines() {
        for (line, operation) in [
            ("PING\r\n", Operation::Ping),
            ("PONG\r\n", Operation::Pong),
            ("+OK\r\n", Operation::Ok),
            ("-ERR 'Authorization Violation'\r\n", Operation::Error("Authorization Violation")),
        ] {
            assert_eq!(one(line), Ok(Some((line.len(), operation))));
        }
        let line = concat!(
            r#"INFO {"server_id":"S","version":"2.9.10","proto":1,"headers":true,"#,
            r#""max_payload":1048576,"jetstream":true,"connect_urls":["a:1","b:2"]}"#,
            " \r\nPING\r\n"
        );
        let Ok(Some((used, Operation::Info(info)))) = one(line) else { panic!("{:?}", one(line)) };
        assert_eq!(&line[used..], "PING\r\n");
        let Info { server_id, headers, max_payload, connect_urls, ldm, .. } = *info;
        assert_eq!((server_id.as_str(), headers, max_payload), ("S", true, 1 << 20));
        assert_eq!((connect_urls, ldm), (vec!["a:1".to_owned(), "b:2".to_owned()], false));
    }

    /// What nats-server 2.9.10 answered to CONNECT (verbose), PING, SUB, PUB, HPUB, a request
    /// without a subscriber, one to `JetStream`, and two wrong lines, written as `encode` does.
    const SERVER: &[u8] =
        include_bytes!("../../tests/fuzz/corpus/nats_operations/nats-server-2.9.10");

    #[test]
    fn a_real_server_is_understood() {
        let (mut rest, mut seen) = (SERVER, Vec::new());
        while let Some((used, operation)) = decode(rest, 1 << 20).expect("it is right") {
            seen.push(match operation {
                Operation::Info(info) => {
                    assert!(info.headers && info.jetstream && info.max_payload == 1 << 20);
                    format!("INFO {}", info.version)
                }
                Operation::Message(Message { subject, reply, headers, payload, .. }) => {
                    let last = headers.value("Nats-Expected-Last-Subject-Sequence");
                    format!("{subject} {reply:?} {:?} {last:?} {}", headers.status, payload.len())
                }
                Operation::Ping => "PING".to_owned(),
                Operation::Pong => "PONG".to_owned(),
                Operation::Ok => "OK".to_owned(),
                Operation::Error(text) => text.to_owned(),
            });
            rest = &rest[used..];
        }
        seen.retain(|what| what != "OK");
        assert_eq!(
            seen,
            [
                "INFO 2.9.10",
                "PONG",
                "a.b None None None 2",
                "a.c Some(\"r\") None Some(\"17\") 2",
                "_INBOX.1 None Some(503) None 0",
                "PONG",
                "_INBOX.2 None None None 322",
                "PING",
                "Invalid Subject",
                "Unknown Protocol Operation",
            ]
        );
        assert!(rest.is_empty());
    }

    #[test]
    fn any_part_of_an_operation_needs_more_bytes() {
        for whole in [
            "HMSG a.b 7 r.1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
            "MSG a 1 2\r\nhi\r\n",
            "INFO {}\r\n",
            "PING\r\n",
        ] {
            for end in 0..whole.len() {
                assert_eq!(one(&whole[..end]), Ok(None), "{:?}", &whole[..end]);
            }
            assert!(matches!(one(whole), Ok(Some((used, _))) if used == whole.len()), "{whole:?}");
        }
    }

    #[test]
    fn what_no_server_sends_is_refused() {
        for bad in [
            "HTTP/1.1 400 Bad Request\r\n",
            "PUB a 0\r\n\r\n",
            "\r\n",
            "PING\n",
            "INFO x\r\n",
            "INFO\r\n",
            "MSG\r\n",
            "MSG a\r\n",
            "MSG a 1\r\n",
            "MSG a.> 1 0\r\n\r\n",
            "MSG a x 1\r\n",
            "MSG a 1 -1\r\n",
            "MSG a 1 +1\r\n",
            "MSG a 1 r 1 1\r\n",
            "MSG a 1 101\r\n",
            "MSG a 1 999999999999999999\r\n",
            "MSG a 1 99999999999999999999\r\n",
            "MSG a 1 2\r\nhi!!",
            "HMSG a 1 2\r\n",
            "HMSG a 1 12 2\r\n",
            "HMSG a 1 2 2\r\nhi\r\n",
            "HMSG a 1 8 8\r\nNATS/1.0\r\n",
            "HMSG a 1 14 14\r\nNATS/1.0 x\r\n\r\n\r\n",
        ] {
            assert!(one(bad).is_err(), "{bad:?}: {:?}", one(bad));
        }
        assert!(decode(b"MSG \xff 1 0\r\n\r\n", 100).is_err());
        assert!(decode(&vec![b'I'; LINE_BYTES_MAX], 100).is_err());
        assert_eq!(decode(&vec![b'I'; LINE_BYTES_MAX - 1], 100), Ok(None));
    }
}
