//! What another process writes to a channel: whatever it is, a message or an error comes of it, and a message is what its
//! own form says.
#![no_main]

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use acme::{Publication, ToSign};
use libfuzzer_sys::fuzz_target;
use privsep::{Channel, Message, Never, pair};
use serde::{Deserialize, Serialize};

/// One of each kind of field that messages have.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Letter {
    Empty,
    Number(u64),
    Words(Vec<String>),
    Bytes(Vec<u8>, Option<bool>),
    Sign(Box<ToSign>),
    Publish(Publication),
}

impl Message for Letter {
    const MAX: usize = 512;

    fn word(&self) -> &'static str {
        "letter"
    }
}

fuzz_target!(|bytes: &[u8]| {
    // More than a socket holds would wait for a reader.
    let bytes = &bytes[..bytes.len().min(4096)];
    for with_descriptors in [false, true] {
        let (theirs, ours) = pair().expect("descriptors");
        send(theirs, bytes);
        let channel = Channel::<Never, Letter>::new(ours, "the fuzzer");
        let mut read = 0;
        while let Ok(letter) = receive(&channel, with_descriptors) {
            let again = postcard::to_allocvec(&letter).expect("what was read can be written");
            assert_eq!(postcard::from_bytes::<Letter>(&again).expect("and read again"), letter);
            read += 4;
        }
        assert!(read <= bytes.len(), "more messages than bytes");
    }
});

fn send(to: OwnedFd, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let sent = rustix::net::send(to.as_fd(), rest, rustix::net::SendFlags::NOSIGNAL).expect("a socket holds it");
        rest = &rest[sent..];
    }
}

fn receive(channel: &Channel<Never, Letter>, with_descriptors: bool) -> Result<Letter, privsep::ChannelError> {
    let timeout = Some(Duration::from_secs(10));
    if with_descriptors { channel.receive_with(timeout).map(|(letter, _)| letter) } else { channel.receive(timeout) }
}
