//! The roots by which a CA's server is recognised: a file, or those of this machine.

use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::error::file;

/// Roots in DER, from the file if there is one, else the machine's.
pub(crate) fn roots(ca_file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, String> {
    let Some(path) = ca_file else { return of_the_machine() };
    let pem = std::fs::read(path).map_err(|error| file("read the CA file", path, error))?;
    let mut roots = Vec::new();
    for root in CertificateDer::pem_slice_iter(&pem) {
        roots.push(root.map_err(|error| format!("the CA file {} is damaged: {error}", path.display()))?);
    }
    if roots.is_empty() {
        return Err(format!("the CA file {} has no certificate in it", path.display()));
    }
    Ok(roots)
}

fn of_the_machine() -> Result<Vec<CertificateDer<'static>>, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join("; ")) };
        return Err(format!(
            "this machine has no root certificates{why}; install the package ca-certificates, or say which to trust \
             with --ca-file"
        ));
    }
    Ok(found.certs)
}
