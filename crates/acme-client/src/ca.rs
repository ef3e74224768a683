//! Which certificate authority, and how far it is trusted.

use acme::{Origins, Url};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::error::{Error, Result};

/// A certificate authority, as configured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ca {
    /// Its directory.
    pub(crate) directory: Url,
    /// Further hosts and ports that its URLs may name.
    pub(crate) more: Vec<(String, u16)>,
}

impl Ca {
    /// The configured one.
    pub(crate) fn configured(config: &Config) -> Result<Self> {
        let more = config.allow_hosts.iter().map(|text| host_and_port(text)).collect::<Result<_>>()?;
        Ok(Self { directory: config.directory.clone(), more })
    }

    /// The hosts and ports of all URLs that are followed and signed for.
    pub(crate) fn origins(&self) -> Origins {
        let mut origins = Origins::of(&self.directory);
        for (host, port) in &self.more {
            origins.allow(host, *port);
        }
        origins
    }

    /// The same, as what may be connected to.
    pub(crate) fn targets(&self) -> Vec<(String, u16)> {
        self.origins().iter().map(|(host, port)| (host.to_owned(), port)).collect()
    }
}

fn host_and_port(text: &str) -> Result<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
        _ => (text, Some(443)),
    };
    match port {
        Some(port) if !host.is_empty() && !host.contains('/') => Ok((host.to_ascii_lowercase(), port)),
        _ => Err(Error::failed(format!("allow-hosts: {text:?} is no host or host:port"))),
    }
}
