//! Ending: one flag that every thread waits on, and the sockets to close so that none waits on them.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(crate) struct Stop {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    stopped: bool,
    next: u64,
    sockets: HashMap<u64, TcpStream>,
}

/// A socket that is closed when all ends; forgotten when dropped.
#[derive(Debug)]
pub(crate) struct Registered<'a>(&'a Stop, u64);

impl Stop {
    /// Ends all waiting and shuts all registered sockets down, now and from now on.
    pub(crate) fn stop(&self) {
        let mut inner = self.lock();
        inner.stopped = true;
        for socket in inner.sockets.values() {
            // An error means that the other side was quicker.
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.changed.notify_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Waits for that long, or until all ends; whether it goes on.
    pub(crate) fn wait(&self, duration: Duration) -> bool {
        let end = Instant::now() + duration;
        let mut inner = self.lock();
        while !inner.stopped {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            inner = self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    /// Has `socket` shut down when all ends; an error when it already has.
    pub(crate) fn register(&self, socket: &TcpStream) -> io::Result<Registered<'_>> {
        let socket = socket.try_clone()?;
        let mut inner = self.lock();
        if inner.stopped {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the server is stopping"));
        }
        inner.next += 1;
        let number = inner.next;
        inner.sockets.insert(number, socket);
        Ok(Registered(self, number))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.0.lock().sockets.remove(&self.1);
    }
}
