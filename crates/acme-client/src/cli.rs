//! The command line.

use std::path::PathBuf;

use acme::{ProfileName, RevocationReason, Url};
use clap::{Args, Parser, Subcommand, ValueEnum};
use syscall_policy::Arch;

#[cfg(feature = "attacks")]
use crate::attack::withheld::Withheld;
use crate::crypto::key::KeyType;
use crate::roles::{self, Role};

/// The word that starts a role in place of a command. Not for people.
pub(crate) const ROLE: &str = "role";

/// An ACME client no part of which has to be trusted with everything.
#[derive(Debug, Parser)]
#[command(name = "acme-client", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The configuration file [default: /etc/acme-client/config.toml, or the user's]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The state directory [default: /var/lib/acme-client, or the user's]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// The CA's directory [default: Let's Encrypt]
    #[arg(long, global = true, value_name = "URL", value_parser = url)]
    pub(crate) directory: Option<Url>,
    /// Trust the roots in this file instead of the machine's
    #[arg(long, global = true, value_name = "PEM")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Print results as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say what is being done
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// What to do about the sandbox: as far as this machine goes, or not at all without a layer of it. `off` is for
    /// measuring what it costs, and nothing else
    #[arg(long, global = true, value_enum, default_value_t = Sandboxing::Auto, value_name = "WHEN")]
    pub(crate) sandbox: Sandboxing,
    /// Seal roles without this class of system calls: `CLASS`, or `ROLE:CLASS`. For tests
    #[cfg(feature = "attacks")]
    #[arg(long, global = true, hide = true, value_name = "[ROLE:]CLASS", value_parser = Withheld::parse)]
    pub(crate) withhold: Vec<Withheld>,
    /// The exit status if there was nothing to do
    #[arg(long, global = true, value_name = "STATUS", default_value_t = 0)]
    pub(crate) exit_unchanged: u8,
}

/// What to do about the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sandboxing {
    /// Every layer that this machine has.
    Auto,
    /// Nothing is done unless every layer holds.
    Require,
    /// None.
    Off,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Get a certificate for these names, unless there is one that is good for a while
    Issue(Issue),
    /// Renew the certificates that are due
    Renew(Renew),
    /// Show the certificates: names, days left, when they are renewed, what went wrong
    Status,
    /// Revoke a certificate
    Revoke(Revoke),
    /// Show or change the account
    #[command(subcommand)]
    Account(Account),
    /// Check the configuration without asking the CA anything
    Check,
    /// Show what holds each process of the program on this machine, from the kernel itself
    Doctor(Doctor),
    /// Show what the sandbox of each process permits, and what it did
    #[command(subcommand)]
    Sandbox(Sandbox),
    /// Act as somebody would who has taken over a role, and see what comes of it
    #[cfg(feature = "attacks")]
    Attack(Attack),
    /// Get a certificate from a CA inside the program, to see how it works
    #[cfg(feature = "demo")]
    Demo,
}

/// `issue`
#[derive(Debug, Args)]
pub(crate) struct Issue {
    /// The names, the first of which the certificate is called after
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Prove the names by files beneath this directory, which a web server serves
    #[arg(long, value_name = "DIR", conflicts_with_all = ["standalone", "listen"])]
    pub(crate) webroot: Option<PathBuf>,
    /// Prove the names by listening on port 80
    #[arg(long)]
    pub(crate) standalone: bool,
    /// Listen here instead of on port 80 of all addresses (`inherited`: on a socket passed in by systemd)
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Vec<String>,
    /// What the certificate is called [default: the first name]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The kind of key [default: p256]
    #[arg(long, value_enum)]
    pub(crate) key_type: Option<KeyType>,
    /// Keep the key on renewal
    #[arg(long)]
    pub(crate) reuse_key: bool,
    /// Ask for this profile of the CA's; without it there is no certificate
    #[arg(long, value_name = "PROFILE", conflicts_with = "preferred_profile")]
    pub(crate) required_profile: Option<ProfileName>,
    /// Ask for this profile of the CA's, if the CA has it
    #[arg(long, value_name = "PROFILE")]
    pub(crate) preferred_profile: Option<ProfileName>,
    /// Run this program after each renewal (an absolute path; may be given several times)
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) hook: Vec<String>,
    /// Get it even if there is a good one
    #[arg(long)]
    pub(crate) force: bool,
}

/// `renew`
#[derive(Debug, Args)]
pub(crate) struct Renew {
    /// Only these certificates
    pub(crate) names: Vec<String>,
    /// Also those that are not due
    #[arg(long)]
    pub(crate) force: bool,
}

/// `revoke`
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The certificate's name
    pub(crate) name: String,
    /// Why
    #[arg(long, value_parser = reason, value_name = "REASON")]
    pub(crate) reason: Option<RevocationReason>,
}

/// `account`
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Account {
    /// Show the account's URL and the thumbprint of its key
    Show,
}

/// `doctor`
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Have this role come to grief once it is sealed, to see that its words arrive; `all`: every one that is sealed
    #[arg(long, value_name = "ROLE", requires = "drill")]
    pub(crate) role: Option<String>,
    /// In which way it comes to grief
    #[arg(long, value_enum, requires = "role")]
    pub(crate) drill: Option<DrillKind>,
    /// Name the system calls that each role is refused at its work, where the kernel does not tell by itself
    #[arg(long)]
    pub(crate) trace: bool,
    /// Where to try things out. Given by the process that removes it afterwards, which one that is sealed cannot
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) place: Option<PathBuf>,
}

/// `sandbox`
#[derive(Debug, Subcommand)]
pub(crate) enum Sandbox {
    /// Show how many system calls each role is allowed, and which
    Policy(SandboxPolicy),
    /// Show what was refused, and on what machine: to be attached to a report. Nothing secret is in it
    Report,
}

/// `sandbox policy`
#[derive(Debug, Args)]
pub(crate) struct SandboxPolicy {
    /// This role only
    #[arg(long, value_name = "ROLE", value_parser = sealed_role)]
    pub(crate) role: Option<Role>,
    /// This architecture [default: all of them; with --calls or --filter, this machine's]
    #[arg(long, value_name = "ARCH", value_parser = arch)]
    pub(crate) arch: Option<Arch>,
    /// Each call by name: its class, what becomes of it, and why it is in that class
    #[arg(long, conflicts_with = "filter")]
    pub(crate) calls: bool,
    /// The filter, instruction by instruction
    #[arg(long)]
    pub(crate) filter: bool,
}

/// `attack`
#[cfg(feature = "attacks")]
#[derive(Debug, Args)]
pub(crate) struct Attack {
    /// Only in this role
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: Option<String>,
    /// Only attempts whose names contain this
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) name: String,
    /// Only system calls, and of those that must end the process each in one role: what depends on the machine
    #[arg(long)]
    pub(crate) quick: bool,
    /// With `--quick`: of N runs with attempts that must end the process only the one that is number K
    #[arg(long, value_name = "K/N", value_parser = share, requires = "quick")]
    pub(crate) share: Option<(usize, usize)>,
    /// Where to try things out, given by the process that looks at it afterwards
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) place: Option<PathBuf>,
}

/// `K/N`, K from 0.
#[cfg(feature = "attacks")]
fn share(text: &str) -> Result<(usize, usize), String> {
    let share = text.split_once('/').and_then(|(turn, of)| Some((turn.parse().ok()?, of.parse().ok()?)));
    share.filter(|(turn, of)| turn < of).ok_or_else(|| "is not of the form K/N with K less than N".to_owned())
}

/// Ways to come to grief.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DrillKind {
    /// It panics.
    Panic,
    /// It allocates 64 MiB.
    Allocate,
    /// It writes a line to standard error and one to the log.
    Log,
    /// It fails in an ordinary way.
    Fail,
    /// It makes a system call that no honest library makes.
    Forbidden,
    /// It ends without a word.
    Vanish,
    /// It sends a message that it may not send now.
    OutOfTurn,
    /// It sends bytes that are no message.
    Garbage,
    /// It announces a message of four thousand million bytes.
    TooLong,
}

fn url(text: &str) -> Result<Url, String> {
    Url::parse(text).map_err(|error| error.to_string())
}

fn sealed_role(text: &str) -> Result<Role, String> {
    Role::named(text).filter(|role| role.spec().promises.is_some()).ok_or_else(|| {
        let sealed = roles::TABLE.iter().filter(|spec| spec.promises.is_some());
        format!("the roles that are sealed are: {}", sealed.map(|spec| spec.name).collect::<Vec<_>>().join(", "))
    })
}

fn arch(text: &str) -> Result<Arch, String> {
    Arch::named(text).ok_or_else(|| {
        let known: Vec<&str> = Arch::ALL.iter().map(|arch| arch.name()).collect();
        format!("the architectures are: {}", known.join(", "))
    })
}

fn reason(text: &str) -> Result<RevocationReason, String> {
    text.parse().map_err(|_| {
        let known: Vec<String> = RevocationReason::ALL.iter().map(ToString::to_string).collect();
        format!("the reasons are: {}", known.join(", "))
    })
}
