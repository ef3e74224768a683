//! Where attacks are tried out: a state directory, a webroot, files that everybody may use, and two things that listen.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use acme::{Identifier, Url};
use attacks::Target;
use portcullis::Layer;

use crate::commands::doctor::Place;
use crate::config::{Config, Definition, Method};
use crate::crypto::key::KeyType;
use crate::error::{Error, Result};
use crate::roles::Role;
use crate::run::crew::{Crew, Terms};
use crate::run::plan::{Job, Scene};
use crate::state::{State, ca_name};

/// The ground, and what keeps it.
#[derive(Debug)]
pub(super) struct Ground {
    config: Config,
    state: State,
    jobs: Vec<Job>,
    target: Target,
    path: PathBuf,
    /// Kept for as long as somebody may want to connect.
    _listeners: Vec<TcpListener>,
    _socket: Option<UnixListener>,
    /// Removed in the end, by the process that made it.
    _place: Option<Place>,
}

/// Everything beneath a directory, as far as attackers could change it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Snapshot(BTreeMap<PathBuf, String>);

fn failed(error: impl std::fmt::Display) -> Error {
    Error::failed(format!("attacks cannot be tried out: {error}"))
}

impl Ground {
    /// A new one.
    pub(super) fn new(config: &Config) -> Result<Self> {
        let place = Place::make()?;
        let path = place.0.clone();
        let authority = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        let address = authority.local_addr().map_err(failed)?;
        let directory = Url::parse(&format!("https://{address}/")).map_err(failed)?;
        let mut ground = Self::at(config, &path, &directory)?;
        ground.state.prepare(&directory)?;
        ground.furnish().map_err(failed)?;
        ground._socket = Some(UnixListener::bind(path.join("outside/socket")).map_err(failed)?);
        ground._place = Some(place);
        ground._listeners.push(authority);
        for definition in definitions(&path)? {
            let lock =
                ground.state.lock(&definition.name, State::patience())?.ok_or_else(|| failed("a lock is held"))?;
            let pending = ground.state.begin(&definition, &directory)?;
            ground.jobs.push(Job { definition, live: None, pending, lock });
        }
        Ok(ground)
    }

    /// The same, for a process that does not own it.
    pub(super) fn again(config: &Config, place: &Path) -> Result<Self> {
        Self::at(config, place, &config.directory)
    }

    fn at(config: &Config, path: &Path, directory: &Url) -> Result<Self> {
        let config = Config {
            state: path.join("state"),
            directory: directory.clone(),
            allow_hosts: Vec::new(),
            contact: Vec::new(),
            certificates: Vec::new(),
            agree_terms: false,
            sandbox: config.sandbox.clone(),
            path: None,
            ca_file: config.ca_file.clone(),
            ..*config
        };
        let elsewhere = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        let address = elsewhere.local_addr().map_err(failed)?;
        let authority = SocketAddr::from(([127, 0, 0, 1], directory.port()));
        let state = State::new(&config.state, config.uid_base);
        let mut target =
            Target::new(config.state.clone(), path.join("webroot"), path.join("outside"), authority, address);
        target.root = rustix::process::geteuid().is_root();
        target.landlock = landlock();
        target.supervisor = i32::try_from(std::process::id()).unwrap_or(0);
        target.account_key = config.state.join("accounts").join(ca_name(directory)).join("key.pem");
        target.other_key = config.state.join("archive/other.example/1/privkey.pem");
        let (listeners, path) = (vec![elsewhere], path.to_owned());
        Ok(Self { config, state, jobs: Vec::new(), target, path, _listeners: listeners, _socket: None, _place: None })
    }

    /// Files for others to be after.
    fn furnish(&self) -> std::io::Result<()> {
        let outside = self.path.join("outside");
        fs::create_dir(&outside)?;
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o777))?;
        for (name, mode) in [("readable", 0o644), ("writable", 0o666), ("removable", 0o666)] {
            fs::write(outside.join(name), name)?;
            fs::set_permissions(outside.join(name), fs::Permissions::from_mode(mode))?;
        }
        fs::create_dir(outside.join("empty"))?;
        let challenges = self.path.join("webroot/.well-known/acme-challenge");
        fs::create_dir_all(&challenges)?;
        fs::write(challenges.join("page"), "somebody else's")?;
        // The key of a certificate that is in nobody's hands now, as an earlier run has left it.
        let generation = self.target.other_key.parent().unwrap_or(&self.path);
        fs::create_dir_all(generation)?;
        fs::write(&self.target.other_key, "a secret")?;
        fs::set_permissions(&self.target.other_key, fs::Permissions::from_mode(0o600))?;
        if let Some(((key, _), (_, store))) = self.state.identity(Role::Key).zip(self.state.identity(Role::Store)) {
            std::os::unix::fs::chown(&self.target.other_key, Some(key), Some(key))?;
            std::os::unix::fs::chown(generation, Some(key), Some(store))?;
            fs::set_permissions(generation, fs::Permissions::from_mode(0o1775))?;
        }
        Ok(())
    }

    /// The file with the roots of the CA, where one is given.
    pub(super) fn ca_file(&self) -> Option<&Path> {
        self.config.ca_file.as_deref()
    }

    /// All roles, sealed as far as this machine goes: a rehearsal that lowered a layer would be found by attackers too.
    pub(super) fn crew(&self) -> Result<Crew> {
        let crew = Crew::start(Scene::new(&self.config, &self.state)?.issue(&self.jobs, &[])?, &self.terms())?;
        for (role, _, report) in crew.reports() {
            if let Some(lowered) = report.and_then(|report| report.lowered.first()) {
                let (layer, why) = (lowered.layer, &lowered.why);
                return Err(failed(format!("{role} does without {layer}, though nothing here is in its way: {why}")));
            }
        }
        Ok(crew)
    }

    /// One role, for a supervisor to have a child.
    pub(super) fn crew_of_one(&self) -> Result<Crew> {
        Crew::start(Scene::new(&self.config, &self.state)?.show_account(), &self.terms())
    }

    /// Soon enough that somebody who waits for ever is found out.
    pub(super) fn terms(&self) -> Terms<'_> {
        Terms {
            state: &self.state,
            sandbox: &self.config.sandbox,
            command: "attack",
            deadline: Duration::from_secs(60),
            verbose: false,
        }
    }

    /// What somebody in that role knows.
    pub(super) fn target(&self, role: Role, crew: &Crew) -> Target {
        let mut target = self.target.clone();
        role.name().clone_into(&mut target.role);
        target.siblings = crew.reports().filter(|(other, ..)| *other != role).map(|(_, pid, _)| pid).collect();
        target
    }

    /// What is asked for.
    pub(super) fn definitions(&self) -> [&Definition; 2] {
        let [first, second] = self.jobs.as_slice() else { unreachable!("there are two certificates") };
        [&first.definition, &second.definition]
    }

    /// What the certificates are called.
    pub(super) fn names(&self) -> Vec<String> {
        self.jobs.iter().map(|job| job.definition.name.clone()).collect()
    }

    /// The authority's directory.
    pub(super) const fn directory(&self) -> &Url {
        &self.config.directory
    }

    /// Where it is.
    pub(super) fn place(&self) -> &Path {
        &self.path
    }

    /// What is there now.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut seen = BTreeMap::new();
        look(&self.path, &mut seen);
        Snapshot(seen)
    }
}

impl Snapshot {
    /// What differs, in words.
    pub(super) fn differences(&self, later: &Self) -> Vec<String> {
        let gone =
            self.0.keys().filter(|path| !later.0.contains_key(*path)).map(|path| format!("{} is gone", path.display()));
        let changed = later.0.iter().filter_map(|(path, now)| match self.0.get(path) {
            None => Some(format!("{} is new", path.display())),
            Some(before) if before != now => Some(format!("{}: {before} became {now}", path.display())),
            Some(_) => None,
        });
        gone.chain(changed).collect()
    }

    /// The same without the keys that net may have made: in their own place, for certificates of the run.
    pub(super) fn without_new_keys(mut self) -> Self {
        self.0.retain(|path, _| !path.ends_with("attack.example/1/privkey.pem"));
        self
    }
}

/// Kind, mode, owner and content of all that is there, directories included; their times are not looked at, since what is
/// tried and removed again changes those.
fn look(path: &Path, seen: &mut BTreeMap<PathBuf, String>) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    let content = if path.ends_with("sandbox-records.jsonl") {
        // Attacks leave traces here: the supervisor writes down what was refused.
        String::new()
    } else if metadata.is_file() {
        fs::read(path).map_or_else(|error| error.to_string(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    } else {
        fs::read_link(path).map_or_else(|_| String::new(), |to| to.display().to_string())
    };
    let what = format!("{:o} {} {} {content:?}", metadata.mode(), metadata.uid(), metadata.gid());
    seen.insert(path.to_owned(), what);
    if metadata.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            look(&entry.path(), seen);
        }
    }
}

fn definitions(place: &Path) -> Result<[Definition; 2]> {
    let named = |names: &[&str]| -> Result<Vec<Identifier>> {
        names.iter().map(|name| Identifier::parse(name).map_err(failed)).collect()
    };
    let definition = |names: Vec<Identifier>, method| Definition {
        name: names.first().map(ToString::to_string).unwrap_or_default(),
        names,
        method,
        key_type: KeyType::P256,
        reuse_key: false,
        profile: None,
        hooks: Vec::new(),
    };
    Ok([
        definition(named(&["attack.example", "www.attack.example"])?, Method::Webroot(place.join("webroot"))),
        definition(named(&["alone.example"])?, Method::Standalone(vec!["127.0.0.1:0".to_owned()])),
    ])
}

/// The version of Landlock, as reports have it.
fn landlock() -> u32 {
    let machine = portcullis::machine();
    let layer = machine.iter().find(|layer| layer.layer == Layer::Landlock);
    layer.and_then(|layer| layer.outcome.version()).unwrap_or(0)
}
