//! Many certificates: a hundred to be had in one run, and a thousand that are not due.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::Result;
use crate::clients::{Task, text, words};
use crate::servers::ZONE;
use crate::world::World;

/// Our client, asked for `count` certificates by one configuration.
pub(crate) fn ours(world: &World, count: usize, run: &str) -> Result<Task> {
    let label = format!("ours-{count}-{run}");
    let (state, webroot) = world.place(&label)?;
    let mut config = String::new();
    for name in names(count, &label) {
        write!(config, "[[certificate]]\nnames = [\"{name}\"]\nwebroot = \"{}\"\n", webroot.display())?;
    }
    let path = state.with_extension("toml");
    fs::write(&path, config)?;
    let mut argv = words(&[&text(world.client()), "--config", &text(&path), "--state", &text(&state)]);
    argv.extend(words(&["--directory", &world.directory, "renew"]));
    let proof = names(count, &label).map(|name| state.join("live").join(name).join("fullchain.pem")).collect();
    Ok(Task { argv, env: Vec::new(), log: state.with_extension("log"), proof })
}

/// uacme, which does one at a time.
pub(crate) fn uacme(world: &World, count: usize, run: &str) -> Result<Task> {
    let label = format!("uacme-{count}-{run}");
    let (state, webroot) = world.place(&label)?;
    let challenges = webroot.join(".well-known/acme-challenge");
    fs::create_dir_all(&challenges)?;
    let script = "uacme -a \"$1\" -c \"$2\" -t EC -y new || exit 1; a=$1 c=$2; shift 2; for n in \"$@\"; do \
                  uacme -a \"$a\" -c \"$c\" -t EC -o -h /usr/share/uacme/uacme.sh issue \"$n\" || exit 1; done";
    let mut argv = words(&["sh", "-c", script, "sh", &world.directory, &text(&state)]);
    argv.extend(names(count, &label));
    let proof = names(count, &label).map(|name| state.join(name).join("cert.pem")).collect();
    let env = vec![("UACME_CHALLENGE_PATH", text(&challenges))];
    Ok(Task { argv, env, log: state.with_extension("log"), proof })
}

fn names(count: usize, label: &str) -> impl Iterator<Item = String> {
    (0..count).map(move |at| format!("n{at}.{label}{ZONE}"))
}

/// Certificates that are in use and not due, as three clients keep them.
#[derive(Debug)]
pub(crate) struct Stock {
    /// Our client: all of them, remembered with their certificates.
    pub(crate) ours: Task,
    /// Our client: all of them, in a configuration file.
    pub(crate) configured: Task,
    /// uacme: a loop over all of them.
    pub(crate) uacme: Task,
    /// lacme: a configuration file.
    pub(crate) lacme: Task,
}

/// A CA that nobody answers for: a client that asks it anything fails.
const NOWHERE: &str = "https://localhost:1/dir";

impl Stock {
    /// Makes them. They are valid for ninety days from yesterday.
    pub(crate) fn make(world: &World, count: usize) -> Result<Self> {
        let (place, _) = world.place("stock")?;
        let parts = ["ours", "uacme", "lacme"].map(|part| place.join(part));
        let [ours, uacme, lacme] = &parts;
        let issuer = Issuer::new()?;
        let mut toml = String::new();
        let mut sections = String::new();
        fs::create_dir_all(ours.join("live"))?;
        fs::create_dir_all(uacme.join("private"))?;
        fs::create_dir_all(lacme)?;
        fs::write(uacme.join("private/key.pem"), &issuer.key_pem)?;
        let names: Vec<String> = names(count, "stock").collect();
        for name in &names {
            let pem = issuer.issue(name)?;
            in_our_state(ours, name, &pem, &issuer)?;
            write!(toml, "[[certificate]]\nnames = [\"{name}\"]\nwebroot = \"/var/www/html\"\n")?;
            fs::create_dir_all(uacme.join(name))?;
            fs::create_dir_all(uacme.join("private").join(name))?;
            fs::write(uacme.join(name).join("cert.pem"), &pem)?;
            fs::write(uacme.join("private").join(name).join("key.pem"), &issuer.key_pem)?;
            let base = lacme.join(name);
            fs::write(base.with_extension("example.crt"), &pem)?;
            fs::write(base.with_extension("example.key"), &issuer.key_pem)?;
            let base = text(&base);
            write!(
                sections,
                "[{name}]\ncertificate-key = {base}.key\ncertificate = {base}.crt\nsubject = /CN={name}\n"
            )?;
        }
        fs::write(place.join("config.toml"), toml)?;
        fs::write(lacme.join("certs.conf"), sections)?;
        fs::write(
            lacme.join("lacme.conf"),
            format!("config-certs = {}\n[client]\nserver = {NOWHERE}\n", text(&lacme.join("certs.conf"))),
        )?;
        Ok(Self::tasks(world, &place, &names))
    }

    fn tasks(world: &World, place: &Path, names: &[String]) -> Self {
        let task = |name: &str, argv: Vec<String>| Task {
            argv,
            env: Vec::new(),
            log: place.join(name).with_extension("log"),
            proof: Vec::new(),
        };
        let ours = |config: &str| {
            let state = text(&place.join("ours"));
            let client = text(world.client());
            words(&[&client, "--config", config, "--state", &state, "--directory", NOWHERE, "renew"])
        };
        let script = "a=$1 c=$2; shift 2; for n in \"$@\"; do uacme -a \"$a\" -c \"$c\" -n -t EC -o issue \"$n\"; \
                      test $? = 1 || exit 2; done; exit 0";
        let mut uacme = words(&["sh", "-c", script, "sh", NOWHERE, &text(&place.join("uacme"))]);
        uacme.extend_from_slice(names);
        Self {
            ours: task("ours", ours("/dev/null")),
            configured: task("configured", ours(&text(&place.join("config.toml")))),
            uacme: task("uacme", uacme),
            lacme: task("lacme", words(&["lacme", "--config", &text(&place.join("lacme/lacme.conf")), "newOrder"])),
        }
    }
}

fn in_our_state(state: &Path, name: &str, pem: &str, issuer: &Issuer) -> Result<()> {
    let directory = state.join("archive").join(name).join("1");
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("privkey.pem"), &issuer.key_pem)?;
    fs::write(directory.join("cert.pem"), pem)?;
    fs::write(directory.join("chain.pem"), issuer.authority.pem())?;
    fs::write(directory.join("fullchain.pem"), format!("{pem}{}", issuer.authority.pem()))?;
    let settings = format!(
        r#"{{"name": "{name}", "names": ["{name}"], "method": {{"webroot": "/var/www/html"}}, "key-type": "p256",
        "reuse-key": false, "hooks": []}}"#
    );
    fs::write(directory.join("settings.json"), settings)?;
    symlink(format!("../archive/{name}/1"), state.join("live").join(name))?;
    Ok(())
}

/// Who issues them. They share a key, which no client looks at before it is time.
struct Issuer {
    authority: CertifiedIssuer<'static, KeyPair>,
    key: KeyPair,
    key_pem: String,
}

impl Issuer {
    fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "An intermediate of a benchmark");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let key_pem = key.serialize_pem();
        Ok(Self { authority, key, key_pem })
    }

    fn issue(&self, name: &str) -> Result<String> {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.not_before = time::OffsetDateTime::now_utc() - time::Duration::DAY;
        params.not_after = params.not_before + time::Duration::days(90);
        Ok(params.signed_by(&self.key, &self.authority)?.pem())
    }
}
