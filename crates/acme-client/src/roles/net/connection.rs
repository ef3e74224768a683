//! A TLS connection to the CA over a socket that dial has connected, with a time limit on everything.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use acme::Request;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::role::{Control, Stop, Wake};
use crate::roles::net::http::{self, Complete, Incoming};

/// A connection that is open.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    tls: ClientConnection,
    /// Whether a reply has come over it already.
    used: bool,
}

/// Why there is no reply.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The connection is of no use any more, for this reason.
    Broken(String),
    /// The other end is not who it should be, or sends what it should not: the next time will be the same.
    Hopeless(String),
    /// It was closed while it was idle, which servers may do: nothing was lost but the request.
    Stale,
    /// The role is to end.
    Stop(Stop),
}

impl From<Stop> for Trouble {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl Connection {
    /// Starts TLS on a connected socket. The handshake comes with the first request.
    pub(crate) fn new(socket: OwnedFd, host: &str, config: &Arc<rustls::ClientConfig>) -> Result<Self, String> {
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(name).map_err(|_| format!("{host} is no name that TLS knows"))?;
        let tls = ClientConnection::new(config.clone(), name).map_err(|error| error.to_string())?;
        Ok(Self { socket, tls, used: false })
    }

    /// Whether the other end has closed, or said something it was not asked for.
    pub(crate) fn is_stale(&self) -> bool {
        let mut polled = [PollFd::new(&self.socket, PollFlags::IN)];
        !matches!(rustix::event::poll(&mut polled, Some(&Timespec::default())), Ok(0))
    }

    /// Sends a request and waits for its reply, for as long as the request says and no longer.
    pub(crate) fn exchange(&mut self, request: &Request, control: &Control) -> Result<Complete, Trouble> {
        let until = Instant::now() + request.timeout;
        let mut incoming = Incoming::to(request);
        self.tls.writer().write_all(&http::encode(request)).map_err(|error| Trouble::Broken(error.to_string()))?;
        let mut buffer = vec![0; 16 << 10];
        loop {
            self.flush(until)?;
            match self.tls.reader().read(&mut buffer) {
                // close_notify: the orderly end.
                Ok(0) => return self.closed(&mut incoming),
                Ok(got) => {
                    let came = incoming.push(buffer.get(..got).unwrap_or_default()).map_err(Trouble::Hopeless)?;
                    if let Some(complete) = came {
                        self.used = true;
                        return Ok(complete);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.fill(until, control)? {
                        return self.closed(&mut incoming);
                    }
                }
                Err(error) => return Err(Trouble::Broken(error.to_string())),
            }
        }
    }

    fn closed(&self, incoming: &mut Incoming) -> Result<Complete, Trouble> {
        if self.used && incoming.is_empty() {
            return Err(Trouble::Stale);
        }
        incoming.closed().map_err(Trouble::Broken)
    }

    /// Writes what TLS has to send.
    fn flush(&mut self, until: Instant) -> Result<(), Trouble> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Socket(&self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = remaining(until)?;
                    let timeout = Timespec::try_from(left).map_err(|_| Trouble::Broken("the time is up".to_owned()))?;
                    let mut polled = [PollFd::new(&self.socket, PollFlags::OUT)];
                    let _ = rustix::event::poll(&mut polled, Some(&timeout));
                }
                Err(_) if self.used => return Err(Trouble::Stale),
                Err(error) => return Err(Trouble::Broken(crate::error::reason(&error))),
            }
        }
        Ok(())
    }

    /// Waits for something to come, and takes it in. `false`: the other end has closed without a word.
    fn fill(&mut self, until: Instant, control: &Control) -> Result<bool, Trouble> {
        match control.wait(&[self.socket.as_fd()], Some(remaining(until)?))? {
            Wake::Order(order) => return Err(Control::unexpected(&order).into()),
            Wake::Nothing => return remaining(until).map(|_| true),
            Wake::Ready(_) => {}
        }
        match self.tls.read_tls(&mut Socket(&self.socket)) {
            Ok(0) => return Ok(false),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(_) if self.used => return Ok(false),
            Err(error) => return Err(Trouble::Broken(crate::error::reason(&error))),
        }
        if let Err(error) = self.tls.process_new_packets() {
            // Tell the other end why, as far as it still listens.
            let _ = self.flush(until);
            return Err(Trouble::Hopeless(untrusted(&error)));
        }
        Ok(true)
    }
}

/// The words for what is wrong with the other end's TLS.
fn untrusted(error: &rustls::Error) -> String {
    use rustls::CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidYet, NotValidYetContext, UnknownIssuer,
    };
    match error {
        // Two roots of the same name are told apart by their keys alone.
        rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature) => {
            "the server's certificate is not from an authority that this machine trusts; if it is an internal CA, \
             say which root to trust with --ca-file"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
        ) => {
            format!("{error}; is this machine's clock right?")
        }
        other => other.to_string(),
    }
}

fn remaining(until: Instant) -> Result<Duration, Trouble> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(Trouble::Broken("the server does not answer in time".to_owned())) } else { Ok(left) }
}

/// A socket, used with `read` and `write` alone.
struct Socket<'a>(&'a OwnedFd);

impl io::Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::read(self.0, &mut *buffer) {
                Err(Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }
}

impl io::Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(self.0, bytes) {
                Err(Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
