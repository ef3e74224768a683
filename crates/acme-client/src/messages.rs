//! Everything one process of the program may say to another.
//!
//! Two types for each channel, one for each direction. Names, URLs and tokens are types that check themselves when they
//! are read, so that a message of the right form has the right content too.

use acme::{Identifier, ToSign, Token, Url};
use portcullis::{Promise, Report};
use privsep::Message;
use serde::{Deserialize, Serialize};

use crate::roles::Role;
use crate::roles::account::AccountSetup;
use crate::roles::challenge::ChallengeSetup;
use crate::roles::dial::DialSetup;
use crate::roles::hook::HookSetup;
use crate::roles::key::KeySetup;
use crate::roles::net::NetSetup;
use crate::roles::store::StoreSetup;
use crate::run::records::Mapping;

/// Which certificate of a run: its place in the supervisor's list.
pub(crate) type JobId = u32;

/// Words from one process to be shown to a person. The supervisor makes them printable.
pub(crate) type Text = String;

const KIB: usize = 1024;

/// The longest text that travels.
const MAX_TEXT: usize = 16 * KIB;

/// The largest certificate chain that is accepted.
pub(crate) const MAX_CHAIN: usize = 256 * KIB;

/// The largest signing request or CSR: 100 names of 253 bytes, or a certificate to be revoked.
const MAX_REQUEST: usize = 64 * KIB;

/// A signed request: what was to be signed, in base64url, and its headers.
const MAX_SIGNED: usize = 2 * MAX_REQUEST;

macro_rules! message {
    ($type:ty, $max:expr, { $($(#[$when:meta])* $pattern:pat => $word:literal),+ $(,)? }) => {
        impl Message for $type {
            const MAX: usize = $max;

            fn word(&self) -> &'static str {
                match self { $($(#[$when])* $pattern => $word),+ }
            }
        }
    };
}

// ---- supervisor and every role ------------------------------------------------------------------------------------

/// From the supervisor to any role.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToRole {
    /// First: all the role has to know. The channels to its peers come as descriptors, in the order of `peers`.
    Setup(Box<Setup>),
    /// More descriptors for the role to hold until it ends: locks of certificates.
    Hold,
    /// Every process is sealed: begin.
    Go,
    /// (`doctor`) Do what your work consists of, once, and tell how it went.
    SelfTest,
    /// (`doctor`) Come to grief in this way.
    Drill(Drill),
    /// (store) Remember that this certificate could not be had, and why.
    Note(JobId, Text),
    /// (hook) Run the command with this number for the certificates of these names.
    Run(u32, Vec<String>),
    /// (tests) Act as somebody would who has taken the role over.
    #[cfg(feature = "attacks")]
    Attack(Box<crate::attack::Attack>),
}

/// What every role is told, and what only this one is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// The user and group to become, if the program was started by root.
    pub(crate) identity: Option<(u32, u32)>,
    /// What to do about the sandbox.
    pub(crate) sandbox: SandboxMode,
    /// Seconds after which the kernel ends the process, whatever it is doing.
    pub(crate) deadline: u64,
    /// The other ends of the channels that come as descriptors.
    pub(crate) peers: Vec<Role>,
    /// How many [`ToRole::Hold`] follow.
    pub(crate) holds: u32,
    /// What only this role is told.
    pub(crate) role: RoleSetup,
}

/// What to do about the sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SandboxMode {
    /// No sandbox: for measuring what it costs, and nothing else.
    pub(crate) off: bool,
    /// Layers without which nothing is done.
    pub(crate) require: Vec<portcullis::Layer>,
    /// (`doctor`) Name the calls that are refused at work.
    pub(crate) trace: bool,
    /// (tests) What roles do not get, whatever the table promises them.
    #[cfg(feature = "attacks")]
    pub(crate) withheld: Vec<crate::attack::withheld::Withheld>,
}

impl SandboxMode {
    /// What this role does not get, whatever the table promises it. Something in tests only.
    pub(crate) fn withheld_from(&self, role: Role) -> Vec<syscall_policy::Class> {
        #[cfg(feature = "attacks")]
        return self.withheld.iter().filter_map(|withheld| withheld.from(role)).collect();
        #[cfg(not(feature = "attacks"))]
        {
            let _ = role;
            Vec::new()
        }
    }

    /// What is withheld in this run, for its records.
    pub(crate) fn withheld(&self) -> Vec<String> {
        #[cfg(feature = "attacks")]
        return self.withheld.iter().map(ToString::to_string).collect();
        #[cfg(not(feature = "attacks"))]
        Vec::new()
    }
}

/// What one role is told. Each role accepts its own variant only.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum RoleSetup {
    /// For [`Role::Net`].
    Net(NetSetup),
    /// For [`Role::Dial`].
    Dial(DialSetup),
    /// For [`Role::Account`].
    Account(AccountSetup),
    /// For [`Role::Key`].
    Key(KeySetup),
    /// For [`Role::Challenge`].
    Challenge(ChallengeSetup),
    /// For [`Role::Store`].
    Store(StoreSetup),
    /// For [`Role::Hook`].
    Hook(HookSetup),
}

/// Ways to come to grief, to see that the words reach the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Drill {
    /// Panic.
    Panic,
    /// Allocate and free much memory.
    Allocate,
    /// Write a line to standard error and one to the log.
    Log,
    /// Fail in an ordinary way.
    Fail,
    /// Make a call that no honest library makes.
    Forbidden,
    /// End without a word.
    Vanish,
    /// Send what is a message, but not now.
    OutOfTurn,
    /// Send bytes that are no message.
    Garbage,
    /// Announce a message that is too long.
    TooLong,
}

/// From any role to the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromRole {
    /// Where calls that the role is refused are answered comes as a descriptor; what the role is sealed with, and where its
    /// code comes from. Before anything hostile is read.
    Listener(Vec<Promise>, Vec<Mapping>),
    /// Where the role's code comes from, when its rehearsal took something back.
    Mapped(Vec<Mapping>),
    /// (`doctor`) The calls that the role is refused at its work.
    Named(Vec<String>),
    /// The role has what it needs and has given up the rest. `None` from the one role that is not sealed.
    Sealed(Option<Report>),
    /// A line for the log.
    Log(Level, Text),
    /// The role gives up. Nothing follows.
    Failed(Failed),
    /// (`doctor`) How the self-test went.
    Tested(Vec<Check>),
    /// (`doctor`) The drill is over and nothing came of it.
    Drilled,
    /// (account) The thumbprint of the account key, RFC 7638.
    Thumbprint(String),
    /// (net) A certificate is worked on: what is being done.
    Stage(JobId, Text),
    /// (net) The account is known to the authority.
    Registered(Url, bool),
    /// (net) The CA's terms of service, agreed to with a new account.
    Terms(Text),
    /// (net) A certificate could not be had.
    JobFailed(JobId, Text),
    /// (net) A certificate is in the hands of store; other chains the authority offers.
    JobDone(JobId, Vec<Url>),
    /// (net) The certificate is revoked (`true`: it was already).
    Revoked(bool),
    /// (net) Nothing is left to do.
    Finished,
    /// (store) A new generation is in place, valid until then (seconds since 1970).
    Committed(JobId, u64),
    /// (hook) A command has ended: whether well, and what it said.
    Ran(u32, bool, Text),
    /// (tests) An attack, and what came of it.
    #[cfg(feature = "attacks")]
    Attacked(attacks::Tried),
}

/// How a role failed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Failed {
    /// In itself.
    Own(Text),
    /// Another one is gone, or sent what it may not.
    Peer(Text),
}

/// How important a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Level {
    /// Shown only with `-v`.
    Detail,
    /// Shown always.
    Warning,
}

/// One thing a role tried, and what came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Check {
    /// What was tried.
    pub(crate) what: Text,
    /// Whether it went as it should.
    pub(crate) ok: bool,
    /// What happened.
    pub(crate) detail: Text,
}

message!(ToRole, 32 * KIB * KIB, {
    Self::Setup(_) => "setup",
    Self::Hold => "hold",
    Self::Go => "go",
    Self::SelfTest => "self-test",
    Self::Drill(_) => "drill",
    Self::Note(..) => "note",
    Self::Run(..) => "run",
    #[cfg(feature = "attacks")]
    Self::Attack(_) => "attack",
});

message!(FromRole, 64 * KIB, {
    Self::Listener(..) => "listener",
    Self::Mapped(_) => "mapped",
    Self::Named(_) => "named",
    Self::Sealed(_) => "sealed",
    Self::Log(..) => "log",
    Self::Failed(_) => "failed",
    Self::Tested(_) => "tested",
    Self::Drilled => "drilled",
    Self::Thumbprint(_) => "thumbprint",
    Self::Stage(..) => "stage",
    Self::Registered(..) => "registered",
    Self::Terms(_) => "terms",
    Self::JobFailed(..) => "job failed",
    Self::JobDone(..) => "job done",
    Self::Revoked(_) => "revoked",
    Self::Finished => "finished",
    Self::Committed(..) => "committed",
    Self::Ran(..) => "ran",
    #[cfg(feature = "attacks")]
    Self::Attacked(_) => "attacked",
});

// ---- net and dial -------------------------------------------------------------------------------------------------

/// From net to dial.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToDial {
    /// Connect to this host and port.
    Connect(String, u16),
}

/// From dial to net.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromDial {
    /// The connected socket comes as a descriptor.
    Connected(String),
    /// It could not be done, or may not be.
    Refused(Text),
}

message!(ToDial, KIB, { Self::Connect(..) => "connect" });
message!(FromDial, MAX_TEXT, { Self::Connected(_) => "connected", Self::Refused(_) => "refused" });

// ---- net and account ----------------------------------------------------------------------------------------------

/// From net to account.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToAccount {
    /// Sign a request made of these fields.
    Sign(ToSign),
    /// The authority knows the account by this URL.
    Known(Url),
}

/// From account to net.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromAccount {
    /// The request, signed (RFC 8555 section 6.2).
    Signed(Vec<u8>),
    /// Noted.
    Noted,
    /// It may not be signed.
    Refused(Text),
}

message!(ToAccount, MAX_REQUEST, { Self::Sign(_) => "sign", Self::Known(_) => "known" });
message!(FromAccount, MAX_SIGNED, { Self::Signed(_) => "signed", Self::Noted => "noted", Self::Refused(_) => "refused" });

// ---- net and key, key and account, key and store ------------------------------------------------------------------

/// From net to key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToKey {
    /// Can a key be had for this certificate? Asked before the CA is asked anything.
    Ready(JobId),
    /// A certificate signing request for this certificate.
    Csr(JobId),
}

/// From key to net.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromKey {
    /// It can.
    Ready,
    /// The request, in DER. The key it is for is safely in its file.
    Csr(Vec<u8>),
    /// It may not be had.
    Refused(Text),
}

message!(ToKey, KIB, { Self::Ready(_) => "ready", Self::Csr(_) => "csr" });
message!(FromKey, MAX_REQUEST, { Self::Ready => "ready", Self::Csr(_) => "csr", Self::Refused(_) => "refused" });

/// From key to account: a signing request that may be sent to the authority. No other may, whatever net says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CsrMade(pub(crate) JobId, pub(crate) Vec<u8>);

/// From key to store: the public key (`SubjectPublicKeyInfo`, DER) that the certificate must carry, whatever net says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeyMade(pub(crate) JobId, pub(crate) Vec<u8>);

message!(CsrMade, MAX_REQUEST, { Self(..) => "csr made" });
message!(KeyMade, 4 * KIB, { Self(..) => "key made" });

// ---- net and challenge, account and challenge ---------------------------------------------------------------------

/// From net to challenge.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToChallenge {
    /// Can the names of this certificate be answered for? Asked before the CA is asked anything.
    Ready(JobId),
    /// Answer for this name of this certificate when asked for the token.
    Publish(JobId, Identifier, Token),
    /// Stop answering.
    Withdraw(JobId, Identifier, Token),
}

/// From challenge to net.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromChallenge {
    /// Done.
    Done,
    /// It cannot be done, or may not be.
    Refused(Text),
}

message!(ToChallenge, KIB, { Self::Ready(_) => "ready", Self::Publish(..) => "publish", Self::Withdraw(..) => "withdraw" });
message!(FromChallenge, MAX_TEXT, { Self::Done => "done", Self::Refused(_) => "refused" });

/// From account to challenge: the thumbprint that makes a token a key authorization (RFC 8555 section 8.1), whatever
/// net says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ThumbprintIs(pub(crate) acme::Thumbprint);

message!(ThumbprintIs, KIB, { Self(_) => "thumbprint" });

// ---- net and store ------------------------------------------------------------------------------------------------

/// From net to store.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToStore {
    /// Remember the URL of the account.
    Account(Url),
    /// Remember the order in progress for this certificate.
    Journal(JobId, Url),
    /// Check this chain (PEM) and put it in place.
    Install(JobId, Vec<u8>),
    /// The certificate that was to be revoked is.
    Revoked,
}

/// From store to net.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromStore {
    /// Done, and on the disk.
    Done,
    /// It cannot be done, or may not be.
    Refused(Text),
}

message!(ToStore, MAX_CHAIN + KIB, {
    Self::Account(_) => "account",
    Self::Journal(..) => "journal",
    Self::Install(..) => "install",
    Self::Revoked => "revoked",
});
message!(FromStore, MAX_TEXT, { Self::Done => "done", Self::Refused(_) => "refused" });

/// Text that fits a message, cut at the end if it must be.
pub(crate) fn fitting(text: &str) -> Text {
    const MAX: usize = MAX_TEXT - 64;
    if text.len() <= MAX {
        return text.to_owned();
    }
    let end = (0..=MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}
