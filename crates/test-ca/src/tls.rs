//! The HTTPS server's own certificate, under a throw-away root that has nothing to do with the issued ones.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivatePkcs8KeyDer;

use crate::issuer::{authority_params, distinguished_name};

/// What the server shows, and what its clients have to trust.
pub(crate) struct Identity {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) root_pem: String,
}

/// What can go wrong: a host that is no name, no randomness.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

impl Identity {
    /// For `host` and the loopback names.
    pub(crate) fn new(host: &str, address: IpAddr) -> Result<Self, Error> {
        let root_key = KeyPair::generate()?;
        let root_params = authority_params("Test CA TLS Root");
        let root = root_params.self_signed(&root_key)?;
        let issuer = Issuer::from_params(&root_params, &root_key);

        let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        for name in [host.trim_matches(['[', ']']).to_owned(), address.to_string()] {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = distinguished_name("Test CA server");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &issuer)?;

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), root_pem: root.pem() })
    }
}
