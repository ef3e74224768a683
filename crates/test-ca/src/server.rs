//! Sockets and threads: one that accepts, one for each connection.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::authority::{Answer, Authority};
use crate::http::{ReadError, Reader, Reply};
use crate::problem::Problem;
use crate::wire::Message;

/// How long a client may be silent, or not take what it is sent.
const IDLE: Duration = Duration::from_secs(60);

/// The listening socket's thread.
pub(crate) struct Server {
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(
        listener: TcpListener,
        address: SocketAddr,
        tls: Arc<ServerConfig>,
        authority: Arc<Authority>,
    ) -> io::Result<Self> {
        let thread = Builder::new().name("test-ca".into()).spawn(move || accept(&listener, &tls, &authority))?;
        Ok(Self { address, thread: Some(thread) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes all connections and waits for all threads.
    pub(crate) fn stop(&mut self, authority: &Authority) {
        authority.stop().stop();
        // Wakes the thread that accepts. Should that fail, the listener is broken and its thread has ended.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        authority.join();
    }
}

fn accept(listener: &TcpListener, tls: &Arc<ServerConfig>, authority: &Arc<Authority>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    while let Ok(socket) = next_client(listener, authority) {
        let (tls, authority) = (Arc::clone(tls), Arc::clone(authority));
        // A client that gets no thread sees its connection closed.
        if let Ok(thread) = Builder::new().name("test-ca client".into()).spawn(move || talk(socket, tls, &authority)) {
            threads.retain(|thread| !thread.is_finished());
            threads.push(thread);
        }
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// The next connection; an error ends the server.
fn next_client(listener: &TcpListener, authority: &Authority) -> io::Result<TcpStream> {
    loop {
        let accepted = listener.accept();
        if authority.stop().is_stopped() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        match accepted {
            Ok((socket, _)) => return Ok(socket),
            // Out of descriptors, or a client that has gone again: accept(2) says to go on.
            Err(_) => _ = authority.stop().wait(Duration::from_millis(10)),
        }
    }
}

/// Serves one connection. Errors end it, and that is all a client learns.
fn talk(socket: TcpStream, tls: Arc<ServerConfig>, authority: &Arc<Authority>) {
    let Ok(_registered) = authority.stop().register(&socket) else { return };
    let prepared = socket
        .set_nodelay(true)
        .and_then(|()| socket.set_read_timeout(Some(IDLE)))
        .and_then(|()| socket.set_write_timeout(Some(IDLE)));
    if let (Ok(()), Ok(connection)) = (prepared, ServerConnection::new(tls)) {
        let mut stream = StreamOwned::new(connection, socket);
        let mut reader = Reader::default();
        while let Ok(true) = exchange(&mut stream, &mut reader, authority) {}
    }
}

/// One request and its reply; whether there may be another.
fn exchange(
    stream: &mut StreamOwned<ServerConnection, TcpStream>,
    reader: &mut Reader,
    authority: &Arc<Authority>,
) -> io::Result<bool> {
    let (message, keep) = match reader.next(stream) {
        Err(ReadError::Closed) => return goodbye(stream),
        Err(ReadError::Bad(status, detail)) => {
            authority.refuse(&detail);
            let reply = Reply::from(Problem::new(status, "malformed", detail));
            (Message::new(reply, true, false, &[]), false)
        }
        Ok(request) => match authority.answer(&request) {
            Answer::Reply(reply, faults) => {
                let with_body = request.method != "HEAD";
                (Message::new(reply, with_body, request.keep_alive, &faults), request.keep_alive)
            }
            Answer::Silence => return silence(stream),
        },
    };
    let socket = stream.sock.try_clone()?;
    let good = message.send(stream, &socket, authority.stop())?;
    if good && !keep { goodbye(stream) } else { Ok(good) }
}

/// Ends the connection as TLS wants it.
fn goodbye(stream: &mut StreamOwned<ServerConnection, TcpStream>) -> io::Result<bool> {
    stream.conn.send_close_notify();
    stream.conn.complete_io(&mut stream.sock)?;
    Ok(false)
}

/// Says nothing until the client goes or the server ends.
fn silence(stream: &mut StreamOwned<ServerConnection, TcpStream>) -> io::Result<bool> {
    stream.sock.set_read_timeout(None)?;
    let mut ignored = [0; 4096];
    while stream.read(&mut ignored)? > 0 {}
    Ok(false)
}
