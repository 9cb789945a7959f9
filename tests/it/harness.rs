//! Shared by the black-box tests: a running server, and peers that speak to it byte by byte.
//!
//! Every wait has a condition and a limit; the kernel chooses the ports.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use rustix::process::{Pid, Signal, kill_process};
use rustls::ClientConnection;
use skirmish::ws::frame;
use socket2::{Domain, Socket, Type};

/// How long a test waits for a condition before it fails.
pub const WAIT_MAX: Duration = Duration::from_secs(20);

/// A running server; dropped, it is stopped.
pub struct TestServer {
    child: Child,
    pub addr: SocketAddr,
    /// The address of `--admin-listen`, if it is set.
    admin: Option<SocketAddr>,
    /// The address of `--redirect-http`, if it is set.
    redirect: Option<SocketAddr>,
    stderr: Receiver<String>,
    log_lines: Vec<String>,
}

impl TestServer {
    /// Starts the server on a free port of 127.0.0.1.
    pub fn start(args: &[&str]) -> TestServer {
        TestServer::start_on("127.0.0.1:0", args)
    }

    /// Starts an example on a free port of 127.0.0.1. `cargo test` builds it; with `--test it`,
    /// `cargo build --examples` has to be run first.
    pub fn start_example(name: &str) -> TestServer {
        let folder = Path::new(env!("CARGO_BIN_EXE_skirmish")).with_file_name("examples");
        let mut command = Command::new(folder.join(name));
        command.env_remove("PORT");
        TestServer::spawn(command, "127.0.0.1:0", &[], Stdio::piped())
    }

    pub fn start_on(listen: &str, args: &[&str]) -> TestServer {
        TestServer::spawn(command(), listen, args, Stdio::piped())
    }

    /// Starts a server with its log redirected.
    pub fn start_logging_to(log: impl Into<Stdio>, args: &[&str]) -> TestServer {
        TestServer::spawn(command(), "127.0.0.1:0", args, log.into())
    }

    /// Starts a server with more environment variables.
    pub fn start_with_variables(variables: &[(&str, &Path)], args: &[&str]) -> TestServer {
        let mut command = command();
        command.envs(variables.iter().copied());
        TestServer::spawn(command, "127.0.0.1:0", args, Stdio::piped())
    }

    /// Starts a server with the soft limit of file descriptors lowered to `fds`.
    pub fn start_with_soft_limit(fds: u32) -> TestServer {
        let mut shell = Command::new("sh");
        let script = format!("ulimit -S -n {fds} && exec \"$0\" \"$@\"");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_skirmish")]).env_remove("PORT");
        TestServer::spawn(shell, "127.0.0.1:0", &[], Stdio::piped())
    }

    /// Starts a server with a listener that was opened before (socket activation).
    pub fn start_activated(listener: &TcpListener, args: &[&str]) -> TestServer {
        let mut shell = Command::new("sh");
        let script = "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\" 3<&0 </dev/null";
        shell.args(["-c", script, env!("CARGO_BIN_EXE_skirmish")]).env_remove("PORT");
        let stdin = OwnedFd::from(listener.try_clone().expect("it can be shared"));
        TestServer::spawn_with(shell, args, stdin.into(), Stdio::piped())
    }

    fn spawn(command: Command, listen: &str, args: &[&str], log: Stdio) -> TestServer {
        let args = [&["--listen", listen], args].concat();
        TestServer::spawn_with(command, &args, Stdio::null(), log)
    }

    fn spawn_with(mut command: Command, args: &[&str], stdin: Stdio, log: Stdio) -> TestServer {
        let mut child = command
            .args(args)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let stderr = match child.stderr.take() {
            Some(log) => lines(log),
            None => mpsc::channel().1,
        };
        let stdout = lines(child.stdout.take().expect("it is piped"));
        let deadline = Instant::now() + WAIT_MAX;
        let (mut addr, mut admin, mut redirect) = (None, None, None);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = stdout.recv_timeout(left).unwrap_or_else(|_| {
                panic!("no startup message; stderr: {:?}", stderr.try_iter().collect::<Vec<_>>())
            });
            if let Some((before, rest)) = line.split_once("://") {
                let host = rest.split('/').next().expect("split has a first part");
                let place = match before.split(':').next() {
                    Some("Metrics") => &mut admin,
                    Some("Redirects") => &mut redirect,
                    _ => &mut addr,
                };
                place.get_or_insert(host.parse().expect("an address"));
            } else if line.starts_with("Ctrl-C") {
                break;
            }
        }
        let addr = addr.expect("the startup message has the address");
        TestServer { child, addr, admin, redirect, stderr, log_lines: Vec::new() }
    }

    /// The address of `--admin-listen`.
    pub fn admin(&self) -> SocketAddr {
        self.admin.expect("the startup message has the admin address")
    }

    /// The address of `--redirect-http`.
    pub fn redirect(&self) -> SocketAddr {
        self.redirect.expect("the startup message has the redirect address")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid() as i32).expect("a pid is positive");
        kill_process(pid, signal).expect("the server runs");
    }

    /// Waits until the server exits by itself.
    pub fn exit(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("the server exits", || child.try_wait().expect("it can be waited for"))
    }

    /// The response to a request on its own connection; see [`request`].
    pub fn ask(&self, line: &str, fields: &str) -> Answer {
        Peer::connect(self.addr).ask(&request(self.addr, line, fields))
    }

    /// The value of a series in `/metrics`, such as `skirmish_players`.
    pub fn metric(&self, series: &str) -> u64 {
        let addr = self.admin.unwrap_or(self.addr);
        let body = Peer::connect(addr).get("/metrics").text();
        let line = body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = line.unwrap_or_else(|| panic!("no {series} in {body}"));
        value.parse().expect("a whole number")
    }

    /// Waits until a series in `/metrics` has a value.
    pub fn until_metric(&self, series: &str, value: u64) {
        until(&format!("{series} is {value}"), || (self.metric(series) == value).then_some(()));
    }

    /// The log lines so far.
    pub fn log(&mut self) -> &[String] {
        self.log_lines.extend(self.stderr.try_iter());
        &self.log_lines
    }

    /// Waits until the log has a line that contains `text`.
    pub fn until_logged(&mut self, text: &str) -> String {
        until(&format!("{text:?} is logged"), || {
            self.log_lines.extend(self.stderr.try_iter());
            self.log_lines.iter().find(|line| line.contains(text)).cloned()
        })
    }

    /// Resident memory, in bytes.
    pub fn rss_bytes(&self) -> u64 {
        let path = format!("/proc/{}/statm", self.pid());
        let text = std::fs::read_to_string(path).expect("the server runs");
        let pages: u64 = text.split(' ').nth(1).expect("statm").parse().expect("a number");
        pages * rustix::param::page_size() as u64
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command that runs the server, without SKIRMISH_ variables.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skirmish"));
    command.env_remove("PORT");
    command
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// A TCP connection from the loopback address 127.0.0.`host`.
pub fn from(host: u8, addr: SocketAddr) -> TcpStream {
    try_from(host, addr).expect("the server listens")
}

/// Like [`from`]; the server may reset the connection before the call returns.
pub fn try_from(host: u8, addr: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let source = SocketAddr::from(([127, 0, 0, host], 0));
    socket.bind(&source.into()).expect("all of 127.0.0.0/8 is loopback");
    socket.connect(&addr.into())?;
    Ok(socket.into())
}

/// Starts a server with these flags and variables, and stops it once it listens. Returns its startup
/// message and its log. It may also refuse to start.
pub fn start_and_stop(args: &[&str], env: &[(&str, &str)]) -> (String, String) {
    let mut child = command()
        .args(args)
        .envs(env.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let lines = stdout.lines().map_while(Result::ok);
    let startup: Vec<String> = lines.take_while(|line| !line.starts_with("Ctrl-C")).collect();
    // It has not been waited for, so this reaches no other process.
    let _ = kill_process(Pid::from_child(&child), Signal::TERM);
    let output = child.wait_with_output().expect("it ends");
    (startup.join("\n"), String::from_utf8(output.stderr).expect("text"))
}

/// Decompresses a gzip body.
#[must_use]
pub fn unzipped(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).expect("gzip");
    plain
}

/// Repeats `probe` until it returns a value; fails the test after `WAIT_MAX`.
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        // A pause between two probes, so that polling does not starve the server.
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A TCP connection to the server, and the bytes received but not read.
pub struct Peer {
    pub stream: TcpStream,
    pub addr: SocketAddr,
    /// TLS over the connection, if there is any.
    pub tls: Option<Box<ClientConnection>>,
    inbox: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// FIN, RSV and opcode as received.
    pub first: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn text(&self) -> &str {
        assert_eq!(self.first, 0x81, "a text frame: {self:?}");
        str::from_utf8(&self.payload).expect("text is UTF-8")
    }

    /// The code and reason of a close frame.
    pub fn close(&self) -> (Option<u16>, String) {
        assert_eq!(self.first, 0x88, "a close frame: {self:?}");
        let code = self.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        let reason = self.payload.get(2..).unwrap_or_default();
        (code, String::from_utf8(reason.to_vec()).expect("a reason is UTF-8"))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Lower-case names.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("a body of text")
    }
}

/// The key in the example of RFC 6455.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

impl Peer {
    pub fn connect(addr: SocketAddr) -> Peer {
        Peer::over(TcpStream::connect(addr).expect("the server listens"))
    }

    /// Asserts that the server resets or closes a connection without reading from it. The reset may
    /// arrive before the connection is established for this side.
    pub fn expect_refused(connected: io::Result<TcpStream>) {
        match connected {
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            Ok(stream) => Peer::over(stream).expect_end(),
        }
    }

    /// A peer over an existing connection.
    pub fn over(stream: TcpStream) -> Peer {
        // A connection that the server has reset meanwhile has no peer any more.
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let addr = stream.peer_addr().unwrap_or(nowhere);
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(WAIT_MAX)).expect("a socket option");
        stream.set_write_timeout(Some(WAIT_MAX)).expect("a socket option");
        Peer { stream, addr, tls: None, inbox: Vec::new() }
    }

    /// Joins: does the handshake and reads the `init` message, which it returns.
    pub fn join(addr: SocketAddr, target: &str) -> (Peer, String) {
        let mut peer = Peer::upgrade(addr, target);
        let init = peer.frame();
        let id = between(init.text(), "\"id\":\"", "\"").to_owned();
        (peer, id)
    }

    /// A peer with an open WebSocket.
    pub fn upgrade(addr: SocketAddr, target: &str) -> Peer {
        let mut peer = Peer::connect(addr);
        peer.open(target);
        peer
    }

    /// Opens a WebSocket.
    pub fn open(&mut self, target: &str) {
        self.send(&handshake(self.addr, target));
        let answer = self.answer(true);
        assert_eq!(answer.status, 101, "{answer:?}");
        assert_eq!(answer.field("sec-websocket-accept"), Some(ACCEPT));
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.write(bytes).expect("the server reads");
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => {
                let mut stream = rustls::Stream::new(tls.as_mut(), &mut self.stream);
                stream.write_all(bytes).and_then(|()| stream.flush())
            }
            None => self.stream.write_all(bytes),
        }
    }

    /// Sends bytes one by one, each in its own segment as far as the kernel allows.
    pub fn send_bytewise(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.send(std::slice::from_ref(byte));
        }
    }

    /// Sends bytes in two parts, the second once the server has read the first.
    pub fn send_cut(&mut self, bytes: &[u8], cut: usize, barrier: &mut ReadBarrier) {
        self.send(&bytes[..cut]);
        barrier.wait_until_read();
        self.send(&bytes[cut..]);
    }

    /// Sends a masked frame with an arbitrary first byte.
    pub fn send_frame(&mut self, first: u8, payload: &[u8]) {
        self.send(&masked(first, payload));
    }

    pub fn send_text(&mut self, text: &str) {
        self.send_frame(0x81, text.as_bytes());
    }

    /// `GET target` on this connection, with the expected `Host`.
    pub fn get(&mut self, target: &str) -> Answer {
        let addr = self.addr;
        self.send(format!("GET {target} HTTP/1.1\r\nHost: {addr}\r\n\r\n").as_bytes());
        self.answer(true)
    }

    /// Sends a raw request and reads its response.
    pub fn ask(&mut self, request: &str) -> Answer {
        self.send(request.as_bytes());
        self.answer(!request.starts_with("HEAD "))
    }

    /// The status of `GET target`, or `None` if the server closes the connection instead.
    pub fn try_get(&mut self, target: &str) -> Option<u16> {
        let addr = self.addr;
        let request = format!("GET {target} HTTP/1.1\r\nHost: {addr}\r\n\r\n");
        self.write(request.as_bytes()).ok()?;
        while !self.inbox.ends_with(b"\n") {
            if !self.fill() {
                return None;
            }
        }
        Some(self.answer(true).status)
    }

    /// The next response; `has_body` is false for the response to HEAD.
    pub fn answer(&mut self, has_body: bool) -> Answer {
        let end = loop {
            if let Some(at) = self.inbox.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.fill(), "the connection ended in a head: {:?}", self.inbox);
        };
        let head: Vec<u8> = self.inbox.drain(..end).collect();
        let head = String::from_utf8(head).expect("a head is text");
        let mut lines = head.trim_end().split("\r\n");
        let first = lines.next().expect("a status line");
        assert!(first.starts_with("HTTP/1.1 "), "{first}");
        let status = first[9..12].parse().expect("a status");
        let fields: Vec<(String, String)> = lines
            .map(|line| {
                let (name, value) = line.split_once(": ").expect("a header field");
                (name.to_lowercase(), value.to_owned())
            })
            .collect();
        let mut answer = Answer { status, fields, body: Vec::new() };
        let length = answer.field("content-length").map_or(0, |n| n.parse().expect("a length"));
        if has_body {
            while self.inbox.len() < length {
                assert!(self.fill(), "the connection ended in a body");
            }
            answer.body = self.inbox.drain(..length).collect();
        }
        answer
    }

    pub fn frame(&mut self) -> Frame {
        self.next_frame().expect("the connection is open")
    }

    /// The next frame, or `None` if the connection has ended. Pings are answered and skipped.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some((header_bytes, header)) =
                frame::parse(&self.inbox, frame::Mask::Forbidden, true)
                    .expect("valid server output")
            {
                let end = header_bytes + header.payload_bytes as usize;
                if self.inbox.len() >= end {
                    let bytes: Vec<u8> = self.inbox.drain(..end).collect();
                    if bytes[0] == 0x89 {
                        self.send_frame(0x8a, &bytes[header_bytes..]);
                        continue;
                    }
                    return Some(Frame {
                        first: bytes[0],
                        payload: bytes[header_bytes..].to_vec(),
                    });
                }
            }
            if !self.fill() {
                assert!(self.inbox.is_empty(), "the connection ended in a frame");
                return None;
            }
        }
    }

    /// Reads frames up to a close frame, and returns its code and reason.
    pub fn until_close(&mut self) -> (Option<u16>, String) {
        loop {
            let frame = self.frame();
            if frame.first == 0x88 {
                return frame.close();
            }
        }
    }

    /// Reads text frames until one contains all of `texts`.
    pub fn until_text(&mut self, texts: &[&str]) -> String {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let frame = self.frame();
            if frame.first == 0x81 && texts.iter().all(|text| frame.text().contains(text)) {
                return frame.text().to_owned();
            }
            assert!(Instant::now() < deadline, "timed out waiting for {texts:?}");
        }
    }

    /// Ends the connection with a RST.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).expect("a socket option");
    }

    /// Asserts that the server ends the connection without sending anything more.
    pub fn expect_end(&mut self) {
        assert!(!self.fill() && self.inbox.is_empty(), "unexpected bytes: {:?}", self.inbox);
    }

    /// Reads once; `false` if the connection has ended.
    fn fill(&mut self) -> bool {
        let mut buffer = [0; 65_536];
        loop {
            let read = match &mut self.tls {
                Some(tls) => rustls::Stream::new(tls.as_mut(), &mut self.stream).read(&mut buffer),
                None => self.stream.read(&mut buffer),
            };
            match read {
                Ok(0) => return false,
                Ok(count) => {
                    self.inbox.extend_from_slice(&buffer[..count]);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
                Err(error) => panic!("nothing received: {error}"),
            }
        }
    }
}

/// A connection that shows how far the server has read. The loop has one thread, so the response to
/// a request sent now proves that earlier bytes were read.
pub struct ReadBarrier(Peer);

impl ReadBarrier {
    pub fn of(addr: SocketAddr) -> ReadBarrier {
        ReadBarrier(Peer::connect(addr))
    }

    /// Returns once the server has read what other peers have sent. Requests twice: a connection is
    /// accepted in one turn of the loop and read in the next.
    pub fn wait_until_read(&mut self) {
        for _ in 0..2 {
            assert_eq!(self.0.get("/healthz").status, 200);
        }
    }
}

/// An HTTP/1.1 request with its `Host`. `line` is the method and target; each of the other `fields`
/// includes its line end.
pub fn request(addr: SocketAddr, line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: {addr}\r\n{fields}\r\n")
}

/// A WebSocket handshake request.
pub fn handshake(addr: SocketAddr, target: &str) -> Vec<u8> {
    skirmish::ws::handshake::request(&addr.to_string(), target, KEY)
}

/// A masked frame with an arbitrary first byte.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode_masked(frame::BINARY, payload, [0x12, 0x34, 0x56, 0x78], &mut bytes);
    bytes[0] = first;
    bytes
}

/// The part of `text` between `before` and `after`.
pub fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.split_once(after).unwrap_or_else(|| panic!("no {after} in {rest}")).0
}

/// The position of player `id` in a `state_update`.
pub fn place(state: &str, id: &str) -> (u16, u16) {
    let rest = between(state, &format!("{{\"id\":\"{id}\","), "}");
    let number = |text: &str| text.parse().expect("a number");
    (number(between(rest, "\"x\":", ",")), number(between(rest, "\"y\":", ",")))
}
