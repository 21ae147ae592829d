//! A proxy between a daemon and its server, over plain http: it writes down what passes, and ends
//! a daemon, loses an answer or breaks the link at a request that a test chooses.
//!
//! A request is passed on when the whole of it is here, and an answer likewise: so each strike is
//! either before the server knows of the request, or after it has done what was asked. Nothing is
//! rewritten; the client signs for the proxy's address, and the server takes the name it is told.

mod exchange;
mod message;

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

pub use exchange::Exchange;
use message::Message;

use super::s3_server::{Bucket, S3Server};
use super::wait::until;

/// For what was passed on to be answered.
const ANSWER_DEADLINE: Duration = Duration::from_mins(1);

/// The way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Up,
    /// Connections are closed as soon as a request or an answer is on them.
    Cut,
    /// Requests that come, and answers, are held until this changes.
    Silent,
}

/// When a strike hits its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The server never hears of it.
    Before,
    /// The server has done it; the client does not hear of it.
    After,
}

#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Ends this process with SIGKILL, and the link with it.
    Kill(u32),
    /// Closes the connection.
    Drop,
    /// Changes the link, from this request or answer on.
    Link(Link),
}

/// What is to happen once.
#[derive(Clone, Copy)]
pub struct Strike {
    /// Counted from 1, among the requests from now on.
    pub at: usize,
    /// Those of this operation; else all.
    pub among: Option<&'static str>,
    pub when: When,
    pub act: Act,
}

#[derive(Debug)]
pub struct Proxy {
    server: S3Server,
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    exchanges: Vec<Exchange>,
    /// Passed on, and not answered.
    under_way: usize,
    link: Link,
    armed: Option<Strike>,
    /// The exchange that the armed strike has chosen, until it hits.
    chosen: Option<usize>,
    struck: Option<usize>,
    connections: Vec<TcpStream>,
    ended: bool,
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("State")
            .field("exchanges", &self.exchanges.len())
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// In front of a server over http.
    pub fn before(server: &S3Server) -> Self {
        let upstream = server.endpoint.strip_prefix("http://");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let shared = Arc::new(Shared {
            upstream: upstream.expect("a server over http").to_owned(),
            state: Mutex::new(State {
                exchanges: Vec::new(),
                under_way: 0,
                link: Link::Up,
                armed: None,
                chosen: None,
                struck: None,
                connections: Vec::new(),
                ended: false,
            }),
            changed: Condvar::new(),
        });
        let proxy = Self {
            server: server.clone(),
            port: listener.local_addr().expect("an address").port(),
            shared: Arc::clone(&shared),
        };
        thread::spawn(move || shared.listen(&listener));
        proxy
    }

    /// The server, by way of the proxy.
    pub fn reach(&self) -> S3Server {
        S3Server {
            endpoint: format!("http://127.0.0.1:{}", self.port),
            ..self.server.clone()
        }
    }

    /// Requests so far.
    pub fn count(&self) -> usize {
        self.shared.lock().exchanges.len()
    }

    /// The uploads that the bucket has of all objects that one was begun of, after so many
    /// requests.
    pub fn uploads_left(&self, after: usize, bucket: &Bucket) -> Vec<String> {
        let keys: BTreeSet<_> = self.shared.lock().exchanges[after..]
            .iter()
            .filter(|it| it.operation() == "CreateMultipartUpload")
            .map(|it| it.key(&bucket.name).to_owned())
            .collect();
        let uploads = keys.iter().flat_map(|key| {
            let uploads = bucket.client.uploads(key).into_iter();
            uploads.map(move |upload| format!("{key}: {upload}"))
        });
        uploads.collect()
    }

    /// What passes while something is done.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> (T, Vec<Exchange>) {
        let before = self.shared.lock().exchanges.len();
        let done = work();
        (done, self.shared.lock().exchanges[before..].to_vec())
    }

    /// One strike at a time; another takes its place.
    pub fn arm(&self, strike: Strike) {
        let mut state = self.shared.lock();
        (state.armed, state.chosen, state.struck) = (Some(strike), None, None);
    }

    /// The request that the armed strike has hit.
    pub fn struck(&self) -> Option<Exchange> {
        let state = self.shared.lock();
        state.struck.map(|number| state.exchanges[number].clone())
    }

    /// No strike hits any more. The request that the armed one has hit.
    pub fn disarm(&self) -> Option<Exchange> {
        let mut state = self.shared.lock();
        state.armed = None;
        drop(state);
        self.struck()
    }

    pub fn set(&self, link: Link) {
        self.shared.lock().change_link(link);
        self.shared.changed.notify_all();
    }

    /// Waits until the server has answered whatever was passed on.
    pub fn settle(&self) {
        let idle = || (self.shared.lock().under_way == 0).then_some(());
        until(ANSWER_DEADLINE, idle).expect("the server answers");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.ended = true;
            state.change_link(Link::Cut);
        }
        self.shared.changed.notify_all();
        // Wakes the listener, which ends.
        let _ended_already = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl State {
    fn change_link(&mut self, link: Link) {
        self.link = link;
        if link == Link::Cut {
            for connection in self.connections.drain(..) {
                let _closed_already = connection.shutdown(Shutdown::Both);
            }
        }
    }

    /// Whether the armed strike hits this exchange now; it is done then.
    fn strike(&mut self, number: usize, when: When) -> Option<Act> {
        let strike = self.armed?;
        if self.chosen != Some(number) || strike.when != when {
            return None;
        }
        (self.armed, self.struck) = (None, Some(number));
        match strike.act {
            Act::Kill(pid) => {
                let pid = i32::try_from(pid).expect("a process id");
                // SAFETY: kill has no preconditions; the process is a child of this one that
                // nobody has waited for yet.
                assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0, "killing");
                self.change_link(Link::Cut);
            }
            Act::Link(link) => self.change_link(link),
            Act::Drop => {}
        }
        Some(strike.act)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics with the lock")
    }

    fn listen(self: &Arc<Self>, listener: &TcpListener) {
        for connection in listener.incoming() {
            if self.lock().ended {
                return;
            }
            let Ok(connection) = connection else { continue };
            let shared = Arc::clone(self);
            thread::spawn(move || shared.serve(&connection));
        }
    }

    fn serve(&self, client: &TcpStream) {
        let Ok(remembered) = client.try_clone() else {
            return;
        };
        self.lock().connections.push(remembered);
        let _broken_or_ended = self.pass(client);
        let _closed_already = client.shutdown(Shutdown::Both);
    }

    /// Passes on what comes on one connection, until either side ends it or a strike does.
    fn pass(&self, client: &TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut from_client = BufReader::new(client);
        let mut server: Option<BufReader<TcpStream>> = None;
        while let Some(request) = Message::request(&mut from_client)? {
            let Some(number) = self.enter(&request) else {
                return Ok(());
            };
            let answer = Self::ask(&self.upstream, &mut server, &request);
            if !self.answered(number, answer.as_ref().ok()) {
                return Ok(());
            }
            let answer = answer?;
            (&mut &*client).write_all(&answer.head)?;
            (&mut &*client).write_all(&answer.body)?;
            if answer.header("connection") == Some("close") {
                return Ok(());
            }
        }
        Ok(())
    }

    fn ask(
        upstream: &str,
        server: &mut Option<BufReader<TcpStream>>,
        request: &Message,
    ) -> io::Result<Message> {
        let stream = if let Some(stream) = server {
            stream
        } else {
            let stream = TcpStream::connect(upstream)?;
            stream.set_nodelay(true)?;
            server.insert(BufReader::new(stream))
        };
        // A server that refuses answers before it has read everything.
        let sent = stream
            .get_mut()
            .write_all(&request.head)
            .and_then(|()| stream.get_mut().write_all(&request.body));
        Message::answer(stream, request.method()).map_err(|error| sent.err().unwrap_or(error))
    }

    /// The number of a request that may be passed on.
    fn enter(&self, request: &Message) -> Option<usize> {
        let mut state = self.lock();
        if state.link == Link::Cut {
            return None;
        }
        let number = state.exchanges.len();
        state.exchanges.push(Exchange::of(request));
        if let State {
            armed: Some(strike),
            exchanges,
            chosen,
            ..
        } = &mut *state
        {
            let operation = exchanges[number].operation();
            let is_among = strike.among.is_none_or(|among| among == operation);
            strike.at -= usize::from(is_among && strike.at > 0);
            if is_among && strike.at == 0 && chosen.is_none() {
                *chosen = Some(number);
            }
        }
        let act = state.strike(number, When::Before);
        self.changed.notify_all();
        state = self.wait(state);
        if matches!(act, Some(Act::Drop | Act::Kill(_))) || state.link == Link::Cut {
            return None;
        }
        state.under_way += 1;
        Some(number)
    }

    /// Whether an answer may be given back; `None` where the server was not reached.
    fn answered(&self, number: usize, answer: Option<&Message>) -> bool {
        let mut state = self.lock();
        state.under_way -= 1;
        let exchange = &mut state.exchanges[number];
        exchange.status = answer.map(Message::status);
        exchange.down = answer.map_or(0, |answer| answer.body.len() as u64);
        let act = state.strike(number, When::After);
        self.changed.notify_all();
        state = self.wait(state);
        !matches!(act, Some(Act::Drop | Act::Kill(_))) && state.link != Link::Cut
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let held = self
            .changed
            .wait_while(state, |state| state.link == Link::Silent);
        held.expect("nothing panics with the lock")
    }
}
