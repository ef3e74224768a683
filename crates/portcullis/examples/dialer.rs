//! A dialer: connects to one port, and does not listen, open files or start anything.
//!
//! For the example it connects to a socket of its own: `cargo run -p portcullis --example dialer`.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

use portcullis::{Layer, Outcome, Promise, Sandbox, sockets};

fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let (address, other) = (listener.local_addr()?, other.local_addr()?);

    let report = Sandbox::new("dialer")
        .promise(Promise::Stdio)
        .promise(Promise::Connect)
        .promise(Promise::Accept)
        .connect_ports(&[address.port()])
        .prepare()?
        .seal()?;
    writeln!(std::io::stderr(), "{report}")?;

    // With some C libraries, std makes sockets in a way that filters cannot check.
    let mut stream = sockets::connect(address)?;
    stream.write_all(b"hello")?;
    let mut accepted = listener.accept()?.0;
    let mut bytes = [0; 5];
    accepted.read_exact(&mut bytes)?;
    assert_eq!(&bytes, b"hello");

    // Ports are limited by Landlock of Linux 6.7 and later, and by Seatbelt.
    let limited = matches!(report.outcome(Layer::PATHS), Some(Outcome::Enforced(_)))
        && matches!(Layer::PATHS, Layer::Landlock | Layer::Seatbelt);
    assert!(sockets::connect(other).is_err() || !limited);
    Ok(())
}
