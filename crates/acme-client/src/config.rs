//! The configuration: one TOML file, overlaid by what the command line says.

use std::path::{Path, PathBuf};

use acme::{Identifier, Profile, ProfileName, Url};
use serde::{Deserialize, Serialize};

use crate::crypto::key::KeyType;
use crate::error::{Error, Result};
use crate::messages::SandboxMode;

/// Let's Encrypt's directory, used where nothing else is said.
pub(crate) const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// The first of the eight numbers that roles take as their users when the program is started by root. Linux
/// distributions leave 60578 to 61183 unused (systemd's "Users, Groups, UIDs and GIDs").
const UID_BASE: u32 = 60_900;

/// Everything that is configured.
#[derive(Debug)]
pub(crate) struct Config {
    /// The file it came from, if there is one.
    pub(crate) path: Option<PathBuf>,
    /// The state directory.
    pub(crate) state: PathBuf,
    /// The CA's directory.
    pub(crate) directory: Url,
    /// Further hosts (`host:port`) that the CA's URLs may name.
    pub(crate) allow_hosts: Vec<String>,
    /// A PEM file with the roots to trust in place of the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// Contacts of the account (`mailto:`).
    pub(crate) contact: Vec<String>,
    /// Whether the CA's terms of service are agreed to.
    pub(crate) agree_terms: bool,
    /// What is done about the sandbox.
    pub(crate) sandbox: SandboxMode,
    /// The first of the roles' users.
    pub(crate) uid_base: u32,
    /// The certificates.
    pub(crate) certificates: Vec<Definition>,
}

/// One certificate, as configured or as remembered with its last generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Definition {
    /// What it is called, and its directory.
    pub(crate) name: String,
    /// The names it is for.
    pub(crate) names: Vec<Identifier>,
    /// How the names are proven.
    pub(crate) method: Method,
    /// The kind of its key.
    pub(crate) key_type: KeyType,
    /// Whether renewal keeps the key.
    pub(crate) reuse_key: bool,
    /// The CA's profile that it is to be of.
    #[serde(default)]
    pub(crate) profile: Option<Profile>,
    /// Commands to run after a new generation is in place, each a program and its arguments.
    pub(crate) hooks: Vec<Vec<String>>,
}

/// How names are proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Method {
    /// http-01 (RFC 8555 section 8.3) by files beneath a directory that a web server serves.
    Webroot(PathBuf),
    /// http-01 by a listener of our own on these addresses.
    Standalone(Vec<String>),
}

/// Where a listener of our own listens if nothing is said: port 80 is what the CA asks.
pub(crate) const PORT_80: [&str; 2] = ["[::]:80", "0.0.0.0:80"];

/// The listener's addresses that mean "a socket that was passed in" (sd_listen_fds(3)).
pub(crate) const INHERITED: &str = "inherited";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    state: Option<PathBuf>,
    directory: Option<Url>,
    #[serde(default)]
    allow_hosts: Vec<String>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    contact: Vec<String>,
    agree_terms: Option<bool>,
    #[serde(default)]
    sandbox: SandboxTable,
    #[serde(default)]
    certificate: Vec<CertificateTable>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct SandboxTable {
    #[serde(default)]
    require: Vec<LayerName>,
    uid_base: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct CertificateTable {
    name: Option<String>,
    names: Vec<Identifier>,
    webroot: Option<PathBuf>,
    #[serde(default)]
    standalone: bool,
    listen: Option<Vec<String>>,
    #[serde(default)]
    key_type: KeyType,
    #[serde(default)]
    reuse_key: bool,
    required_profile: Option<ProfileName>,
    preferred_profile: Option<ProfileName>,
    #[serde(default)]
    hooks: Vec<Vec<String>>,
}

/// A layer of the sandbox by the name that reports give it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct LayerName(portcullis::Layer);

impl TryFrom<String> for LayerName {
    type Error = String;

    fn try_from(name: String) -> core::result::Result<Self, String> {
        let known = portcullis::Layer::native().iter().find(|layer| layer.to_string() == name);
        known.copied().map(Self).ok_or_else(|| {
            let names: Vec<String> = portcullis::Layer::native().iter().map(ToString::to_string).collect();
            format!("there is no layer {name:?}; the layers are: {}", names.join(", "))
        })
    }
}

/// What the command line says beside the file.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    /// `--config`
    pub(crate) config: Option<PathBuf>,
    /// `--state`
    pub(crate) state: Option<PathBuf>,
    /// `--directory`
    pub(crate) directory: Option<Url>,
    /// `--ca-file`
    pub(crate) ca_file: Option<PathBuf>,
    /// `--sandbox off`
    pub(crate) sandbox_off: bool,
    /// `--sandbox require`
    pub(crate) sandbox_require: bool,
    /// `--withhold`
    #[cfg(feature = "attacks")]
    pub(crate) withheld: Vec<crate::attack::withheld::Withheld>,
}

impl Config {
    /// Reads the file, if there is one, and lays the command line over it.
    pub(crate) fn load(overlay: Overlay) -> Result<Self> {
        let path = overlay.config.clone().or_else(|| Some(default_config()).filter(|path| path.exists()));
        let file = match &path {
            Some(path) => read(path)?,
            None => File::default(),
        };
        Self::assemble(path, file, overlay)
    }

    fn assemble(path: Option<PathBuf>, file: File, overlay: Overlay) -> Result<Self> {
        let shown = path.as_deref().map_or_else(String::new, |path| format!("{}: ", path.display()));
        let mut certificates: Vec<Definition> = Vec::new();
        for table in file.certificate {
            let definition = table.define().map_err(|text| Error::failed(format!("{shown}{text}")))?;
            if certificates.iter().any(|other| other.name == definition.name) {
                return Err(Error::failed(format!(
                    "{shown}two certificates are called {}; give one of them another name = \"…\"",
                    definition.name
                )));
            }
            certificates.push(definition);
        }
        for contact in &file.contact {
            if !contact.starts_with("mailto:") {
                return Err(Error::failed(format!("{shown}the contact {contact:?} is no mailto: address")));
            }
        }
        let directory = match overlay.directory.or(file.directory) {
            Some(directory) => directory,
            None => Url::parse(LETS_ENCRYPT).map_err(|_| Error::failed("the built-in directory is no URL"))?,
        };
        let mut require: Vec<_> = file.sandbox.require.into_iter().map(|name| name.0).collect();
        if overlay.sandbox_require {
            require = portcullis::Layer::native().to_vec();
        }
        Ok(Self {
            state: overlay.state.or(file.state).map_or_else(default_state, Ok).and_then(|path| absolute(&path))?,
            path,
            directory,
            allow_hosts: file.allow_hosts,
            ca_file: overlay.ca_file.or(file.ca_file).map(|path| absolute(&path)).transpose()?,
            contact: file.contact,
            agree_terms: file.agree_terms.unwrap_or(true),
            sandbox: SandboxMode {
                off: overlay.sandbox_off,
                require,
                trace: false,
                #[cfg(feature = "attacks")]
                withheld: overlay.withheld,
            },
            uid_base: file.sandbox.uid_base.unwrap_or(UID_BASE),
            certificates,
        })
    }
}

impl CertificateTable {
    fn define(self) -> core::result::Result<Definition, String> {
        let first = self.names.first().ok_or("a certificate has names = [] where at least one name belongs")?;
        let name = self.name.unwrap_or_else(|| directory_name(first));
        check_name(&name)?;
        let method = match (self.webroot, self.standalone || self.listen.is_some()) {
            (Some(webroot), false) if webroot.is_absolute() => Method::Webroot(webroot),
            (Some(webroot), false) => {
                return Err(format!("certificate {name}: webroot {} is no absolute path", webroot.display()));
            }
            (None, true) => Method::Standalone(
                self.listen.unwrap_or_else(|| PORT_80.iter().map(|address| (*address).to_owned()).collect()),
            ),
            (Some(_), true) => return Err(format!("certificate {name}: webroot and standalone exclude each other")),
            (None, false) => {
                return Err(format!(
                    "certificate {name}: say how its names are proven: webroot = \"DIR\" or standalone = true"
                ));
            }
        };
        let profile = match (self.required_profile, self.preferred_profile) {
            (Some(_), Some(_)) => {
                return Err(format!("certificate {name}: required-profile and preferred-profile exclude each other"));
            }
            (Some(required), None) => Some(Profile::Required(required)),
            (None, preferred) => preferred.map(Profile::Preferred),
        };
        let definition = Definition {
            name,
            names: self.names,
            method,
            key_type: self.key_type,
            reuse_key: self.reuse_key,
            profile,
            hooks: self.hooks,
        };
        definition.check()?;
        Ok(definition)
    }
}

impl Definition {
    /// Finds what cannot work, before anybody is asked.
    pub(crate) fn check(&self) -> core::result::Result<(), String> {
        check_name(&self.name)?;
        for (at, name) in self.names.iter().enumerate() {
            if self.names.iter().take(at).any(|other| other == name) {
                return Err(format!("certificate {}: {name} is there twice", self.name));
            }
            if name.is_wildcard() {
                return Err(format!(
                    "certificate {}: {name} is a wildcard, which cannot be proven by http-01 (RFC 8555 section 8.3)",
                    self.name
                ));
            }
        }
        if self.names.len() > 100 {
            return Err(format!(
                "certificate {}: {} names, of which a CA takes 100 at most",
                self.name,
                self.names.len()
            ));
        }
        for hook in &self.hooks {
            match hook.first() {
                Some(program) if Path::new(program).is_absolute() => {}
                Some(program) => {
                    return Err(format!(
                        "certificate {}: hook {program:?} is no absolute path of a program",
                        self.name
                    ));
                }
                None => return Err(format!("certificate {}: a hook is empty", self.name)),
            }
        }
        Ok(())
    }
}

/// The directory name of a certificate that is called after a name. Colons separate paths in too many places to stand in one;
/// no other name has an underscore.
pub(crate) fn directory_name(name: &Identifier) -> String {
    match name {
        Identifier::Dns(name) => name.as_str().replacen("*.", "_wildcard.", 1),
        Identifier::Ip(address) => address.to_string().replace(':', "_"),
    }
}

/// A certificate's name is the name of a directory, and of nothing else.
fn check_name(name: &str) -> core::result::Result<(), String> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if name.is_empty() || name.len() > 253 || name.starts_with('.') || name.starts_with('-') || !name.bytes().all(fine)
    {
        return Err(format!("{name:?} cannot be a certificate's name: it takes letters, digits, '.', '-' and '_'"));
    }
    Ok(())
}

fn read(path: &Path) -> Result<File> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::file("read the configuration", path, error))?;
    // The error of the parser has line, column and the line itself.
    toml::from_str(&text)
        .map_err(|error| Error::failed(format!("{}: {}", path.display(), error.to_string().trim_end())))
}

/// Paths are taken relative to where the program was started, once.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| Error::file("find", path, error))
}

fn default_config() -> PathBuf {
    match user_directory("XDG_CONFIG_HOME", ".config") {
        Some(directory) => directory.join("acme-client/config.toml"),
        None => PathBuf::from("/etc/acme-client/config.toml"),
    }
}

fn default_state() -> Result<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/acme-client"));
    }
    let directory = user_directory("XDG_STATE_HOME", ".local/state");
    let directory = directory.ok_or_else(|| Error::usage("there is no HOME; say where to keep state: --state DIR"))?;
    Ok(directory.join("acme-client"))
}

/// `None` for root, who uses the system's directories.
fn user_directory(variable: &str, beneath_home: &str) -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    set(variable).or_else(|| Some(set("HOME")?.join(beneath_home)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config> {
        let file = toml::from_str(text).map_err(|error| Error::failed(error.to_string()))?;
        Config::assemble(Some("c.toml".into()), file, Overlay { state: Some("/s".into()), ..Overlay::default() })
    }

    #[test]
    fn a_small_file_is_enough() {
        let config = load("[[certificate]]\nnames = [\"Example.org\", \"www.example.org\"]\nwebroot = \"/var/www\"\n")
            .expect("a configuration");
        let [certificate] = config.certificates.as_slice() else { panic!("one certificate") };
        assert_eq!(certificate.name, "example.org");
        assert_eq!(certificate.method, Method::Webroot("/var/www".into()));
        assert_eq!(certificate.key_type, KeyType::P256);
        assert_eq!(config.directory.as_str(), LETS_ENCRYPT);
    }

    #[test]
    fn errors_say_where_and_what() {
        for (text, words) in [
            ("contcat = []", &["line 1, column 1", "contcat = []", "unknown field"][..]),
            ("[[certificate]]\nnames = [\"exa mple.org\"]\nwebroot = \"/w\"", &["line 2", "exa mple.org"]),
            ("[[certificate]]\nnames = []\nwebroot = \"/w\"", &["c.toml", "at least one name"]),
            ("[[certificate]]\nnames = [\"a.example\"]", &["a.example", "webroot = \"DIR\" or standalone = true"]),
            ("[[certificate]]\nnames = [\"a.example\"]\nwebroot = \"w\"", &["no absolute path"]),
            ("[[certificate]]\nnames = [\"*.a.example\"]\nwebroot = \"/w\"", &["wildcard"]),
            ("[[certificate]]\nnames = [\"a.example\", \"a.example\"]\nwebroot = \"/w\"", &["twice"]),
            ("[[certificate]]\nname = \"../x\"\nnames = [\"a.example\"]\nwebroot = \"/w\"", &["../x"]),
            ("[[certificate]]\nnames = [\"a.example\"]\nwebroot = \"/w\"\nhooks = [[\"nginx\"]]", &["absolute path"]),
            ("directory = \"http://ca.example/\"", &["line 1", "https"]),
            ("[sandbox]\nrequire = [\"walls\"]", &["walls", "seccomp"]),
            ("contact = [\"me@example.org\"]", &["mailto:"]),
        ] {
            let error = load(text).expect_err(text).to_string();
            for word in words {
                assert!(error.contains(word), "{text:?} gave {error:?}, without {word:?}");
            }
        }
    }
}
