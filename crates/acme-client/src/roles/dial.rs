//! dial: resolves the authority's name and connects to it.
//!
//! Holds the addresses of the resolvers and the list of hosts and ports it may connect to. Reads DNS replies, and
//! nothing else that comes from outside. What it hands to net is a connected socket; it never sees what is said on it.

mod connect;
mod resolve;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd as _;

use portcullis::Sandbox;
use privsep::Channel;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::canary::permitted;
use crate::messages::{Check, FromDial, RoleSetup, ToDial, fitting};
use crate::role::{Actor, Control, Links, Stop, Wake};
use crate::roles::Role;
use resolve::Resolver;

/// What dial is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DialSetup {
    /// Hosts and ports that may be connected to: those of the CA, by configuration.
    pub(crate) targets: Vec<(String, u16)>,
}

/// The role.
#[derive(Debug)]
pub(crate) struct Dial {
    net: Channel<FromDial, ToDial>,
    targets: Vec<(String, u16)>,
    resolver: Resolver,
}

impl Actor for Dial {
    const ROLE: Role = Role::Dial;

    fn acquire(setup: RoleSetup, links: &mut Links, sandbox: Sandbox) -> Result<(Self, Sandbox), Stop> {
        let RoleSetup::Dial(DialSetup { targets }) = setup else {
            return Err(Stop::own("was set up as another role"));
        };
        let resolver = Resolver::from_system();
        let mut ports: Vec<u16> = targets.iter().map(|(_, port)| *port).collect();
        ports.push(resolve::PORT);
        let dial = Self { net: links.take(Role::Net)?, targets, resolver };
        // One socket for a query, one for a connection, and those it holds already would do. But the kernel refuses to
        // pass a descriptor on while more than this many of the same user's are on their way, whosever they are (unix(7),
        // ETOOMANYREFS), and an ordinary user has other programs too.
        Ok((dial, sandbox.connect_ports(&ports).max_open_files(1024)))
    }

    fn serve(self, control: &Control) -> Result<(), Stop> {
        loop {
            match control.wait(&[self.net.as_fd()], None)? {
                Wake::Order(order) => return Err(Control::unexpected(&order)),
                Wake::Nothing => {}
                Wake::Ready(_) => {
                    let ToDial::Connect(host, port) = self.net.receive(None)?;
                    self.connect(&host, port)?;
                }
            }
        }
    }

    fn canary(&mut self) -> Result<(), String> {
        // Of nothing, nothing arrives.
        let beside = &mut rustix::net::SendAncillaryBuffer::default();
        let sent = rustix::net::sendmsg(&self.net, &[], beside, rustix::net::SendFlags::NOSIGNAL);
        permitted("send a socket", sent)?;
        // Kernels without one of the families exist; datagrams leave nothing when they are only connected.
        let mut tried = Err("there is no IPv4 and no IPv6".to_owned());
        for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            match connect::try_out(ip) {
                Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL | Errno::NETUNREACH) => {}
                Err(error) => return Err(format!("cannot connect: {error}")),
                Ok(()) => tried = Ok(()),
            }
        }
        tried
    }

    #[cfg(feature = "attacks")]
    fn links(&self) -> crate::attack::Held<'_> {
        vec![(Role::Net, self.net.as_fd())]
    }

    fn self_test(&mut self) -> Vec<Check> {
        let mut checks = vec![Check { what: "has resolvers".into(), ok: true, detail: self.resolver.to_string() }];
        let elsewhere = self.open("elsewhere.invalid", 443);
        checks.push(Check {
            what: "refuses to connect to another host".into(),
            ok: elsewhere.is_err(),
            detail: elsewhere.err().unwrap_or_else(|| "it did".into()),
        });
        for (host, port) in self.targets.clone() {
            let tried = self.open(&host, port);
            checks.push(Check {
                what: format!("connects to {host} port {port}"),
                ok: tried.is_ok(),
                detail: match tried {
                    Ok((_, address)) => address.to_string(),
                    Err(text) => text,
                },
            });
        }
        checks
    }
}

impl Dial {
    fn connect(&self, host: &str, port: u16) -> Result<(), Stop> {
        match self.open(host, port) {
            Ok((socket, address)) => {
                self.net.send_with(&FromDial::Connected(address.to_string()), &[socket.as_fd()])?;
            }
            Err(text) => self.net.send(&FromDial::Refused(fitting(&text)))?,
        }
        Ok(())
    }

    fn open(&self, host: &str, port: u16) -> Result<(rustix::fd::OwnedFd, SocketAddr), String> {
        if !self.targets.iter().any(|(allowed, at)| allowed == host && *at == port) {
            return Err(format!("{host} port {port} is not among the hosts that the configuration allows"));
        }
        let addresses = self.addresses(host)?;
        let addresses: Vec<SocketAddr> = addresses.into_iter().map(|address| (address, port).into()).collect();
        connect::first(&addresses).map_err(|text| format!("cannot connect to {host} port {port}: {text}"))
    }

    fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        match literal.parse() {
            Ok(address) => Ok(vec![address]),
            Err(_) => self.resolver.addresses(host),
        }
    }
}
