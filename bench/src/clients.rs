//! The clients, and how each is asked for a new account and one P-256 certificate by http-01, with all that a person
//! would have it do for that and nothing more.

use std::borrow::Cow;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::servers::ZONE;
use crate::world::World;

/// The user of the run without privileges: nobody, as everywhere.
const NOBODY: u32 = 65_534;

/// Something to be run and measured.
#[derive(Debug)]
pub(crate) struct Task {
    /// The program and its arguments.
    pub(crate) argv: Vec<String>,
    /// Variables beside those of the bench.
    pub(crate) env: Vec<(&'static str, String)>,
    /// What it says.
    pub(crate) log: PathBuf,
    /// The certificates that are there if it has done its work.
    pub(crate) proof: Vec<PathBuf>,
}

impl Task {
    /// Variables beside those of the bench.
    pub(crate) fn envs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.env.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Whether it has done its work: a fast failure is no result.
    pub(crate) fn check(&self) -> Result<()> {
        for path in &self.proof {
            let pem = fs::read_to_string(path).unwrap_or_default();
            if !pem.contains("-----BEGIN CERTIFICATE-----") {
                return Err(self.failure(&format!("no certificate at {}", path.display())));
            }
        }
        Ok(())
    }

    /// The error for work that was not done.
    pub(crate) fn failure(&self, why: &str) -> Box<dyn std::error::Error> {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = said.lines().rev().take(8).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        format!("{}: {}\n{}", self.argv.join(" "), why.trim(), last.join("\n")).into()
    }
}

/// A client, as one of the contestants.
#[derive(Debug)]
pub(crate) struct Client {
    /// What its row is called, and its runs' labels.
    pub(crate) id: Cow<'static, str>,
    /// The program that has to be there.
    program: &'static str,
    /// The arguments with which it tells its version.
    version: &'static [&'static str],
    /// How many runs it takes at most: those that sleep for seconds say the same each time.
    pub(crate) patience: usize,
    issue: fn(&Ask<'_>) -> Result<Task>,
    /// Which of the builds of our client it is.
    build: usize,
}

/// One certificate to be had.
struct Ask<'a> {
    world: &'a World,
    build: usize,
    state: PathBuf,
    webroot: PathBuf,
    name: String,
}

/// Our client's rows: as it is, and with something changed to see what that costs.
pub(crate) const OURS: [Client; 4] = [
    ours("ours", |ask| own(ask, &[], None)),
    ours("ours-sandbox-off", |ask| own(ask, &["--sandbox", "off"], None)),
    ours("ours-as-a-user", |ask| own(ask, &[], Some(NOBODY))),
    ours("ours-one-root", |ask| {
        let root = ask.world.root.display().to_string();
        own(ask, &["--ca-file", &root], None)
    }),
];

/// Other builds of our client, to be compared with the first.
pub(crate) fn builds(world: &World) -> impl Iterator<Item = Client> {
    (1..world.clients.len()).map(|build| Client {
        id: Cow::Owned(format!("ours-build-{build}")),
        build,
        ..ours("", |ask| own(ask, &[], None))
    })
}

/// The others. All come from Debian.
pub(crate) const PEERS: [Client; 5] = [
    peer("uacme", "uacme", &["-V"], usize::MAX, uacme),
    peer("acme-tiny", "acme-tiny", &[], usize::MAX, acme_tiny),
    peer("certbot", "certbot", &["--version"], 5, certbot),
    peer("lego", "lego", &["--version"], 3, lego),
    peer("dehydrated", "dehydrated", &["--version"], 3, dehydrated),
];

const fn peer(
    id: &'static str,
    program: &'static str,
    version: &'static [&'static str],
    patience: usize,
    issue: fn(&Ask<'_>) -> Result<Task>,
) -> Client {
    Client { id: Cow::Borrowed(id), program, version, patience, issue, build: 0 }
}

const fn ours(id: &'static str, issue: fn(&Ask<'_>) -> Result<Task>) -> Client {
    peer(id, "acme-client", &["--version"], usize::MAX, issue)
}

impl Client {
    /// A new state directory and webroot, and what is to be run there.
    pub(crate) fn task(&self, world: &World, run: &str) -> Result<Task> {
        let label = format!("{}-{run}", self.id);
        let (state, webroot) = world.place(&label)?;
        let name = format!("www.{label}{ZONE}");
        (self.issue)(&Ask { world, build: self.build, state, webroot, name })
    }

    /// Whether it is one of ours.
    pub(crate) fn is_ours(&self) -> bool {
        self.program == "acme-client"
    }

    /// Its version. `None` if it is not installed.
    pub(crate) fn version(&self, world: &World) -> Option<String> {
        let program = if self.is_ours() { world.clients.get(self.build)? } else { Path::new(self.program) };
        let output = Command::new(program).args(self.version).output().ok()?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
        let version = said.split_whitespace().find(number).filter(|_| !self.version.is_empty());
        if let Some(version) = version {
            return Some(version.to_owned());
        }
        // What does not tell came with a package that does.
        let package = Command::new("dpkg-query").args(["-W", "-f", "${Version}", self.program]).output().ok()?;
        Some(String::from_utf8_lossy(&package.stdout).into_owned())
    }
}

fn own(ask: &Ask<'_>, options: &[&str], user: Option<u32>) -> Result<Task> {
    let mut argv = Vec::new();
    if let Some(user) = user {
        chown(&ask.state, Some(user), Some(user))?;
        chown(&ask.webroot, Some(user), Some(user))?;
        argv = words(&["setpriv", &format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"]);
    }
    argv.extend(words(&[&text(ask.program()?), "--config", "/dev/null", "--state", &text(&ask.state)]));
    argv.extend(words(&["--directory", &ask.world.directory]));
    argv.extend(words(options));
    argv.extend(words(&["issue", &ask.name, "--webroot", &text(&ask.webroot)]));
    Ok(ask.task(argv, &[], &format!("live/{}/fullchain.pem", ask.name)))
}

fn uacme(ask: &Ask<'_>) -> Result<Task> {
    let challenges = ask.challenges()?;
    let script = "uacme -a \"$1\" -c \"$2\" -t EC -y new && \
                  uacme -a \"$1\" -c \"$2\" -t EC -o -h /usr/share/uacme/uacme.sh issue \"$3\"";
    let argv = ask.script(script, &[&ask.world.directory, &text(&ask.state), &ask.name]);
    Ok(ask.task(argv, &[("UACME_CHALLENGE_PATH", challenges)], &format!("{}/cert.pem", ask.name)))
}

/// Keys and request are not its business, so openssl(1) makes them, as its README has it.
fn acme_tiny(ask: &Ask<'_>) -> Result<Task> {
    let challenges = ask.challenges()?;
    let script = "cd \"$2\" && openssl genrsa -out account.key 2048 && \
                  openssl ecparam -genkey -name prime256v1 -noout -out domain.key && \
                  openssl req -new -sha256 -key domain.key -subj / -addext \"subjectAltName=DNS:$3\" -out domain.csr && \
                  acme-tiny --account-key account.key --csr domain.csr --acme-dir \"$4\" --disable-check \
                  --directory-url \"$1\" > chain.pem";
    let argv = ask.script(script, &[&ask.world.directory, &text(&ask.state), &ask.name, &challenges]);
    Ok(ask.task(argv, &[("SSL_CERT_FILE", text(&ask.world.root))], "chain.pem"))
}

fn certbot(ask: &Ask<'_>) -> Result<Task> {
    let state = text(&ask.state);
    let mut argv = words(&["certbot", "certonly", "-n", "--agree-tos", "--register-unsafely-without-email"]);
    argv.extend(words(&["--webroot", "-w", &text(&ask.webroot), "-d", &ask.name, "--server", &ask.world.directory]));
    argv.extend(words(&["--key-type", "ecdsa", "--elliptic-curve", "secp256r1", "--config-dir", &state]));
    argv.extend(words(&["--work-dir", &format!("{state}/work"), "--logs-dir", &format!("{state}/logs")]));
    let roots = ("REQUESTS_CA_BUNDLE", text(&ask.world.root));
    Ok(ask.task(argv, &[roots], &format!("live/{}/fullchain.pem", ask.name)))
}

fn lego(ask: &Ask<'_>) -> Result<Task> {
    let mut argv = words(&["lego", "--server", &ask.world.directory, "--email", "bench@bench.example", "--accept-tos"]);
    argv.extend(words(&["--path", &text(&ask.state), "--key-type", "ec256", "--domains", &ask.name, "--http"]));
    argv.extend(words(&["--http.webroot", &text(&ask.webroot), "run"]));
    let roots = ("LEGO_CA_CERTIFICATES", text(&ask.world.root));
    Ok(ask.task(argv, &[roots], &format!("certificates/{}.crt", ask.name)))
}

fn dehydrated(ask: &Ask<'_>) -> Result<Task> {
    let challenges = ask.challenges()?;
    let config = ask.state.join("config");
    let lines = format!(
        "CA={}\nBASEDIR={}\nWELLKNOWN={challenges}\nKEY_ALGO=prime256v1\nCHALLENGETYPE=http-01\n",
        ask.world.directory,
        text(&ask.state)
    );
    fs::write(&config, lines)?;
    let script = "dehydrated -f \"$1\" --register --accept-terms && dehydrated -f \"$1\" -c -d \"$2\"";
    let argv = ask.script(script, &[&text(&config), &ask.name]);
    Ok(ask.task(argv, &[], &format!("certs/{}/fullchain.pem", ask.name)))
}

impl Ask<'_> {
    fn program(&self) -> Result<&Path> {
        Ok(self.world.clients.get(self.build).ok_or("there is no such build")?)
    }

    fn task(&self, argv: Vec<String>, env: &[(&'static str, String)], proof: &str) -> Task {
        Task { argv, env: env.to_vec(), log: self.state.with_extension("log"), proof: vec![self.state.join(proof)] }
    }

    fn script(&self, script: &str, arguments: &[&str]) -> Vec<String> {
        [words(&["sh", "-c", script, "sh"]), words(arguments)].concat()
    }

    /// The directory of the tokens, which some clients want to be there.
    fn challenges(&self) -> Result<String> {
        let path = self.webroot.join(".well-known/acme-challenge");
        fs::create_dir_all(&path)?;
        Ok(text(&path))
    }
}

/// Words as arguments.
pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> String {
    path.display().to_string()
}
