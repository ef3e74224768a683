//! Bytes past the types: what is no message, or one for somebody else.

use std::os::fd::AsFd as _;
use std::time::Duration;

use acme::{Nonce, Payload, Signer, ToSign, Url};
use attacks::Verdict;
use privsep::{Channel, Message};
use serde::Serialize;

use super::{Held, Known, channel, tried};
use crate::messages::{
    CsrMade, FromAccount, FromChallenge, FromDial, FromKey, FromRole, FromStore, KeyMade, ToAccount, ToChallenge,
    ToDial, ToKey, ToRole, ToStore,
};
use crate::role::{Control, Stop};
use crate::roles::Role;

/// How long a peer may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// One message that is none, and what the attacker hopes for.
struct Frame {
    name: String,
    wants: &'static str,
    bytes: Vec<u8>,
}

/// Peers in an order in which none ends because one before it has.
const ORDER: [Role; 5] = [Role::Dial, Role::Store, Role::Challenge, Role::Account, Role::Key];

/// How many rounds there are.
pub(crate) fn rounds(known: &Known) -> usize {
    ORDER.into_iter().map(|peer| frames(peer, known).len()).max().unwrap_or(0)
}

/// Sends each peer the frame of this number, and sees that it ends.
pub(super) fn send(known: &Known, number: usize, held: &Held<'_>, control: &Control) -> Result<(), Stop> {
    for peer in ORDER {
        let Some(frame) = frames(peer, known).into_iter().nth(number) else { continue };
        let (happened, verdict) = match peer {
            Role::Dial => answered::<ToDial, FromDial>(held, peer, &frame.bytes)?,
            Role::Account => answered::<ToAccount, FromAccount>(held, peer, &frame.bytes)?,
            Role::Key => answered::<ToKey, FromKey>(held, peer, &frame.bytes)?,
            Role::Challenge => answered::<ToChallenge, FromChallenge>(held, peer, &frame.bytes)?,
            _ => answered::<ToStore, FromStore>(held, peer, &frame.bytes)?,
        };
        let must = format!("{peer} ends the run");
        control.tell(&tried(format!("{peer}-{}", frame.name), frame.wants, &must, happened, verdict))?;
    }
    Ok(())
}

fn answered<S: Message, R: Message>(held: &Held<'_>, peer: Role, bytes: &[u8]) -> Result<(String, Verdict), Stop> {
    let channel: Channel<S, R> = channel(held, peer)?;
    let _ = rustix::io::write(channel.as_fd(), bytes);
    Ok(match channel.receive(Some(PATIENCE)) {
        Err(error) if error.is_vanished() => ("it ended".to_owned(), Verdict::Held),
        Err(error) => (error.to_string(), Verdict::Odd),
        Ok(answer) => (format!("SUCCEEDED: it answered \"{}\"", answer.word()), Verdict::Succeeded),
    })
}

/// A message with its length in front.
fn framed(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes(), payload].concat()
}

fn encoded<T: Serialize>(message: &T) -> Vec<u8> {
    postcard::to_allocvec(message).unwrap_or_default()
}

/// What each peer is sent: lengths and forms that are wrong for everybody, messages of others, and its own with wrong
/// content.
fn frames(peer: Role, known: &Known) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut add = |name: &str, wants, bytes: Vec<u8>| frames.push(Frame { name: name.to_owned(), wants, bytes });
    let (limit, valid) = match peer {
        Role::Dial => (ToDial::MAX, encoded(&ToDial::Connect("a".to_owned(), 1))),
        Role::Account => (ToAccount::MAX, encoded(&ToAccount::Known(known.directory.clone()))),
        Role::Key => (ToKey::MAX, encoded(&ToKey::Ready(0))),
        Role::Challenge => (ToChallenge::MAX, encoded(&ToChallenge::Ready(0))),
        _ => (ToStore::MAX, encoded(&ToStore::Journal(0, known.directory.clone()))),
    };
    let over = u32::try_from(limit).unwrap_or(u32::MAX).saturating_add(1);
    add("huge", "memory without end", u32::MAX.to_le_bytes().to_vec());
    add("too-long", "more than its type allows", [&over.to_le_bytes()[..], &[0; 64]].concat());
    add("empty", "a message without a kind", framed(&[]));
    add("unknown", "a kind that there is not", framed(&[0x7f]));
    add("unknown-far", "a kind far past the last", framed(&[0xff, 0xff, 0xff, 0xff, 0x0f]));
    add("overlong", "a number that is longer than numbers are", framed(&[0xff; 16]));
    add("trailing", "something behind a message that is right", framed(&[&valid[..], &[0]].concat()));
    add("cut-off", "a message without its end", framed(valid.split_last().map_or(&[], |(_, start)| start)));
    for (name, from, bytes) in foreign() {
        if from != peer {
            add(name, "a message for somebody else", framed(&bytes));
        }
    }
    for (name, wants, bytes) in own(peer, known) {
        add(name, wants, framed(&bytes));
    }
    frames
}

/// Messages of every type, and who takes them. Those are left out that have the form of another one.
fn foreign() -> Vec<(&'static str, Role, Vec<u8>)> {
    let text = || "x".to_owned();
    vec![
        ("of-dial", Role::Dial, encoded(&ToDial::Connect("attack".to_owned(), 443))),
        ("of-account", Role::Account, encoded(&ToAccount::Sign(nothing()))),
        ("of-store", Role::Store, encoded(&ToStore::Install(0, vec![1; 40]))),
        ("answer-of-dial", Role::Net, encoded(&FromDial::Connected(text()))),
        ("answer-of-account", Role::Net, encoded(&FromAccount::Signed(vec![1; 9]))),
        ("answer-of-key", Role::Net, encoded(&FromKey::Csr(vec![1; 9]))),
        ("answer-of-store", Role::Net, encoded(&FromStore::Refused(text()))),
        ("request-made", Role::Net, encoded(&CsrMade(0, vec![1; 9]))),
        ("key-made", Role::Net, encoded(&KeyMade(0, vec![1; 9]))),
        ("order-of-supervisor", Role::Net, encoded(&ToRole::Run(0, vec![text()]))),
        ("told-to-supervisor", Role::Net, encoded(&FromRole::Committed(0, u64::MAX))),
    ]
}

/// Some request to be signed.
fn nothing() -> ToSign {
    // The text is a URL and a nonce; if it were not, the frame would be empty, which is no message either.
    let parsed = Url::parse("https://attack.invalid/").ok().zip(Nonce::parse("abc").ok());
    match parsed {
        Some((url, nonce)) => ToSign { url: url.clone(), nonce, signer: Signer::Kid(url), payload: Payload::PostAsGet },
        None => unreachable!("texts of this file are well formed"),
    }
}

/// A text as it travels: its length and its bytes.
fn text(bytes: &[u8]) -> Vec<u8> {
    [encoded(&bytes.len()), bytes.to_vec()].concat()
}

/// Its own messages, with content that its types do not have.
fn own(peer: Role, known: &Known) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    match peer {
        Role::Account => {
            let mut key_change = encoded(&ToAccount::Sign(nothing()));
            if let Some(kind) = key_change.last_mut() {
                *kind = 9;
            }
            let mut raw = encoded(&ToAccount::Sign(nothing()));
            raw.truncate(3);
            vec![
                ("key-change", "another key for the account: there is no such request", key_change),
                ("raw-bytes", "a signature on bytes that are no request", [raw, vec![0x41; 200]].concat()),
                ("plain-http", "an account without TLS", [vec![1], text(b"http://127.0.0.1/account/1")].concat()),
                (
                    "url-with-user",
                    "an account behind another host",
                    [vec![1], text(b"https://ca@attack.example/")].concat(),
                ),
                ("url-with-line", "a header of its own", [vec![1], text(b"https://127.0.0.1/\r\nx: y")].concat()),
                ("no-text", "a URL that is no text", [vec![1], text(&[0xff, 0xfe])].concat()),
            ]
        }
        Role::Challenge => {
            let name = known.names.first().map(ToString::to_string).unwrap_or_default();
            let publish = |token: &[u8]| [vec![1, 0], text(name.as_bytes()), text(token)].concat();
            vec![
                ("token-parent", "a file outside", publish(b"../attack")),
                ("token-absolute", "a file anywhere", publish(b"/etc/cron.d/attack")),
                ("token-slash", "a file in another directory", publish(b"a/b")),
                ("token-dots", "the directory itself", publish(b"..")),
                ("token-dot", "a hidden file", publish(b".htaccess")),
                ("token-nul", "a name that ends early", publish(b"a\0b")),
                ("token-line", "a name of two lines", publish(b"a\nb")),
                ("token-percent", "a name that servers decode", publish(b"%2e%2e%2fattack")),
                ("token-page", "a page that browsers run", publish(b"attack.html")),
                ("token-empty", "a file without a name", publish(b"")),
                ("token-long", "a name that is too long", publish(&[b'a'; 300])),
                ("name-of-path", "a name that is a path", [vec![1, 0], text(b"../x"), text(b"abc")].concat()),
            ]
        }
        Role::Store => vec![
            ("account-http", "an account without TLS", [vec![0], text(b"http://127.0.0.1/1")].concat()),
            ("order-file", "an order that is a file", [vec![1, 0], text(b"file:///etc/shadow")].concat()),
            ("order-no-text", "an order that is no text", [vec![1, 0], text(&[0xff, 0xfe])].concat()),
            (
                "chain-longer-than-told",
                "memory behind the message",
                [vec![2, 0], encoded(&100_000_usize), vec![1; 8]].concat(),
            ),
        ],
        Role::Key => vec![
            ("far-certificate", "a certificate past all numbers", vec![1, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
            ("names", "a request for names of its own", [vec![1, 0], text(b"bank.example")].concat()),
        ],
        _ => vec![
            ("far-port", "a port past all ports", [vec![0], text(b"127.0.0.1"), encoded(&70_000_u32)].concat()),
            ("no-text", "a host that is no text", [vec![0], text(&[0xff, 0xfe]), vec![1]].concat()),
        ],
    }
}

/// What roles other than net may try on their peers: the role, the peer, what it is called, and what it is for.
pub(crate) const SIDEWAYS: [(Role, Role, &str, &str); 13] = [
    (Role::Dial, Role::Net, "connected-without-socket", "net to take whatever is there for a connection"),
    (Role::Dial, Role::Net, "connected-with-two-sockets", "descriptors that net does not know of"),
    (Role::Dial, Role::Net, "refused-with-socket", "a descriptor where none is expected"),
    (Role::Dial, Role::Net, "descriptors-in-bulk", "net to run out of descriptors"),
    (Role::Dial, Role::Net, "garbage-to-net", "net to misread"),
    (Role::Key, Role::Net, "request-instead-of-ready", "a request that net has not asked for"),
    (Role::Key, Role::Net, "garbage-to-net", "net to misread"),
    (Role::Key, Role::Account, "garbage-to-account", "account to misread"),
    (Role::Key, Role::Store, "key-for-no-certificate", "a key for a certificate that is not part of the run"),
    (Role::Key, Role::Store, "too-long-to-store", "store's memory"),
    (Role::Challenge, Role::Net, "too-long-to-net", "net's memory"),
    (Role::Account, Role::Challenge, "garbage-to-challenge", "challenge to misread"),
    (Role::Challenge, Role::Net, "garbage-to-net", "net to misread"),
];

/// Sends a peer what it must not be sent, by a role other than net.
pub(super) fn send_sideways(role: Role, number: usize, held: &Held<'_>) -> Result<(), Stop> {
    let Some((_, peer, name, _)) = SIDEWAYS.get(number).copied().filter(|(from, ..)| *from == role) else {
        return Err(Stop::own("an attack that is another role's"));
    };
    let to_net: Channel<FromDial, ToDial> = channel(held, peer)?;
    let own = to_net.as_fd();
    let connected = FromDial::Connected("127.0.0.1:443".to_owned());
    let raw = |bytes: &[u8]| {
        let _ = rustix::io::write(to_net.as_fd(), bytes);
        Ok(())
    };
    match name {
        "connected-without-socket" => Ok(to_net.send(&connected)?),
        "connected-with-two-sockets" => Ok(to_net.send_with(&connected, &[own, own])?),
        "refused-with-socket" => Ok(to_net.send_with(&FromDial::Refused("x".to_owned()), &[own])?),
        "descriptors-in-bulk" => Ok(to_net.send_with(&connected, &[own; 250])?),
        "request-instead-of-ready" => raw(&framed(&encoded(&FromKey::Csr(vec![1; 9])))),
        "key-for-no-certificate" => raw(&framed(&encoded(&KeyMade(99, vec![1; 9])))),
        "too-long-to-store" | "too-long-to-net" => raw(&u32::MAX.to_le_bytes()),
        _ => raw(&framed(&[0xff; 9])),
    }
}
