//! The reply that holds the certificate (RFC 8555 sections 7.4.2 and 9.1).

use alloc::format;
use alloc::vec::Vec;

use crate::error::ErrorKind;
use crate::json::{checked_url, malformed};
use crate::link;
use crate::pem;
use crate::session::{Reply, Session};
use crate::url::Url;

/// The media type of a chain in PEM.
pub(crate) const PEM_CHAIN: &str = "application/pem-certificate-chain";

/// The chain in strict PEM, and where others are.
pub(crate) fn read(session: &Session, reply: &Reply) -> Result<(Vec<u8>, Vec<Url>), ErrorKind> {
    if let Some(media_type) = reply.header("content-type") {
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case(PEM_CHAIN) {
            return Err(malformed(CERTIFICATE, &format!("its type is {media_type:?}, not {PEM_CHAIN}")));
        }
    }
    let chain = pem::strict_chain(&reply.body).map_err(|detail| malformed(CERTIFICATE, detail))?;
    Ok((chain, alternates(session, reply)))
}

/// The certificate is there, so one of these that cannot be used is no reason to fail.
fn alternates(session: &Session, reply: &Reply) -> Vec<Url> {
    let mut found = Vec::new();
    for target in reply.header_values("link").flat_map(|header| link::targets(header, "alternate")) {
        if found.len() >= session.config.limits.alternates {
            break;
        }
        if let Ok(url) = checked_url(CERTIFICATE, "Link", target, &session.config.origins)
            && !found.contains(&url)
        {
            found.push(url);
        }
    }
    found
}

const CERTIFICATE: &str = "certificate";
