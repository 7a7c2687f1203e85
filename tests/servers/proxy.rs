//! A proxy on loopback that forwards HTTP/1.1 requests and makes chosen ones fail.
//!
//! Each request has a connection of its own, so that a fault ends with it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What happens to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The connection is closed instead.
    Cut,
    /// The connection is closed in the middle of the request's body.
    CutRequest,
    /// It waits this long before it is forwarded.
    Delay(Duration),
    /// It is forwarded, and the connection is closed after this many bytes of the answer.
    Truncate(usize),
    /// It is forwarded, and its answer is lost.
    LoseAnswer,
    /// It is answered with this status, these header lines and this body instead.
    Answer(u16, &'static str, &'static str),
    /// It is answered with something that is not HTTP.
    Garbage,
}

/// A request, as a rule sees it.
pub struct Request<'a> {
    /// Its number, from 1.
    pub number: u64,
    /// Its method.
    pub method: &'a str,
    /// Its path and query.
    pub target: &'a str,
}

/// A moment as the proxy sees it, counted from when the rule was set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Moment {
    /// The head of this request arrived. It is not forwarded.
    Request(u64),
    /// The service answers this request. The answer is not passed on.
    Answer(u64),
    /// This many bytes of bodies and answers were passed on.
    Bytes(u64),
}

/// What is done once, at a moment.
struct Trap {
    moment: Moment,
    act: Box<dyn FnOnce() + Send>,
}

type Rule = dyn Fn(&Request<'_>) -> Option<Fault> + Send;

struct Shared {
    upstream: u16,
    rule: Mutex<Box<Rule>>,
    requests: AtomicU64,
    /// Bytes of bodies and answers that were passed on.
    passed: AtomicU64,
    /// Connections that are open.
    open: AtomicU64,
    trap: Mutex<Option<Trap>>,
    /// Bytes per second in each direction; 0 without a limit.
    bandwidth: AtomicU64,
    /// When the line is free again.
    free: Mutex<Instant>,
    ended: AtomicBool,
    log: Mutex<Vec<String>>,
}

/// A proxy that ends when it is dropped.
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Starts a proxy in front of a port, without faults.
    pub fn before(upstream: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            upstream,
            rule: Mutex::new(Box::new(|_| None)),
            requests: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            open: AtomicU64::new(0),
            trap: Mutex::default(),
            bandwidth: AtomicU64::new(0),
            free: Mutex::new(Instant::now()),
            ended: AtomicBool::new(false),
            log: Mutex::default(),
        });
        let own = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if own.ended.load(Ordering::Relaxed) {
                    break;
                }
                let own = own.clone();
                own.open.fetch_add(1, Ordering::Relaxed);
                thread::spawn(move || own.serve(client));
            }
        });
        Self { port, shared }
    }

    /// Starts counting anew, and applies a rule to each request from here on.
    pub fn set(&self, rule: impl Fn(&Request<'_>) -> Option<Fault> + Send + 'static) {
        let mut current = self.shared.rule.lock().unwrap();
        *current = Box::new(rule);
        self.shared.requests.store(0, Ordering::Relaxed);
        self.shared.passed.store(0, Ordering::Relaxed);
        *self.shared.trap.lock().unwrap() = None;
        self.shared.log.lock().unwrap().clear();
    }

    /// Makes one request fail.
    pub fn fail(&self, number: u64, fault: Fault) {
        self.set(move |request| Some(fault.clone()).filter(|_| request.number == number));
    }

    /// Starts counting anew, without faults, and does this once at a moment.
    pub fn at(&self, moment: Moment, act: impl FnOnce() + Send + 'static) {
        self.set(|_| None);
        *self.shared.trap.lock().unwrap() = Some(Trap { moment, act: Box::new(act) });
    }

    /// Waits until no connection is open.
    pub fn settle(&self) {
        while self.shared.open.load(Ordering::Relaxed) > 0 {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Returns how many bytes of bodies and answers were passed on since the rule was set.
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::Relaxed)
    }

    /// Returns how many requests arrived since the rule was set.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Returns method and target of each of them.
    pub fn log(&self) -> Vec<String> {
        self.shared.log.lock().unwrap().clone()
    }

    /// Limits the bytes per second in each direction.
    pub fn limit(&self, bytes_per_second: u64) {
        self.shared.bandwidth.store(bytes_per_second, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// A message up to the end of its head, and what was read behind it.
struct Head {
    text: String,
    rest: Vec<u8>,
}

impl Head {
    fn read(stream: &mut TcpStream) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let mut block = [0; 16 << 10];
        loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                let rest = bytes.split_off(end + 4);
                return Ok(Self { text: String::from_utf8_lossy(&bytes).into_owned(), rest });
            }
            match stream.read(&mut block)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => bytes.extend_from_slice(&block[..count]),
            }
        }
    }

    fn length(&self) -> u64 {
        let lines = self.text.lines().filter_map(|line| line.split_once(':'));
        let mut value = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).map(|(_, value)| value);
        value.next_back().map_or(0, |value| value.trim().parse().unwrap())
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) {
        /// Counts a connection as closed, also if its thread panics: nobody may wait for it for ever.
        struct Open<'a>(&'a AtomicU64);
        impl Drop for Open<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let _open = Open(&self.open);
        // Whatever goes wrong here is a broken connection for one of both sides.
        let _ = self.forward(&mut client);
        let _ = client.shutdown(Shutdown::Both);
    }

    /// Does what is to be done at this moment; returns whether there was something.
    fn reach(&self, is: impl Fn(Moment) -> bool) -> bool {
        let trap = self.trap.lock().unwrap().take_if(|trap| is(trap.moment));
        trap.map(|trap| (trap.act)()).is_some()
    }

    fn forward(&self, client: &mut TcpStream) -> io::Result<()> {
        let head = Head::read(client)?;
        let mut words = head.text.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (number, fault) = {
            let rule = self.rule.lock().unwrap();
            let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
            let fault = rule(&Request { number, method, target });
            let shown = target.split('?').next().unwrap_or_default();
            self.log.lock().unwrap().push(format!("{method} {shown} {fault:?}"));
            (number, fault)
        };
        if self.reach(|moment| moment == Moment::Request(number)) {
            return Ok(());
        }
        let length = head.length();
        match fault {
            Some(Fault::Cut) => return Ok(()),
            Some(Fault::CutRequest) => {
                let mut block = vec![0; (length / 2) as usize];
                return client.read_exact(&mut block[head.rest.len().min((length / 2) as usize)..]);
            }
            Some(Fault::Delay(time)) => thread::sleep(time),
            Some(Fault::Answer(status, headers, body)) => {
                // A body that nobody reads would reset the connection, and with it the answer.
                io::copy(&mut client.take(length - head.rest.len() as u64), &mut io::sink())?;
                let body = if method == "HEAD" { "" } else { body };
                let bytes = body.len();
                return write!(
                    client,
                    "HTTP/1.1 {status} Fault\r\nconnection: close\r\ncontent-length: {bytes}\r\n{headers}\r\n{body}"
                );
            }
            Some(Fault::Garbage) => return client.write_all(b"\0\x01\x02 not HTTP\r\n\r\n"),
            _ => {}
        }
        let mut server = TcpStream::connect(("127.0.0.1", self.upstream))?;
        let text = head.text.replacen("\r\n", "\r\nconnection: close\r\n", 1);
        server.write_all(text.as_bytes())?;
        self.pass(&mut head.rest.as_slice(), &mut server, u64::MAX)?;
        if self.pass(client, &mut server, length - head.rest.len() as u64)? > 0 {
            // The service would wait for the rest of the body.
            return Ok(());
        }
        server.peek(&mut [0])?;
        if self.reach(|moment| moment == Moment::Answer(number)) {
            return Ok(());
        }
        match fault {
            Some(Fault::LoseAnswer) => io::copy(&mut server, &mut io::sink()).map(drop),
            Some(Fault::Truncate(bytes)) => self.pass(&mut server, client, bytes as u64).map(drop),
            _ => self.pass(&mut server, client, u64::MAX).map(drop),
        }
    }

    /// Copies up to `left` bytes at the configured speed; returns how many did not come.
    fn pass(&self, from: &mut dyn Read, to: &mut dyn Write, mut left: u64) -> io::Result<u64> {
        let mut block = [0; 16 << 10];
        while left > 0 {
            let wanted = left.min(block.len() as u64) as usize;
            let count = from.read(&mut block[..wanted])?;
            if count == 0 {
                break;
            }
            let bandwidth = self.bandwidth.load(Ordering::Relaxed);
            if bandwidth > 0 {
                let start = {
                    let mut free = self.free.lock().unwrap();
                    let start = (*free).max(Instant::now());
                    *free = start + Duration::from_secs_f64(count as f64 / bandwidth as f64);
                    start
                };
                thread::sleep(start.saturating_duration_since(Instant::now()));
            }
            to.write_all(&block[..count])?;
            left -= count as u64;
            let before = self.passed.fetch_add(count as u64, Ordering::Relaxed);
            let now = before + count as u64;
            self.reach(|moment| matches!(moment, Moment::Bytes(bytes) if (before + 1..=now).contains(&bytes)));
        }
        Ok(left)
    }
}
