//! A listener: binds its port, and then serves whoever connects without being able to do anything else.
//!
//! For the example one client is there already: `cargo run -p portcullis --example listener`.

use std::error::Error;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use portcullis::{Promise, Sandbox};

fn main() -> Result<(), Box<dyn Error>> {
    // A service that hangs is ended by the kernel.
    portcullis::set_deadline(Duration::from_secs(60));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;

    let report = Sandbox::new("listener")
        .promise(Promise::Stdio)
        .promise(Promise::Accept)
        .max_open_files(16)
        .prepare()?
        .seal()?;
    writeln!(std::io::stderr(), "{report}")?;

    // Reading and writing by descriptor: sending with flags or to an address was not promised.
    let accepted = listener.accept()?.0;
    rustix::io::write(&accepted, b"good day\n")?;
    drop(accepted);
    let mut bytes = [0; 9];
    assert_eq!(rustix::io::read(&client, &mut bytes)?, bytes.len());
    assert_eq!(&bytes, b"good day\n");
    Ok(())
}
